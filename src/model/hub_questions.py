"""Fetches questions of a benchmark from a data set of the Hugging Face hub and writes them in the form whose sums
Dovetail knows.

    hub_questions.py DATA_SET FOLDER FILE...

FILE is a path below FOLDER, as mmlu/test/anatomy_test.csv. Ends with 1 and one line on what is in the way."""
import csv
import json
import pathlib
import sys


def fetched(data_set, name, folder):
    from huggingface_hub import hf_hub_download
    return hf_hub_download(data_set, name, repo_type="dataset", local_dir=folder / "hub")


def table(data_set, part, split, folder):
    from pyarrow import parquet
    return parquet.read_table(fetched(data_set, f"{part}/{split}-00000-of-00001.parquet", folder)).to_pylist()


def write_mmlu(data_set, folder, file):
    """mmlu/SPLIT/SUBJECT_SPLIT.csv"""
    split = file.parts[1]
    rows = table(data_set, file.stem.removesuffix("_" + split), split, folder)
    with open(folder / file, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["question", "choice0", "choice1", "choice2", "choice3", "answer"])
        writer.writerows([row["question"], *row["choices"], int(row["answer"])] for row in rows)


def write_lines(rows, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_gsm8k(data_set, folder, file):
    """gsm8k/SPLIT.jsonl"""
    rows = table(data_set, "main", file.stem, folder)
    write_lines(({"question": row["question"], "answer": row["answer"]} for row in rows), folder / file)


def write_ifeval(data_set, folder, file):
    """ifeval/input_data.jsonl; the hub may fill arguments that an instruction does not have with null."""
    with open(fetched(data_set, "ifeval_input_data.jsonl", folder), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    for row in rows:
        row["kwargs"] = [{key: value for key, value in given.items() if value is not None} for given in row["kwargs"]]
    write_lines(({key: row[key] for key in ("key", "prompt", "instruction_id_list", "kwargs")} for row in rows),
                folder / file)


WRITERS = {"mmlu": write_mmlu, "gsm8k": write_gsm8k, "ifeval": write_ifeval}


def main():
    data_set, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    for name in sys.argv[3:]:
        file = pathlib.PurePosixPath(name)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            WRITERS[file.parts[0]](data_set, folder, file)
        except Exception as error:
            sys.exit(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:400]}")


main()
