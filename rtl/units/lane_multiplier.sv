// One lane: the product's magnitude, its sign, its shift, and whether it takes part in the alignment.
module lane_multiplier #(
    parameter integer WeightBits = 8,
    parameter integer ActivationBits = 8,
    parameter integer WeightShiftBits = 1,
    parameter integer ActivationShiftBits = 1,
    parameter integer ShiftBits = 1
) (
    input logic weight_negative_i,
    input logic [WeightBits-1:0] weight_i,
    input logic [WeightShiftBits-1:0] weight_shift_i,
    input logic activation_negative_i,
    input logic [ActivationBits-1:0] activation_i,
    input logic [ActivationShiftBits-1:0] activation_shift_i,
    output logic negative_o,
    output logic nonzero_o,
    output logic [WeightBits+ActivationBits-1:0] product_o,
    output logic [ShiftBits-1:0] shift_o
);
  assign negative_o = weight_negative_i ^ activation_negative_i;
  assign nonzero_o = (|weight_i) & (|activation_i);
  assign product_o = weight_i * activation_i;
  assign shift_o = ShiftBits'(weight_shift_i) + ShiftBits'(activation_shift_i);
endmodule
