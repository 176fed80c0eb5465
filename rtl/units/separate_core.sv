// The array of one pair in a unit of separate arrays: its own dot_core behind gated operands, its sum
// brought to the place of the widest and joined with those of the pairs before it. Combinational.
module separate_core #(
    parameter logic [11:0] Pair = 12'h188,
    parameter integer Depth = 16,
    parameter integer AlignBits = 24,
    parameter integer InWeightBits = 8,
    parameter integer InActivationBits = 8,
    parameter integer InWeightShiftBits = 1,
    parameter integer InActivationShiftBits = 1,
    parameter integer TermBits = 16,
    parameter integer SumBits = TermBits + $clog2(Depth) + 1
) (
    input logic enable_i,
    input logic [Depth-1:0] weight_negative_i,
    input logic [Depth*InWeightBits-1:0] weight_i,
    input logic [Depth*InWeightShiftBits-1:0] weight_shift_i,
    input logic [Depth-1:0] activation_negative_i,
    input logic [Depth*InActivationBits-1:0] activation_i,
    input logic [Depth*InActivationShiftBits-1:0] activation_shift_i,
    input logic [SumBits-1:0] sum_i,
    output logic [SumBits-1:0] sum_o,
    input logic [15:0] reference_i,
    output logic [15:0] reference_o
);
  localparam logic [95:0] Pairs = {84'b0, Pair};
  localparam integer WeightBits = dot_formats::set_significand(Pairs, 1, 0, 0);
  localparam integer ActivationBits = dot_formats::set_significand(Pairs, 1, 0, 1);
  localparam integer WeightShiftBits = dot_formats::shift_bits(Pairs, 1, 0);
  localparam integer ActivationShiftBits = dot_formats::shift_bits(Pairs, 1, 1);
  localparam integer ShiftBits = dot_formats::sum_shift_bits(Pairs, 1);
  localparam integer CoreTermBits = dot_formats::set_term_bits(Pairs, 1, AlignBits);
  localparam integer CoreBits = CoreTermBits + $clog2(Depth) + 1;
  wire [Depth*WeightBits-1:0] weight;
  wire [Depth*ActivationBits-1:0] activation;
  wire [Depth*WeightShiftBits-1:0] weight_shift;
  wire [Depth*ActivationShiftBits-1:0] activation_shift;
  genvar g;
  generate
    for (g = 0; g < Depth; g = g + 1) begin : gen_operand
      assign weight[g*WeightBits+:WeightBits] =
          weight_i[(g+1)*InWeightBits-1-:WeightBits] & {WeightBits{enable_i}};
      assign activation[g*ActivationBits+:ActivationBits] =
          activation_i[(g+1)*InActivationBits-1-:ActivationBits] & {ActivationBits{enable_i}};
      assign weight_shift[g*WeightShiftBits+:WeightShiftBits] =
          weight_shift_i[g*InWeightShiftBits+:WeightShiftBits] & {WeightShiftBits{enable_i}};
      assign activation_shift[g*ActivationShiftBits+:ActivationShiftBits] =
          activation_shift_i[g*InActivationShiftBits+:ActivationShiftBits] & {ActivationShiftBits{enable_i}};
    end
  endgenerate
  wire [CoreBits-1:0] core_sum;
  wire [ShiftBits-1:0] core_reference;
  dot_core #(
      .NumPairs(1),
      .Pairs(Pairs),
      .Depth(Depth),
      .AlignBits(AlignBits)
  ) u_core (
      .mode_i(3'd0),
      .weight_negative_i(weight_negative_i & {Depth{enable_i}}),
      .weight_i(weight),
      .weight_shift_i(weight_shift),
      .activation_negative_i(activation_negative_i & {Depth{enable_i}}),
      .activation_i(activation),
      .activation_shift_i(activation_shift),
      .sum_o(core_sum),
      .reference_o(core_reference)
  );
  wire [SumBits-1:0] placed = {core_sum, {(SumBits - CoreBits) {1'b0}}};
  assign sum_o = sum_i | (placed & {SumBits{enable_i}});
  assign reference_o = reference_i | ({{(16 - ShiftBits) {1'b0}}, core_reference} & {16{enable_i}});
endmodule
