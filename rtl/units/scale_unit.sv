// From an integer sum to a scaled FP32 value: convert, times the weight scale, times the activation
// scale; a register after each step. Without scales (bf16 x bf16) the multipliers are left out.
//
// The exponent of a sum's last place is reference_i plus an offset of the pair: what the product's place
// in its field and the fraction bits of both elements make.
module scale_unit #(
    parameter integer NumPairs = 1,
    parameter logic [95:0] Pairs = 96'h188,
    parameter integer SumBits = 24,
    parameter integer AlignBits = 24,
    parameter integer Sharing = 0,
    parameter integer Scaled = dot_formats::set_scaled(Pairs, NumPairs)  // derived
) (
    input logic clk_i,
    input logic [2:0] mode_i,
    input logic [SumBits-1:0] sum_i,
    input logic [15:0] reference_i,
    input logic [31:0] weight_scale_i,
    input logic [31:0] activation_scale_i,
    output logic [31:0] value_o
);
  localparam integer TermBits = dot_formats::unit_term_bits(Pairs, NumPairs, Sharing, AlignBits);
  wire [8*11-1:0] offsets;
  genvar p;
  generate
    for (p = 0; p < 8; p = p + 1) begin : gen_offset
      localparam integer Index = p < NumPairs ? p : 0;
      localparam integer Product = Sharing == 2 ? TermBits : dot_formats::pair_product_bits(Pairs, Index);
      // The reference of an exact pair is a constant.
      localparam integer Reference = dot_formats::is_aligned(Pairs, Index) == 1
          ? 0 : dot_formats::pair_max_shift(Pairs, Index);
      localparam integer Offset = Reference + Product - TermBits -
          dot_formats::fraction_bits(dot_formats::weight_of(Pairs, Index)) -
          dot_formats::fraction_bits(dot_formats::activation_of(Pairs, Index));
      assign offsets[p*11+:11] = Offset[10:0];
    end
  endgenerate
  wire [10:0] offset = NumPairs == 1 ? offsets[10:0] : offsets[mode_i*11+:11];
  wire [7:0] is_aligned;
  generate
    for (p = 0; p < 8; p = p + 1) begin : gen_aligned
      assign is_aligned[p] = p < NumPairs ? dot_formats::is_aligned(Pairs, p) == 1 : 1'b0;
    end
  endgenerate
  wire aligned = NumPairs == 1 ? is_aligned[0] : is_aligned[mode_i];
  wire signed [10:0] exponent = $signed(offset) + $signed(reference_i[10:0] & {11{aligned}});
  wire [31:0] converted;
  logic [31:0] converted_q;
  fp32_from_sum #(
      .Bits(SumBits),
      .ExponentBits(11)
  ) u_convert (
      .sum_i(sum_i),
      .exponent_i(exponent),
      .float_o(converted)
  );
  always_ff @(posedge clk_i) converted_q <= converted;
  generate
    if (Scaled == 1) begin : gen_scales
      wire [31:0] weighted;
      wire [31:0] scaled;
      logic [31:0] weight_scale_q;
      logic [31:0] activation_scale_q;
      logic [31:0] activation_scale_qq;
      logic [31:0] weighted_q;
      logic [31:0] scaled_q;
      fp32_multiply u_weight (
          .a_i(converted_q),
          .b_i(weight_scale_q),
          .product_o(weighted)
      );
      fp32_multiply u_activation (
          .a_i(weighted_q),
          .b_i(activation_scale_qq),
          .product_o(scaled)
      );
      always_ff @(posedge clk_i) begin
        weight_scale_q <= weight_scale_i;
        activation_scale_q <= activation_scale_i;
        activation_scale_qq <= activation_scale_q;
        weighted_q <= weighted;
        scaled_q <= scaled;
      end
      assign value_o = scaled_q;
    end else begin : gen_no_scales
      assign value_o = converted_q;
    end
  endgenerate
endmodule
