"""Convert images in memory (arrays, tensors, Pillow images) to decoded images; refuse ambiguous ones."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from striate.core.errors import DataError, ModelError
from striate.core.spec import GREY, RGB, InputSpec, channel_names
from striate.data.images.decode import decode
from striate.data.images.decoded import ALPHA, DecodedImage

Encoded = bytes | bytearray | memoryview | io.IOBase
"""The bytes of an image file, or an open file that is read to its end."""
ImageLike = str | os.PathLike[str] | Encoded | np.ndarray | Tensor | Image.Image | DecodedImage
Images = ImageLike | Iterable[ImageLike]
"""An image, or several: any iterable of them, or an array or tensor of four dimensions."""

_KEPT_BY_PNG = {"1", "L", "LA", "RGB", "RGBA", "P", "I;16"}
_ADVICE = "Pass uint8 from 0 to 255, uint16 from 0 to 65535, or floating numbers from 0 to 1"


def as_image(image: ImageLike, spec: InputSpec) -> DecodedImage:
    """Decode a path or encoded bytes; convert an array, a tensor or a Pillow image.

    Raises:
        DataError: the image cannot be read, or is ambiguous; the message states what is expected.
    """
    match image:
        case DecodedImage():
            return image
        case np.ndarray():
            return _of_array(image, spec, first=False)
        case Tensor():
            return _of_array(_numbers(image), spec, first=True)
        case Image.Image():
            return _of_pillow(image, spec)
        case bytes() | bytearray() | memoryview():
            return decode(bytes(image), spec)
        case str() | os.PathLike():
            return decode(Path(image), spec)
        case io.IOBase():
            return decode(read_to_end(image), spec)
    raise not_an_image(image)


def read_to_end(file: io.IOBase) -> bytes:
    """Read the bytes of an open file.

    Raises:
        DataError: it is closed, open for writing only, or of text.
    """
    try:
        encoded = getattr(file, "read", bytes)()
    except (OSError, ValueError) as error:
        raise DataError(f"this open file cannot be read ({error})") from error
    if not isinstance(encoded, bytes):
        raise not_an_image(file)
    return encoded


def _numbers(image: Tensor) -> np.ndarray:
    try:
        dense = image.detach().to_dense().cpu()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    except (NotImplementedError, RuntimeError, TypeError) as error:
        raise DataError(f"its values cannot be read ({error}). Pass a dense tensor of numbers.") from error


def not_an_image(value: object) -> DataError:
    """Return the error for a value that is no image."""
    kind = type(value).__name__
    return DataError(
        "An image is a path, encoded bytes, an array, a tensor or a Pillow image; received "
        f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}."
    )


def many(images: object) -> bool:
    """Return whether `images` are several: an array or tensor of four dimensions, or not an image type.

    A mapping is not: its keys are no images.
    """
    if isinstance(images, (np.ndarray, Tensor)):
        return images.ndim == 4
    single = (str, os.PathLike, bytes, bytearray, memoryview, io.IOBase, Image.Image, DecodedImage, Mapping)
    return not isinstance(images, single)


def check_prepared(images: object, spec: InputSpec) -> None:
    """Check that `images` is a batch of prepared images.

    Raises:
        ModelError: it is not a floating-point tensor (n, c, h, w) with the model's channels.
    """
    wanted = f"a floating tensor (n, {len(spec.channels)}, height, width), scaled as the classifier's input says"
    if not isinstance(images, Tensor):
        raise ModelError(f"Prepared images are {wanted}; received a {type(images).__name__}. For others use predict.")
    if images.ndim != 4 or images.shape[1] != len(spec.channels) or not images.is_floating_point():
        shape = "×".join(map(str, images.shape))
        raise ModelError(
            f"Prepared images are {wanted}; received a tensor of {images.dtype} and shape {shape}. For images as they "
            f"are use predict."
        )


def _of_pillow(image: Image.Image, spec: InputSpec) -> DecodedImage:
    """Convert through PNG, so that orientation, palette, transparency and colour profile apply as in a file."""
    if image.mode == "F":
        return _of_array(np.asarray(image), spec, first=False)
    try:
        image = _in_16_bits(image)
        kept = image if image.mode in _KEPT_BY_PNG else image.convert("RGB")
        buffer = io.BytesIO()
        kept.save(buffer, "PNG", compress_level=0, exif=image.getexif(), icc_profile=image.info.get("icc_profile"))
    except (OSError, ValueError, SyntaxError, struct.error) as error:  # Pillow reads the file only now
        raise DataError(f"this Pillow image cannot be read ({error})") from error
    return decode(buffer.getvalue(), spec)


def _in_16_bits(image: Image.Image) -> Image.Image:
    """Return an image of mode I, or of another byte order, as I;16, whose values PNG keeps; others as they are.

    Raises:
        DataError: its values do not fit 16 bits.
    """
    if image.mode not in ("I", "I;16B", "I;16L", "I;16N"):
        return image
    values = np.asarray(image)
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise DataError(
            f"this Pillow image has values from {values.min()} to {values.max()}, beyond 16 bits. {_ADVICE}."
        )
    kept = Image.fromarray(values.astype(np.uint16))
    kept.info = image.info
    return kept


def _of_array(array: np.ndarray, spec: InputSpec, *, first: bool) -> DecodedImage:
    """Convert an array; with `first`, the channels come first if both ends are possible."""
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.getmaskarray(array).any():
            raise DataError("some of its pixels are masked: fill them, as by array.filled(0)")
        array = array.data
    if not array.size:
        raise DataError(f"it is empty: its shape is {_by(array.shape)}")
    pixels = _depth(_channels_last(np.asarray(array), spec, first=first), spec)
    pixels = np.ascontiguousarray(pixels)
    return DecodedImage(pixels, _names(pixels.shape[2], spec), original=pixels.shape[:2], mode="array")


def _channels_last(array: np.ndarray, spec: InputSpec, *, first: bool) -> np.ndarray:
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim != 3:
        raise DataError(
            f"expected an array of (height, width), (height, width, channels) or (channels, height, width); this "
            f"one has the shape {_by(array.shape)}"
        )
    usual = {len(spec.channels)} | ({1, 2, 3, 4} if set(spec.channels) <= {*RGB, *GREY} else set())
    ends = [end for end in ((0, 2) if first else (2, 0)) if array.shape[end] in usual]
    if not ends:
        raise DataError(
            f"the network takes {len(spec.channels)} channels, and neither end of the shape {_by(array.shape)} is a "
            f"number of channels that can be converted to it"
        )
    return array if ends[0] == 2 else array.transpose(1, 2, 0)


def _depth(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    kind = pixels.dtype.kind
    if kind in "iuf":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise DataError(f"its values are of {pixels.dtype}. {_ADVICE}")
    if kind == "f":
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32, copy=False)
    if not np.isfinite(pixels).all():
        raise DataError("some of its values are not finite (NaN or infinity): replace them")
    least, most = pixels.min(), pixels.max()
    if spec.maximum == 1:  # the model was trained on floating-point data of any range
        return pixels.astype(np.float32)
    if kind == "f" and least >= 0 and most <= 1:
        return pixels.astype(np.float32)
    if least >= 0 and most <= 255 and (kind != "f" or (pixels == np.rint(pixels)).all()):
        return pixels.astype(np.uint8)
    raise DataError(f"its values are of {pixels.dtype} from {least:g} to {most:g}. {_ADVICE}")


def _names(count: int, spec: InputSpec) -> tuple[str, ...]:
    if count == len(spec.channels):
        return spec.channels if set(spec.channels) != set(RGB) else RGB  # in the order red, green, blue
    return {2: (*GREY, ALPHA), 4: (*RGB, ALPHA)}.get(count, channel_names(count))


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "()"
