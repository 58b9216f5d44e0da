"""Run a side of a comparison as a process of its own, so that none profits or suffers from what another left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent


def run_side(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `python -m sides.MODULE ARGUMENTS…`, run in this folder, prints as its last line.

    Raises:
        SystemExit: the process failed; what it wrote is shown.
    """
    command = [sys.executable, "-m", f"sides.{module}", *arguments]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def real_data(name: str) -> Path:
    """The folder of real data of this name, under `$STRIATE_DATA` or, if unset, in `../shared/data`.

    Raises:
        SystemExit: it is not there.
    """
    folder = Path(os.environ.get("STRIATE_DATA") or REPOSITORY.parent / "shared" / "data") / name
    if not folder.exists():
        raise SystemExit(f"This benchmark needs {folder}. Put the data there, or set STRIATE_DATA to their parent.")
    return folder.resolve()


class StandingSide:
    """A side that stays in its process and does a piece of work whenever it is asked: `python -m sides.MODULE …`.

    It prints "ready" first, then for each line that it is sent the seconds that the work took, and last, when its input
    ends, its answer.

    Raises:
        SystemExit: the process failed; what it wrote is shown.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", f"sides.{module}", *arguments]
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).parent,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._read()

    def work(self) -> float:
        """The seconds of one more piece of work."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._read())

    def finish(self) -> dict[str, Any]:
        """The process ends, and gives its answer."""
        written, _ = self._process.communicate()
        return json.loads(written.splitlines()[-1])

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self._command)} failed:\n{self._process.communicate()[1]}")
        return line
