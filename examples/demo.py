"""What `make demo` runs: train on the embedded digits, evaluate, predict a few images, and say where the report is.

Each line that begins with $ is a command that you can type yourself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def show(*words: str) -> None:
    """Print a command as one would type it, and run it."""
    print("\n$ striate " + " ".join(words), flush=True)
    finished = subprocess.run([Path(sys.executable).parent / "striate", *words], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def free_run() -> Path:
    """A run's folder that is not there yet, so that the demo can be repeated."""
    number = 1
    while (run := Path("runs") / ("demo" if number == 1 else f"demo-{number}")).exists():
        number += 1
    return run


def main() -> None:
    """The road on one page."""
    run = free_run()
    show("train", "digits", "--model", "lenet5", "--name", run.name)
    show("evaluate", str(run))
    show("predict", str(run), os.path.relpath(HERE / "digits"))
    print(f"\nThe report: {(run / 'report.html').resolve()}")


if __name__ == "__main__":
    main()
