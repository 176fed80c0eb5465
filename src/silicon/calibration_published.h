// Published decode speeds beside a roofline with its band: which lie inside, and why the others do
// not.
//
//   time a token = bytes / (bandwidth * streaming efficiency) + layers * kernels a layer * gap
//   bytes        = block weights and head at their bits, the cache of the context
//
// Each constant has a range (data/machines, data/technology/dram.toml); the band takes all of them
// at their quick or at their slow end together. Nothing is fitted.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// One entry of data/published/decode.toml. Every entry has a source.
struct PublishedDecode {
  std::string machine;         // a file of data/machines
  std::string dram;            // a kind of data/technology/dram.toml
  std::string model;           // for people
  double block_weights_m = 0;  // 1e6 weights of all blocks
  double head_weights_m = 0;   // 1e6 weights of the output head
  double layers = 0;
  double weight_bits = 0;    // a block weight, scales included
  double head_bits_low = 0;  // the head's format is often not said
  double head_bits_high = 0;
  double cache_mb = 0;  // 1e6 bytes of KV cache that a token reads
  double tokens_per_s = 0;
  std::string source;
  std::string date;
  std::string outside;  // why it may lie outside the band

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("machine", s.machine, {.required = true, .help = "file of data/machines"});
    v.text("dram", s.dram, {.required = true, .help = "kind of data/technology/dram.toml"});
    v.text("model", s.model, {.required = true, .help = "model and format"});
    v.number("block_weights_m", s.block_weights_m,
             {.min = 1, .max = 1e6, .required = true, .help = "1e6 weights of all blocks"});
    v.number("head_weights_m", s.head_weights_m,
             {.min = 0, .max = 1e5, .required = true, .help = "1e6 weights of the head"});
    v.number("layers", s.layers, {.min = 1, .max = 1000, .required = true, .help = "blocks"});
    v.number(
        "weight_bits", s.weight_bits,
        {.min = 1, .max = 32, .required = true, .help = "bits a block weight, scales included"});
    v.number("head_bits_low", s.head_bits_low,
             {.min = 1, .max = 32, .required = true, .help = "least bits a weight of the head"});
    v.number("head_bits_high", s.head_bits_high,
             {.min = 1, .max = 32, .required = true, .help = "most bits a weight of the head"});
    v.number("cache_mb", s.cache_mb,
             {.min = 0, .max = 1e6, .required = true, .help = "1e6 bytes of cache read a token"});
    v.number("tokens_per_s", s.tokens_per_s,
             {.min = 1e-3, .max = 1e7, .required = true, .help = "published, batch 1"});
    v.text("source", s.source, {.required = true, .help = "where it is published"});
    v.text("date", s.date, {.required = true, .help = "of the publication"});
    v.text("outside", s.outside, {.help = "why it may lie outside the band"});
  }
};

struct PublishedDecodes {
  std::vector<PublishedDecode> points;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.list("point", s.points, {.required = true, .help = "published decode speeds"});
  }
};

struct PublishedCheck {
  PublishedDecode point;
  double low_tokens_per_s = 0;  // all constants at their slow end
  double mid_tokens_per_s = 0;  // at their values
  double high_tokens_per_s = 0;
  [[nodiscard]] bool inside() const {
    return point.tokens_per_s >= low_tokens_per_s && point.tokens_per_s <= high_tokens_per_s;
  }
};

// Errors: kNotFound naming a missing constant; kInvalidArgument for a point without a source or
// with head_bits_low above head_bits_high.
[[nodiscard]] Result<std::vector<PublishedCheck>> check_published(const Technology& machines,
                                                                  const Technology& technology,
                                                                  const PublishedDecodes& decodes);

[[nodiscard]] Json published_to_json(const std::vector<PublishedCheck>& checks);
// The table for a reader, lines ended by '\n'.
[[nodiscard]] std::string published_text(const std::vector<PublishedCheck>& checks);

}  // namespace dovetail::silicon
