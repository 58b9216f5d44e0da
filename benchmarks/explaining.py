"""Grad-CAM beside pytorch-grad-cam: the same network, weights, place and images, one by one and 32 at once.

    python benchmarks/explaining.py [--quick] [--rounds 7] [--write]

Both are given the place, both answer with maps of the size of the images. pytorch-grad-cam is used as its
documentation shows it: made once, its hooks in place, the network in eval mode. Ours is called again each time: it
borrows the network and brings it back. In each table both run in turn; before that, their maps are compared as they are
before scaling and enlarging.

Target: at least 2.5 times as many images in a second, one by one and 32 at once, of the ResNets. Of MobileNet v2,
whose backward pass is no longer than its forward pass, that cannot be: half of the other's time is the forward pass.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor

from _measure import Table, interleave, write_result
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

import judges.parity  # noqa: F401  (after it torchvision can be imported, which pytorch-grad-cam does)

# isort: split
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from striate.explaining import grad_cam
from striate.models import MODELS, Network, create_model

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
BATCHES = (1, 32)
TARGET, TARGETED = 2.5, ("resnet18", "resnet50")
CLASS = 7


def network(name: str) -> Network:
    card = MODELS[name].card
    return create_model(name, classes=card.classes, channels=card.input[0], size=card.input[1:], seed=0).eval()


def theirs(model: Network) -> GradCAM:
    return GradCAM(model=model, target_layers=[model.get_submodule([*model.feature_maps.values()][-1])])


def answer(cam: GradCAM, images: Tensor) -> int:
    """Their maps, of the size of the images; how many they are."""
    targets: list[Any] = [ClassifierOutputTarget(CLASS)] * len(images)
    return len(cam(input_tensor=images, targets=targets))


def check(model: Network, cam: GradCAM, images: Tensor) -> None:
    """Both find the same map."""
    answer(cam, images)
    kept = cam.activations_and_grads
    maps, gradients = kept.activations[0].numpy(), kept.gradients[0].numpy()
    expected = (gradients.mean((2, 3), keepdims=True) * maps).sum(1).clip(0)
    found = grad_cam(model, images, CLASS, at=[*model.feature_maps][-1]).values
    if abs(found - expected).max() > 1e-5 * expected.max():
        sys.exit(f"The maps of {model.card.name} differ.")


def compare(name: str, batch: int, rounds: int) -> Table:
    model = network(name)
    images = torch.randn(batch, *model.card.input, generator=torch.Generator().manual_seed(1))
    with theirs(model) as cam:
        check(model, cam, images[:2])
        at = [*model.feature_maps][-1]
        return interleave(
            {
                "pytorch-grad-cam": lambda: answer(cam, images),
                "Striate": lambda: len(grad_cam(model, images, CLASS, at=at).map()),
            },
            rounds,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one small network, two rounds: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/explaining.md and .json")
    arguments = parser.parse_args()
    tables: dict[str, Table] = {}
    for name in NETWORKS[:1] if arguments.quick else NETWORKS:
        for batch in BATCHES[:1] if arguments.quick else BATCHES:
            heading = f"{name}, {batch} at once" if batch > 1 else f"{name}, one by one"
            tables[heading] = compare(name, batch, 2 if arguments.quick else arguments.rounds)
            print(f"{heading}\n{tables[heading].markdown()}\n", flush=True)
    worst = min(table["Striate"].ratio for heading, table in tables.items() if heading.startswith(TARGETED))
    note = f"Of the ResNets it is at least {worst:.2f} times as fast as pytorch-grad-cam (target: {TARGET:g} times)."
    print(note)
    if arguments.write:
        write_result("explaining", "Grad-CAM beside pytorch-grad-cam", tables, [note])


if __name__ == "__main__":
    main()
