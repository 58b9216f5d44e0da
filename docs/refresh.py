"""Run the commands of README and docs at full length, put what they print into the pages, and make the images.

    python docs/refresh.py [--here] [PAGE …]        (make docs)

Every page is run in a copy of the tree, from nothing. `--here` leaves the installation of `make demo` out and uses the
environment that runs this. The reference pages and images are made last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import api
import figures
import listings
import zoo_page
from blocks import RAN, REPOSITORY, Block, blocks, copy_of_the_tree, digest, pages, run_page

_DEMO = "python examples/demo.py"
_HOME = "/home/you/striate"  # stands in the pages for the folder of the copy


def refreshed(page: str, tree: Path, *, here: bool) -> str:
    """The page with the outputs of today."""
    commands = page.replace("```sh\nmake demo\n```", f"```sh\n{_DEMO}\n```") if here else page
    outputs = []
    for block, finished in run_page(commands, tree):
        print(block.text, finished.stdout, sep="\n", flush=True)
        if finished.returncode:
            sys.exit(f"This command failed:\n{block.text}")
        outputs.append(finished.stdout.replace(str(tree), _HOME))
    every = blocks(page)
    ran = iter(outputs)
    shown = {number: next(ran) for number, block in enumerate(every) if block.runs}
    for number, block in reversed(list(enumerate(every))):
        if block.language == "text" and number - 1 in shown:
            start, end = block.span
            page = page[:start] + _shortened(shown[number - 1], block) + page[end:]
    return page


def _shortened(output: str, block: Block) -> str:
    # What pip warns of is how this machine gets its packages, not what the reader will see.
    lines = [line.rstrip() for line in output.strip("\n").splitlines() if not line.startswith("WARNING: ")]
    if block.shown and len(lines) > sum(block.shown):
        first, last = block.shown
        lines = [*lines[:first], "…", *lines[len(lines) - last :]]
    return "\n".join(lines) + "\n"


def _note_that_it_ran(path: Path, page: str) -> None:
    ran = json.loads(RAN.read_text("utf-8")) if RAN.exists() else {}
    kept = {name: ran[name] for name in map(str, pages()) if name in ran}
    RAN.write_text(json.dumps(kept | {str(path): digest(page)}, indent=2, sort_keys=True) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="use this environment, install nothing")
    parser.add_argument("page", nargs="*", help="only these pages")
    options = parser.parse_args()
    api.write()
    listings.write()
    zoo_page.write()
    for path in map(Path, options.page) if options.page else pages():
        with tempfile.TemporaryDirectory() as folder:
            tree = copy_of_the_tree(Path(folder) / "striate")
            if options.here:
                (tree / ".venv").symlink_to(sys.prefix)
            page = refreshed((REPOSITORY / path).read_text("utf-8"), tree, here=options.here)
            (REPOSITORY / path).write_text(page, "utf-8")
            _note_that_it_ran(path, page)
            if path.name == "looking-inside.md":
                figures.inside(tree / "runs" / "inside")
            if path.name == "training-craft.md":
                figures.craft(tree)
            if path.name == "README.md":
                figures.report(tree / "runs" / "demo" / "report.html")
    figures.sheets()


if __name__ == "__main__":
    main()
