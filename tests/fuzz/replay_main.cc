// Runs stored inputs through a target without a fuzzer: fuzz_replay FOLDER..., where the name of a
// folder is that of its target. Ends with the number of inputs; a crash ends it earlier.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "fuzz_target.h"

namespace {

namespace fs = std::filesystem;

int replay(const dovetail::fuzz::Target& target, const fs::path& folder) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    fmt::print(stderr, "{}\n", entry.path().string());  // the last line names what crashed
    const int64_t before = dovetail::fuzz::num_accepted();
    target.run(input);
    // A seed that is refused at once leads nowhere: it no longer fits its reader.
    const bool sound = entry.path().filename().string().starts_with("sound_");
    dovetail::fuzz::require(!sound || dovetail::fuzz::num_accepted() > before,
                            "a sound seed is accepted");
    ++count;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    const fs::path folder = argv[i];
    const dovetail::fuzz::Target* chosen = nullptr;
    for (const auto& target : dovetail::fuzz::all_targets()) {
      if (target.name == folder.filename().string()) chosen = &target;
    }
    if (chosen == nullptr || !fs::is_directory(folder)) {
      fmt::print(stderr, "{}: want an existing folder named after a target\n", folder.string());
      return 2;
    }
    count += replay(*chosen, folder);
  }
  fmt::print("replayed {} inputs\n", count);
  return count > 0 ? 0 : 1;
}
