// The finished pieces of one compression, so that it goes on where it was stopped.
//
// Files: compression.json (what is compressed, and how), kept (what pruning leaves), layer_NNNN,
// head (saved_block.h), hidden (the residual stream behind a finished layer, from where it goes
// on), lock (held by the process that works here).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/config.h"
#include "base/result.h"
#include "compress/activation_store.h"
#include "compress/saved_block.h"

namespace dovetail::compress {

class WorkFolder {
 public:
  // identity: everything that the result depends on; the folder of another is refused, key named.
  // Creates the folder. Errors: kInvalidArgument (another compression, a process that works here),
  // kIo.
  [[nodiscard]] static Result<WorkFolder> open(const std::string& path, const Json& identity);
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();

  // Layers 0 .. this - 1 were finished and whole when it was opened, and the stream behind them
  // kept.
  [[nodiscard]] int64_t num_finished_layers() const { return num_finished_; }
  [[nodiscard]] bool has_head() const { return has_head_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  // Errors: kIo naming the file.
  [[nodiscard]] Status save_kept(const Json& kept);
  [[nodiscard]] Status save_layer(int64_t index, const SavedBlock& block);
  // The stream behind the first `layers`, which are saved.
  [[nodiscard]] Status save_hidden(int64_t layers, const ActivationStore& hidden);
  [[nodiscard]] Status save_head(const SavedBlock& block);
  // Null if it was not saved or is damaged: who chooses anew chooses the same.
  [[nodiscard]] Json kept() const;
  // Errors: kIo, kInvalidArgument (damaged since it was opened).
  [[nodiscard]] Result<SavedBlock> layer(int64_t index) const;
  [[nodiscard]] Result<SavedBlock> head() const;
  [[nodiscard]] Status load_hidden(ActivationStore& hidden) const;

  // Removes the folder.
  [[nodiscard]] Status remove() &&;

 private:
  WorkFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  [[nodiscard]] std::string layer_file(int64_t index) const;
  void count_finished();

  std::string path_;
  int lock_ = -1;
  int64_t num_finished_ = 0;
  bool has_head_ = false;
};

}  // namespace dovetail::compress
