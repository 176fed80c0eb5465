#include "compress/orthogonal.h"

#include <cmath>
#include <numbers>

#include "base/random.h"
#include "base/result.h"

namespace dovetail::compress {
namespace {

bool is_prime(int64_t q) {
  if (q < 2) return false;
  for (int64_t i = 2; i * i <= q; ++i)
    if (q % i == 0) return false;
  return true;
}

// 0, or +1 for squares and -1 for others modulo a prime q.
std::vector<int8_t> residues(int64_t q) {
  std::vector<int8_t> chi(static_cast<size_t>(q), -1);
  chi[0] = 0;
  for (int64_t i = 1; i < q; ++i) chi[static_cast<size_t>(i * i % q)] = 1;
  return chi;
}

// (q + 1, q + 1): zeros on the diagonal, ones in the first row, `corner` down the first column, the
// residues of i - j elsewhere.
std::vector<int8_t> conference(int64_t q, int8_t corner) {
  const std::vector<int8_t> chi = residues(q);
  const int64_t n = q + 1;
  std::vector<int8_t> s(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      int8_t& at = s[static_cast<size_t>(i * n + j)];
      if (i == 0 || j == 0) {
        at = i == j ? int8_t{0} : (i == 0 ? int8_t{1} : corner);
      } else {
        at = chi[static_cast<size_t>((i - j + q) % q)];
      }
    }
  return s;
}

std::vector<int8_t> paley_one(int64_t q) {
  std::vector<int8_t> h = conference(q, -1);
  for (int64_t i = 0; i <= q; ++i) h[static_cast<size_t>(i * (q + 2))] = 1;
  return h;
}

// Each element e of the conference matrix becomes e [[1, 1], [1, -1]], zeros [[1, -1], [-1, -1]].
std::vector<int8_t> paley_two(int64_t q) {
  const std::vector<int8_t> s = conference(q, 1);
  const int64_t m = q + 1;
  const int64_t n = 2 * m;
  std::vector<int8_t> h(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const int8_t e = s[static_cast<size_t>(i / 2 * m + j / 2)];
      const bool both_odd = i % 2 == 1 && j % 2 == 1;
      const bool any_odd = i % 2 == 1 || j % 2 == 1;
      const int value = e == 0 ? (any_odd ? -1 : 1) : (both_odd ? -e : e);
      h[static_cast<size_t>(i * n + j)] = static_cast<int8_t>(value);
    }
  return h;
}

std::vector<int8_t> doubled(const std::vector<int8_t>& h, int64_t n) {
  std::vector<int8_t> twice(static_cast<size_t>(4 * n * n));
  for (int64_t i = 0; i < 2 * n; ++i)
    for (int64_t j = 0; j < 2 * n; ++j) {
      const int8_t value = h[static_cast<size_t>(i % n * n + j % n)];
      twice[static_cast<size_t>(i * 2 * n + j)] =
          i >= n && j >= n ? static_cast<int8_t>(-value) : value;
    }
  return twice;
}

// The part of n that doubling cannot reach: the smallest order that divides n by a power of two.
std::vector<int8_t> smallest_matrix(int64_t n, int64_t& order) {
  int64_t odd = n;
  while (odd % 2 == 0) odd /= 2;
  if (odd == 1) {
    order = 1;
    return {1};
  }
  for (order = 4 * odd; order <= n; order *= 2) {
    if (n % order != 0) break;
    if (is_prime(order - 1)) return paley_one(order - 1);  // 3 mod 4
    const int64_t q = order / 2 - 1;
    if (q % 4 == 1 && is_prime(q)) return paley_two(q);
  }
  return {};
}

double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// Rows of normal values made orthonormal one after the other, twice for accuracy.
std::vector<float> gaussian_orthogonal(int64_t n, Random& random) {
  std::vector<double> r(static_cast<size_t>(n * n));
  for (double& value : r) value = normal(random);
  const auto row = [&](int64_t i) { return r.data() + i * n; };
  for (int64_t i = 0; i < n; ++i) {
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t j = 0; j < i; ++j) {
        double dot = 0;
        for (int64_t c = 0; c < n; ++c) dot += row(i)[c] * row(j)[c];
        for (int64_t c = 0; c < n; ++c) row(i)[c] -= dot * row(j)[c];
      }
    double squares = 0;
    for (int64_t c = 0; c < n; ++c) squares += row(i)[c] * row(i)[c];
    for (int64_t c = 0; c < n; ++c) row(i)[c] /= std::sqrt(squares);
  }
  return {r.begin(), r.end()};
}

}  // namespace

std::vector<int8_t> hadamard_matrix(int64_t n) {
  DOVETAIL_CHECK(n >= 1);
  int64_t order = 0;
  std::vector<int8_t> h = smallest_matrix(n, order);
  if (h.empty()) return h;
  for (; order < n; order *= 2) h = doubled(h, order);
  return h;
}

std::vector<float> orthogonal_matrix(int64_t n, uint64_t seed) {
  Random random(seed);
  const std::vector<int8_t> h = hadamard_matrix(n);
  if (h.empty()) return gaussian_orthogonal(n, random);
  const double scale = 1 / std::sqrt(static_cast<double>(n));
  std::vector<float> r;
  r.reserve(h.size());
  for (int64_t i = 0; i < n; ++i) {
    const double sign = random.below(2) == 0 ? -scale : scale;
    for (int64_t j = 0; j < n; ++j)
      r.push_back(static_cast<float>(sign * h[static_cast<size_t>(i * n + j)]));
  }
  return r;
}

}  // namespace dovetail::compress
