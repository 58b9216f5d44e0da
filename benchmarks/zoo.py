"""Everything that is asked of a model, asked of every model of the zoo, with all its judges.

    python benchmarks/zoo.py [--only PATTERN] [--quick] [--again] [--write]

Each model is asked in a process of its own, so that no memory adds up; these are forked from one that has loaded all
judges, which takes longer than many a model's questions. What was found is said at once, and kept in `runs/zoo.jsonl`,
so that the study goes on where it was stopped. A change in `models/` or `layers/` begins it anew: the
table carries their digest, and a test compares it with the files as they are. With `--write`, the table of all models
is written to `results/`; it is written where something does not hold, too, and says so, but the command then fails.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from _measure import Figures, write_result
from _sides import REPOSITORY
from sides.zoo_asked import ask

sys.path.insert(0, str(REPOSITORY / "tests"))

from promises.sources import digest_of_the_zoo
from striate.models import MODELS, list_models

Found = Mapping[str, Any]
_QUICK = ("linear", "lenet5", "resnet20")


class Notebook:
    """What was found, model by model, for one state of the sources; the file is begun anew for another."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path, self._digest = path, digest
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut off
        self.found: dict[str, Found] = {entry["name"]: entry for entry in entries if entry["digest"] == digest}

    def add(self, name: str, found: Found) -> None:
        self.found[name] = found
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"name": name, "digest": self._digest, **found}) + "\n")


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


def cells(name: str, found: Found) -> tuple[str, ...]:
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
    )


COLUMNS = (
    *("model", "family", "parameters", "multiply-accumulates", "depth", "promises kept"),
    *("logits beside", "gradients", "steps to memorise"),
)
METHOD = (
    "Parameters, multiply-accumulates and depth are counted at the card's input, and are the card's. Promises are the "
    "questions of `tests/promises/`. Beside a judge both have the same random weights: the largest difference of a "
    "logit (float32) and of a parameter's gradient (float64), relative to the largest value. The smallest member of "
    "each family memorises 32 pictures: updates until the loss is below 0.05."
)


def table(found: Mapping[str, Found], names: Sequence[str]) -> Figures:
    return Figures(COLUMNS, tuple(cells(name, found[name]) for name in names), METHOD)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="only models whose name fits, with * and ? as in file names")
    parser.add_argument("--quick", action="store_true", help="three small models: to see that it works")
    parser.add_argument("--again", action="store_true", help="ask those again that had a problem")
    parser.add_argument("--write", action="store_true", help="write results/zoo.md and .json")
    arguments = parser.parse_args()
    names = list(_QUICK) if arguments.quick else [card.name for card in list_models(arguments.only)]
    digest = digest_of_the_zoo()
    notebook = Notebook(REPOSITORY / "runs" / "zoo.jsonl", digest)
    for number, name in enumerate(names, start=1):
        known = notebook.found.get(name)
        if known is None or (arguments.again and known["problems"]):
            known = asked(name)
            notebook.add(name, known)
        print(f"{number}/{len(names)}  {'  '.join(cells(name, known)[:1] + cells(name, known)[5:])}", end="  ")
        print(f"{known['seconds']:.0f} s, {known['peak_bytes'] / 1e9:.1f} GB", flush=True)
        for problem in known["problems"]:
            print(f"    {problem}", flush=True)
    if digest_of_the_zoo() != digest:
        sys.exit("models/ or layers/ changed meanwhile: what was found is of neither. Run it again.")
    found = {name: notebook.found[name] for name in names}
    problems = [f"{name}: {problem}" for name in names for problem in found[name]["problems"]]
    notes = [
        f"{len(names)} models, {sum(len(each['judges']) for each in found.values())} comparisons with judges, "
        f"{len(problems)} problems.",
        *problems,
        f"Digest of `models/` and `layers/`: {digest}.",
    ]
    if arguments.write:
        write_result("zoo", "The zoo, every model and every judge", {"Models": table(found, names)}, notes)
    if problems:
        sys.exit(f"{len(problems)} things do not hold.")


if __name__ == "__main__":
    main()
