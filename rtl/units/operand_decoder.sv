// One element code to the operand of a lane: {negative, significand, shift}. Combinational; stands at
// the edge of a grid, shared by a row or a column of dot units.
//
// code_i: a float's bits in the low places, an integer in two's complement over all 16.
// Elements: bit i set if element id i occurs.
module operand_decoder #(
    parameter logic [15:0] Elements = 16'h0100,
    parameter integer SignificandBits = 8,
    parameter integer ShiftBits = 1
) (
    input logic [15:0] code_i,
    input logic [3:0] element_i,
    output logic negative_o,
    output logic [SignificandBits-1:0] significand_o,
    output logic [ShiftBits-1:0] shift_o
);
  genvar g;
  wire [15:0] negatives;
  wire [16*SignificandBits-1:0] significands;
  wire [16*ShiftBits-1:0] shifts;
  wire [15:0] magnitude = code_i[15] ? -code_i : code_i;
  generate
    for (g = 0; g < 16; g = g + 1) begin : gen_element
      localparam integer Width = dot_formats::significand_bits(g);
      localparam integer Mantissa = dot_formats::mantissa_bits(g);
      localparam integer Exponent = dot_formats::exponent_bits(g);
      if (Elements[g] == 1'b0) begin : gen_absent
        assign negatives[g] = 1'b0;
        assign significands[g*SignificandBits+:SignificandBits] = '0;
        assign shifts[g*ShiftBits+:ShiftBits] = '0;
      end else if (g <= 9) begin : gen_int
        wire [SignificandBits-1:0] top = {{(SignificandBits - Width) {1'b0}}, magnitude[Width-1:0]}
                                         << (SignificandBits - Width);
        assign negatives[g] = code_i[15];
        assign significands[g*SignificandBits+:SignificandBits] = top;
        assign shifts[g*ShiftBits+:ShiftBits] = '0;
      end else begin : gen_float
        wire [Exponent-1:0] exponent = code_i[Mantissa+:Exponent];
        wire normal = |exponent;
        wire [SignificandBits-1:0] top = {{(SignificandBits - Width) {1'b0}}, normal, code_i[Mantissa-1:0]}
                                         << (SignificandBits - Width);
        wire [Exponent-1:0] shift = normal ? exponent - 1'b1 : '0;
        assign negatives[g] = code_i[Mantissa+Exponent];
        assign significands[g*SignificandBits+:SignificandBits] = top;
        assign shifts[g*ShiftBits+:ShiftBits] = {{(ShiftBits - Exponent) {1'b0}}, shift};
      end
    end
  endgenerate
  assign negative_o = negatives[element_i];
  assign significand_o = significands[element_i*SignificandBits+:SignificandBits];
  assign shift_o = shifts[element_i*ShiftBits+:ShiftBits];
endmodule
