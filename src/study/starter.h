// The first study of somebody who has none: a few wishes and a class of devices become a complete,
// commented study file.
//
// A class is a file of data/classes: budget, space, menu and texts that suit a kind of device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "study/study_config.h"

namespace dovetail::study {

struct StudyClass {
  std::string description;
  std::string workload;
  std::vector<std::string> objectives;
  std::vector<double> kl_caps_nats;
  std::vector<std::string> reference_chips;
  int64_t confirmations = 3;
  int64_t validation_recipes = 24;
  TextConfig text;
  MenuConfig menu;
  search::Budget budget;
  search::Space space;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("description", s.description, {.required = true, .help = "one line"});
    v.text("workload", s.workload,
           {.required = true, .help = "name in data/workloads, or a TOML file"});
    v.texts("objectives", s.objectives, {.required = true, .help = "as in a study"});
    v.numbers("kl_caps_nats", s.kl_caps_nats,
              {.min = 1e-5, .max = 20, .required = true, .help = "as in a study"});
    v.texts("reference_chips", s.reference_chips,
            {.help = "chips of this class, names in data/chips or files"});
    v.number("confirmations", s.confirmations,
             {.min = 1, .max = 20, .help = "measured recipes per side and scenario"});
    v.number("validation_recipes", s.validation_recipes,
             {.min = 0, .max = 1000, .help = "whole recipes that test the loss prediction"});
    v.group("text", s.text, {.help = "text for profiling, selection, certification"});
    v.group("menu", s.menu, {.help = "treatments that may be chosen"});
    v.group("budget", s.budget, {.required = true, .help = "limits of the silicon"});
    v.group("space", s.space, {.required = true, .help = "chips that may be chosen"});
  }
};

// What one is asked, in this order; every field is also a flag of `dovetail init`.
enum class Field : uint8_t {
  kModel,
  kClass,
  kWorkload,
  kObjectives,
  kKlCaps,
  kArea,
  kPower,
  kDram,
  kLossProfile,
};
inline constexpr int64_t kNumFields = 9;

struct FieldText {
  std::string_view flag;      // "--model"
  std::string_view question;  // "Which model?"
  std::string_view hint;      // what an answer may be, for help
  bool asked = true;          // false: has a default that fits nearly everybody
};
[[nodiscard]] const FieldText& field_text(Field field);

struct Wishes {
  std::string name;  // of the study
  std::string model;
  std::string class_name;
  std::string workload;
  std::vector<std::string> objectives;
  std::vector<double> kl_caps_nats;
  std::optional<double> max_area_mm2;
  std::optional<double> max_power_w;  // peak; sustained power is limited by the same
  std::optional<double> max_dram_gb_per_s;
  std::string loss_profile;
};

// Takes an answer as text; lists are separated by commas or spaces.
// Errors: kInvalidArgument, kNotFound: what is wrong, what is wanted, and the nearest name.
[[nodiscard]] Status set_answer(Wishes& wishes, Field field, const std::string& answer);

// What is taken without an answer: a small model on an edge device, then what the class says.
// Errors: those of the class file.
[[nodiscard]] Result<std::string> default_answer(const Wishes& wishes, Field field);

// The study; fields that are empty take their default. Errors: those of set_answer; a DRAM that
// cannot hold the model at four bits a weight, with the classes that can.
[[nodiscard]] Result<StudyConfig> start_study(const Wishes& wishes);

// The file: every key explained, from the same help as everywhere.
[[nodiscard]] std::string study_text(const StudyConfig& config);

}  // namespace dovetail::study
