// a + b in FP32: nearest even, subnormals kept, one quiet NaN.
module fp32_add (
    input logic [31:0] a_i,
    input logic [31:0] b_i,
    output logic [31:0] sum_o
);
  // The larger magnitude first.
  wire swap = b_i[30:0] > a_i[30:0];
  wire [31:0] big = swap ? b_i : a_i;
  wire [31:0] small_value = swap ? a_i : b_i;
  wire [7:0] big_field = big[30:23];
  wire [7:0] small_field = small_value[30:23];
  wire [7:0] big_exponent = big_field | {7'b0, ~|big_field};
  wire [7:0] small_exponent = small_field | {7'b0, ~|small_field};
  wire [7:0] distance = big_exponent - small_exponent;

  // 24 bits and three below: guard, round, sticky.
  wire [26:0] big_wide = {|big_field, big[22:0], 3'b0};
  wire [26:0] small_wide = {|small_field, small_value[22:0], 3'b0};
  wire far = distance > 8'd26;
  wire [53:0] moved = {small_wide, 27'b0} >> (far ? 5'd27 : distance[4:0]);
  wire [26:0] aligned = {moved[53:28], moved[27] | (|moved[26:0])};

  wire subtract = big[31] ^ small_value[31];
  wire [27:0] magnitude = subtract ? {1'b0, big_wide} - {1'b0, aligned} : {1'b0, big_wide} + {1'b0, aligned};
  wire signed [10:0] exponent = $signed({3'b0, big_exponent}) - $signed(11'd153);  // 127 + 23 + 3
  wire zero = ~|magnitude;
  wire [31:0] rounded;
  fp32_round #(
      .Bits(28),
      .ExponentBits(11)
  ) u_round (
      .negative_i(zero ? (a_i[31] & b_i[31]) : big[31]),
      .magnitude_i(magnitude),
      .exponent_i(exponent),
      .float_o(rounded)
  );
  wire special = &big_field;
  wire nan = (special & (|big[22:0])) | ((&small_field) & (|small_value[22:0])) |
             (special & (&small_field) & subtract);
  assign sum_o = nan ? 32'h7FC00000 : special ? {big[31], 8'hFF, 23'b0} : rounded;
endmodule
