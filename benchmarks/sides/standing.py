"""A side that stays in its process: what `StandingSide` of `_sides.py` sends it, and what it answers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping


def stand(work: Callable[[], object], answer: Callable[[], Mapping[str, object]]) -> None:
    """Print "ready"; then for each line of standard input do `work` and print its seconds; at its end, the answer."""
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print(time.perf_counter() - started, flush=True)
    print(json.dumps(answer()))
