"""Prepared pixels beside those of timm and torchvision: differing bytes on real photos.

    python benchmarks/preparation.py [FOLDER] [--photos N] [--quick] [--write]

Every evaluation transform that torchvision's weights or timm's configurations have is converted to an `InputSpec`; each
photo is decoded and prepared by it, and by the library's own transform from the image that Pillow opens.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from _measure import Figures, write_result
from _sides import real_data
from _torchvision import torchvision
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.preparation.arrays import prepare
from striate.models.weights.preparation import input_spec_of, input_spec_of_preset

# isort: split
import timm  # it imports torchvision
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

Judge = Callable[[Image.Image], np.ndarray]
_KEYS = ("input_size", "crop_pct", "crop_mode", "interpolation")
_LARGEST = 600  # pixels of a side: the largest transforms repeat what smaller ones show


def transforms_of_torchvision() -> Iterator[tuple[str, InputSpec, Judge]]:
    """The distinct evaluation presets for classification."""
    seen = set()
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            preset: Any = weights.transforms()
            spec = input_spec_of_preset(preset)
            key = spec.size, spec.resized, spec.filter
            if key not in seen and max(spec.size) <= _LARGEST:
                seen.add(key)
                preset.mean, preset.std = [0.0] * 3, [1.0] * 3
                yield str(weights), spec, lambda image, preset=preset: preset(image).mul(255).round().byte().numpy()


def transforms_of_timm() -> Iterator[tuple[str, InputSpec, Judge]]:
    """The distinct evaluation transforms of all published weights, at the sizes of training and of test."""
    seen = set()
    for name in timm.list_models(pretrained=True):
        described = timm.get_pretrained_cfg(name)
        assert described is not None
        config: Mapping[str, Any] = described.to_dict()
        for test in (False, True):
            resolved = resolve_data_config(pretrained_cfg=config, use_test_size=test)
            key = tuple(map(resolved.get, _KEYS))
            if key in seen or resolved["input_size"][0] != 3 or max(resolved["input_size"]) > _LARGEST:
                continue
            seen.add(key)
            transform: Any = create_transform(**resolved, normalize=False)
            spec = input_spec_of(config, test_size=test)
            yield name, spec, lambda image, transform=transform: transform(image).numpy()


def compare(kind: Iterator[tuple[str, InputSpec, Judge]], files: list[Path], most: int | None) -> tuple[str, ...]:
    """The cells of a row: how many transforms and bytes there are, and how many bytes differ."""
    transforms = [each for number, each in enumerate(kind) if most is None or number < most]
    total = different = 0
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        for name, spec, judge in transforms:
            own, theirs = prepare(decode(file, spec), spec), judge(image)
            wrong = int((own != theirs).sum())
            total, different = total + own.size, different + wrong
            if wrong:
                print(f"{name}, {file.name}: {wrong} bytes differ")
    return str(len(transforms)), str(len(files)), f"{total:,}", f"{different:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="by default photos-dog-cat of the real data")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="few photos and transforms")
    parser.add_argument("--write", action="store_true", help="write results/preparation.md and .json")
    arguments = parser.parse_args()
    files = sorted((arguments.folder or real_data("photos-dog-cat")).rglob("*.jpg"))
    files = files[:: max(1, len(files) // arguments.photos)][: 5 if arguments.quick else arguments.photos]
    kinds = {
        f"torchvision {torchvision.__version__}": transforms_of_torchvision(),
        f"timm {timm.__version__}": transforms_of_timm(),
    }
    rows = tuple((name, *compare(kind, files, 5 if arguments.quick else None)) for name, kind in kinds.items())
    table = Figures(
        ("", "transforms", "photos", "bytes", "differing bytes"), rows, "Photos of many sizes, from the file on."
    )
    print(table.markdown())
    if arguments.write:
        write_result("preparation", "Prepared pixels beside timm and torchvision", {"Differing bytes": table})
    if any(row[-1] != "0" for row in rows):
        sys.exit("Some bytes differ.")


if __name__ == "__main__":
    main()
