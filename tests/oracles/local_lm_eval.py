"""lm-eval on local files instead of a hub: what the scripts here that drive it share."""
import csv
import functools
import json
import os
import pathlib

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_ALLOW_CODE_EVAL="1", TQDM_DISABLE="1")
import datasets
import lm_eval

assert lm_eval.__version__ == "0.4.13", lm_eval.__version__
EVAL = pathlib.Path(os.environ.get("DOVETAIL_DATA", "../shared/data")) / "eval"


def mmlu_rows(subject, split):
    with open(EVAL / "mmlu" / split / f"{subject}_{split}.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {"question": row["question"], "subject": subject, "answer": int(row["answer"]),
                   "choices": [row[f"choice{i}"] for i in range(4)]}


def json_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def wikitext_pages():
    """As the data set EleutherAI/wikitext_document_level cuts the file into pages."""
    page, lines = [], (EVAL / "text" / "wikitext-2-raw.wiki.test.raw").read_text(encoding="utf-8").split("\n")
    for line in lines:
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            if "\n".join(page).strip():
                yield {"page": "\n".join(page)}
            page = []
        page.append(line)
    yield {"page": "\n".join(page)}


def load_dataset(path, name=None, **_):
    """Stands in for datasets.load_dataset: local files instead of a hub."""
    if path == "cais/mmlu":
        parts = {split: list(mmlu_rows(name, split)) for split in ("test", "dev")}
    elif path == "openai/gsm8k":
        parts = {split: json_lines(EVAL / "gsm8k" / f"{split}.jsonl") for split in ("train", "test")}
    elif path == "openai/openai_humaneval":
        parts = {"test": json_lines(EVAL / "humaneval" / "HumanEval.jsonl")}
    elif path == "google/IFEval":
        parts = {"train": json_lines(EVAL / "ifeval" / "input_data.jsonl")}
    elif path == "EleutherAI/wikitext_document_level":
        pages = list(wikitext_pages())
        parts = {"test": pages, "validation": pages[:1], "train": pages[:1]}
    else:
        raise ValueError(path)
    return datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split, rows in parts.items()})


def without_code_eval():
    """lm-eval's humaneval loads a metric from a hub when it is imported; prompts do not need it."""
    import evaluate

    class Absent:
        def compute(self, **_):
            return ({"pass@1": 0.0}, {})

    evaluate.load = lambda *_, **__: Absent()


@functools.cache
def task_manager():
    from lm_eval.tasks import TaskManager
    return TaskManager()  # reads every task's description, which takes a while


def use_local_files():
    datasets.load_dataset = load_dataset
    without_code_eval()
