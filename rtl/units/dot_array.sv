// Operand registers, lanes and exact sums, granule accumulator: a dot unit without its scale unit.
//
// Sharing: 0 one array of multipliers for all pairs (dot_core), 1 an array for each pair, 2 two narrow
// multipliers a lane (composed_core; Pairs: the narrow pair at rate 2 first, then the wide one at rate 1,
// both x the same activation). Operands: Depth of each, 2 * Depth if composed; see dot_unit.sv.
//
// sum_o counts in units of 2^(reference_o + offset of the pair), the offset as in scale_unit.sv;
// reference_o is that of aligned pairs.
module dot_array #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer Depth = 16,
    parameter integer MaxGranule = 128,  // elements that the granule accumulator holds
    parameter integer AlignBits = 24,
    parameter integer Sharing = 0,
    // Derived; not to be overridden.
    parameter integer Operands = Sharing == 2 ? 2 * Depth : Depth,
    parameter integer WeightBits = dot_formats::register_bits(Pairs, NumPairs, Sharing),
    parameter integer ActivationBits = dot_formats::set_significand(Pairs, NumPairs, 0, 1),
    parameter integer WeightShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 0),
    parameter integer ActivationShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 1),
    parameter integer SumBits = dot_formats::sum_bits(Pairs, NumPairs, Sharing, Depth, MaxGranule, AlignBits)
) (
    input logic clk_i,
    input logic valid_i,
    input logic [2:0] mode_i,
    input logic first_i,
    input logic [Operands-1:0] weight_negative_i,
    input logic [Operands*WeightBits-1:0] weight_i,
    input logic [Operands*WeightShiftBits-1:0] weight_shift_i,
    input logic [Operands-1:0] activation_negative_i,
    input logic [Operands*ActivationBits-1:0] activation_i,
    input logic [Operands*ActivationShiftBits-1:0] activation_shift_i,
    output logic [SumBits-1:0] sum_o,
    output logic [15:0] reference_o
);
  localparam integer AllAligned = dot_formats::all_aligned(Pairs, NumPairs);
  localparam integer HasAligned = dot_formats::set_aligned(Pairs, NumPairs, 0);
  localparam integer TermBits = dot_formats::unit_term_bits(Pairs, NumPairs, Sharing, AlignBits);
  localparam integer CoreBits = TermBits + $clog2(Depth) + 1;
  localparam integer Growth = SumBits - CoreBits;

  logic [2:0] mode_q;
  logic first_q, valid_q;
  logic [Operands-1:0] weight_negative_q, activation_negative_q;
  logic [Operands*WeightBits-1:0] weight_q;
  logic [Operands*WeightShiftBits-1:0] weight_shift_q;
  logic [Operands*ActivationBits-1:0] activation_q;
  logic [Operands*ActivationShiftBits-1:0] activation_shift_q;
  always_ff @(posedge clk_i) begin
    valid_q <= valid_i;
    mode_q <= mode_i;
    first_q <= first_i;
    weight_negative_q <= weight_negative_i;
    weight_q <= weight_i;
    weight_shift_q <= weight_shift_i;
    activation_negative_q <= activation_negative_i;
    activation_q <= activation_i;
    activation_shift_q <= activation_shift_i;
  end

  wire [CoreBits-1:0] core_sum;
  wire [15:0] reference;
  genvar p;
  generate
    if (Sharing == 2) begin : gen_composed
      localparam integer Low = dot_formats::low_bits(Pairs, NumPairs);
      wire [CoreBits-1:0] composed_sum;
      composed_core #(
          .Depth(Depth),
          .NarrowBits(WeightBits),
          .LowBits(Low),
          .ActivationBits(ActivationBits),
          .SumBits(CoreBits)
      ) u_core (
          .wide_i(mode_q != 3'd0),
          .weight_negative_i(weight_negative_q),
          .weight_i(weight_q),
          .activation_negative_i(activation_negative_q),
          .activation_i(activation_q),
          .sum_o(composed_sum)
      );
      assign core_sum = composed_sum;
      assign reference = '0;
    end else if (Sharing == 1) begin : gen_separate
      wire [(NumPairs+1)*CoreBits-1:0] sums /*verilator split_var*/;
      wire [(NumPairs+1)*16-1:0] references /*verilator split_var*/;
      assign sums[CoreBits-1:0] = '0;
      assign references[15:0] = '0;
      for (p = 0; p < NumPairs; p = p + 1) begin : gen_pair
        separate_core #(
            .Pair(Pairs[p*12+:12]),
            .Depth(Depth),
            .AlignBits(AlignBits),
            .InWeightBits(WeightBits),
            .InActivationBits(ActivationBits),
            .InWeightShiftBits(WeightShiftBits),
            .InActivationShiftBits(ActivationShiftBits),
            .TermBits(TermBits)
        ) u_core (
            .enable_i(mode_q == p),
            .weight_negative_i(weight_negative_q),
            .weight_i(weight_q),
            .weight_shift_i(weight_shift_q),
            .activation_negative_i(activation_negative_q),
            .activation_i(activation_q),
            .activation_shift_i(activation_shift_q),
            .sum_i(sums[p*CoreBits+:CoreBits]),
            .sum_o(sums[(p+1)*CoreBits+:CoreBits]),
            .reference_i(references[p*16+:16]),
            .reference_o(references[(p+1)*16+:16])
        );
      end
      assign core_sum = sums[NumPairs*CoreBits+:CoreBits];
      assign reference = references[NumPairs*16+:16];
    end else begin : gen_shared
      localparam integer ShiftBits = dot_formats::sum_shift_bits(Pairs, NumPairs);
      wire [ShiftBits-1:0] shared_reference;
      dot_core #(
          .NumPairs(NumPairs),
          .Pairs(Pairs),
          .Depth(Depth),
          .AlignBits(AlignBits)
      ) u_core (
          .mode_i(mode_q),
          .weight_negative_i(weight_negative_q),
          .weight_i(weight_q),
          .weight_shift_i(weight_shift_q),
          .activation_negative_i(activation_negative_q),
          .activation_i(activation_q),
          .activation_shift_i(activation_shift_q),
          .sum_o(core_sum),
          .reference_o(shared_reference)
      );
      assign reference = {{(16 - ShiftBits) {1'b0}}, shared_reference};
    end
  endgenerate

  // The granule's integer sum over passes.
  wire [SumBits-1:0] extended;
  generate
    if (Growth > 0) begin : gen_grow
      assign extended = {{Growth{core_sum[CoreBits-1]}}, core_sum};
    end else begin : gen_same
      assign extended = core_sum;
    end
  endgenerate
  always_ff @(posedge clk_i) begin
    if (valid_q) sum_o <= (AllAligned == 1 || first_q) ? extended : sum_o + extended;
    reference_o <= HasAligned == 1 ? reference : '0;
  end
endmodule
