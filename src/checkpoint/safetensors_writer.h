// Writes safetensors shards, one tensor at a time: memory holds one tensor and the directory.
//
// The header stands in front of the data and is known last, so room is left for it and filled with
// the blanks that the format allows. Tensors whose size is no multiple of eight are kept until
// their shard ends and then written by element size, so that every tensor lies aligned.
//
// Source of the layout: huggingface/safetensors, README "Format".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::checkpoint {

struct TensorToWrite {
  std::string name;
  std::string dtype;  // "F16", "I32", "F8_E4M3", ...
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;  // as many as dims and dtype say
};

class SafetensorsWriter {
 public:
  // folder: exists. max_tensors: of all shards together, sizes the room for headers.
  // max_shard_bytes: of a shard's data; a larger tensor has a shard of its own.
  SafetensorsWriter(std::string folder, int64_t max_tensors, int64_t max_shard_bytes);

  // Errors: kIo.
  [[nodiscard]] Status add(TensorToWrite tensor);
  // Writes model.safetensors, or shards with model.safetensors.index.json. `metadata`: texts for
  // the header's __metadata__ (of the first shard). Errors: kIo.
  [[nodiscard]] Status finish(const std::map<std::string, std::string>& metadata);

 private:
  struct Entry {
    std::string name, dtype;
    std::vector<int64_t> dims;
    int64_t begin = 0, end = 0;  // bytes of the data
  };
  [[nodiscard]] std::string shard_path(size_t shard) const;
  [[nodiscard]] Status write_data(const TensorToWrite& tensor);
  [[nodiscard]] Status close_data();
  [[nodiscard]] Status write_header(size_t shard, const std::map<std::string, std::string>& texts);
  [[nodiscard]] Status write_index() const;

  std::string folder_;
  int64_t room_bytes_;
  int64_t max_shard_bytes_;
  int64_t shard_bytes_ = 0;                 // of the open shard, kept tensors included
  int64_t written_bytes_ = 0;               // of the open shard's data
  std::vector<std::vector<Entry>> shards_;  // the last one is open
  std::vector<TensorToWrite> kept_;         // of the open shard
};

}  // namespace dovetail::checkpoint
