"""Occlusion beside Captum's: images of 224×224, a patch of 32×32 at every 16th and at every 8th pixel.

    python benchmarks/occlusion.py [--quick] [--rounds 2] [--threads N] [--only NETWORK] [--write]

Three ways: Captum's `Occlusion`, of the batch sizes tried here at its best; ours with the whole network at every
position, batch norms folded and channels last in memory, and at its best batch size too; and ours as it is called,
incremental, which has the same layout and folding and includes the recording of the network. The first two run the
whole network for each position, whatever its patch covers, so that their speed is measured at 16 positions; the third
at all. Before they are timed, the incremental logits are compared with those of the network itself at positions of
each fourth row and column.

VGG-16 and ResNet-18 have random weights (He et al. 2015), on which the speed does not depend; SqueezeNet and MobileNet
v2 have weights trained on ImageNet, and a photo of a dog.

Targets: VGG-16 at least 4 times Captum's speed and 3.5 times that of our whole network, ResNet-18 2 and 1.5 times; no
logit off by more than 1e-4 of the largest.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from _measure import Figures, Table, interleave, write_result
from _sides import real_data
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.preparation.arrays import prepare, scale
from striate.explaining import occlusion
from striate.explaining.occluding.incremental import Incremental
from striate.explaining.occluding.occlusion import exact, under_patches
from striate.explaining.occluding.patch_grid import Positions, positions
from striate.models import Network, create_model
from striate.models.weights import load_weights, recognise
from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT
from striate.models.weights.dialects.tflite import MOBILENET_V2_INPUT

PATCH, STRIDES, CLASS = 32, (16, 8), 160
BATCHES = (1, 4, 16)
COARSE = 56  # the patch and stride of the 16 positions at which the whole network runs
EACH = 4  # of the rows and columns of positions, each fourth is compared with the network itself
TARGETS = {"vgg16": (4.0, 3.5), "resnet18": (2.0, 1.5)}
NETWORKS = ("vgg16", "resnet18", "squeezenet1_0", "mobilenet_v2")
BUSY = "Other work may have shared the machine: rates depend on it, ratios, which are taken within a round, hardly."
CAPTUM, WHOLE, INCREMENTAL = "Captum", "whole network", "incremental"


@dataclass(frozen=True)
class Subject:
    """A network in eval mode, an image for it, and what its patches show."""

    model: nn.Module
    image: Tensor
    cover: Tensor


def subject(name: str) -> Subject:
    specs = {"squeezenet1_0": SQUEEZENET_INPUT, "mobilenet_v2": MOBILENET_V2_INPUT}
    spec = specs.get(name)
    size = spec.size if spec else (224, 224)
    model = create_model(name, classes=1001 if name == "mobilenet_v2" else 1000, size=size, seed=0)
    torch.manual_seed(0)
    if spec is None:
        _stir(model)
        image = torch.randn(1, 3, *size)
    else:
        _train(model, name)
        image = _photo(spec)
    return Subject(model.eval(), image, torch.zeros_like(image))


def compare(one: Subject, stride: int, rounds: int, quick: bool) -> tuple[Table, tuple[str, ...]]:
    """The speeds, and the row of what was checked."""
    places = positions((one.image.shape[2], one.image.shape[3]), PATCH, stride)
    incremental = Incremental.of(one.model, one.image)
    checked = _checked(one, incremental, places)
    few = positions((one.image.shape[2], one.image.shape[3]), COARSE, COARSE)
    batch = 4 if quick else best(lambda batch: whole(one, incremental, few, batch))
    perturbations = 4 if quick else best(lambda batch: by_captum(one, batch))
    print(f"best batch sizes: Captum {perturbations}, whole network {batch}", flush=True)

    def ours() -> float:
        occlusion(one.model, one.image, CLASS, patch=PATCH, stride=stride)
        return len(places)

    def of_captum() -> float:
        by_captum(one, perturbations)
        return len(few)

    table = interleave(
        {
            CAPTUM: of_captum,
            WHOLE: lambda: len(whole(one, incremental, few, batch)),
            INCREMENTAL: ours,
        },
        rounds,
        unit="positions/s",
    )
    return table, (*checked, f"{against_whole(table, INCREMENTAL):.2f}")


def _checked(one: Subject, incremental: Incremental, places: Positions) -> tuple[str, ...]:
    """The operations saved, and by how much the logits are off, as a fraction of the largest."""
    edges = (places.tops, places.bottoms, places.lefts, places.rights)
    some = Positions(*(edge[::EACH] for edge in edges))
    with torch.no_grad():
        expected = torch.cat([logits for _, logits in exact(one.model, one.image, one.cover, some)])
    found = torch.cat([logits for _, logits in incremental.logits(one.image, one.cover, some)])
    off = float((found - expected).abs().max() / expected.abs().max())
    change = float((expected - one.model(one.image)).detach().abs().max() / expected.abs().max())
    if off > 1e-4:
        raise SystemExit(f"A logit is off by {off:.1e} of the largest.")
    return f"{incremental.saved(places):.2f}", f"{change:.1e}", f"{off:.1e}"


@torch.no_grad()
def whole(one: Subject, incremental: Incremental, places: Positions, batch: int) -> list[Tensor]:
    found: list[Tensor] = []
    for start in range(0, len(places), batch):
        numbers = range(start, min(len(places), start + batch))
        variants = under_patches(one.image[0], one.cover[0], places, numbers)
        found += incremental.program.logits(variants.contiguous(memory_format=torch.channels_last))
    return found


@torch.no_grad()
def by_captum(one: Subject, batch: int) -> Tensor:
    """Its map: each pixel's mean over the patches that cover it."""
    shape, strides = (3, COARSE, COARSE), (3, COARSE, COARSE)
    return captum.attr.Occlusion(one.model).attribute(
        one.image, shape, strides, baselines=0, target=CLASS, perturbations_per_eval=batch
    )


def best(run: Callable[[int], object]) -> int:
    """The batch size with which it takes least time."""
    took: dict[int, float] = {}
    for batch in BATCHES:
        start = time.perf_counter()
        run(batch)
        took[batch] = time.perf_counter() - start
    return min(took, key=took.__getitem__)


def against_whole(table: Table, name: str) -> float:
    return median(mine / own for mine, own in zip(table[name].rates, table[WHOLE].rates, strict=True))


def _stir(model: nn.Module) -> None:
    """Random weights with which signals neither vanish nor explode, and batch norms that have seen some."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 224, 224))


def _train(model: Network, name: str) -> None:
    file = {"squeezenet1_0": "squeezenet1_0.npz", "mobilenet_v2": "mobilenet_v2_1.0_224.npz"}[name]
    with np.load(real_data("weights") / name / file) as arrays:
        state = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    load_weights(model, recognise(state, model).convert(state, model))


def _photo(spec: InputSpec) -> Tensor:
    path: Path = next(real_data("imagenet-samples").glob(f"{CLASS:04d}_*.jpg"))
    return scale(torch.from_numpy(prepare(decode(path), spec))[None], spec)


def verdicts(tables: dict[str, Table]) -> Sequence[str]:
    found = []
    for heading, table in tables.items():
        name = heading.split(",")[0]
        if name in TARGETS:
            captum_target, whole_target = TARGETS[name]
            found.append(
                f"{heading}: {table[INCREMENTAL].ratio:.2f} times Captum (target: {captum_target:g}), "
                f"{against_whole(table, INCREMENTAL):.2f} times our whole network (target: {whole_target:g})."
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", choices=NETWORKS, action="append", help="this network (may be given again)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of ResNet-18, few positions: to see that it works"
    )
    parser.add_argument("--write", action="store_true", help="write results/occlusion.md and .json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tables: dict[str, Table] = {}
    checks: list[tuple[str, ...]] = []
    for name in ("resnet18",) if arguments.quick else arguments.only or NETWORKS:
        for stride in (32,) if arguments.quick else STRIDES:
            heading = f"{name}, stride {stride}"
            tables[heading], row = compare(
                subject(name), stride, 1 if arguments.quick else arguments.rounds, arguments.quick
            )
            checks.append((heading, *row))
            print(f"{heading}\n{tables[heading].markdown()}\n", flush=True)
    columns = ("", "operations saved", "largest change of a logit", "incremental off by")
    columns += ("incremental : whole network",)
    method = "Changes and errors are fractions of the largest logit, at a sixteenth of the positions; saved are MACs."
    summary = Figures(columns, tuple(checks), method)
    threads = "one thread" if arguments.threads == 1 else f"{arguments.threads} threads"
    notes = [f"float32, a patch of {PATCH}×{PATCH}, {threads}. {BUSY}", *verdicts(tables)]
    print(summary.markdown(), *notes, sep="\n")
    if arguments.write:
        write_result("occlusion", "Occlusion beside Captum's", {"What was checked": summary, **tables}, notes)


if __name__ == "__main__":
    main()
