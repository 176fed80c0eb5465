"""KL(uncompressed || compressed) over the full vocabulary in torch, as src/eval/kl.h defines it.

The second evaluator: it checks `dovetail eval kl DIR --against`, which the table uses, and emulates
activations that Dovetail's own formats do not have.

Usage: measure_kl.py JOB.json, with keys
  model, tokens        uncompressed folder, tokens.json of export_model.py
  treated              folder that read_checkpoint.py wrote
  activations          null, or "int8_token": inputs of the block linears rounded per token as
                       compressed-tensors' dynamic symmetric INT8 does
  reference            file that keeps the uncompressed model's last hidden states
Prints one JSON object. Needs: torch, transformers.
"""

import json
import math
import pathlib
import sys

import torch
import transformers

BLOCK_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

CHUNK_ROWS = 256


def load(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


@torch.no_grad()
def hidden_states(model, windows):
    """(windows, tokens - 1, h): what the head sees at the scored positions."""
    return [model.model(torch.tensor([w])).last_hidden_state[0, :-1].clone() for w in windows]


def round_per_token(module, inputs):
    x = inputs[0]
    scale = (x.abs().amax(dim=-1, keepdim=True) / 127.5).clamp_min(torch.finfo(torch.float32).eps)
    return (torch.clamp(torch.round(x / scale), -128, 127) * scale,)


def round_activations(model, kind):
    if kind is None:
        return
    if kind != "int8_token":
        raise SystemExit(f"activations = {kind}, want int8_token")
    for name, module in model.named_modules():
        if name.split(".")[-1] in BLOCK_LINEARS:
            module.register_forward_pre_hook(round_per_token)


@torch.no_grad()
def window_stats(reference, treated, head_reference, head_treated, labels):
    """Sums over the scored positions of one window: KL, agreeing best tokens, negative logs."""
    kl = agreeing = nll = nll_reference = 0.0
    for start in range(0, reference.shape[0], CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        p_logits = reference[rows] @ head_reference.T
        q_logits = treated[rows] @ head_treated.T
        agreeing += (p_logits.argmax(-1) == q_logits.argmax(-1)).sum().item()
        # sum p (log p - log q), the large sums in double: a loss of 1e-3 keeps four digits.
        p_log_sum = torch.logsumexp(p_logits, -1).double()
        q_log_sum = torch.logsumexp(q_logits, -1).double()
        p = torch.exp(p_logits - p_log_sum.float().unsqueeze(-1))
        # p is divided by its own sum: what rounding left over would otherwise weigh q_log_sum.
        total = p.sum(-1, dtype=torch.float64)
        mean_gap = (p * (p_logits - q_logits)).sum(-1, dtype=torch.float64) / total
        kl += (mean_gap - p_log_sum + q_log_sum).sum().item()
        index = labels[rows].unsqueeze(-1)
        nll -= (q_logits.gather(-1, index).squeeze(-1).double() - q_log_sum).sum().item()
        nll_reference -= (p_logits.gather(-1, index).squeeze(-1).double() - p_log_sum).sum().item()
    return kl, agreeing, nll, nll_reference


def reference_states(job, windows):
    path = pathlib.Path(job["reference"])
    if path.exists():
        return torch.load(path)
    states = hidden_states(load(job["model"]), windows)
    torch.save(states, path)
    return states


def measure(job):
    torch.set_num_threads(job["threads"])
    windows = json.loads(pathlib.Path(job["tokens"]).read_text())["evaluation"]
    reference = reference_states(job, windows)
    treated_model = load(job["treated"])
    round_activations(treated_model, job.get("activations"))
    treated = hidden_states(treated_model, windows)
    head = load(job["model"]).lm_head.weight.detach()
    sums = [window_stats(p, q, head, treated_model.lm_head.weight.detach(), torch.tensor(w[1:]))
            for p, q, w in zip(reference, treated, windows)]
    lengths = [len(w) - 1 for w in windows]
    tokens = sum(lengths)
    means = [s[0] / n for s, n in zip(sums, lengths)]
    mean = sum(s[0] for s in sums) / tokens
    spread = math.sqrt(sum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means))
    return {
        "kl_nats_per_token": mean,
        "kl_stderr_nats_per_token": spread,
        "window_kl_nats_per_token": means,
        "top1_agreement_frac": sum(s[1] for s in sums) / tokens,
        "perplexity": math.exp(sum(s[2] for s in sums) / tokens),
        "reference_perplexity": math.exp(sum(s[3] for s in sums) / tokens),
        "num_tokens": tokens,
        "evaluator": f"torch {torch.__version__}, transformers {transformers.__version__}",
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(pathlib.Path(sys.argv[1]).read_text()))))
