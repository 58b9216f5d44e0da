"""The images and the table of docs/explanation/what-a-unit-wants.md.

    STRIATE_DATA=… python docs/wants.py

Needs the weights of MobileNet v2 and SqueezeNet 1.0 that `striate.models.weights` describes, as npz files in
`$STRIATE_DATA/weights/`. It takes some minutes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from striate.explaining.visualize import BlurredPixels, Fourier, Pixels, class_logit, maximize
from striate.models import Network, create_model
from striate.models.weights import DIALECTS, load_weights
from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT
from striate.models.weights.dialects.tflite import MOBILENET_V2_INPUT
from striate.plot import png, sheet

IMAGES = Path(__file__).parent / "images"
SIZE = 128
CLASSES = {"goldfish": 1, "flamingo": 130, "zebra": 340}
SHOWN = "zebra"
WAYS: dict[str, dict[str, Any]] = {
    "pixels, L2": {"parameterization": Pixels(), "robustness": None},
    "pixels, blurred and clipped": {"parameterization": BlurredPixels(), "robustness": None},
    "frequencies": {"parameterization": Fourier(), "robustness": None},
    "frequencies, seen askew": {},
}


def state(name: str) -> dict[str, torch.Tensor]:
    (path,) = (Path(os.environ["STRIATE_DATA"]) / "weights" / name).glob("*.npz")
    with np.load(path) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def networks() -> tuple[Network, Network]:
    """The one for which images are made, and another one, that is asked about them."""
    asked = create_model("mobilenet_v2", classes=1000, channels=3, size=MOBILENET_V2_INPUT.size)
    load_weights(asked, DIALECTS["tflite"].convert(state("mobilenet_v2"), asked))
    other = create_model("squeezenet1_0", classes=1000, channels=3, size=SQUEEZENET_INPUT.size)
    load_weights(other, DIALECTS["caffe"].convert(state("squeezenet1_0"), other))
    return asked.eval(), other.eval()


@torch.no_grad()
def rank(network: Network, image: np.ndarray, number: int) -> int:
    """As the how manieth of a thousand the other network takes class `number` in an image."""
    given = torch.from_numpy(image).permute(2, 0, 1)[None].flip(1)  # blue, green, red
    given = F.interpolate(given, SQUEEZENET_INPUT.size, mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values)[:, None, None] for values in (SQUEEZENET_INPUT.mean, SQUEEZENET_INPUT.std))
    logits = network((given - mean) / std)[0]
    return int((logits > logits[number]).sum()) + 1


def fine_grain(image: np.ndarray) -> float:
    """The share of an image's variance in waves shorter than four pixels."""
    power = np.abs(np.fft.fft2(image - image.mean((0, 1)), axes=(0, 1))) ** 2
    down, across = (np.abs(np.fft.fftfreq(side)) for side in image.shape[:2])
    return float(power[np.hypot(down[:, None], across) > 0.25].sum() / power.sum())


def main() -> None:
    asked, other = networks()
    shown, best = [], []
    for way, settings in WAYS.items():
        cells = []
        for name, number in CLASSES.items():
            found = maximize(asked, class_logit(number), MOBILENET_V2_INPUT, size=(SIZE, SIZE), **settings)
            image = found.images[0]
            cells.append(f"{found.score[0]:.0f} · {fine_grain(image):.1%} · {rank(other, image, number)}")
            shown += [image] if name == SHOWN else []
            best += [image] if not settings else []
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
    for file, images in (("wants-zebra.png", shown), ("wants-classes.png", best)):
        pixels = np.round(np.stack(images) * 255).astype(np.uint8)
        (IMAGES / file).write_bytes(png(sheet(pixels, columns=len(images), gap=6)))


if __name__ == "__main__":
    main()
