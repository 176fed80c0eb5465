// Sum of Count signed magnitudes. A negative magnitude enters as its complement; with n negatives the
// true sum is (sum of unsigned terms) + n - n * 2^Bits, so no term is sign-extended.
module adder_tree #(
    parameter integer Count = 16,
    parameter integer Bits = 16,
    parameter integer SumBits = Bits + $clog2(Count) + 1
) (
    input logic [Count-1:0] negative_i,
    input logic [Count*Bits-1:0] magnitude_i,
    output logic [SumBits-1:0] sum_o
);
  localparam integer CountBits = $clog2(Count + 1);
  logic [SumBits-2:0] unsigned_sum;
  logic [CountBits-1:0] negatives;
  integer i;
  always_comb begin
    unsigned_sum = '0;
    negatives = '0;
    for (i = 0; i < Count; i = i + 1) begin
      unsigned_sum = unsigned_sum + {{(SumBits - 1 - Bits) {1'b0}}, magnitude_i[i*Bits+:Bits] ^ {Bits{negative_i[i]}}};
      negatives = negatives + {{(CountBits - 1) {1'b0}}, negative_i[i]};
    end
  end
  wire [SumBits-1:0] count = {{(SumBits - CountBits) {1'b0}}, negatives};
  assign sum_o = {1'b0, unsigned_sum} + count - (count << Bits);
endmodule
