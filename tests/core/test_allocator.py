"""The allocator's setting: what it is worth to the kernel, and that its absence is said."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from striate.core import allocator

# Large buffers, allocated and freed: the page faults of a second round are those that the setting avoids.
PROGRAM = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from striate.core.allocator import tune_process
if sys.argv[1] == "tuned":
    assert tune_process().applied
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (80 << 20)  # above the size up to which glibc learns by itself, and above that of a thread's heap
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for run in (faults, lambda: ThreadPoolExecutor(1).submit(faults).result()):
    run()
    print(run())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc only")
def test_tuned_the_same_pages_are_handed_out_again_in_every_thread() -> None:
    counts: dict[str, list[int]] = {}
    for kind in ("plain", "tuned", "environment"):
        variables = os.environ | (allocator.TUNED_ENVIRONMENT if kind == "environment" else {})
        command = [sys.executable, "-c", PROGRAM, kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
        counts[kind] = [int(line) for line in done.stdout.split()]
    assert max(counts["tuned"] + counts["environment"]) < 100 < min(counts["plain"])


def test_elsewhere_it_is_skipped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError(f"unrecognized configuration name {name}")

    monkeypatch.setattr("os.confstr", unknown)
    tuning = allocator.tune_process()
    assert not tuning.applied
    assert tuning.reason == "skipped: the C library of this process is not glibc"
