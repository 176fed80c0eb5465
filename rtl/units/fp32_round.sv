// magnitude * 2^exponent to FP32: normalised, rounded once to nearest even, subnormals kept, overflow to
// infinity. exponent_i is signed and may lie far outside the range of FP32.
module fp32_round #(
    parameter integer Bits = 48,
    parameter integer ExponentBits = 11
) (
    input logic negative_i,
    input logic [Bits-1:0] magnitude_i,
    input logic signed [ExponentBits-1:0] exponent_i,
    output logic [31:0] float_o
);
  // 24 significand bits, a guard and a sticky bit at least.
  localparam integer Wide = Bits < 27 ? 27 : Bits;
  localparam integer CountBits = $clog2(Wide);
  localparam integer FieldBits = ExponentBits + 2;
  wire [Wide-1:0] wide = {{(Wide - Bits) {1'b0}}, magnitude_i} << (Wide - Bits);

  // Leading zeros and the normalised magnitude, a power of two a stage.
  logic [Wide-1:0] normal;
  logic [CountBits-1:0] zeros;
  integer i;
  always_comb begin
    normal = wide;
    zeros = '0;
    for (i = CountBits - 1; i >= 0; i = i - 1) begin
      if ((normal >> (Wide - (1 << i))) == '0) begin
        zeros[i] = 1'b1;
        normal = normal << (1 << i);
      end
    end
  end

  // Biased exponent of the leading bit; below 1 the result is subnormal.
  wire signed [FieldBits-1:0] field = $signed({{2{exponent_i[ExponentBits-1]}}, exponent_i}) +
      $signed(FieldBits'(Bits - 1 + 127)) - $signed({{(FieldBits - CountBits) {1'b0}}, zeros});
  wire subnormal = field < 1;
  wire signed [FieldBits-1:0] deficit = $signed(FieldBits'(1)) - field;
  wire too_far = subnormal && deficit > 26;
  wire [4:0] extra = subnormal ? (too_far ? 5'd26 : deficit[4:0]) : 5'd0;

  wire [25:0] kept = {normal[Wide-1-:25], |normal[Wide-26:0]};
  wire [51:0] moved = {kept, 26'b0} >> extra;
  wire [23:0] significand = moved[51:28];
  wire guard = moved[27];
  wire sticky = |moved[26:0];
  wire up = guard & (sticky | significand[0]);
  // A carry out of the fraction is the next exponent.
  wire [FieldBits+22:0] packed_bits = {(subnormal ? {FieldBits{1'b0}} : field), significand[22:0]} +
      {{(FieldBits + 22) {1'b0}}, up};
  wire overflow = packed_bits[FieldBits+22:23] >= FieldBits'(255);
  wire zero = ~normal[Wide-1];
  assign float_o = {negative_i, zero ? 31'b0 : overflow ? {8'hFF, 23'b0} : packed_bits[30:0]};
endmodule
