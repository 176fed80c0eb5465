// Element formats and pair sets as elaboration-time functions. Facts as in src/arith/operand.h.
//
// Element id: int{b} is b (2..9), then
//   10 fp4_e2m1   11 fp6_e2m3   12 fp6_e3m2   13 fp8_e4m3fn   14 bf16
// A set of pairs is a vector of 12 bits a pair, the first lowest: {rate, activation id, weight id};
// rate 0: half the lanes, 1: all lanes, 2: twice (composed multipliers alone).
//
// Operand at a lane: {negative, significand, shift}; the significand is left-justified in the
// widest one of the set, so that every product ends at the same place.
package dot_formats;
  localparam integer MaxPairs = 8;
  localparam integer Bf16 = 14;

  function automatic integer significand_bits(input integer id);
    significand_bits = id <= 8 ? id : id == 9 ? 8 : id == 10 ? 2 : id == 11 ? 4 : id == 12 ? 3
                     : id == 13 ? 4 : 8;
  endfunction
  function automatic integer max_shift(input integer id);
    max_shift = id <= 9 ? 0 : id <= 11 ? 2 : id == 12 ? 6 : id == 13 ? 14 : 254;
  endfunction
  function automatic integer fraction_bits(input integer id);
    fraction_bits = id <= 9 ? 0 : id == 10 ? 1 : id == 11 ? 3 : id == 12 ? 4 : id == 13 ? 9 : 133;
  endfunction
  function automatic integer mantissa_bits(input integer id);
    mantissa_bits = significand_bits(id) - 1;
  endfunction
  function automatic integer exponent_bits(input integer id);
    exponent_bits = id <= 9 ? 0 : id <= 11 ? 2 : id == 12 ? 3 : id == 13 ? 4 : 8;
  endfunction

  function automatic integer weight_of(input logic [95:0] pairs, input integer p);
    weight_of = {28'b0, pairs[p*12+:4]};
  endfunction
  function automatic integer activation_of(input logic [95:0] pairs, input integer p);
    activation_of = {28'b0, pairs[p*12+4+:4]};
  endfunction
  function automatic integer rate_of(input logic [95:0] pairs, input integer p);
    rate_of = {28'b0, pairs[p*12+8+:4]};
  endfunction
  function automatic integer is_aligned(input logic [95:0] pairs, input integer p);
    is_aligned = (weight_of(pairs, p) == Bf16 || activation_of(pairs, p) == Bf16) ? 1 : 0;
  endfunction
  function automatic integer pair_product_bits(input logic [95:0] pairs, input integer p);
    pair_product_bits = significand_bits(weight_of(pairs, p)) + significand_bits(activation_of(pairs, p));
  endfunction
  function automatic integer pair_max_shift(input logic [95:0] pairs, input integer p);
    pair_max_shift = max_shift(weight_of(pairs, p)) + max_shift(activation_of(pairs, p));
  endfunction

  // Over the first `n` pairs whose rate is at least `rate`.
  function automatic integer set_significand(input logic [95:0] pairs, input integer n,
                                             input integer rate, input integer side);
    integer p;
    integer bits;
    set_significand = 1;
    for (p = 0; p < n; p = p + 1) begin
      bits = significand_bits(side == 0 ? weight_of(pairs, p) : activation_of(pairs, p));
      if (rate_of(pairs, p) >= rate && bits > set_significand) set_significand = bits;
    end
  endfunction
  function automatic integer set_max_shift(input logic [95:0] pairs, input integer n,
                                           input integer rate, input integer side);
    integer p;
    integer shift;
    set_max_shift = 0;
    for (p = 0; p < n; p = p + 1) begin
      shift = max_shift(side == 0 ? weight_of(pairs, p) : activation_of(pairs, p));
      if (rate_of(pairs, p) >= rate && shift > set_max_shift) set_max_shift = shift;
    end
  endfunction
  function automatic integer set_aligned(input logic [95:0] pairs, input integer n, input integer rate);
    integer p;
    set_aligned = 0;
    for (p = 0; p < n; p = p + 1)
      if (rate_of(pairs, p) >= rate && is_aligned(pairs, p) == 1) set_aligned = 1;
  endfunction
  // The largest shift amount of an exact pair.
  function automatic integer set_exact_shift(input logic [95:0] pairs, input integer n, input integer rate);
    integer p;
    set_exact_shift = 0;
    for (p = 0; p < n; p = p + 1)
      if (rate_of(pairs, p) >= rate && is_aligned(pairs, p) == 0 &&
          pair_max_shift(pairs, p) > set_exact_shift)
        set_exact_shift = pair_max_shift(pairs, p);
  endfunction
  // Magnitude bits of a term: what exact pairs need, align_bits where a pair is aligned.
  function automatic integer set_term_bits(input logic [95:0] pairs, input integer n,
                                           input integer align_bits);
    integer p;
    integer bits;
    set_term_bits = set_significand(pairs, n, 0, 0) + set_significand(pairs, n, 0, 1);
    for (p = 0; p < n; p = p + 1) begin
      bits = is_aligned(pairs, p) == 1 ? align_bits : pair_product_bits(pairs, p) + pair_max_shift(pairs, p);
      if (bits > set_term_bits) set_term_bits = bits;
    end
  endfunction
  // Scales multiply every pair but bf16 x bf16.
  function automatic integer set_scaled(input logic [95:0] pairs, input integer n);
    integer p;
    set_scaled = 0;
    for (p = 0; p < n; p = p + 1)
      if (weight_of(pairs, p) != Bf16 || activation_of(pairs, p) != Bf16) set_scaled = 1;
  endfunction
  function automatic integer set_max_rate(input logic [95:0] pairs, input integer n);
    integer p;
    set_max_rate = 0;
    for (p = 0; p < n; p = p + 1)
      if (rate_of(pairs, p) > set_max_rate) set_max_rate = rate_of(pairs, p);
  endfunction
  function automatic integer all_aligned(input logic [95:0] pairs, input integer n);
    integer p;
    all_aligned = 1;
    for (p = 0; p < n; p = p + 1) if (is_aligned(pairs, p) == 0) all_aligned = 0;
  endfunction
  // Bit i set if element id i occurs on this side.
  function automatic logic [15:0] set_elements(input logic [95:0] pairs, input integer n,
                                               input integer side);
    integer p;
    set_elements = 16'b0;
    for (p = 0; p < n; p = p + 1)
      set_elements[side == 0 ? pairs[p*12+:4] : pairs[p*12+4+:4]] = 1'b1;
  endfunction
  // Composed multipliers: the low part of a wide weight is half of its significand; a narrow multiplier
  // takes the larger of the halves and the weights that run at twice the rate.
  function automatic integer low_bits(input logic [95:0] pairs, input integer n);
    low_bits = set_significand(pairs, n, 0, 0) / 2;
  endfunction
  function automatic integer narrow_bits(input logic [95:0] pairs, input integer n);
    integer high;
    high = set_significand(pairs, n, 0, 0) - low_bits(pairs, n);
    narrow_bits = set_significand(pairs, n, 2, 0) > high ? set_significand(pairs, n, 2, 0) : high;
  endfunction
  // Bits that hold 0..value.
  function automatic integer bits_of(input integer value);
    integer rest;
    bits_of = 0;
    for (rest = value; rest > 0; rest = rest / 2) bits_of = bits_of + 1;
  endfunction
  function automatic integer at_least(input integer value, input integer low);
    at_least = value < low ? low : value;
  endfunction

  // Widths that an array and its scale unit share. Sharing as in dot_array.sv.
  function automatic integer register_bits(input logic [95:0] pairs, input integer n, input integer sharing);
    register_bits = sharing == 2 ? narrow_bits(pairs, n) : set_significand(pairs, n, 0, 0);
  endfunction
  function automatic integer shift_bits(input logic [95:0] pairs, input integer n, input integer side);
    shift_bits = at_least(bits_of(set_max_shift(pairs, n, 0, side)), 1);
  endfunction
  // Of the sum of both shifts.
  function automatic integer sum_shift_bits(input logic [95:0] pairs, input integer n);
    sum_shift_bits = at_least(bits_of(set_max_shift(pairs, n, 0, 0) + set_max_shift(pairs, n, 0, 1)), 1);
  endfunction
  function automatic integer unit_term_bits(input logic [95:0] pairs, input integer n,
                                            input integer sharing, input integer align_bits);
    unit_term_bits = sharing == 2
        ? narrow_bits(pairs, n) + set_significand(pairs, n, 0, 1) + low_bits(pairs, n) + 1
        : set_term_bits(pairs, n, align_bits);
  endfunction
  function automatic integer sum_bits(input logic [95:0] pairs, input integer n, input integer sharing,
                                      input integer depth, input integer max_granule,
                                      input integer align_bits);
    sum_bits = unit_term_bits(pairs, n, sharing, align_bits) + $clog2(depth) + 1;
    if (all_aligned(pairs, n) == 0 && max_granule > depth)
      sum_bits = sum_bits + $clog2(max_granule / depth);
  endfunction
endpackage
