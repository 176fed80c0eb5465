#include "fuzz_target.h"

namespace dovetail::fuzz {

const std::vector<Target>& all_targets() {
  static const std::vector<Target> kTargets = {
      {"chip", fuzz_chip},
      {"gguf", fuzz_gguf, Shape::kGguf},
      {"gguf_tokenizer", fuzz_gguf_tokenizer, Shape::kGguf},
      {"hf_config", fuzz_hf_config, Shape::kJson},
      {"measurements", fuzz_measurements},
      {"recipe_file", fuzz_recipe_file},
      {"record", fuzz_record, Shape::kJson},
      {"safetensors", fuzz_safetensors, Shape::kSafetensors},
      {"safetensors_index", fuzz_safetensors_index, Shape::kJson},
      {"study", fuzz_study},
      {"study_db", fuzz_study_db},
      {"technology", fuzz_technology},
      {"tokenizer_files", fuzz_tokenizer_files},
      {"tokenizer_json", fuzz_tokenizer_json, Shape::kJson},
      {"treatment", fuzz_treatment},
      {"workload", fuzz_workload},
      {"zoo", fuzz_zoo},
  };
  return kTargets;
}

}  // namespace dovetail::fuzz
