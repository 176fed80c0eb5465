// Depth lanes and their sum: one multiplier array of the widest operands, to which every pair of the set
// maps. Combinational. Operands as in dot_formats.sv, Depth of each, left-justified.
//
// sum_o counts in units of 2^(shift_reference_o - constant of the pair): see dot_unit.sv.
module dot_core #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer Depth = 16,
    parameter integer AlignBits = 24,
    // Derived; not to be overridden.
    parameter integer WeightBits = dot_formats::set_significand(Pairs, NumPairs, 0, 0),
    parameter integer ActivationBits = dot_formats::set_significand(Pairs, NumPairs, 0, 1),
    parameter integer WeightShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 0),
    parameter integer ActivationShiftBits = dot_formats::shift_bits(Pairs, NumPairs, 1),
    parameter integer ShiftBits = dot_formats::sum_shift_bits(Pairs, NumPairs),
    parameter integer TermBits = dot_formats::set_term_bits(Pairs, NumPairs, AlignBits),
    parameter integer SumBits = TermBits + $clog2(Depth) + 1
) (
    input logic [2:0] mode_i,
    input logic [Depth-1:0] weight_negative_i,
    input logic [Depth*WeightBits-1:0] weight_i,
    input logic [Depth*WeightShiftBits-1:0] weight_shift_i,
    input logic [Depth-1:0] activation_negative_i,
    input logic [Depth*ActivationBits-1:0] activation_i,
    input logic [Depth*ActivationShiftBits-1:0] activation_shift_i,
    output logic [SumBits-1:0] sum_o,
    output logic [ShiftBits-1:0] reference_o
);
  // Odd lanes leave out the pairs that run at half rate.
  localparam integer OddWeightBits = dot_formats::set_significand(Pairs, NumPairs, 1, 0);
  localparam integer OddActivationBits = dot_formats::set_significand(Pairs, NumPairs, 1, 1);
  localparam integer Aligned = dot_formats::set_aligned(Pairs, NumPairs, 0);
  localparam integer OddAligned = dot_formats::set_aligned(Pairs, NumPairs, 1);
  localparam integer ExactShift = dot_formats::set_exact_shift(Pairs, NumPairs, 0);
  localparam integer OddExactShift = dot_formats::set_exact_shift(Pairs, NumPairs, 1);
  localparam integer HasOddLanes = dot_formats::set_max_rate(Pairs, NumPairs) > 0 ? 1 : 0;

  wire [Depth-1:0] negative;
  wire [Depth-1:0] nonzero;
  wire [Depth*ShiftBits-1:0] shift;
  wire [Depth*TermBits-1:0] term;

  // Reference shift of each pair, and which pairs are aligned.
  wire [8*ShiftBits-1:0] exact_reference;
  wire [7:0] is_aligned;
  wire [ShiftBits-1:0] largest;
  wire mode_aligned = is_aligned[mode_i];
  genvar g;
  generate
    for (g = 0; g < 8; g = g + 1) begin : gen_pair
      if (g < NumPairs) begin : gen_used
        localparam integer Reference = dot_formats::pair_max_shift(Pairs, g);
        assign exact_reference[g*ShiftBits+:ShiftBits] =
            dot_formats::is_aligned(Pairs, g) == 1 ? '0 : Reference[ShiftBits-1:0];
        assign is_aligned[g] = dot_formats::is_aligned(Pairs, g) == 1;
      end else begin : gen_unused
        assign exact_reference[g*ShiftBits+:ShiftBits] = '0;
        assign is_aligned[g] = 1'b0;
      end
    end
    if (Aligned == 1) begin : gen_largest
      largest_shift #(
          .Count(Depth),
          .Bits(ShiftBits)
      ) u_largest (
          .nonzero_i(nonzero),
          .shifts_i(shift),
          .largest_o(largest)
      );
    end else begin : gen_no_largest
      assign largest = '0;
    end
  endgenerate
  assign reference_o = mode_aligned ? largest : exact_reference[mode_i*ShiftBits+:ShiftBits];

  generate
    for (g = 0; g < Depth; g = g + 1) begin : gen_lane
      localparam integer Even = g % 2 == 0 ? 1 : 0;
      localparam integer Present = (Even == 1 || HasOddLanes == 1) ? 1 : 0;
      localparam integer W = Even == 1 ? WeightBits : OddWeightBits;
      localparam integer A = Even == 1 ? ActivationBits : OddActivationBits;
      localparam integer Shifts = (Even == 1 ? Aligned + ExactShift : OddAligned + OddExactShift) > 0 ? 1 : 0;
      localparam integer LaneAligned = Even == 1 ? Aligned : OddAligned;
      if (Present == 1) begin : gen_present
        wire [W+A-1:0] product;
        wire [ShiftBits-1:0] lane_shift;
        wire lane_nonzero;
        lane_multiplier #(
            .WeightBits(W),
            .ActivationBits(A),
            .WeightShiftBits(WeightShiftBits),
            .ActivationShiftBits(ActivationShiftBits),
            .ShiftBits(ShiftBits)
        ) u_multiplier (
            .weight_negative_i(weight_negative_i[g]),
            .weight_i(weight_i[(g+1)*WeightBits-1-:W]),
            .weight_shift_i(weight_shift_i[g*WeightShiftBits+:WeightShiftBits]),
            .activation_negative_i(activation_negative_i[g]),
            .activation_i(activation_i[(g+1)*ActivationBits-1-:A]),
            .activation_shift_i(activation_shift_i[g*ActivationShiftBits+:ActivationShiftBits]),
            .negative_o(negative[g]),
            .nonzero_o(lane_nonzero),
            .product_o(product),
            .shift_o(lane_shift)
        );
        assign nonzero[g] = LaneAligned == 1 ? lane_nonzero : 1'b0;
        assign shift[g*ShiftBits+:ShiftBits] = lane_shift;
        if (Shifts == 1) begin : gen_shifter
          term_shifter #(
              .ProductBits(W + A),
              .TermBits(TermBits),
              .ShiftBits(ShiftBits),
              .KeptBits(LaneAligned == 1 ? AlignBits : TermBits)
          ) u_shifter (
              .product_i(product),
              .shift_i(lane_shift),
              .reference_i(reference_o),
              .keep_all_i(~mode_aligned),
              .term_o(term[g*TermBits+:TermBits])
          );
        end else begin : gen_fixed
          assign term[g*TermBits+:TermBits] =
              {{(TermBits - W - A) {1'b0}}, product} << (TermBits - W - A);
        end
      end else begin : gen_absent
        assign negative[g] = 1'b0;
        assign nonzero[g] = 1'b0;
        assign shift[g*ShiftBits+:ShiftBits] = '0;
        assign term[g*TermBits+:TermBits] = '0;
      end
    end
  endgenerate

  adder_tree #(
      .Count(Depth),
      .Bits(TermBits),
      .SumBits(SumBits)
  ) u_tree (
      .negative_i(negative),
      .magnitude_i(term),
      .sum_o(sum_o)
  );
endmodule
