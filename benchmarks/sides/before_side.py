"""One job of `benchmarks/before.py`: images per CPU second, in the best pass, by the Striate on PYTHONPATH."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

_SECONDS = 1.5  # of processor time that are measured


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
    work()
    best, begun = float("inf"), time.process_time()
    while time.process_time() - begun < _SECONDS:
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    print(count / best)


if __name__ == "__main__":
    main()
