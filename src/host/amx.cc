#include "host/amx.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/result.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define DOVETAIL_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace dovetail::host::amx {

#ifdef DOVETAIL_AMX

namespace {

constexpr int64_t kSide = 16;          // lines of a tile
constexpr int64_t kStep = 32;          // depth of a tile
constexpr int64_t kPanel = 2 * kSide;  // lines that are packed together
constexpr int64_t kParts = 3;
constexpr int64_t kTileBytes = 1024;
constexpr int64_t kPartBytes = 2 * kTileBytes;  // of one panel and step
constexpr int64_t kPanelStepBytes = kParts * kPartBytes;

// Blocks that stay in the second cache: left lines and depth.
constexpr int64_t kBlockLines = 256;
constexpr int64_t kBlockDepth = 576;

int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Eight tiles of 16 rows of 64 bytes, for the calling thread while this lives.
class TileUnit {
 public:
  TileUnit() {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      std::array<uint8_t, 14> reserved{};
      std::array<uint16_t, 16> bytes_per_row{};
      std::array<uint8_t, 16> rows{};
    } config;
    for (size_t i = 0; i < 8; ++i) {
      config.bytes_per_row[i] = 64;
      config.rows[i] = kSide;
    }
    _tile_loadconfig(&config);
  }
  ~TileUnit() { _tile_release(); }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
};

// 16 x 16 pairs of bfloat16. (std::array drops the alignment of such a register.)
struct Square {
  __m512i row[16];
};
struct Parts {
  __m512i part[kParts];
};
struct Tile {
  Square part[kParts];
};

// The parts of 16 floats, largest first, each in the low half of a 32-bit lane.
Parts split(__m512 x) {
  Parts parts;
  for (__m512i& part : parts.part) {
    part = _mm512_cvtepu16_epi32(std::bit_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(part, 16)));
  }
  return parts;
}

// The even lanes' low halves below the odd ones': 32 of them from two vectors in order.
__m512i join_neighbours(__m512i low, __m512i high) {
  return std::bit_cast<__m512i>(_mm512_inserti64x4(
      _mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1));
}

void transpose(Square& square) {
  __m512i(&r)[16] = square.row;
  __m512i t[16];
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (size_t i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (size_t i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (size_t i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

__m512 load(const float* from, int64_t count) {
  if (count >= kSide) return _mm512_loadu_ps(from);
  if (count <= 0) return _mm512_setzero_ps();
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1), from);
}

// A tile of 16 lines and a step of depth from where `lines` begins, zeros beyond its end: for the
// left operand line by line, for the right one pair of depths by pair.
Tile tile_of(const Lines& lines, bool left) {
  Tile tile;
  const bool along_depth = lines.depth_stride == 1;
  for (int64_t i = 0; i < kSide; ++i) {
    if (along_depth) {  // line i
      const bool inside = i < lines.count;
      const float* line = lines.values + i * lines.line_stride;
      const Parts low = split(load(line, inside ? lines.depth : 0));
      const Parts high = split(load(line + kSide, inside ? lines.depth - kSide : 0));
      for (int64_t part = 0; part < kParts; ++part)
        tile.part[part].row[i] = join_neighbours(low.part[part], high.part[part]);
    } else {  // depths 2 i and 2 i + 1
      const float* row = lines.values + 2 * i * lines.depth_stride;
      const Parts even = split(load(row, 2 * i < lines.depth ? lines.count : 0));
      const Parts odd =
          split(load(row + lines.depth_stride, 2 * i + 1 < lines.depth ? lines.count : 0));
      for (int64_t part = 0; part < kParts; ++part)
        tile.part[part].row[i] =
            _mm512_or_si512(even.part[part], _mm512_slli_epi32(odd.part[part], 16));
    }
  }
  if (along_depth != left)
    for (Square& square : tile.part) transpose(square);
  return tile;
}

Lines part_of(const Lines& lines, int64_t first, int64_t first_depth) {
  Lines part = lines;
  part.values += first * lines.line_stride + first_depth * lines.depth_stride;
  part.count = std::max<int64_t>(lines.count - first, 0);
  part.depth = std::max<int64_t>(lines.depth - first_depth, 0);
  return part;
}

// One panel over the whole depth: for each step its first `parts` parts, for each part two tiles.
void pack_panel(const Lines& panel, bool left, char* out, int64_t parts = kParts) {
  for (int64_t depth = 0; depth < panel.depth; depth += kStep) {
    for (int64_t half = 0; half < 2; ++half) {
      const Tile tile = tile_of(part_of(panel, half * kSide, depth), left);
      for (int64_t part = 0; part < parts; ++part)
        std::memcpy(out + (2 * part + half) * kTileBytes, &tile.part[part], kTileBytes);
    }
    out += parts * kPartBytes;
  }
}

int64_t panel_bytes(int64_t depth, int64_t parts = kParts) {
  return round_up(depth, kStep) / kStep * parts * kPartBytes;
}

using PanelProduct = std::array<float, kPanel * kPanel>;

// Of two panels; small products first. A right operand without its small parts gives the same sums
// as one where they are zero. kBothHalves: the left panel has more than kSide lines; if not, the
// product's other rows stay as they are.
template <int64_t kRightParts, bool kBothHalves>
void multiply_panels(const char* left, const char* right, int64_t steps, PanelProduct& product) {
  const auto load_left = [](const char* tiles) {
    _tile_loadd(4, tiles, 64);
    if constexpr (kBothHalves) _tile_loadd(5, tiles + kTileBytes, 64);
  };
  const auto load_right = [](const char* tiles) {
    _tile_loadd(6, tiles, 64);
    _tile_loadd(7, tiles + kTileBytes, 64);
  };
  const auto add_products = [] {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kBothHalves) _tile_dpbf16ps(2, 5, 6);
    if constexpr (kBothHalves) _tile_dpbf16ps(3, 5, 7);
  };
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    if constexpr (kRightParts > 1) load_left(left);
    if constexpr (kRightParts > 2) {
      load_right(right + 2 * kPartBytes);
      add_products();
    }
    if constexpr (kRightParts > 1) {
      load_right(right + kPartBytes);
      add_products();
    }
    load_left(left + kPartBytes);
    if constexpr (kRightParts > 1) add_products();
    load_right(right);
    add_products();
    load_left(left + 2 * kPartBytes);
    add_products();
    load_left(left);
    add_products();
    left += kPanelStepBytes;
    right += kRightParts * kPartBytes;
  }
  constexpr int64_t kRow = kPanel * int64_t{sizeof(float)};
  _tile_stored(0, product.data(), kRow);
  _tile_stored(1, product.data() + kSide, kRow);
  if constexpr (kBothHalves) {
    _tile_stored(2, product.data() + kSide * kPanel, kRow);
    _tile_stored(3, product.data() + kSide * kPanel + kSide, kRow);
  }
}

void add_to(const PanelProduct& product, int64_t rows, int64_t cols, float* c, int64_t c_stride,
            bool accumulate, float scale) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* from = product.data() + i * kPanel;
    float* to = c + i * c_stride;
    for (int64_t j = 0; j < cols; ++j) to[j] = (accumulate ? to[j] : 0.0F) + scale * from[j];
  }
}

// Of this thread, grown as needed.
char* scratch(Buffer& buffer, int64_t& size, int64_t bytes) {
  if (size < bytes) {
    buffer = make_buffer(bytes / int64_t{sizeof(float)});
    size = bytes;
  }
  return reinterpret_cast<char*>(buffer.get());
}

// How many parts the values need.
int64_t parts_of(const Lines& lines) {
  std::atomic<int64_t> parts{1};
  const int64_t outer = lines.depth_stride == 1 ? lines.count : lines.depth;
  const int64_t inner = lines.depth_stride == 1 ? lines.depth : lines.count;
  const int64_t stride = lines.depth_stride == 1 ? lines.line_stride : lines.depth_stride;
  constexpr int64_t kPiece = 64;
  parallel_for((outer + kPiece - 1) / kPiece, [&](int64_t piece, int64_t) {
    __m512i second = _mm512_setzero_si512();
    __m512i third = _mm512_setzero_si512();
    for (int64_t i = piece * kPiece; i < std::min(outer, (piece + 1) * kPiece); ++i) {
      for (int64_t j = 0; j < inner; j += kSide) {
        const Parts split_values = split(load(lines.values + i * stride + j, inner - j));
        second = _mm512_or_si512(second, split_values.part[1]);
        third = _mm512_or_si512(third, split_values.part[2]);
      }
    }
    const auto is_zero = [](__m512i bits) { return _mm512_test_epi32_mask(bits, bits) == 0; };
    const int64_t needed = !is_zero(third) ? 3 : !is_zero(second) ? 2 : 1;
    int64_t seen = parts;
    while (seen < needed && !parts.compare_exchange_weak(seen, needed)) {
    }
  });
  return parts;
}

using MultiplyPanels = void (*)(const char*, const char*, int64_t, PanelProduct&);
MultiplyPanels panel_kernel(int64_t right_parts, bool both_halves) {
  constexpr MultiplyPanels kKernels[3][2] = {
      {multiply_panels<1, false>, multiply_panels<1, true>},
      {multiply_panels<2, false>, multiply_panels<2, true>},
      {multiply_panels<3, false>, multiply_panels<3, true>}};
  return kKernels[right_parts - 1][both_halves ? 1 : 0];
}

// Panels [panel, end_panel) of the right operand times kBlockLines lines of the left one from
// `first` on, whose panels lie at `left_panels`.
struct PackedTile {
  const PackedProduct* product = nullptr;
  int64_t first = 0;
  int64_t panel = 0;
  int64_t end_panel = 0;
};
void multiply_tile(const PackedTile& tile, int64_t count, const char* left_panels) {
  const PackedLines& right = *tile.product->right;
  const int64_t left_bytes = panel_bytes(right.depth());
  const int64_t end = std::min(count, tile.first + kBlockLines);
  const TileUnit unit;
  PanelProduct product;
  for (int64_t depth = 0; depth < right.depth(); depth += kBlockDepth) {
    const int64_t steps = round_up(std::min(kBlockDepth, right.depth() - depth), kStep) / kStep;
    for (int64_t j = tile.panel; j < tile.end_panel; ++j) {
      const char* right_panel = right.panel(j) + panel_bytes(depth, right.parts());
      const int64_t cols = std::min(kPanel, right.count() - j * kPanel);
      for (int64_t i = tile.first; i < end; i += kPanel) {
        const int64_t rows = std::min(kPanel, end - i);
        panel_kernel(right.parts(), rows > kSide)(
            left_panels + i / kPanel * left_bytes + panel_bytes(depth), right_panel, steps,
            product);
        add_to(product, rows, cols, tile.product->c + i * right.count() + j * kPanel,
               right.count(), tile.product->accumulate || depth > 0, 1.0F);
      }
    }
  }
}

}  // namespace

bool available() {
  static const bool allowed = [] {
    constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long kTileData = 18;
    return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return allowed;
}

void multiply(const Lines& left, const Lines& right, float* c, int64_t c_stride, bool accumulate,
              float scale) {
  DOVETAIL_CHECK(left.depth == right.depth);
  thread_local Buffer left_buffer, right_buffer;
  thread_local int64_t left_size = 0, right_size = 0;
  const int64_t block_depth = std::min(left.depth, kBlockDepth);
  const int64_t bytes = panel_bytes(block_depth);
  char* const left_panels = scratch(left_buffer, left_size, kBlockLines / kPanel * bytes);
  char* const right_panels =
      scratch(right_buffer, right_size, round_up(right.count, kPanel) / kPanel * bytes);
  const TileUnit unit;
  PanelProduct product;
  for (int64_t depth = 0; depth < left.depth; depth += kBlockDepth) {
    Lines right_block = part_of(right, 0, depth);
    right_block.depth = std::min(right_block.depth, kBlockDepth);
    const int64_t steps = round_up(right_block.depth, kStep) / kStep;
    for (int64_t j = 0; j < right.count; j += kPanel)
      pack_panel(part_of(right_block, j, 0), false, right_panels + j / kPanel * bytes);
    for (int64_t first = 0; first < left.count; first += kBlockLines) {
      Lines left_block = part_of(left, first, depth);
      left_block.depth = right_block.depth;
      const int64_t rows = std::min(left_block.count, kBlockLines);
      for (int64_t i = 0; i < rows; i += kPanel)
        pack_panel(part_of(left_block, i, 0), true, left_panels + i / kPanel * bytes);
      for (int64_t j = 0; j < right.count; j += kPanel) {
        for (int64_t i = 0; i < rows; i += kPanel) {
          multiply_panels<kParts, true>(left_panels + i / kPanel * bytes, right_panels + j / kPanel * bytes,
                          steps, product);
          add_to(product, std::min(kPanel, rows - i), std::min(kPanel, right.count - j),
                 c + (first + i) * c_stride + j, c_stride, accumulate || depth > 0, scale);
        }
      }
    }
  }
}

PackedLines::PackedLines(const Lines& lines)
    : count_(lines.count), depth_(lines.depth), parts_(parts_of(lines)) {
  const int64_t panels = round_up(count_, kPanel) / kPanel;
  const int64_t bytes = panel_bytes(depth_, parts_);
  tiles_ = make_buffer(panels * bytes / int64_t{sizeof(float)});
  char* const tiles = reinterpret_cast<char*>(tiles_.get());
  parallel_for(panels, [&](int64_t p, int64_t) {
    pack_panel(part_of(lines, p * kPanel, 0), false, tiles + p * bytes, parts_);
  });
}

const char* PackedLines::panel(int64_t index) const {
  return reinterpret_cast<const char*>(tiles_.get()) + index * panel_bytes(depth_, parts_);
}

void multiply_packed(const Lines& left, std::span<const PackedProduct> products) {
  thread_local Buffer buffer;
  thread_local int64_t size = 0;
  const int64_t panels = round_up(left.count, kPanel) / kPanel;
  const int64_t bytes = panel_bytes(left.depth);
  char* const left_panels = scratch(buffer, size, panels * bytes);
  parallel_for(panels, [&](int64_t p, int64_t) {
    pack_panel(part_of(left, p * kPanel, 0), true, left_panels + p * bytes);
  });
  // Tiles that share the left lines follow one another; more columns where there are tiles enough.
  const int64_t blocks = (left.count + kBlockLines - 1) / kBlockLines;
  const int64_t across = blocks >= 4 ? 16 : 4;
  std::vector<PackedTile> tiles;
  for (int64_t block = 0; block < blocks; ++block) {
    for (const PackedProduct& product : products) {
      DOVETAIL_CHECK(product.right->depth() == left.depth);
      const int64_t ends = round_up(product.right->count(), kPanel) / kPanel;
      for (int64_t panel = 0; panel < ends; panel += across)
        tiles.push_back({&product, block * kBlockLines, panel, std::min(panel + across, ends)});
    }
  }
  parallel_for(std::ssize(tiles), [&](int64_t i, int64_t) {
    multiply_tile(tiles[static_cast<size_t>(i)], left.count, left_panels);
  });
}

void add_gram(int64_t rows, int64_t k, const float* x, float* sum) {
  constexpr int64_t kRows = 512;                    // packed at a time
  constexpr int64_t kBlock = kBlockLines / kPanel;  // panels of a block that a core multiplies
  const int64_t panels = round_up(k, kPanel) / kPanel;
  const int64_t blocks = (panels + kBlock - 1) / kBlock;
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t i = 0; i < blocks; ++i)
    for (int64_t j = i; j < blocks; ++j) pairs.emplace_back(i, j);
  const int64_t bytes = panel_bytes(std::min(rows, kRows));
  const Buffer buffer = make_buffer(2 * panels * bytes / int64_t{sizeof(float)});
  char* const left = reinterpret_cast<char*>(buffer.get());
  char* const right = left + panels * bytes;
  for (int64_t first = 0; first < rows; first += kRows) {
    const Lines columns{.values = x + first * k,
                        .count = k,
                        .depth = std::min(kRows, rows - first),
                        .line_stride = 1,
                        .depth_stride = k};
    const int64_t steps = round_up(columns.depth, kStep) / kStep;
    parallel_for(panels, [&](int64_t p, int64_t) {
      pack_panel(part_of(columns, p * kPanel, 0), true, left + p * bytes);
      pack_panel(part_of(columns, p * kPanel, 0), false, right + p * bytes);
    });
    parallel_for(std::ssize(pairs), [&](int64_t t, int64_t) {
      const TileUnit unit;
      const auto [block_i, block_j] = pairs[static_cast<size_t>(t)];
      PanelProduct product;
      for (int64_t j = block_j * kBlock; j < std::min((block_j + 1) * kBlock, panels); ++j) {
        for (int64_t i = block_i * kBlock; i < std::min((block_i + 1) * kBlock, j + 1); ++i) {
          multiply_panels<kParts, true>(left + i * bytes, right + j * bytes, steps, product);
          add_to(product, std::min(kPanel, k - i * kPanel), std::min(kPanel, k - j * kPanel),
                 sum + i * kPanel * k + j * kPanel, k, true, 1.0F);
        }
      }
    });
  }
}

#else

bool available() {
  return false;
}
void multiply(const Lines&, const Lines&, float*, int64_t, bool, float) {
  DOVETAIL_CHECK(available());
}
PackedLines::PackedLines(const Lines&) {
  DOVETAIL_CHECK(available());
}
const char* PackedLines::panel(int64_t) const {
  return nullptr;
}
void multiply_packed(const Lines&, std::span<const PackedProduct>) {
  DOVETAIL_CHECK(available());
}
void add_gram(int64_t, int64_t, const float*, float*) {
  DOVETAIL_CHECK(available());
}

#endif

}  // namespace dovetail::host::amx
