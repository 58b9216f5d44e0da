"""One job of `benchmarks/before.py`: images per CPU second, in the best pass, by the Striate on PYTHONPATH.

A training step also prints a digest of its operations: their names, and the shapes, strides and types of the tensors.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

_SECONDS = 3  # of processor time that are measured


class Operations(TorchDispatchMode):
    """Lists all operations that run within it, with what each gets."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran.append(f"{func} {_described(args)} {_described(kwargs)}")
        return func(*args, **(kwargs or {}))


def _described(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, (list, tuple)):
        return [_described(each) for each in value]
    return type(value).__name__ if isinstance(value, torch.ScriptObject) else value


def encoded(image: Image.Image, kind: str) -> bytes:
    image.save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def decoding(job: str) -> tuple[int, Callable[[], Any]]:
    """How many images, and what decodes all of them."""
    try:
        from striate.data.images.decode import decode
    except ImportError:  # where it was before
        from striate.data.decode import decode  # pyright: ignore[reportMissingImports]

    photos = Path(os.environ["STRIATE_DATA"]) / "photos-dog-cat"
    files = [path.read_bytes() for path in sorted(photos.glob("*/*.jpg"))[::10]]
    if not job.startswith("photos"):
        size, kind = job.replace("(", "").replace(")", "").split()
        width, height = map(int, size.split("×"))
        files = [encoded(Image.open(io.BytesIO(data)).convert("RGB").resize((width, height)), kind) for data in files]
    return len(files), lambda: [decode(data) for data in files]


def training(job: str) -> tuple[int, Callable[[], Any]]:
    """The batch size, and what makes one step of SGD."""
    from striate.models import create_model

    name, size, batch = job.split()
    side, count = int(size.split("×")[0]), int(batch[1:])
    network = create_model(name, classes=10, size=(side, side), seed=0).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    images, targets = torch.randn(count, 3, side, side), torch.arange(count) % 10

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), targets).backward()
        optimizer.step()

    return count, step


def main() -> None:
    torch.set_num_threads(1)
    job = sys.argv[1]
    count, work = training(job) if " b" in job else decoding(job)
    with Operations() as operations:
        work()
    best, begun = float("inf"), time.process_time()
    while time.process_time() - begun < _SECONDS:
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    digest = hashlib.sha256("\n".join(operations.ran).encode()).hexdigest()[:12]
    print(count / best, f"{len(operations.ran)} operations, digest {digest}")


if __name__ == "__main__":
    main()
