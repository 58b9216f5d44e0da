"""The fenced blocks of a page: the commands that can be run, and the outputs that follow them.

A block `sh` or `python` is run, in the order of the page; a block `text` directly after one is what it printed. A
comment above it may shorten what is shown: <!-- first 12, last 4 lines -->.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import api

REPOSITORY = Path(__file__).resolve().parent.parent
NOT_RUN = "make test"  # it would run itself
RAN = REPOSITORY / "docs" / "ran.json"
"""The digest of each page when `make docs` last ran it."""

_BLOCK = re.compile(r"(?:<!-- first (\d+), last (\d+) lines -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, where the text lies in the page, and how many lines are shown."""

    language: str
    text: str
    span: tuple[int, int]
    shown: tuple[int, int] | None

    @property
    def runs(self) -> bool:
        """Whether it is a command or a program."""
        return self.language in ("sh", "python") and self.text.strip() != NOT_RUN


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [
        Block(match[3], match[4], match.span(4), (int(match[1]), int(match[2])) if match[1] else None)
        for match in _BLOCK.finditer(page)
    ]


def pages() -> list[Path]:
    """The pages that have something to run, as paths in the repository."""
    every = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return [path.relative_to(REPOSITORY) for path in every if any(b.runs for b in blocks(path.read_text("utf-8")))]


def digest(page: str) -> str:
    """Return a digest of what a page runs, and of the signatures of the public names that it mentions there."""
    ran = [block.text for block in blocks(page) if block.runs]
    words = {word.replace("-", "_") for word in re.findall(r"[a-zA-Z][\w-]*", "\n".join(ran))}
    lines = [*ran, *(line for name, line in api.interface() if name in words)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def copy_of_the_tree(folder: Path) -> Path:
    """What git knows of the repository, as it lies here now, in a new folder; with the code compiled, where it is."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    for compiled in (REPOSITORY / "src").rglob("*.pyc"):
        copied = folder / compiled.relative_to(REPOSITORY)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(compiled, copied)
    return folder


def environment(tree: Path) -> dict[str, str]:
    """In which the commands of a page run: as after `source .venv/bin/activate` in `tree`, where that exists, else with
    the Python that runs this; with a cache of their own."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "COLUMNS")}
    places = [str(tree / ".venv" / "bin"), str(Path(sys.executable).parent), own["PATH"]]
    return own | {
        "PATH": os.pathsep.join(places),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(tree / "src"),
        "STRIATE_CACHE": str(tree.parent / "cache"),
    }


def run_page(page: str, tree: Path) -> Iterator[tuple[Block, subprocess.CompletedProcess[str]]]:
    """Run the blocks of a page one after the other in `tree`; each with what it printed, errors included."""
    for block in blocks(page):
        if block.runs:
            command = ["bash", "-eu", "-c"] if block.language == "sh" else ["python", "-c"]
            yield (
                block,
                subprocess.run(
                    [*command, block.text],
                    cwd=tree,
                    env=environment(tree),
                    text=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                ),
            )
