// A product at the top of its field, shifted right by reference - shift: nothing is lost where the
// field was made wide enough (exact pairs), truncated toward zero to KeptBits where it was not (keep_all_i
// = 0, aligned pairs).
module term_shifter #(
    parameter integer ProductBits = 16,
    parameter integer TermBits = 24,
    parameter integer ShiftBits = 9,
    parameter integer KeptBits = 24
) (
    input logic [ProductBits-1:0] product_i,
    input logic [ShiftBits-1:0] shift_i,
    input logic [ShiftBits-1:0] reference_i,
    input logic keep_all_i,
    output logic [TermBits-1:0] term_o
);
  localparam integer AmountBits = $clog2(TermBits + 1);
  wire [ShiftBits-1:0] distance = reference_i - shift_i;
  wire [TermBits-1:0] field = {{(TermBits - ProductBits) {1'b0}}, product_i} << (TermBits - ProductBits);
  wire [TermBits-1:0] shifted;
  generate
    if (ShiftBits > AmountBits) begin : gen_far
      wire far = |distance[ShiftBits-1:AmountBits];
      assign shifted = far ? '0 : field >> distance[AmountBits-1:0];
    end else begin : gen_near
      assign shifted = field >> distance;
    end
    if (KeptBits < TermBits) begin : gen_mask
      assign term_o[TermBits-1:TermBits-KeptBits] = shifted[TermBits-1:TermBits-KeptBits];
      assign term_o[TermBits-KeptBits-1:0] =
          shifted[TermBits-KeptBits-1:0] & {(TermBits - KeptBits) {keep_all_i}};
    end else begin : gen_whole
      assign term_o = shifted;
    end
  endgenerate
endmodule
