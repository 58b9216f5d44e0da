"""Facts of the torchrun command that has started this process, from its environment; nothing is imported.

The variables RANK, WORLD_SIZE and TORCHELASTIC_… are those of docs.pytorch.org, "torchrun (Elastic Launch)".
"""

from __future__ import annotations

import os
import socket


def own_rank() -> int | None:
    """Return the rank of this process without connecting it; None in a single process."""
    return int(os.environ["RANK"]) if process_count() > 1 else None


def launch() -> str | None:
    """Return what identifies the torchrun command that has started this process; None without torchrun.

    It stays the same when torchrun starts the processes again.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    given = os.environ["TORCHELASTIC_RUN_ID"]
    return given if given != "none" else f"{socket.gethostname()} {os.getppid()}"


def restarts() -> int:
    """Return how often torchrun has started the processes again after one of them had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def process_count() -> int:
    """Return how many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
