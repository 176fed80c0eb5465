// dovetail verify: a checkpoint against its own digests, bit for bit.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "checkpoint/verify.h"

namespace dovetail::app {
namespace {

struct VerifyOptions {
  std::string path;
  bool json = false;
};

Status run_verify(const VerifyOptions& options) {
  DOVETAIL_TRY(const checkpoint::VerifyReport report, checkpoint::verify_checkpoint(options.path));
  if (options.json) {
    Json failures = Json::array();
    for (const checkpoint::TensorFailure& failure : report.failures)
      failures.push_back({{"tensor", failure.tensor}, {"problem", failure.problem}});
    print_json({{"path", options.path},
                {"program", report.manifest.program},
                {"tensors", report.tensors},
                {"failures", failures}});
  } else {
    for (const checkpoint::TensorFailure& failure : report.failures)
      print_line(fmt::format("{}: {}", failure.tensor, failure.problem));
  }
  if (!report.failures.empty()) {
    return make_error(ErrorCode::kInternal,
                      fmt::format("{}: {} of {} tensors are not what was written", options.path,
                                  report.failures.size(), report.tensors));
  }
  if (!options.json) {
    print_line(fmt::format("{}: {} tensors, codes, decoded values and file agree bit for bit",
                           options.path, report.tensors));
  }
  return {};
}

}  // namespace

void add_verify_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command =
      app.add_subcommand("verify", "check a checkpoint against its digests, bit for bit");
  command->add_option("path", options->path, "folder or GGUF file that this program wrote")
      ->required();
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_verify(*options); }; });
}

}  // namespace dovetail::app
