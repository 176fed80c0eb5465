// Packed weight codes to element codes, Values a cycle: unpacked at any of the supported widths, then as
// they are, less a zero point, or through a table of 16 levels. Registered.
//
// Value i stands at bits [i * width_i +: width_i] of packed_i. kind_i: 0 signed integer, 1 unsigned less
// zero_i, 2 level of table (the low 4 bits of the code), 3 a float's bits. value_o: 9 bits in two's
// complement, or the float's bits.
module weight_decoder #(
    parameter integer Values = 16,
    parameter logic [8:0] Widths = 9'h17C  // bit b: codes of b bits, 2..8
) (
    input logic clk_i,
    input logic [Values*8-1:0] packed_i,
    input logic [3:0] width_i,
    input logic [1:0] kind_i,
    input logic [7:0] zero_i,
    input logic table_write_i,
    input logic [3:0] table_address_i,
    input logic [7:0] table_value_i,
    output logic [Values*9-1:0] value_o
);
  logic [16*8-1:0] levels_q;
  integer entry;
  always_ff @(posedge clk_i) begin
    for (entry = 0; entry < 16; entry = entry + 1)
      if (table_write_i && table_address_i == entry[3:0]) levels_q[entry*8+:8] <= table_value_i;
  end

  genvar g, b;
  generate
    for (g = 0; g < Values; g = g + 1) begin : gen_value
      // The code and its sign of each supported width, merged by AND and OR.
      wire [9*8-1:0] codes;
      wire [8:0] signs;
      for (b = 0; b <= 8; b = b + 1) begin : gen_width
        if (b >= 2 && Widths[b]) begin : gen_supported
          assign codes[b*8+:8] = width_i == b ? 8'(packed_i[g*b+:b]) : 8'b0;
          assign signs[b] = width_i == b && packed_i[g*b+b-1];
        end else begin : gen_absent
          assign codes[b*8+:8] = 8'b0;
          assign signs[b] = 1'b0;
        end
      end
      logic [7:0] code;
      integer i;
      always_comb begin
        code = 8'b0;
        for (i = 0; i <= 8; i = i + 1) code = code | codes[i*8+:8];
      end
      wire negative = |signs;
      wire [7:0] level = levels_q[code[3:0]*8+:8];
      wire [8:0] extended = {9{negative}} << width_i | {1'b0, code};
      wire [8:0] less_zero = {1'b0, code} - {1'b0, zero_i};
      wire [8:0] value = kind_i == 2'd0 ? extended : kind_i == 2'd1 ? less_zero
                       : kind_i == 2'd2 ? {level[7], level} : {1'b0, code};
      always_ff @(posedge clk_i) value_o[g*9+:9] <= value;
    end
  endgenerate
endmodule
