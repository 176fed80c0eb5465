// Test top: element codes through operand decoders into a dot unit. Composed units take a wide weight in
// the even slot of its pair and split it here, at the edge, as a grid would.
module dot_unit_bench #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer Depth = 16,
    parameter integer Granule = 32,
    parameter integer MaxGranule = 128,
    parameter integer AlignBits = 24,
    parameter integer Sharing = 0,
    parameter integer Operands = Sharing == 2 ? 2 * Depth : Depth,
    parameter integer Subs = Granule < Depth ? Depth / Granule : 1
) (
    input logic clk_i,
    input logic rst_ni,
    input logic valid_i,
    input logic [2:0] mode_i,
    input logic start_i,
    input logic first_i,
    input logic last_i,
    input logic [Operands*16-1:0] weight_code_i,
    input logic [Operands*16-1:0] activation_code_i,
    input logic [Subs*32-1:0] weight_scale_i,
    input logic [Subs*32-1:0] activation_scale_i,
    output logic [31:0] output_o,
    output logic output_valid_o
);
  localparam integer SetWeightBits = dot_formats::set_significand(Pairs, NumPairs, 0, 0);
  localparam integer WeightBits = dot_formats::register_bits(Pairs, NumPairs, Sharing);
  localparam integer ActivationBits = dot_formats::set_significand(Pairs, NumPairs, 0, 1);
  localparam integer WeightShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 0);
  localparam integer ActivationShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 1);
  localparam logic [15:0] WeightElements = dot_formats::set_elements(Pairs, NumPairs, 0);
  localparam logic [15:0] ActivationElements = dot_formats::set_elements(Pairs, NumPairs, 1);

  wire [3:0] weight_element = Pairs[mode_i*12+:4];
  wire [3:0] activation_element = Pairs[mode_i*12+4+:4];
  wire [Operands-1:0] weight_negative, activation_negative;
  wire [Operands*WeightBits-1:0] weight;
  wire [Operands*WeightShiftBits-1:0] weight_shift;
  wire [Operands*ActivationBits-1:0] activation;
  wire [Operands*ActivationShiftBits-1:0] activation_shift;
  genvar g;
  generate
    for (g = 0; g < Operands; g = g + 1) begin : gen_operand
      operand_decoder #(
          .Elements(ActivationElements),
          .SignificandBits(ActivationBits),
          .ShiftBits(ActivationShiftBits)
      ) u_activation (
          .code_i(activation_code_i[g*16+:16]),
          .element_i(activation_element),
          .negative_o(activation_negative[g]),
          .significand_o(activation[g*ActivationBits+:ActivationBits]),
          .shift_o(activation_shift[g*ActivationShiftBits+:ActivationShiftBits])
      );
      if (Sharing == 2) begin : gen_composed
        localparam integer Low = dot_formats::low_bits(Pairs, NumPairs);
        wire narrow_negative, wide_negative;
        wire [WeightBits-1:0] narrow;
        wire [SetWeightBits-1:0] wide;
        wire [WeightShiftBits-1:0] no_shift;
        operand_decoder #(
            .Elements(WeightElements & 16'(1 << Pairs[3:0])),
            .SignificandBits(WeightBits),
            .ShiftBits(WeightShiftBits)
        ) u_narrow (
            .code_i(weight_code_i[g*16+:16]),
            .element_i(Pairs[3:0]),
            .negative_o(narrow_negative),
            .significand_o(narrow),
            .shift_o(weight_shift[g*WeightShiftBits+:WeightShiftBits])
        );
        operand_decoder #(
            .Elements(WeightElements & ~16'(1 << Pairs[3:0])),
            .SignificandBits(SetWeightBits),
            .ShiftBits(WeightShiftBits)
        ) u_wide (
            .code_i(weight_code_i[(g/2)*2*16+:16]),
            .element_i(weight_element),
            .negative_o(wide_negative),
            .significand_o(wide),
            .shift_o(no_shift)
        );
        wire [WeightBits-1:0] part = g % 2 == 0 ? WeightBits'(wide[Low-1:0])
                                                : WeightBits'(wide[SetWeightBits-1:Low]);
        assign weight_negative[g] = mode_i == 0 ? narrow_negative : wide_negative;
        assign weight[g*WeightBits+:WeightBits] = mode_i == 0 ? narrow : part;
      end else begin : gen_whole
        operand_decoder #(
            .Elements(WeightElements),
            .SignificandBits(WeightBits),
            .ShiftBits(WeightShiftBits)
        ) u_weight (
            .code_i(weight_code_i[g*16+:16]),
            .element_i(weight_element),
            .negative_o(weight_negative[g]),
            .significand_o(weight[g*WeightBits+:WeightBits]),
            .shift_o(weight_shift[g*WeightShiftBits+:WeightShiftBits])
        );
      end
    end
  endgenerate

  dot_unit #(
      .NumPairs(NumPairs),
      .Pairs(Pairs),
      .Depth(Depth),
      .Granule(Granule),
      .MaxGranule(MaxGranule),
      .AlignBits(AlignBits),
      .Sharing(Sharing)
  ) u_unit (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .valid_i(valid_i),
      .mode_i(mode_i),
      .start_i(start_i),
      .first_i(first_i),
      .last_i(last_i),
      .weight_negative_i(weight_negative),
      .weight_i(weight),
      .weight_shift_i(weight_shift),
      .activation_negative_i(activation_negative),
      .activation_i(activation),
      .activation_shift_i(activation_shift),
      .weight_scale_i(weight_scale_i),
      .activation_scale_i(activation_scale_i),
      .output_o(output_o),
      .output_valid_o(output_valid_o)
  );
endmodule
