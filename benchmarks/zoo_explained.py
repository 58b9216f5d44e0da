"""Every method asked to explain one member of each family of the zoo: what the suite has no time for.

    python benchmarks/zoo_explained.py [--quick] [--write]

The member with the fewest parameters of each family, quickly filled with random weights, at a size a little above its
smallest: one grey image, then two in colour. Each method must give a finite map as large as the image, or say in a
sentence what the network lacks, which only those may that need something of it (CAM: a mean over the map before the
last layer, which also means a last map of more than one position, as such small images do not leave everywhere); and
the network must come back as it was found. The first that does not ends the study.
"""

from __future__ import annotations

import argparse
import sys

from _measure import Figures, write_result
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from promises.explained import it_is_explained
from promises.filled import filled
from promises.subject import pictures, smallest_of_each_family, subject
from striate.explaining import METHODS
from striate.models import MODELS


def asked(name: str) -> tuple[str, ...]:
    """The row of a model: how many methods explain it, and which do not suit it."""
    refused: dict[str, str] = {}
    for channels, count in ((1, 1), (3, 2)):
        network = filled(name, channels)
        for method in METHODS:
            refusal = it_is_explained(network, pictures(count, subject(name).small, channels), method)
            if refusal:
                refused[method] = refusal
    size = "×".join(map(str, subject(name).small))
    suited = f"{len(METHODS) - len(refused)} of {len(METHODS)}"
    return MODELS[name].card.family, f"`{name}`", size, suited, ", ".join(METHODS[method].title for method in refused)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three families: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/zoo_explained.md and .json")
    arguments = parser.parse_args()
    rows = []
    for name in ("lenet5", "squeezenet1_1", "resnet20") if arguments.quick else smallest_of_each_family():
        rows.append(asked(name))
        print(*rows[-1], sep="  ", flush=True)
    columns = ("family", "model", "pictures", "methods that explain it", "methods that say what it lacks")
    table = Figures(columns, tuple(rows), "Random weights; one grey picture, then two in colour.")
    told = (
        f"{len(rows)} families, {len(METHODS)} methods: all give a finite map or a sentence, and all networks back. "
        "CAM asks for a mean over the last map and one linear layer, and for more than one position in that map: "
        "pictures as small as these do not leave it everywhere."
    )
    print(told)
    if arguments.write:
        write_result("zoo_explained", "Every method on every family", {"Families": table}, [told])


if __name__ == "__main__":
    main()
