// The largest shift among the products that are not zero; 0 if all are.
module largest_shift #(
    parameter integer Count = 16,
    parameter integer Bits = 9
) (
    input logic [Count-1:0] nonzero_i,
    input logic [Count*Bits-1:0] shifts_i,
    output logic [Bits-1:0] largest_o
);
  // A heap: node n has the children 2n and 2n + 1, the leaves are Count..2 Count - 1.
  genvar g;
  wire [2*Count*Bits-1:0] nodes /*verilator split_var*/;
  assign nodes[Bits-1:0] = '0;
  generate
    for (g = 0; g < Count; g = g + 1) begin : gen_leaf
      assign nodes[(Count+g)*Bits+:Bits] = shifts_i[g*Bits+:Bits] & {Bits{nonzero_i[g]}};
    end
    for (g = 1; g < Count; g = g + 1) begin : gen_node
      wire [Bits-1:0] a = nodes[2*g*Bits+:Bits];
      wire [Bits-1:0] b = nodes[(2*g+1)*Bits+:Bits];
      assign nodes[g*Bits+:Bits] = a > b ? a : b;
    end
  endgenerate
  assign largest_o = nodes[Bits+:Bits];
endmodule
