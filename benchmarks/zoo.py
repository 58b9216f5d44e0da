"""Everything that is asked of a model, asked of every model of the zoo, with all its judges.

    python benchmarks/zoo.py [--only PATTERN] [--quick] [--again] [--all] [--write]

Each model is asked in a process of its own, so that no memory adds up; these are forked from one that has loaded all
judges, which takes longer than many a model's questions. What was found is said at once, and kept in `runs/zoo.jsonl`,
so that the study goes on where it was stopped. Each row carries the digest of what its network computes
(`promises.behaviour`), and a test compares it with the network as it is: a model whose digest has changed is asked
again, and the rows of the others are taken from the table in `results/`. With `--write`, the table of all models is
written there, with the digest of the sources that it is of (while these are unchanged, the test need not take the
digests again); where something does not hold, it is written too, and says so, but the command then fails.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from _measure import Figures, write_result
from _notebook import Notebook
from _sides import REPOSITORY
from sides.zoo_asked import ask

sys.path.insert(0, str(REPOSITORY / "tests"))

from promises.behaviour import digest_of
from promises.recorded import note_of_sources
from striate.models import MODELS, list_models

Found = Mapping[str, Any]
Row = tuple[str, ...]
_RESULT = REPOSITORY / "results" / "zoo.json"
_QUICK = ("linear", "lenet5", "resnet20")


def known(cell: Mapping[str, str]) -> bool:
    """Whether a cell of the notebook is of a network as it is now."""
    return cell["name"] in MODELS and cell["digest"] == digest_of(cell["name"])


def written() -> dict[str, Row]:
    """The rows of the table in `results/` that are of the networks as they are, and say that all was kept."""
    rows = {row[0]: tuple(row) for row in json.loads(_RESULT.read_text(encoding="utf-8"))["tables"]["Models"]["rows"]}
    return {name: row for name, row in rows.items() if name in MODELS and _holds(row) and row[-1] == digest_of(name)}


def _holds(row: Row) -> bool:
    kept, promises = row[COLUMNS.index("promises kept")].split(" of ")
    return kept == promises


def asked(name: str) -> Found:
    """What the model's process says; where it dies (for want of memory, say), that is a problem like others."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sides.zoo_asked"])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(ask, name).result()
        except BrokenProcessPool as died:
            found = {"promises": 0, "kept": 0, "judges": {}, "steps": None, "problems": [f"its process: {died}"]}
            return found | {"seconds": 0.0, "peak_bytes": 0}


def cells(name: str, found: Found) -> Row:
    card = MODELS[name].card
    judges = found["judges"].items()
    return (
        name,
        card.family,
        f"{card.parameters:,}",
        f"{card.macs:,}",
        str(card.depth),
        f"{found['kept']} of {found['promises']}",
        ", ".join(f"{library} {distance['logits']:.0e}" for library, distance in judges) or "–",
        ", ".join(f"{distance['gradients']:.0e}" for _, distance in judges if distance["gradients"] is not None) or "–",
        "–" if found["steps"] is None else str(found["steps"]),
        digest_of(name),
    )


COLUMNS = (
    *("model", "family", "parameters", "multiply-accumulates", "depth", "promises kept"),
    *("logits beside", "gradients", "steps to memorise", "code"),
)
METHOD = (
    "Parameters, multiply-accumulates and depth are counted at the card's input, and are the card's. Promises are the "
    "questions of `tests/promises/`. Beside a judge both have the same random weights: the largest difference of a "
    "logit (float32) and of a parameter's gradient (float64), relative to the largest value. The smallest member of "
    "each family memorises 32 images: updates until the loss is below 0.05. The last column is the digest of what "
    "the network computes, operation by operation: a row stands as long as that is the same, and what describes and "
    "counts a network is asked of every card whenever the tests run."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="only models whose name fits, with * and ? as in file names")
    parser.add_argument("--quick", action="store_true", help="three small models: to see that it works")
    parser.add_argument("--again", action="store_true", help="ask those again that had a problem")
    parser.add_argument(
        "--all", action="store_true", help="ask those too whose rows in results/ are of the same network"
    )
    parser.add_argument("--write", action="store_true", help="write results/zoo.md and .json")
    arguments = parser.parse_args()
    names = list(_QUICK) if arguments.quick else [card.name for card in list_models(arguments.only)]
    rows = {} if arguments.all else written()
    notebook = Notebook(REPOSITORY / "runs" / "zoo.jsonl")
    found = {cell["name"]: each for cell, each in notebook if known(cell)}
    problems: list[str] = []
    for number, name in enumerate(names, start=1):
        if name in rows:
            continue
        told = found.get(name)
        if told is None or (arguments.again and told["problems"]):
            told = asked(name)
            notebook.add({"name": name, "digest": digest_of(name)}, told)
        rows[name] = cells(name, told)
        problems += [f"{name}: {problem}" for problem in told["problems"]]
        print(f"{number}/{len(names)}  {'  '.join(rows[name][:1] + rows[name][5:])}", end="  ")
        print(f"{told['seconds']:.0f} s, {told['peak_bytes'] / 1e9:.1f} GB", flush=True)
        for problem in told["problems"]:
            print(f"    {problem}", flush=True)
    judged = [row[COLUMNS.index("logits beside")] for row in (rows[name] for name in names)]
    comparisons = sum(len(each.split(", ")) for each in judged if each != "–")
    summary = f"{len(names)} models, {comparisons} comparisons with judges, {len(problems)} problems."
    notes = [summary, note_of_sources(), *problems]
    if arguments.write:
        table = Figures(COLUMNS, tuple(rows[name] for name in names), METHOD)
        write_result("zoo", "The zoo, every model and every judge", {"Models": table}, notes)
    if problems:
        sys.exit(f"{len(problems)} things do not hold.")


if __name__ == "__main__":
    main()
