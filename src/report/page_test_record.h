// A small, complete record for the tests of this folder.
#pragma once

#include "base/config.h"

namespace dovetail::report {

inline Json page_test_record() {
  return Json::parse(R"({
    "schema_version": 2, "name": "tiny <study>", "question": "Which chip & recipe?", "num_chips": 12,
    "optimality_gap_frac": 0.0005, "additivity_spearman": 0.97,
    "additivity": {"num_recipes": 2, "r2_log": 0.96, "bias_ratio": 1.3, "bias_min_ratio": 1.1, "bias_max_ratio": 1.5,
      "recipes": [{"name": "r1", "predicted_nats_per_token": 0.1, "measured_nats_per_token": 0.13},
                 {"name": "r2", "predicted_nats_per_token": 0.3, "measured_nats_per_token": 0.36}]},
    "products": [{"name": "chat", "model": "m", "workload": {"name": "w"}, "loss_profile": "own",
                  "off_grid_seed": 7, "weights_digest": "abcdef0123456789"}],
    "texts": {"profile": {"num_tokens": 10}, "select": {}, "certify": {}},
    "budget": {"max_area_mm2": 20}, "search": {"exact": true, "num_chips": 12, "num_allocated": 5},
    "menu": {"linear": ["bf16", "int8", "int4_g32"], "kv": ["bf16", "int8"]},
    "loss_table": [{"product": "chat", "sites": ["layers.0.attn_qkv", "layers.0.kv"], "loss_nats": [[0, 0.00123456, 0.02], [0, null]]}],
    "front": [
      {"kl_cap_nats": 0.1, "metric": "latency", "chip": {"name": "c1", "node": "n7", "cores": 1},
       "limits": {"area_mm2": 10.123456789}, "area_parts_mm2": {"sram_mm2": 4},
       "products": [{"name": "chat", "treatments": [2, 0], "resident_frac": {}, "predicted_kl_nats": 0.07, "latency_ns": 2e8,
                     "groups": [["prefill", "head", 1234567, 2, 3, "dram"], ["decode", "head", 4, 5, 6, "sram"]]}]},
      {"kl_cap_nats": 0.1, "metric": "latency", "chip": {"name": "c2", "node": "n7", "cores": 2},
       "limits": {"area_mm2": 14}, "area_parts_mm2": {"sram_mm2": 4},
       "products": [{"name": "chat", "treatments": [1, 1], "resident_frac": {"layers.0.kv": 0.5}, "predicted_kl_nats": 0.08, "latency_ns": 1e8,
                     "groups": [["prefill", "head", 7, 8, 9, "dram"]]}]}],
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
                    "throughput_tokens_per_s": 900, "energy_pj": 1e12, "energy_pj_per_token": 1e9, "dram_bytes": 1e8,
                    "sustained_power_mw": 2000, "ops": [
                      {"phase": "prefill", "op": "head", "latency_ns": 1e7, "binding": "compute"},
                      {"phase": "decode", "op": "head", "latency_ns": 6e7, "binding": "dram"},
                      {"phase": "decode", "op": "rope", "latency_ns": 3e7, "binding": "vector"}]}}]},
       "baselines": [
         {"name": "recipe_first", "feasible": true, "why_not": "", "fixed_first": "recipe of a", "ratio": 1.04,
          "ratio_low": 1.01, "ratio_high": 1.07, "verdict": "established",
          "point": {"chip": {"node": "n7"}, "products": [{"name": "chat", "recipe": {}}]}},
         {"name": "best_uniform", "feasible": false, "why_not": "no uniform treatment within the cap"}],
       "shadow_prices": [
         {"resource": "shared SRAM", "kind": "chip", "unit": "MiB", "base": 4, "step": 1, "feasible": true, "objective_change_frac": -0.021,
          "binding": false, "recipe_changes": true, "note": ""},
         {"resource": "die area", "kind": "budget", "unit": "mm2", "base": 20, "step": 1, "feasible": true, "objective_change_frac": 0,
          "binding": false, "recipe_changes": false, "note": ""}],
       "tornado": [{"constant": "area.shared", "value": 0.7, "low": 0.4, "high": 1, "unit": "frac", "winner_changes": true,
                    "objective_change_low_frac": -0.01, "objective_change_high_frac": 0.02, "regret_low_frac": 0, "regret_high_frac": 0.004,
                    "chip_low": "c2", "chip_high": "c9", "searched": "space"}]},
      {"objective": "energy", "kl_cap_nats": 0.1, "feasible": false, "why_not": "area rejected 12 chips"}]
  })");
}

}  // namespace dovetail::report
