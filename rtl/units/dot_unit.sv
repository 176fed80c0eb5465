// A dot unit: operand registers, lanes and exact sums, granule accumulator, scale unit, FP32 output.
//
// Each cycle with valid_i takes Depth operands of the pair `mode_i` (pairs at half rate use the even
// lanes alone, the others hold zeros; composed pairs of rate 2 take 2 * Depth). first_i / last_i mark the
// first and the last pass of a granule, start_i the first granule of an output. Aligned pairs (bf16) are
// scaled every pass, so both are set. output_o is right when output_valid_o is.
//
// Sharing: 0 one array for all pairs (dot_core), 1 an array for each pair, 2 two narrow multipliers a lane
// (composed_core; Pairs: the narrow pair at rate 2 first, then wide ones at rate 1, all x the same
// activation). Granule below Depth: Depth / Granule arrays of Granule lanes, each with a scale unit of
// its own, added in ascending order.
module dot_unit #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer Depth = 16,
    parameter integer Granule = 32,      // finest granule
    parameter integer MaxGranule = 128,  // elements that the integer accumulator holds
    parameter integer AlignBits = 24,
    parameter integer Sharing = 0,
    // Derived; not to be overridden.
    parameter integer Twice = Sharing == 2 ? 2 : 1,
    parameter integer Operands = Depth * Twice,
    parameter integer WeightBits = Sharing == 2 ? dot_formats::narrow_bits(Pairs, NumPairs)
                                                : dot_formats::set_significand(Pairs, NumPairs, 0, 0),
    parameter integer ActivationBits = dot_formats::set_significand(Pairs, NumPairs, 0, 1),
    parameter integer WeightShiftBits =
        dot_formats::at_least(dot_formats::bits_of(dot_formats::set_max_shift(Pairs, NumPairs, 0, 0)), 1),
    parameter integer ActivationShiftBits =
        dot_formats::at_least(dot_formats::bits_of(dot_formats::set_max_shift(Pairs, NumPairs, 0, 1)), 1),
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
  localparam integer AllAligned = dot_formats::all_aligned(Pairs, NumPairs);
  localparam integer TermBits = Sharing == 2
      ? WeightBits + ActivationBits + dot_formats::low_bits(Pairs, NumPairs) + 1
      : dot_formats::set_term_bits(Pairs, NumPairs, AlignBits);
  localparam integer CoreBits = TermBits + $clog2(Lanes) + 1;
  localparam integer Growth = (AllAligned == 1 || MaxGranule <= Lanes) ? 0 : $clog2(MaxGranule / Lanes);
  localparam integer SumBits = CoreBits + Growth;
  localparam integer Latency = Scaled == 1 ? 5 : 3;  // from the operand registers to the adder

  // Operand registers.
  logic [2:0] mode_q;
  logic start_q, first_q, last_q, valid_q;
  logic [Operands-1:0] weight_negative_q, activation_negative_q;
  logic [Operands*WeightBits-1:0] weight_q;
  logic [Operands*WeightShiftBits-1:0] weight_shift_q;
  logic [Operands*ActivationBits-1:0] activation_q;
  logic [Operands*ActivationShiftBits-1:0] activation_shift_q;
  logic [Subs*32-1:0] weight_scale_q, activation_scale_q;
  logic [Subs*32-1:0] weight_scale_qq, activation_scale_qq;
  always_ff @(posedge clk_i) begin
    mode_q <= mode_i;
    start_q <= start_i;
    first_q <= first_i;
    last_q <= last_i;
    weight_negative_q <= weight_negative_i;
    weight_q <= weight_i;
    weight_shift_q <= weight_shift_i;
    activation_negative_q <= activation_negative_i;
    activation_q <= activation_i;
    activation_shift_q <= activation_shift_i;
    weight_scale_q <= weight_scale_i;
    activation_scale_q <= activation_scale_i;
    weight_scale_qq <= weight_scale_q;
    activation_scale_qq <= activation_scale_q;
  end

  // Exponent of a sum's last place less the reference shift, of each pair.
  wire [8*11-1:0] offsets;
  genvar g, p;
  generate
    for (p = 0; p < 8; p = p + 1) begin : gen_offset
      localparam integer Product = Sharing == 2 ? TermBits : dot_formats::pair_product_bits(Pairs, p);
      localparam integer Offset = p < NumPairs
          ? Product - TermBits - dot_formats::fraction_bits(dot_formats::weight_of(Pairs, p)) -
            dot_formats::fraction_bits(dot_formats::activation_of(Pairs, p))
          : 0;
      assign offsets[p*11+:11] = Offset[10:0];
    end
  endgenerate

  // Valid and start follow the sums through the pipeline.
  logic [Latency-1:0] valid_pipe, start_pipe;
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
  always_ff @(posedge clk_i) start_pipe <= {start_pipe[Latency-2:0], start_q};

  wire [Subs*32-1:0] value;
  generate
    for (g = 0; g < Subs; g = g + 1) begin : gen_sub
      wire [CoreBits-1:0] core_sum;
      wire [15:0] reference;
      if (Sharing == 2) begin : gen_composed
        localparam integer Low = dot_formats::low_bits(Pairs, NumPairs);
        wire [CoreBits-1:0] composed_sum;
        composed_core #(
            .Depth(Lanes),
            .NarrowBits(WeightBits),
            .LowBits(Low),
            .ActivationBits(ActivationBits),
            .SumBits(CoreBits)
        ) u_core (
            .wide_i(mode_q != 3'd0),
            .weight_negative_i(weight_negative_q[g*Ops+:Ops]),
            .weight_i(weight_q[g*Ops*WeightBits+:Ops*WeightBits]),
            .activation_negative_i(activation_negative_q[g*Ops+:Ops]),
            .activation_i(activation_q[g*Ops*ActivationBits+:Ops*ActivationBits]),
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
              .Depth(Lanes),
              .AlignBits(AlignBits),
              .InWeightBits(WeightBits),
              .InActivationBits(ActivationBits),
              .InWeightShiftBits(WeightShiftBits),
              .InActivationShiftBits(ActivationShiftBits),
              .TermBits(TermBits)
          ) u_core (
              .enable_i(mode_q == p),
              .weight_negative_i(weight_negative_q[g*Ops+:Ops]),
              .weight_i(weight_q[g*Ops*WeightBits+:Ops*WeightBits]),
              .weight_shift_i(weight_shift_q[g*Ops*WeightShiftBits+:Ops*WeightShiftBits]),
              .activation_negative_i(activation_negative_q[g*Ops+:Ops]),
              .activation_i(activation_q[g*Ops*ActivationBits+:Ops*ActivationBits]),
              .activation_shift_i(activation_shift_q[g*Ops*ActivationShiftBits+:Ops*ActivationShiftBits]),
              .sum_i(sums[p*CoreBits+:CoreBits]),
              .sum_o(sums[(p+1)*CoreBits+:CoreBits]),
              .reference_i(references[p*16+:16]),
              .reference_o(references[(p+1)*16+:16])
          );
        end
        assign core_sum = sums[NumPairs*CoreBits+:CoreBits];
        assign reference = references[NumPairs*16+:16];
      end else begin : gen_shared
        localparam integer ShiftBits = dot_formats::at_least(
            dot_formats::bits_of(dot_formats::set_max_shift(Pairs, NumPairs, 0, 0) +
                                 dot_formats::set_max_shift(Pairs, NumPairs, 0, 1)), 1);
        wire [ShiftBits-1:0] shared_reference;
        dot_core #(
            .NumPairs(NumPairs),
            .Pairs(Pairs),
            .Depth(Lanes),
            .AlignBits(AlignBits)
        ) u_core (
            .mode_i(mode_q),
            .weight_negative_i(weight_negative_q[g*Ops+:Ops]),
            .weight_i(weight_q[g*Ops*WeightBits+:Ops*WeightBits]),
            .weight_shift_i(weight_shift_q[g*Ops*WeightShiftBits+:Ops*WeightShiftBits]),
            .activation_negative_i(activation_negative_q[g*Ops+:Ops]),
            .activation_i(activation_q[g*Ops*ActivationBits+:Ops*ActivationBits]),
            .activation_shift_i(activation_shift_q[g*Ops*ActivationShiftBits+:Ops*ActivationShiftBits]),
            .sum_o(core_sum),
            .reference_o(shared_reference)
        );
        assign reference = {{(16 - ShiftBits) {1'b0}}, shared_reference};
      end

      // The granule's integer sum over passes.
      logic [SumBits-1:0] sum_q;
      logic signed [10:0] exponent_q;
      wire [SumBits-1:0] extended;
      if (Growth > 0) begin : gen_grow
        assign extended = {{Growth{core_sum[CoreBits-1]}}, core_sum};
      end else begin : gen_same
        assign extended = core_sum;
      end
      always_ff @(posedge clk_i) begin
        if (valid_q) sum_q <= (AllAligned == 1 || first_q) ? extended : sum_q + extended;
        exponent_q <= $signed(offsets[mode_q*11+:11]) + $signed(reference[10:0]);
      end
      scale_unit #(
          .SumBits(SumBits),
          .Scaled(Scaled)
      ) u_scale (
          .clk_i(clk_i),
          .sum_i(sum_q),
          .exponent_i(exponent_q),
          .weight_scale_i(weight_scale_qq[g*32+:32]),
          .activation_scale_i(activation_scale_qq[g*32+:32]),
          .value_o(value[g*32+:32])
      );
    end
  endgenerate

  // Added in ascending order of granules.
  wire [(Subs+1)*32-1:0] partial /*verilator split_var*/;
  assign partial[31:0] = start_pipe[Latency-2] ? 32'b0 : output_o;
  generate
    for (g = 0; g < Subs; g = g + 1) begin : gen_add
      fp32_add u_add (
          .a_i(partial[g*32+:32]),
          .b_i(value[g*32+:32]),
          .sum_o(partial[(g+1)*32+:32])
      );
    end
  endgenerate
  always_ff @(posedge clk_i) if (valid_pipe[Latency-2]) output_o <= partial[Subs*32+:32];
endmodule
