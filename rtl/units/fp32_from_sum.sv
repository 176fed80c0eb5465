// A two's complement sum times 2^exponent to FP32; zero gives +0.
module fp32_from_sum #(
    parameter integer Bits = 32,
    parameter integer ExponentBits = 11
) (
    input logic [Bits-1:0] sum_i,
    input logic signed [ExponentBits-1:0] exponent_i,
    output logic [31:0] float_o
);
  wire [Bits-1:0] magnitude = sum_i[Bits-1] ? -sum_i : sum_i;
  fp32_round #(
      .Bits(Bits),
      .ExponentBits(ExponentBits)
  ) u_round (
      .negative_i(sum_i[Bits-1]),
      .magnitude_i(magnitude),
      .exponent_i(exponent_i),
      .float_o(float_o)
  );
endmodule
