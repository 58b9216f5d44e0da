"""The preparation in the graph gives the bits of the one in numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from striate.core.spec import GREY, RGB, InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.data.preparation.colour import storage_dtype
from striate.exporting.graph import Graph
from striate.exporting.preparation import add_preparation

SIZES = [(31, 45), (23, 19), (60, 24), (7, 90), (1, 1), (2, 3), (40, 40), (97, 33)]


def spec(*, channels: tuple[str, ...] = RGB, **settings: Any) -> InputSpec:
    count = len(channels)
    return InputSpec(
        channels=channels, mean=(0.5,) * count, std=(0.2,) * count, **{"height": 23, "width": 19, **settings}
    )


SPECS = {
    **{
        f"{resize}-{filter}": spec(resize=resize, filter=filter, padding=None)
        for resize in ("cover", "contain", "stretch")
        for filter in ("bilinear", "bicubic", "nearest")
    },
    "crop": spec(crop=0.875),
    "larger than a block": spec(height=70, width=36, filter="bicubic"),
    "grey": spec(channels=GREY, resize="contain", padding=0.25),
    "four channels": spec(channels=(*RGB, "depth")),
    "without antialias": spec(antialias=False),
    "cubic without antialias": spec(antialias=False, filter="bicubic"),
    "torchvision": spec(resized=(26, 26), side_rounding="floor", offset_rounding="nearest"),
    "timm": spec(resize="contain", resized=(20, 18), offset_rounding="nearest"),
    "Pillow": spec(resampler="pillow", filter="bicubic", crop=0.875),
}


def differences(of: InputSpec, sizes: list[tuple[int, int]]) -> list[float]:
    graph = Graph()
    image = graph.input("image", storage_dtype(of), ("n", "height", "width", len(of.channels)))
    graph.output("prepared", add_preparation(graph, image, of), np.float32, ("n", *of.shape))
    model = graph.model({})
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    draws, found = np.random.default_rng(0), []
    for height, width in sizes:
        values = draws.random((height, width, len(of.channels))) * of.maximum
        dtype = storage_dtype(of)
        pixels = values.astype(dtype) if dtype == np.float32 else np.rint(values).astype(dtype)
        expected = prepare(DecodedImage(pixels, of.channels, (height, width)), of).astype(np.float64)
        prepared = np.asarray(session.run(None, {"image": np.stack([pixels, pixels])})[0])
        assert (prepared[0] == prepared[1]).all()
        found.append(float(np.abs(prepared[0] - expected).max()))
    return found


@pytest.mark.parametrize("name", SPECS)
def test_images_of_8_bits_are_prepared_to_the_bit(name: str) -> None:
    # Pillow resizes the rows of tall images first, by a rule of its version.
    sizes = [(height, width) for height, width in SIZES if height <= 2 * width or name != "Pillow"]
    assert differences(SPECS[name], sizes) == [0.0] * len(sizes)


def test_images_of_other_depths_are_prepared_to_the_rounding_of_float32() -> None:
    assert max(differences(replace(spec(filter="bicubic"), maximum=65535.0), SIZES)) <= 1
    assert max(differences(replace(spec(filter="bicubic"), maximum=1.0), SIZES)) <= 1e-5


def test_a_large_image_is_prepared_to_the_bit() -> None:
    """Weights have more bits after the point the more the image is shrunk; at 1/64 all that float32 has are in use."""
    assert differences(spec(height=8, width=8), [(512, 640)]) == [0.0]
