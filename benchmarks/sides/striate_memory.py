"""Resident memory of Striate's `train`, epoch by epoch: python -m sides.striate_memory DATA EPOCHS"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

import striate
from _peak import peak_bytes

_MB = 1_000_000


def resident_mb() -> float:
    """The memory of this process that is in use now, in units of 1,000,000 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MB


def main(data: str, epochs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = f"{folder}/cache"
        resident = []
        for event in striate.train.events(data, recipe="mnist", epochs=epochs, runs=f"{folder}/runs"):
            if type(event).__name__ == "Evaluated":  # by name: the process holds what train imports, and no more
                resident.append(resident_mb())
    print(json.dumps({"resident_mb": resident, "peak_mb": peak_bytes() / _MB}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
