// A small, complete record for the tests of this folder.
#pragma once

#include "base/config.h"

namespace dovetail::report {

inline Json page_test_record() {
  return Json::parse(R"({
    "schema_version": 1, "name": "tiny <study>", "question": "Which chip & recipe?", "num_chips": 12,
    "optimality_gap_frac": 0.0005, "additivity_spearman": 0.97,
    "additivity": {"num_recipes": 2, "r2_log": 0.96, "bias_ratio": 1.3, "bias_min_ratio": 1.1, "bias_max_ratio": 1.5,
      "recipes": [{"name": "r1", "predicted_nats_per_token": 0.1, "measured_nats_per_token": 0.13},
                 {"name": "r2", "predicted_nats_per_token": 0.3, "measured_nats_per_token": 0.36}]},
    "products": [{"name": "chat", "model": "m", "workload": {"name": "w"}, "loss_profile": "own",
                  "off_grid_seed": 7, "weights_digest": "abcdef0123456789"}],
    "texts": {"profile": {"num_tokens": 10}, "select": {}, "certify": {}},
    "budget": {"max_area_mm2": 20}, "search": {"exact": true, "num_chips": 12, "num_allocated": 5},
    "front": [{"kl_cap_nats": 0.1, "metric": "latency", "area_mm2": 10, "latency_ns": 2e8, "chip": "c1"},
              {"kl_cap_nats": 0.1, "metric": "latency", "area_mm2": 14, "latency_ns": 1e8, "chip": "c2"}],
    "constants": [{"key": "k", "value": 1, "low": 0.5, "high": 2, "unit": "u", "source": "s", "date": "2024"}],
    "scenarios": [
      {"objective": "latency", "kl_cap_nats": 0.1, "feasible": true, "why_not": "", "elasticity": 0.2,
       "recommendation": {
         "chip": {"name": "c2", "node": "n7", "clock_mhz": 1000, "cores": 1, "vector_lanes": 32, "sram_mib": 4,
                  "units": [{"rows": 8, "cols": 16, "depth": 16, "format_set": "w4a8"}],
                  "dram": {"kind": "lpddr5", "channels": 4}},
         "limits": {"area_mm2": 14, "peak_power_mw": 3000, "price_usd": 9},
         "area_parts_mm2": {"matrix": 4}, "power_parts_mw": {"matrix": 900},
         "products": [{"name": "chat", "bits_per_weight": 4.3, "predicted_kl_nats": 0.08,
           "measured_kl_nats": 0.099, "measured_kl_stderr_nats": 0.004, "certified_kl_nats": 0.11,
           "recipe": {"layers.0.attn_qkv": "int4_g32", "layers.0.attn_o": "int8", "layers.0.mlp_gate_up": "mxfp4",
                      "layers.0.mlp_down": "bf16", "layers.0.kv": "int8", "head": "fp8_e4m3fn"},
           "resident_frac": {"head": 0.25},
           "cost": {"latency_ns": 1e8, "bound_latency_ns": 9e7, "prefill_latency_ns": 1e7, "time_per_token_ns": 1e6,
                    "throughput_tokens_per_s": 900, "energy_pj": 1e12, "energy_pj_per_token": 1e9, "dram_bytes": 1e8}}]},
       "baselines": [
         {"name": "recipe_first", "feasible": true, "why_not": "", "fixed_first": "recipe of a", "ratio": 1.04,
          "ratio_low": 1.01, "ratio_high": 1.07, "verdict": "established",
          "point": {"chip": {"node": "n7"}, "products": [{"name": "chat", "recipe": {}}]}},
         {"name": "best_uniform", "feasible": false, "why_not": "no uniform treatment within the cap"}],
       "sensitivity": [{"constant": "area.shared", "low": 0.4, "high": 1, "winner_changes": false,
                        "objective_change_low_frac": -0.01, "objective_change_high_frac": 0.02}]},
      {"objective": "energy", "kl_cap_nats": 0.1, "feasible": false, "why_not": "area rejected 12 chips"}]
  })");
}

}  // namespace dovetail::report
