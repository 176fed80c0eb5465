// A dot unit: arrays of lanes with their granule accumulators, scale units, FP32 output.
//
// Each cycle with valid_i takes Depth operands of the pair `mode_i` (pairs at half rate use the even
// lanes alone, the others hold zeros; composed pairs of rate 2 take 2 * Depth). first_i / last_i mark the
// first and the last pass of a granule, start_i the first granule of an output. Aligned pairs (bf16) are
// scaled every pass, so both are set. output_o is right when output_valid_o is.
//
// Granule below Depth: Depth / Granule arrays of Granule lanes, each with a scale unit of its own, added in
// ascending order; every pass is then a granule of each array.
module dot_unit #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer Depth = 16,
    parameter integer Granule = 32,      // finest granule
    parameter integer MaxGranule = 128,  // elements that the granule accumulator holds
    parameter integer AlignBits = 24,
    parameter integer Sharing = 0,       // see dot_array.sv
    // Derived; not to be overridden.
    parameter integer Operands = Sharing == 2 ? 2 * Depth : Depth,
    parameter integer WeightBits = dot_formats::register_bits(Pairs, NumPairs, Sharing),
    parameter integer ActivationBits = dot_formats::set_significand(Pairs, NumPairs, 0, 1),
    parameter integer WeightShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 0),
    parameter integer ActivationShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 1),
    parameter integer Subs = Granule < Depth ? Depth / Granule : 1
) (
    input logic clk_i,
    input logic rst_ni,
    input logic valid_i,
    input logic [2:0] mode_i,
    input logic start_i,
    input logic first_i,
    input logic last_i,
    input logic [Operands-1:0] weight_negative_i,
    input logic [Operands*WeightBits-1:0] weight_i,
    input logic [Operands*WeightShiftBits-1:0] weight_shift_i,
    input logic [Operands-1:0] activation_negative_i,
    input logic [Operands*ActivationBits-1:0] activation_i,
    input logic [Operands*ActivationShiftBits-1:0] activation_shift_i,
    input logic [Subs*32-1:0] weight_scale_i,
    input logic [Subs*32-1:0] activation_scale_i,
    output logic [31:0] output_o,
    output logic output_valid_o
);
  localparam integer Lanes = Depth / Subs;
  localparam integer Ops = Operands / Subs;
  localparam integer Scaled = dot_formats::set_scaled(Pairs, NumPairs);
  localparam integer SumBits = dot_formats::sum_bits(Pairs, NumPairs, Sharing, Lanes, MaxGranule, AlignBits);
  localparam integer Latency = Scaled == 1 ? 5 : 3;  // from the operand registers to the adder

  // Valid, start, mode and scales follow the sums through the pipeline.
  logic start_q, last_q, valid_q;
  logic [2:0] mode_q, mode_qq;
  logic [Latency-1:0] valid_pipe, start_pipe;
  logic [Subs*32-1:0] weight_scale_q, activation_scale_q, weight_scale_qq, activation_scale_qq;
  always_ff @(posedge clk_i) begin
    start_q <= start_i;
    last_q <= last_i;
    mode_q <= mode_i;
    mode_qq <= mode_q;
    weight_scale_q <= weight_scale_i;
    activation_scale_q <= activation_scale_i;
    weight_scale_qq <= weight_scale_q;
    activation_scale_qq <= activation_scale_q;
    start_pipe <= {start_pipe[Latency-2:0], start_q};
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      valid_pipe <= '0;
      output_valid_o <= 1'b0;
    end else begin
      valid_q <= valid_i;
      valid_pipe <= {valid_pipe[Latency-2:0], valid_q & last_q};
      output_valid_o <= valid_pipe[Latency-2];
    end
  end

  wire [Subs*32-1:0] value;
  wire [(Subs+1)*32-1:0] partial /*verilator split_var*/;
  assign partial[31:0] = start_pipe[Latency-2] ? 32'b0 : output_o;
  genvar g;
  generate
    for (g = 0; g < Subs; g = g + 1) begin : gen_sub
      wire [SumBits-1:0] sum;
      wire [15:0] reference;
      dot_array #(
          .NumPairs(NumPairs),
          .Pairs(Pairs),
          .Depth(Lanes),
          .MaxGranule(MaxGranule),
          .AlignBits(AlignBits),
          .Sharing(Sharing)
      ) u_array (
          .clk_i(clk_i),
          .valid_i(valid_i),
          .mode_i(mode_i),
          .first_i(first_i),
          .weight_negative_i(weight_negative_i[g*Ops+:Ops]),
          .weight_i(weight_i[g*Ops*WeightBits+:Ops*WeightBits]),
          .weight_shift_i(weight_shift_i[g*Ops*WeightShiftBits+:Ops*WeightShiftBits]),
          .activation_negative_i(activation_negative_i[g*Ops+:Ops]),
          .activation_i(activation_i[g*Ops*ActivationBits+:Ops*ActivationBits]),
          .activation_shift_i(activation_shift_i[g*Ops*ActivationShiftBits+:Ops*ActivationShiftBits]),
          .sum_o(sum),
          .reference_o(reference)
      );
      scale_unit #(
          .NumPairs(NumPairs),
          .Pairs(Pairs),
          .SumBits(SumBits),
          .AlignBits(AlignBits),
          .Sharing(Sharing)
      ) u_scale (
          .clk_i(clk_i),
          .mode_i(mode_qq),
          .sum_i(sum),
          .reference_i(reference),
          .weight_scale_i(weight_scale_qq[g*32+:32]),
          .activation_scale_i(activation_scale_qq[g*32+:32]),
          .value_o(value[g*32+:32])
      );
      // Added in ascending order of granules.
      fp32_add u_add (
          .a_i(partial[g*32+:32]),
          .b_i(value[g*32+:32]),
          .sum_o(partial[(g+1)*32+:32])
      );
    end
  endgenerate
  always_ff @(posedge clk_i) if (valid_pipe[Latency-2]) output_o <= partial[Subs*32+:32];
endmodule
