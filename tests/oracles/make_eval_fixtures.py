#!/usr/bin/env python3
"""Makes src/eval/testdata/*.json out of lm-eval itself: what Dovetail's benchmarks must agree with.

    make_eval_fixtures.py DATA OUT

DATA is the folder that DOVETAIL_DATA names; OUT is src/eval/testdata. Needs Python 3.11 with
lm-eval 0.4.13, transformers 5.23, evaluate and torch. No text of a benchmark is written, only sums.

    prompts.json    SHA-256 of every prompt of each task, plain and as conversations
    answers.json    own strings through lm-eval's filters and metrics, detokeniser, pairs and windows
    tokens.json     SHA-256 of every request's token ids, by tokenizer
"""
import hashlib
import json
import os
import pathlib
import random
import re
import sys

DATA, OUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
os.environ["DOVETAIL_DATA"] = str(DATA)
from local_lm_eval import task_manager, use_local_files
import tokenizers
import transformers
from lm_eval.api import metrics
from lm_eval.api.model import TemplateLM
from lm_eval.filters.extraction import RegexFilter
from lm_eval.models import utils as model_utils
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window


def sha(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def tasks_of(name, num_fewshot=None):
    loaded = task_manager().load([name])["tasks"]
    for task in loaded.values():
        if num_fewshot is not None and task.config.num_fewshot != 0:
            task.set_config("num_fewshot", num_fewshot)
        task.set_fewshot_seed(1234)
    return [loaded[key] for key in sorted(loaded)]


def render(messages, add_generation_prompt=True):
    """A chat template of our own, simple enough to be written twice."""
    text = "".join(f"<{m['role']}>{m['content']}</{m['role']}>\n" for m in messages)
    if add_generation_prompt:
        return text + "<assistant>"
    return text.removesuffix("</assistant>\n")


def requests_of(task, **options):
    task.set_fewshot_seed(1234)
    task.build_all_requests(**options)
    return [instance.args for instance in task.instances]


# Name here, lm-eval's task, examples, limit, keywords of build_all_requests.
FORMS = [
    ("mmlu_0", "mmlu", None, None, {}),
    ("mmlu_5", "mmlu", 5, None, {}),
    ("mmlu_2_turns", "mmlu", 2, 3, {"apply_chat_template": True, "fewshot_as_multiturn": True, "chat_template": render}),
    ("mmlu_2_one_turn", "mmlu", 2, 3, {"apply_chat_template": True, "fewshot_as_multiturn": False, "chat_template": render,
                                       "system_instruction": "Think."}),
    ("gsm8k", "gsm8k", None, None, {}),
    ("gsm8k_0", "gsm8k", 0, 20, {}),
    ("gsm8k_30", "gsm8k", 30, 20, {}),
    ("gsm8k_turns", "gsm8k", None, 20, {"apply_chat_template": True, "fewshot_as_multiturn": True, "chat_template": render,
                                        "system_instruction": "Think. "}),
    ("gsm8k_one_turn", "gsm8k", None, 20, {"apply_chat_template": True, "fewshot_as_multiturn": False,
                                           "chat_template": render}),
    ("gsm8k_cot", "gsm8k_cot", None, None, {}),
    ("gsm8k_cot_3", "gsm8k_cot", 3, 20, {"system_instruction": "Think."}),
    ("humaneval", "humaneval", None, None, {}),
    ("humaneval_instruct", "humaneval_instruct", None, None, {}),
    ("humaneval_instruct_turns", "humaneval_instruct", None, None,
     {"apply_chat_template": True, "fewshot_as_multiturn": True, "chat_template": render}),
    ("wikitext", "wikitext", None, None, {}),
]


def digest_of(prompts):
    """Of all prompts: one sum over the single sums."""
    return sha("".join(sha(prompt) for prompt in prompts))


def make_prompts(encoders):
    prompts, tokens = {}, {name: {} for name in encoders}
    for name, task_name, shots, limit, options in FORMS:
        all_prompts, firsts, choices, ids = [], {}, set(), {key: hashlib.sha256() for key in encoders}
        for task in tasks_of(task_name, shots):
            requests = requests_of(task, limit=limit, **options)
            step = 4 if task_name == "mmlu" else 1
            questions = [request[0] for request in requests[::step]]
            all_prompts += questions
            firsts[task.config.task] = [sha(question) for question in questions[:3]]
            if task_name == "mmlu":
                choices.update(request[1] for request in requests)
            if not options:
                for key, encoder in encoders.items():
                    for request in requests[:40 * step]:
                        ids[key].update(encoder.ids_text(task_name, request).encode())
        prompts[name] = {"count": len(all_prompts), "sha256": digest_of(all_prompts), "first": firsts,
                         "choices": sorted(choices)}
        if not options:
            for key in encoders:
                tokens[key][name] = ids[key].hexdigest()
        print(name, prompts[name]["count"], flush=True)
    return prompts, tokens


class Encoder(TemplateLM):
    """lm-eval's own pairing over one tokenizer.json; no model behind it."""

    def __init__(self, path, nfc, prefix):
        super().__init__()
        self.inner = tokenizers.Tokenizer.from_file(str(path))
        if nfc:
            self.inner.normalizer = tokenizers.normalizers.NFC()
        self.prefix = prefix

    eot_token_id = property(lambda self: self.prefix)
    prefix_token_id = property(lambda self: self.prefix)

    def tok_encode(self, string, add_special_tokens=None, **_):
        return self.inner.encode(string, add_special_tokens=False).ids

    def ids_text(self, task_name, request):
        """One line a request: ids of the context, a bar, ids of the continuation."""
        if task_name == "mmlu":
            context, continuation = self._encode_pair(*request)
            return " ".join(map(str, context)) + "|" + " ".join(map(str, continuation)) + "\n"
        return " ".join(map(str, self.tok_encode(request[0]))) + "\n"

    def _loglikelihood_tokens(self, requests, **_):
        return [(0.0, False, context, continuation) for _, context, continuation in requests]

    def loglikelihood_rolling(self, *_, **__):
        raise NotImplementedError

    def generate_until(self, *_, **__):
        raise NotImplementedError


# Own strings: what models write at the end of a sum, and what trips the patterns.
HAND_WRITTEN = [
    "", " ", "\n", "42", "#### 42", "#### 42.", "####42", "#### $42", "#### -42", "#### 1,000.00", "#### 1000\n#### 7",
    "so she has 18 eggs.\n#### 18", "The answer is 18.", "The answer is 18", "The answer is 1000", "The answer is $18.",
    "The answer is 18 eggs.", "The answer is -3.5.", "The answer is 1,234.", "the answer is 5.", "The answer is 5!",
    "The answer is 12\n", "The answer is 7\nThe answer is 8.", "and then... nothing", "it costs $", "it costs $$ 5",
    "so 3 eggs...", "18.", "18..", ".5", "-.5", "- 5", "--5", "5-3", "1/2", "1e5", "\u0664\u0662", "#### \u0664\u0662",
    "\uff11\uff12", "#### 4\u00a02", "#### 18\u2028", "#### 18 #### ", "#### ", "####  18", "#### 18 apples", "[invalid]",
    "#### [invalid]", "#### .", "#### ,", "#### -", "#### 0", "#### 00018", "#### 18.0", "#### 18.50", "$18.00", "A: 18",
    "\x1c18\x1c", "18\u180e", "\u0130 18", "\u017fum 18", "\u212a 18", "caf\u00e9 18\u00bd", "18 \U0001f600", "x\r\n18\r\n",
    "Q: 18", "#### 1 8", "1,000,000", "1.000.000", "-1,5", "$-5", "-$5", "#### -$5", "#### $-5", "#### 5%", "5 % 5",
    "...", "$$$", ",,,", "-", "----", "-,", "$.", "1$", "1,", "1.",
]
REFERENCES = ["#### 18", "She has 9 * 2 = <<9*2=18>>18.\n#### 18", "x\n#### 1,000", "18", "1000", "-3.5", "$18.00", "#### 18.",
              "#### 0", "[invalid]", "5"]
PIECES = ["#### ", "The answer is ", "18", "1,000", "$", ".", ",", "-", " ", "\n", "...", "42", "\u00a0", "x", "\u0664", "7.50",
          "####", ":", "\r", "\u2028", "A", "\u0130", "=", "<<1+1=2>>", "'", '"', "(", ")", "[", "]", "{", "}", "\x1d", "\u180e"]


def random_strings(count, seed):
    chooser = random.Random(seed)
    return ["".join(chooser.choice(PIECES) for _ in range(chooser.randrange(1, 14))) for _ in range(count)]


def filters():
    return [(name, pattern, select) for name, pattern, select in [
        ("gsm8k strict", r"#### (\-?[0-9\.\,]+)", 0),
        ("gsm8k_cot strict", r"The answer is (\-?[0-9\.\,]+).", 0),
        ("flexible", r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)]]


def make_answers():
    texts = HAND_WRITTEN + random_strings(400, 7)
    filtered = []
    for name, pattern, select in filters():
        inner = RegexFilter(regex_pattern=pattern, group_select=select)
        filtered.append({"name": name, "pattern": pattern, "last": select == -1,
                         "outputs": [inner.apply([[text]], [{}])[0][0] for text in texts]})
    ignored = [",", "\\$", "(?s).*#### ", "\\.$"]
    matches = []
    for text in HAND_WRITTEN + random_strings(100, 8):
        # numpy's strings end at their last character that is not NUL; none of these has one.
        matches.append([text, [bool(metrics.exact_match_hf_evaluate(
            [text], [reference], regexes_to_ignore=ignored, ignore_case=True)["exact_match"]) for reference in REFERENCES]])
    return {"texts": texts, "filters": filtered, "references": REFERENCES, "exact_match": matches, **make_python(texts),
            **make_wikitext(), **make_windows(), **make_stops(), "random": make_random(), **make_scores()}


def make_python(texts):
    spaces = [code for code in range(0x110000) if chr(code).isspace()]
    classes = [code for code in range(0x110000) if not 0xd800 <= code < 0xe000 and re.search(r"\s", chr(code))]
    assert spaces == classes
    patterns = [r"\s+", r"[^\s]+", r"x*", r"\w+", r"(a)|(b)|", r"^\s*-.*$", r".$", r"\bA\b"]
    multi_line = {r"^\s*-.*$"}
    cases = []
    for pattern in patterns:
        regex = re.compile(pattern, re.M if pattern in multi_line else 0)
        for text in texts[:160] + ["ab xx", "abxd", "- a\n\n - b\r\n-c", "a\n", "a\n\n"]:
            found = [[m.group(0), *[g or "" for g in m.groups()]] for m in regex.finditer(text)]
            cases.append([pattern, pattern in multi_line, text, found, regex.sub("_", text)])
    broken = [b"a\xff", b"\xe2\x82", b"\xe2\x82x", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xc0\xaf",
              b"\xf4\x90\x80\x80", b"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", b""]
    return {"spaces": spaces, "regex": cases,
            "replaced": [[list(text), text.decode("utf-8", errors="replace")] for text in broken],
            "stripped": [[text, text.strip(), text.rstrip()] for text in texts]}


def make_wikitext():
    from lm_eval.tasks.wikitext import preprocess_wikitext
    pages = [" = A = \n\n The cat 's \" mat \" ( red ) , it @-@ is 1 @,@ 000 ; = = B = = \n 5 \u00b0 N 3 \n",
             "s ' [ 1 ] { x } ' quoted ' = = = C = = = \n= = = = D = = = =\n a @.@ b : c ! d ? e . f", "", " ", "\n\n",
             "/' 5/ \" a \" b \" c", "( ( a ) b )", "(\u00a0a\u2003)", "[\x1c a \x1d]", "(\u180ea )"]
    pages += [" ".join(text) for text in [["( ", "x", " )", "\" a \"", "N", "'s"]]] + random_strings(150, 9)
    rows = []
    for page in pages:
        _, words = preprocess_wikitext.process_results({"page": page}, (0.0,))["word_perplexity"]
        rows.append([page, preprocess_wikitext.wikitext_detokenizer({"page": page}), words])
    return {"wikitext": rows}


def make_windows():
    rows = []
    for size in range(0, 24):
        for length in (1, 2, 3, 5, 8):
            windows = map(make_disjoint_window, get_rolling_token_windows(list(range(size)), -1, length, 1))
            rows.append([size, length, [[list(a), list(b)] for a, b in windows]])
    return {"windows": rows}


def make_stops():
    stops = [["Question:", "</s>"], ["\nclass", "\ndef", "\n#", "\nif", "\nprint"], ["a", "b"], ["ab", "ba"], ["x", ""]]
    texts = ["", "a", "abba", "bab", " x = 1\ndef f():", "1\n\nclass A", "Question: 5</s>Question:", "</s>", "\n#\n#", "no stop  ",
             "if\nif", "\nif", "x\u00e9\nprint", "Question", "aQuestion:", "xyz"]
    return {"stops": [[text, list(stop), model_utils.postprocess_generated_text(text, stop, None)]
                      for stop in stops for text in texts]}


def make_random():
    rows = []
    for seed in (0, 1, 42, 1234, 2**32 - 1, 2**32, 2**63 + 5):
        source = random.Random(seed)
        rows.append({"seed": seed, "bits": [source.getrandbits(32) for _ in range(700)][-5:],
                     "below": [source.randrange(limit) for limit in (1, 2, 3, 1000, 7473, 2**31, 2**32 - 1)],
                     "samples": [[n, k, source.sample(range(n), k)] for n, k in
                                 ((1, 1), (5, 5), (21, 5), (22, 5), (30, 6), (84, 20), (85, 20), (86, 20), (7473, 5),
                                  (7473, 64), (10, 0))]})
    return rows


def make_scores():
    chooser = random.Random(3)
    groups, rows = [], []
    for _ in range(6):
        answers = [chooser.random() < 0.4 for _ in range(chooser.randrange(2, 40))]
        rows.append([answers, metrics.mean(answers), metrics.mean_stderr(answers)])
    sizes = [len(answers) for answers, _, _ in rows]
    groups = {"score": metrics.aggregate_subtask_metrics([mean for _, mean, _ in rows], sizes),
              "stderr": float(metrics.pooled_sample_stderr([error for _, _, error in rows], sizes))}
    pages = [(-chooser.random() * 1000, chooser.randrange(1, 500)) for _ in range(5)]
    return {"scores": rows, "pooled": groups,
            "perplexity": {"pages": pages, "word": metrics.weighted_perplexity(pages), "bits": metrics.bits_per_byte(pages)}}


def make_pairs(encoders):
    contexts = ["Answer:", "Answer: ", "a\n", "x  \t", " lead", "\u00a0", "a\u00a0", "", "1 2", "e\u0301", "tail\u3000", "<|im_end|>\n"]
    continuations = [" A", "A", "\nA", " 18", "\u0301", "  x", "B"]
    rows = {}
    for name, encoder in encoders.items():
        rows[name] = []
        for context in contexts:
            for continuation in continuations:
                class Request:
                    args = (context, continuation)
                if context.strip() == "" and context:
                    continue  # the context has no token then
                (_, _, left, right), = encoder.loglikelihood([Request], disable_tqdm=True)
                rows[name].append([context, continuation, left, right])
    return rows


def write(name, value):
    # A row a line: small, and a difference shows where it is.
    lines = []
    for key, entry in value.items():
        inner = json.dumps(entry) if not isinstance(entry, list) else "[\n" + ",\n".join(json.dumps(e) for e in entry) + "\n]"
        lines.append(f"{json.dumps(key)}: {inner}")
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main():
    use_local_files()
    OUT.mkdir(parents=True, exist_ok=True)
    # transformers normalises Qwen's text to NFC, whatever tokenizer.json says.
    encoders = {"smollm2": Encoder(DATA / "tokenizers" / "smollm2" / "tokenizer.json", nfc=False, prefix=1),
                "qwen3": Encoder(DATA / "tokenizers" / "qwen3" / "tokenizer.json", nfc=True, prefix=151643)}
    write("answers.json", make_answers())
    prompts, tokens = make_prompts(encoders)
    write("prompts.json", prompts)
    write("tokens.json", {**tokens, "pairs": make_pairs(encoders), "made_with": f"transformers {transformers.__version__}"})


main()
