// a * b in FP32: nearest even, subnormals kept, one quiet NaN.
module fp32_multiply (
    input logic [31:0] a_i,
    input logic [31:0] b_i,
    output logic [31:0] product_o
);
  wire [7:0] a_field = a_i[30:23];
  wire [7:0] b_field = b_i[30:23];
  wire [23:0] a_significand = {|a_field, a_i[22:0]};
  wire [23:0] b_significand = {|b_field, b_i[22:0]};
  wire a_special = &a_field;
  wire b_special = &b_field;
  wire nan = (a_special & (|a_i[22:0])) | (b_special & (|b_i[22:0])) |
             (a_special & ~(|b_i[30:0])) | (b_special & ~(|a_i[30:0]));
  wire negative = a_i[31] ^ b_i[31];

  // A subnormal has the exponent of field 1.
  wire [9:0] a_exponent = {2'b0, a_field} + {9'b0, ~|a_field};
  wire [9:0] b_exponent = {2'b0, b_field} + {9'b0, ~|b_field};
  wire [47:0] magnitude = a_significand * b_significand;
  wire signed [10:0] exponent = $signed({1'b0, a_exponent} + {1'b0, b_exponent}) - $signed(11'd300);  // 2 * (127 + 23)
  wire [31:0] rounded;
  fp32_round #(
      .Bits(48),
      .ExponentBits(11)
  ) u_round (
      .negative_i(negative),
      .magnitude_i(magnitude),
      .exponent_i(exponent),
      .float_o(rounded)
  );
  assign product_o = nan ? 32'h7FC00000 : (a_special | b_special) ? {negative, 8'hFF, 23'b0} : rounded;
endmodule
