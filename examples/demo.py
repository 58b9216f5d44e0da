"""What `make demo` runs: a network trained from nothing on digits, then one from pretrained weights on photos.

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
    print("\n$ " + " ".join(words), flush=True)
    finished = subprocess.run([Path(sys.executable).parent / words[0], *words[1:]], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def free_run(name: str) -> Path:
    """Return a folder for a run that is not there yet, so that the demo can be repeated."""
    number = 1
    while (run := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return run


def digits() -> Path:
    """Train from random weights, evaluate, and classify ten images."""
    run = free_run("demo")
    show("striate", "train", "digits", "--model", "lenet5", "--name", run.name)
    show("striate", "evaluate", str(run))
    show("striate", "predict", str(run), os.path.relpath(HERE / "digits"))
    return run


def photos() -> Path:
    """Train on a folder of photos from pretrained weights, and classify photos and what is none of their classes."""
    run = free_run("demo-photos")
    if not Path("photos").exists():
        show("python", os.path.relpath(HERE / "photos.py"), "photos")
    show("striate", "train", "photos", "--name", run.name)
    show(
        "striate",
        "predict",
        str(run),
        *(f"photos/{name}/IMG_0003.jpg" for name in ("brick", "coin", "leaf")),
        os.path.relpath(HERE / "digits" / "7.png"),
    )
    return run


def main() -> None:
    """Run both acts."""
    for run in (digits(), photos()):
        print(f"\nThe report: {(run / 'report.html').resolve()}")


if __name__ == "__main__":
    main()
