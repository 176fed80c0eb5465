// Depth lanes of two narrow multipliers each: together one wide weight per lane, or two narrow weights
// with an activation each (rate 2). Integers only; the wide weight's high part enters the sum of the high
// multipliers, which is shifted once per dot. Combinational.
//
// Operands: 2 * Depth narrow weights and activations, right-justified. In wide mode element i is
// {weight 2i + 1, weight 2i} of NarrowBits and LowBits with the activation 2i; both signs are the weight's.
module composed_core #(
    parameter integer Depth = 16,
    parameter integer NarrowBits = 5,
    parameter integer LowBits = 4,
    parameter integer ActivationBits = 8,
    parameter integer SumBits = NarrowBits + ActivationBits + LowBits + $clog2(2 * Depth) + 1
) (
    input logic wide_i,
    input logic [2*Depth-1:0] weight_negative_i,
    input logic [2*Depth*NarrowBits-1:0] weight_i,
    input logic [2*Depth-1:0] activation_negative_i,
    input logic [2*Depth*ActivationBits-1:0] activation_i,
    output logic [SumBits-1:0] sum_o
);
  localparam integer ProductBits = NarrowBits + ActivationBits;
  localparam integer HalfBits = ProductBits + $clog2(Depth) + 1;
  wire [Depth-1:0] low_negative;
  wire [Depth-1:0] high_negative;
  wire [Depth*ProductBits-1:0] low;
  wire [Depth*ProductBits-1:0] high;
  genvar g;
  generate
    for (g = 0; g < Depth; g = g + 1) begin : gen_lane
      wire [ActivationBits-1:0] even = activation_i[2*g*ActivationBits+:ActivationBits];
      wire [ActivationBits-1:0] odd = wide_i ? even : activation_i[(2*g+1)*ActivationBits+:ActivationBits];
      wire odd_negative = wide_i ? activation_negative_i[2*g] : activation_negative_i[2*g+1];
      assign low[g*ProductBits+:ProductBits] = weight_i[2*g*NarrowBits+:NarrowBits] * even;
      assign high[g*ProductBits+:ProductBits] = weight_i[(2*g+1)*NarrowBits+:NarrowBits] * odd;
      assign low_negative[g] = weight_negative_i[2*g] ^ activation_negative_i[2*g];
      assign high_negative[g] = weight_negative_i[2*g+1] ^ odd_negative;
    end
  endgenerate
  wire signed [HalfBits-1:0] low_sum;
  wire signed [HalfBits-1:0] high_sum;
  adder_tree #(
      .Count(Depth),
      .Bits(ProductBits),
      .SumBits(HalfBits)
  ) u_low (
      .negative_i(low_negative),
      .magnitude_i(low),
      .sum_o(low_sum)
  );
  adder_tree #(
      .Count(Depth),
      .Bits(ProductBits),
      .SumBits(HalfBits)
  ) u_high (
      .negative_i(high_negative),
      .magnitude_i(high),
      .sum_o(high_sum)
  );
  wire [SumBits-1:0] low_wide = {{(SumBits - HalfBits) {low_sum[HalfBits-1]}}, low_sum};
  wire [SumBits-1:0] high_wide = {{(SumBits - HalfBits) {high_sum[HalfBits-1]}}, high_sum};
  assign sum_o = low_wide + (wide_i ? high_wide << LowBits : high_wide);
endmodule
