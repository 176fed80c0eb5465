#!/usr/bin/env python3
"""Writes a made-up record of a study (docs/record.md): every key, any number of points, no model run.

The report page is tested with these. Numbers follow from simple formulas of the chip and the recipe
(weight bytes over DRAM bandwidth, MACs over multipliers), so that pictures look as real ones do; they
claim nothing about real chips. The same options give the same record, byte for byte.

    tests/report/synthetic_record.py --points 10000 > record.json
"""

import argparse
import hashlib
import json
import random
import sys

KINDS = ["attn_qkv", "attn_o", "mlp_gate_up", "mlp_down", "kv"]
GROUPS = ["attn_qkv", "attn_o", "attention", "mlp_gate_up", "mlp_down", "head"]
VECTOR_OPS = ["embedding", "attn_norm", "rope", "attn_residual", "mlp_norm", "silu_mul", "mlp_residual",
              "final_norm", "argmax"]
LINEAR = ["bf16", "int3_g64", "int4_g32", "int4_g64+a:int8_token", "int4_asym_g32", "int5_g32",
          "int5_g64+a:int8_token", "int6_g64", "int8", "int8+a:int8_token", "fp8_e4m3fn", "nvfp4", "mxfp4"]
KV = ["bf16", "int8", "int4", "int8+q:int8_token", "int4+q:int8_token"]
BITS = {"bf16": 16, "int3": 3.5, "int4": 4.5, "int5": 5.5, "int6": 6.25, "int8": 8, "fp8": 8, "nvfp4": 4.5,
        "mxfp4": 4.25}
FORMAT_SETS = [("i5", [("int5", "int8")]), ("i9", [("int9", "int8")]), ("bf16", [("bf16", "bf16")]),
               ("i5+bf16", [("int5", "int8"), ("bf16", "bf16")])]
MODELS = [("chat", "smollm2-135m", dict(num_layers=30, hidden_size=576, intermediate_size=1536, num_heads=9,
                                        num_kv_heads=3, head_dim=64, vocab_size=49152, tied_embedding=True)),
          ("assistant", "llama-3.1-8b", dict(num_layers=32, hidden_size=4096, intermediate_size=14336,
                                             num_heads=32, num_kv_heads=8, head_dim=128, vocab_size=128256,
                                             tied_embedding=False))]
CONSTANTS = [("area.multiplier_int5_um2", 120, 80, 190, "um2"), ("area.sram_mm2_per_mib", 0.55, 0.4, 0.8, "mm2/MiB"),
             ("area.shared_pair_frac", 0.7, 0.4, 1, "frac"), ("energy.dram_pj_per_bit", 4, 3, 6, "pJ/bit"),
             ("energy.mac_int5_pj", 0.08, 0.05, 0.15, "pJ"), ("dram.efficiency_frac", 0.85, 0.7, 0.92, "frac"),
             ("leakage.mw_per_mm2", 12, 6, 25, "mW/mm2"), ("price.usd_per_mm2", 0.18, 0.12, 0.3, "USD/mm2")]


def digest(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def bits_of(treatment):
    name = treatment.split("+")[0]
    return next(bits for key, bits in BITS.items() if name.startswith(key))


class Maker:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.models = MODELS[:options.products]
        self.sites = [[f"layers.{i}.{kind}" for i in range(shape["num_layers"]) for kind in KINDS] + ["head"]
                      for _, _, shape in self.models]
        self.losses = [self.loss_rows(names) for names in self.sites]
        self.gated = [self.loss_order(p) for p in range(len(self.models))]

    def menu(self, site):
        return KV if site.endswith(".kv") else LINEAR

    def loss_rows(self, names):
        rows = []
        for site in names:
            weight = self.random.lognormvariate(0, 0.7) * (4 if site == "head" else 1)
            rows.append([0.0 if t == "bf16" else weight * 0.004 * 4 ** (3.5 - bits_of(t)) * (1.1 if "+" in t else 1)
                         for t in self.menu(site)])
        return rows

    def loss_order(self, p):
        return self.random.sample(range(len(self.sites[p])), len(self.sites[p]))

    def choose(self, p, cap):
        """Treatments of low bits where they cost least loss, until the cap: a plain greedy rule."""
        names, losses = self.sites[p], self.losses[p]
        chosen = [self.menu(site).index("int8") for site in names]
        total = sum(losses[i][t] for i, t in enumerate(chosen))
        for i in self.gated[p]:
            options = sorted(range(len(losses[i])), key=lambda t: (bits_of(self.menu(names[i])[t]), self.random.random()))
            for t in options:
                if total - losses[i][chosen[i]] + losses[i][t] <= cap * 0.97:
                    total += losses[i][t] - losses[i][chosen[i]]
                    chosen[i] = t
                    break
        return chosen, total

    def vary(self, p, treatments, total):
        """Another recipe close by, as chips of one front have: a tenth of the sites swap treatments of equal bits."""
        varied = list(treatments)
        for i in self.random.sample(range(len(varied)), len(varied) // 10):
            menu = self.menu(self.sites[p][i])
            same = [t for t in range(len(menu)) if bits_of(menu[t]) == bits_of(menu[varied[i]])]
            total -= self.losses[p][i][varied[i]]
            varied[i] = self.random.choice(same)
            total += self.losses[p][i][varied[i]]
        return varied, total

    def chip(self, index):
        r = self.random
        name, pairs = r.choice(FORMAT_SETS)
        return {"name": f"c{index}", "node": "n7", "clock_mhz": r.choice([600, 800, 1000]), "cores": r.choice([1, 2, 4]),
                "units": [{"format_set": name, "rows": r.choice([1, 2, 4, 8]), "cols": r.choice([8, 16, 32, 64]),
                           "depth": r.choice([16, 32, 64]), "sharing": "separate",
                           "pairs": [{"weight": w, "activation": a, "macs_per_cycle_rel": 1} for w, a in pairs]}],
                "decoder_values_per_cycle": r.choice([128, 512, 2048]), "vector_lanes": r.choice([16, 32, 64]),
                "weight_buffer_kib": r.choice([16, 32, 64]), "activation_buffer_kib": r.choice([16, 32, 64]),
                "accumulator_kib": r.choice([8, 16]), "sram_mib": r.choice([0.5, 1, 2, 4, 8, 16, 32]),
                "dram": {"kind": "lpddr5", "channels": r.choice([2, 4]), "capacity_gib": 4}}

    def area(self, chip):
        unit = chip["units"][0]
        macs = unit["rows"] * unit["cols"] * unit["depth"] * chip["cores"]
        parts = {"multipliers_mm2": macs * 1.6e-4 * (2 if len(unit["pairs"]) > 1 else 1), "registers_mm2": macs * 2e-5,
                 "scale_units_mm2": macs / unit["depth"] * 2e-4, "decoder_mm2": chip["decoder_values_per_cycle"] * chip["cores"] * 2e-4,
                 "vector_mm2": chip["vector_lanes"] * chip["cores"] * 6e-3,
                 "buffers_mm2": (chip["weight_buffer_kib"] + chip["activation_buffer_kib"]) * chip["cores"] * 1.2e-3,
                 "control_mm2": 0.15 * chip["cores"], "sram_mm2": 0.55 * chip["sram_mib"], "noc_mm2": 0.05 * chip["cores"],
                 "dram_phy_mm2": 0.9 * chip["dram"]["channels"], "dram_controller_mm2": 0.3 * chip["dram"]["channels"],
                 "fixed_mm2": 1.5, "other_mm2": 0.4}
        parts["total_mm2"] = sum(parts.values())
        return parts

    def roofs(self, chip):
        unit = chip["units"][0]
        rate = unit["rows"] * unit["cols"] * unit["depth"] * chip["cores"] * chip["clock_mhz"] / 1e3
        return {"dram_gb_per_s": 12.8 * chip["dram"]["channels"] * 0.85, "sram_gb_per_s": 64 * chip["cores"] * chip["clock_mhz"] / 1e3,
                "vector_gops_per_s": chip["vector_lanes"] * chip["cores"] * chip["clock_mhz"] / 1e3,
                "gmacs_per_s": {f"{p['weight']} x {p['activation']}": rate for p in unit["pairs"]}}

    def limits(self, area, roofs):
        die = 1.5 + 0.18 * area["total_mm2"]
        return {"area_mm2": area["total_mm2"], "peak_power_mw": 60 * area["total_mm2"] + 20 * roofs["dram_gb_per_s"],
                "die_price_usd": die, "dram_price_usd": 12.0, "price_usd": die + 12.0}

    def ops(self, p, chip, roofs, treatments, resident):
        shape = self.models[p][2]
        prompt, steps = 512, 255
        weights = {kind: 0.0 for kind in GROUPS}
        counts = {kind: 0.0 for kind in GROUPS}
        h, f, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_layers"]
        kv = shape["num_kv_heads"] * shape["head_dim"]
        size = {"attn_qkv": h * (h + 2 * kv), "attn_o": h * h, "mlp_gate_up": 2 * h * f, "mlp_down": f * h,
                "head": h * shape["vocab_size"]}
        for site, t in zip(self.sites[p], treatments):
            kind = site.split(".")[-1]
            if kind == "kv":
                weights["attention"] += 2 * kv * bits_of(KV[t]) / 8
                counts["attention"] += 2 * h
            else:
                weights[kind] += size[kind] * bits_of(LINEAR[t]) / 8 * (1 - resident.get(site, 0))
                counts[kind] += size[kind]
        peak = max(roofs["gmacs_per_s"].values())
        rows = []
        for phase, passes, tokens in (("decode", steps, 1), ("prefill", 1, prompt)):
            for kind in GROUPS:
                context = prompt + steps / 2 if phase == "decode" else prompt / 2
                scale = context if kind == "attention" else 1
                macs = counts[kind] * passes * (1 if kind == "head" else tokens) * scale
                dram = weights[kind] * passes * scale
                rows.append(self.op(phase, kind, dram, dram * 1.2, macs, dram / 0.6, macs * 2e-3, roofs, peak))
            for kind in VECTOR_OPS:
                width = shape["vocab_size"] if kind == "argmax" else f if kind == "silu_mul" else h
                times = 1 if kind in ("embedding", "final_norm", "argmax") else layers
                rows.append(self.op(phase, kind, 0, 0, 0, 0, width * times * passes * tokens, roofs, peak))
        return rows

    def op(self, phase, name, dram, sram, macs, values, lanes, roofs, peak):
        times = {"dram": dram / roofs["dram_gb_per_s"], "sram": sram / roofs["sram_gb_per_s"],
                 "decoder": values / (roofs["dram_gb_per_s"] * 2.2), "compute": macs / peak * 1.15,
                 "vector": lanes / roofs["vector_gops_per_s"]}
        binding = max(times, key=times.get)
        return {"phase": phase, "op": name, "latency_ns": times[binding] * 1.03, **{f"{k}_ns": v for k, v in times.items()},
                "dram_bytes": dram, "sram_bytes": sram, "macs_count": macs,
                "energy_pj": dram * 8 * 4 + macs * 0.12 + lanes * 0.6 + times[binding] * 60, "binding": binding}

    def cost(self, p, chip, area, roofs, treatments, resident):
        ops = self.ops(p, chip, roofs, treatments, resident)
        latency = sum(op["latency_ns"] for op in ops)
        prefill = sum(op["latency_ns"] for op in ops if op["phase"] == "prefill")
        energy = sum(op["energy_pj"] for op in ops)
        return {"latency_ns": latency, "bound_latency_ns": latency * 0.93, "prefill_latency_ns": prefill,
                "time_per_token_ns": (latency - prefill) / 255, "throughput_tokens_per_s": 256e9 / latency, "energy_pj": energy,
                "energy_pj_per_token": energy / 256,
                "energy_parts": {"mac_pj": energy * 0.2, "vector_pj": energy * 0.1, "sram_pj": energy * 0.1, "dram_pj": energy * 0.6},
                "sustained_power_mw": energy / latency, "average_power_mw": energy / latency, "weight_bytes": 1e8, "kv_bytes": 1e7,
                "dram_bytes": 1.1e8, "dram_capacity_bytes": 4 * 2**30, "sram_resident_bytes": 0, "sram_bytes": chip["sram_mib"] * 2**20,
                "fits": True, "area_mm2": area["total_mm2"], "ops": ops, "tiers": {"bound_latency_ns": "bound", "default": "analytical"}}

    def residency(self, p, chip):
        room = int(chip["sram_mib"] / 2)
        names = [site for site in self.sites[p] if not site.endswith(".kv")]
        return {site: (1 if i < room - 1 else 0.5) for i, site in enumerate(names[-room:])} if room else {}

    def short_point(self, row, cap):
        chip = self.chip(row)
        area, roofs = self.area(chip), self.roofs(chip)
        point = {"chip": chip, "limits": self.limits(area, roofs), "area_parts_mm2": area, "roofs": roofs, "products": []}
        for p, (name, _, _) in enumerate(self.models):
            treatments, predicted = self.vary(p, *self.recipes[p][cap][row % len(self.recipes[p][cap])])
            resident = self.residency(p, chip)
            cost = self.cost(p, chip, area, roofs, treatments, resident)
            point["products"].append({
                "name": name, "treatments": treatments, "resident_frac": resident, "predicted_kl_nats": predicted,
                "bits_per_weight": self.bits_per_weight(p, treatments),
                **{key: cost[key] for key in ("latency_ns", "bound_latency_ns", "prefill_latency_ns", "time_per_token_ns",
                                              "throughput_tokens_per_s", "energy_pj", "energy_pj_per_token", "sustained_power_mw")},
                "groups": self.groups(cost["ops"])})
        return point

    def groups(self, ops):
        sums = {}
        for op in ops:
            key = (op["phase"], op["op"] if op["op"] in GROUPS else "other")
            group = sums.setdefault(key, [0.0, 0.0, 0.0, {}])
            for i, quantity in enumerate(("latency_ns", "energy_pj", "dram_bytes")):
                group[i] += op[quantity]
            group[3][op["binding"]] = group[3].get(op["binding"], 0) + op["latency_ns"]
        return [[*key, *group[:3], max(group[3], key=group[3].get)] for key, group in sorted(sums.items(), reverse=True)]

    def bits_per_weight(self, p, treatments):
        bits = [bits_of(LINEAR[t]) for site, t in zip(self.sites[p], treatments) if not site.endswith(".kv")]
        return sum(bits) / len(bits)

    def full_point(self, short, cap, measured=True):
        point = {"chip": short["chip"], "limits": short["limits"], "area_parts_mm2": short["area_parts_mm2"], "roofs": short["roofs"],
                 "power_parts_mw": {"multipliers_mw": 300.0, "sram_mw": 120.0, "dram_mw": 400.0, "leakage_mw": 80.0, "total_mw": 900.0},
                 "objective_value": short["products"][0]["latency_ns"], "gap_frac": 0.0004, "products": []}
        for p, product in enumerate(short["products"]):
            full = {"name": product["name"], "recipe": {site: self.menu(site)[t] for site, t in zip(self.sites[p], product["treatments"])},
                    "resident_frac": product["resident_frac"], "bits_per_weight": product["bits_per_weight"],
                    "predicted_kl_nats": product["predicted_kl_nats"],
                    "cost": self.cost(p, short["chip"], short["area_parts_mm2"], short["roofs"], product["treatments"], product["resident_frac"])}
            if measured and p == 0:
                row = digest("kl", short["chip"]["name"], cap)
                full.update(measured_kl_nats=cap * 0.985, measured_kl_stderr_nats=cap * 0.02, top1_agreement_frac=0.91,
                            certified_kl_nats=cap * 1.03, certified_kl_stderr_nats=cap * 0.02, measured_row=f"kl/{row}",
                            certified_row=f"kl/{digest(row)}")
            else:
                full["expected_kl_nats"] = product["predicted_kl_nats"] * 1.3
            point["products"].append(full)
        return point

    def shadow_prices(self, objective):
        rows = [("die area", "budget", "mm2", 40, 1, -0.012), ("peak power", "budget", "W", 5, 0.5, 0.0),
                ("DRAM bandwidth limit", "budget", "GB/s", 51.2, 1, -0.019), ("thermal headroom", "budget", "C", 60, 1, -0.004),
                ("shared SRAM", "chip", "MiB", 4, 1, -0.008), ("DRAM bandwidth", "chip", "GB/s", 43.5, 1, -0.021),
                ("native bf16 x bf16", "chip", "pair", 1, 1, 0.006), ("native fp4 x int8", "chip", "pair", 1, 1, None)]
        prices = []
        for resource, kind, unit, base, step, change in rows:
            price = {"resource": resource, "kind": kind, "unit": unit, "base": base, "step": step, "feasible": change is not None,
                     "binding": bool(change and change < 0), "chip": "c7", "recipe_changes": change == -0.008}
            if change is not None:
                price["objective_change_frac"] = change * (1 if objective == "latency" else 1.4)
            if resource == "native bf16 x bf16":
                price["broken_limit"] = "max_area_mm2"
            prices.append(price)
        return prices

    def tornado(self):
        rows = []
        for i, (key, value, low, high, unit) in enumerate(CONSTANTS):
            swing = 0.11 / (i + 1)
            changes = i in (2, 4)
            rows.append({"constant": key, "value": value, "low": low, "high": high, "unit": unit,
                         "objective_change_low_frac": -swing, "objective_change_high_frac": swing * 1.2,
                         "regret_low_frac": 0.0, "regret_high_frac": 0.008 if changes else 0.0,
                         "winner_fits_low": True, "winner_fits_high": i != 4, "chip_low": "c1", "chip_high": "c2" if changes else "c1",
                         "winner_changes": changes, "searched": "space" if i < 4 else "contenders", "num_contenders": 32})
            if i == 4:  # this chip, and all that were tried, would break a limit
                rows[-1].update(regret_high_frac=None, objective_change_high_frac=None, chip_high=None)
        return rows

    def scenario(self, objective, cap, front):
        base = {"objective": objective, "kl_cap_nats": cap, "feasible": True, "why_not": "", "joint_from": "joint"}
        near = [point for point in front if point["kl_cap_nats"] == cap] or [dict(self.short_point(0, cap), kl_cap_nats=cap)]
        fits = [point for point in near if point["limits"]["area_mm2"] <= 40] or near
        score = {"latency": lambda p: p["products"][0]["latency_ns"], "energy": lambda p: p["products"][0]["energy_pj"],
                 "latency_area": lambda p: p["products"][0]["latency_ns"] * p["limits"]["area_mm2"]}[objective]
        ranked = sorted(fits, key=score)
        measured = not self.options.unmeasured
        base["recommendation"] = self.full_point(ranked[0], cap, measured)
        base["elasticity"] = 0.21
        base["baselines"], base["settle_steps"] = [], {"joint": [{"predicted_cap_nats": cap / 1.3, "worst_ratio": 0.985, "objective_value": 1.0}]}
        for i, name in enumerate(["recipe_first", "size_first", "silicon_first_w8a8", "silicon_first_w4a16", "best_uniform"]):
            ratio = [1.012, 1.034, 1.21, 1.07, 1.05][i]
            row = {"name": name, "feasible": name != "silicon_first_w4a16", "why_not": "", "fixed_first": f"what {name} fixes first"}
            if not row["feasible"]:
                row["why_not"] = "no recipe keeps the cap on a chip built for W4A16"
            else:
                row.update(ratio=ratio, ratio_low=ratio - 0.02, ratio_high=ratio + 0.02, same_point=False,
                           verdict="established" if ratio - 0.02 > 1 else "not established",
                           point=self.full_point(ranked[min(i + 1, len(ranked) - 1)], cap, measured))
                base["settle_steps"][name] = [{"predicted_cap_nats": cap / 1.3, "worst_ratio": 0.99, "objective_value": ratio}]
            base["baselines"].append(row)
        base["shadow_prices"] = self.shadow_prices(objective)
        base["tornado"] = self.tornado()
        base["row"] = f"scenario/{digest(objective, cap)}"
        return base

    def additivity(self):
        recipes = []
        for i in range(24):
            predicted = 0.01 * 1.25 ** i
            recipes.append({"name": f"mixed {i}", "bits_per_weight": 8 - i * 0.15, "predicted_nats_per_token": predicted,
                            "measured_nats_per_token": predicted * 1.3 * self.random.lognormvariate(0, 0.08), "row": f"kl/{digest(i)}"})
        return {"num_recipes": 24, "spearman": 0.987, "r2_log": 0.97, "bias_ratio": 1.3, "bias_spread_ratio": 1.08, "bias_min_ratio": 1.1,
                "bias_max_ratio": 1.52, "recipes": recipes}

    # The answers of the first objective: one passes, one is undecided; a second target could not be run.
    def accuracy(self, caps):
        def interval(middle, half):
            return {"lower_frac": middle - half, "upper_frac": middle + half, "confidence_frac": 0.95}

        def verdict(decision, lost, gained, kl):
            tasks, asked = [], 0
            for i in range(57):
                here = (lost * (i + 1) // 57 - lost * i // 57, gained * (i + 1) // 57 - gained * i // 57)
                tasks.append({"task": f"mmlu_subject_of_a_long_name_{i}", "lost": here[0], "gained": here[1], "both_right": 8 - here[0], "both_wrong": 12 - here[1]})
                asked += 20
            right = sum(t["both_right"] + t["lost"] for t in tasks)
            difference = (gained - lost) / asked
            return {"target": 0, "decision": decision, "certified_kl_nats": kl, "num_asked": asked, "stopped_early": False,
                    "verdict": {"decision": decision, "method": "exact unconditional test", "kind": "population", "questions_to_decide": 2600 if decision == "undecided" else None},
                    "baseline": {"score_frac": right / asked, "stderr_frac": 0.014, "num_questions": asked},
                    "candidate": {"score_frac": right / asked + difference, "stderr_frac": 0.014, "num_questions": asked},
                    "counts": {"lost": lost, "gained": gained, "both_right": right - lost, "both_wrong": asked - right - gained},
                    "mcnemar_p_exact": 0.4, "mcnemar_p_mid": 0.35, "difference": interval(difference, 0.012), "difference_clustered_by_task": interval(difference, 0.015),
                    "power": [{"num_questions": asked, "pass_frac": 0.9, "fail_frac": 0.01}], "tasks": tasks, "flips": []}
        answers = [{"scenario": 0, "objective": "latency", "kl_cap_nats": caps[0], "decision": "pass", "targets": [verdict("pass", 30, 26, 0.05)]},
                   {"scenario": 1, "objective": "latency", "kl_cap_nats": caps[1], "decision": "undecided", "targets": [verdict("undecided", 62, 40, 0.14)]}]
        points = [{"kl_nats": a["targets"][0]["certified_kl_nats"], "difference_frac": (a["targets"][0]["counts"]["gained"] - a["targets"][0]["counts"]["lost"]) / 1140,
                   "stderr_frac": 0.007} for a in answers]
        score = {"score_frac": 0.4, "stderr_frac": 0.0145, "num_questions": 1140}
        flips = [{"task": "mmlu_subject_of_a_long_name_3", "doc_id": 7, "baseline_margin_nats": 0.4, "candidate_margin_nats": -0.02, "righted_by": ["layers 0-7", "head"]},
                 {"task": "mmlu_subject_of_a_long_name_9", "doc_id": 1, "baseline_margin_nats": 0.1, "candidate_margin_nats": -0.3, "righted_by": []}]
        return {"targets": [{"benchmark": "mmlu", "product": "chat", "margin_frac": 0.03, "floor_frac": 0, "verdict": "population", "num_questions": 1140, "baseline": score,
                             "points": points, "map": {"slope_frac_per_nat": -0.12, "stderr_frac_per_nat": 0.05, "misfit": 1, "num_points": 2, "largest_kl_nats": 0.14}},
                            {"benchmark": "gsm8k", "product": "chat", "margin_frac": 0.05, "floor_frac": 0, "verdict": "population", "why_not": "gsm8k/test.jsonl: no such file"}],
                "answers": answers,
                "recommended": [{"objective": "latency", "scenario": 0, "explained": [{"target": 0, "groups": ["layers 0-7", "layers 8-15", "head"], "flips": flips}]},
                                {"objective": "latency_area", "scenario": None, "why_not": "the answer with the smallest loss is undecided"}]}

    def record(self):
        options = self.options
        caps = options.caps
        self.recipes = [{cap: [self.choose(p, cap / 1.3) for _ in range(8)] for cap in caps} for p in range(len(self.models))]
        front = []
        for row in range(0 if options.frozen else options.points):
            cap = caps[row % len(caps)]
            front.append({"kl_cap_nats": cap, "metric": "energy" if row % 5 == 4 else "latency", **self.short_point(row, cap)})
        scenarios = [self.scenario(objective, cap, front) for objective in ["latency", "latency_area"] for cap in caps]
        if options.frozen:
            for scenario in scenarios:
                scenario["baselines"] = []
                scenario["shadow_prices"] = [row for row in scenario["shadow_prices"] if row["kind"] == "chip"]
        if options.infeasible:
            scenarios[0] = {"objective": "latency", "kl_cap_nats": caps[0], "feasible": False, "row": f"scenario/{digest(0)}",
                            "why_not": "no chip within max_area_mm2 = 40 holds the weights at this loss", "joint_from": "",
                            "baselines": [{"name": "recipe_first", "feasible": False, "why_not": "nothing fits", "fixed_first": ""}],
                            "settle_steps": {"joint": []}, "shadow_prices": [], "tornado": []}
        num_chips = 1 if options.frozen else 9797760
        search = {"num_chips": num_chips, "rejected": {"max_area_mm2": 2000000, "max_peak_power_w": 400000}, "num_in_budget": 7397760,
                  "num_pruned": 7390000, "num_allocated": 7760, "exact": True, "method": "exact", "front_epsilon_frac": 0.001}
        if options.heuristic:
            search = {"num_chips": 3 * 10**11, "rejected": {}, "exact": False, "method": "nsga2", "evaluations": 120000, "seeds": [1, 2],
                      "bound_gap_frac": 0.043, "front_epsilon_frac": 0.001}
        if options.frozen:
            search = {}
        record = {
            "schema_version": 2, "name": options.name, "question": "Which recipe and which chip fit each other, and does choosing them together pay?",
            "num_chips": search.get("num_chips", 1), "optimality_gap_frac": 0.0006,
            "additivity_spearman": None if options.unmeasured else 0.987,
            "additivity": None if options.unmeasured else self.additivity(),
            "products": [{"name": name, "model": model, "shape": dict(shape), "workload": {"name": "chat_512_256", "prompt_tokens": 512,
                          "output_tokens": 256, "batch": 1}, "weight": 1, "loss_profile": "own" if p == 0 and not options.unmeasured else
                          "borrowed from smollm2-135m", "weights_digest": digest("weights", model), "off_grid_seed": 7,
                          "profile_row": f"profile/{digest('profile', model)}"}
                         for p, (name, model, shape) in enumerate(self.models)],
            "loss_table": [{"product": name, "sites": self.sites[p], "loss_nats": self.losses[p]} for p, (name, _, _) in enumerate(self.models)],
            "texts": {part: {"description": "text drawn from the released model", "num_tokens": 768, "digest": digest("text", part)}
                      for part in ("profile", "select", "certify")},
            "menu": {"linear": LINEAR, "kv": KV},
            "budget": {"max_area_mm2": 40, "max_peak_power_w": 5, "max_sustained_power_w": 4, "max_power_density_w_per_mm2": 0.5,
                       "max_price_usd": 1e9, "max_dram_gb_per_s": 51.2, "thermal_headroom_c": 60},
            "space": {"nodes": ["n7"], "clock_mhz": [600, 800, 1000], "cores": [1, 2, 4],
                      "format_sets": [{"name": n, "sharing": "separate", "pairs": [{"weight": w, "activation": a} for w, a in pairs]}
                                      for n, pairs in FORMAT_SETS], "sram_mib": [0.5, 1, 2, 4, 8, 16, 32]},
            "search": search, "front": front, "scenarios": scenarios,
            "constants": [{"key": k, "value": v, "low": lo, "high": hi, "unit": u, "source": "made up for tests", "date": "2024-01-01"}
                          for k, v, lo, hi, u in CONSTANTS],
            "rows": {"sweep": f"sweep/{digest('sweep')}", "study": f"study/{digest('study')}"},
            "chips_per_s": 1e6,
            "run": {"prepare_s": 1.5, "validate_s": 20.0, "sweep_s": 9.0, "scenarios_s": 60.0, "threads": 2, "version": "0.1.0"}}
        if options.frozen:
            del record["space"]
        if options.accuracy:
            record["accuracy"] = self.accuracy(caps)
        return record


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=60, help="points of the front [60]")
    parser.add_argument("--products", type=int, choices=[1, 2], default=1, help="products on the chip [1]")
    parser.add_argument("--caps", type=float, nargs="+", default=[0.05, 0.15, 0.4], help="loss caps [0.05 0.15 0.4]")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn [1]")
    parser.add_argument("--name", default="synthetic", help="name of the study [synthetic]")
    parser.add_argument("--infeasible", action="store_true", help="the first scenario has no answer")
    parser.add_argument("--frozen", action="store_true", help="one given chip: no front, no baselines, no space")
    parser.add_argument("--unmeasured", action="store_true", help="no weights: losses are borrowed, nothing was measured")
    parser.add_argument("--heuristic", action="store_true", help="the space was too large to enumerate")
    parser.add_argument("--accuracy", action="store_true", help="with targets of benchmarks")
    return parser.parse_args(arguments)


def make_record(*arguments):
    return Maker(parse(arguments)).record()


if __name__ == "__main__":
    json.dump(make_record(*sys.argv[1:]), sys.stdout)
