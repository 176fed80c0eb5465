"""Prints the results as one Markdown table. Every figure comes from RESULTS; none is typed in."""

from rows import ROWS

BUSY_LOAD = 0.5  # a run that began under more load than this was not alone on the machine


def seconds_of(result):
    if "seconds" not in result:
        return ""
    mark = "*" if result["load_before"] > BUSY_LOAD else ""
    return f"{result['seconds']:.0f}{mark}"


def cells_of(result):
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    if "error" in result:
        first = result["error"].splitlines()[0].replace("|", "/")
        return ["", "", first[:160], "", "", seconds_of(result), "", "", versions]
    if "kl_nats_per_token" not in result:
        return ["", "", "not evaluated", "", "", seconds_of(result), "", "", versions]
    stored = result.get("stored_bits_per_weight")
    return [
        f"{result['bits_per_weight']:.3f}",
        "" if stored is None else f"{stored:.3f}",
        f"{result['kl_nats_per_token']:.4f} ± {result['kl_stderr_nats_per_token']:.4f}",
        "",
        f"{100 * result['top1_agreement_frac']:.1f}",
        seconds_of(result),
        f"{result['cpu_seconds']:.0f}",
        f"{result['peak_rss_bytes'] / 2**30:.2f}",
        versions,
    ]


def entries_of(row, results):
    """(side, label, result) of a row, in its order, known ones only."""
    named = [(entry.side, entry.label) for entry in row.peers]
    named += [("dovetail", treatment) for treatment in row.treatments]
    return [(side, label, results[f"{row.name}/{side}/{label}"]) for side, label in named
            if f"{row.name}/{side}/{label}" in results]


def print_table(results):
    head = ["row", "side", "what", "bits/weight", "stored bits", "KL, nats/token", "÷ best peer",
            "top-1 %", "s", "CPU s", "peak GiB", "versions"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in ROWS:
        entries = entries_of(row, results)
        peers = [r["kl_nats_per_token"] for side, _, r in entries
                 if side != "dovetail" and "kl_nats_per_token" in r]
        for side, label, result in entries:
            cells = cells_of(result)
            if side == "dovetail" and peers and "kl_nats_per_token" in result:
                cells[3] = f"{result['kl_nats_per_token'] / min(peers):.2f}"
            print("| " + " | ".join([row.title, side, label, *cells]) + " |")
    if any(r["load_before"] > BUSY_LOAD for r in results.values()):
        print("\n\\* began while the machine was doing other work: not a time to quote.")
    print("\nSeconds: of a peer its call alone, model already loaded (llama.cpp: with the importance "
          "matrix, where one is used); of Dovetail the whole process. CPU seconds and peak resident "
          "memory: the whole process on both sides.")
