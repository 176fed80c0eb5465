// From an integer sum to a scaled FP32 value: convert, times the weight scale, times the activation
// scale; a register after each step. Without scales (bf16 x bf16) the multipliers are left out.
module scale_unit #(
    parameter integer SumBits = 32,
    parameter integer Scaled = 1
) (
    input logic clk_i,
    input logic [SumBits-1:0] sum_i,
    input logic signed [10:0] exponent_i,
    input logic [31:0] weight_scale_i,
    input logic [31:0] activation_scale_i,
    output logic [31:0] value_o
);
  wire [31:0] converted;
  logic [31:0] converted_q;
  fp32_from_sum #(
      .Bits(SumBits),
      .ExponentBits(11)
  ) u_convert (
      .sum_i(sum_i),
      .exponent_i(exponent_i),
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
