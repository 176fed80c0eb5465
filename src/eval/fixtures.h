// Tests only: what lm-eval 0.4.13 answers (tests/oracles/make_eval_fixtures.py made the files), and
// where the benchmarks lie.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/json_text.h"
#include "base/paths.h"
#include "eval/benchmark_data.h"
#include "model/test_data.h"

namespace dovetail::eval {

inline Json fixture(const std::string& name) {
  const auto text = read_text_file("src/eval/testdata/" + name, int64_t{16} << 20);
  if (!text.has_value()) {
    ADD_FAILURE() << text.error().message;
    return Json::object();
  }
  return Json::parse(*text);
}

inline BenchmarkFiles benchmark_files() {
  auto files = BenchmarkFiles::open(model::test_data("eval"));
  if (!files.has_value()) ADD_FAILURE() << files.error().message;
  return std::move(files).value();
}

}  // namespace dovetail::eval
