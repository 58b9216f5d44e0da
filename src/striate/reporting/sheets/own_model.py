"""A network that is no classifier of ours: images are prepared for it, and its answer is read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from striate.classifier import Prediction
from striate.core.errors import ConfigError, DataError
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.images.decoded import Picture, channel_names
from striate.data.preparation.prepared import placed
from striate.data.preparation.transforms import prepare, scale
from striate.explaining import TargetError
from striate.hooks import borrow
from striate.reporting.sheets.input_image import Answered, Subject
from striate.reporting.sheets.own_preparation import Brought
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.tasks import CLASSIFICATION


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """`model` and what is known of its input and its outputs."""

    model: nn.Module
    brought: Brought

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed."""
        return (self.brought.note,) if self.brought.note else ()

    def look(self, image: Any, name: str) -> Answered:
        """An image of any kind, prepared: a path, a PIL image, an array (h, w), (h, w, c), or a tensor.

        A float tensor (c, h, w) is prepared already; other tensors are images as arrays are, channels first.

        Raises:
            ConfigError: nobody said how images are prepared.
            DataError: it is no image.
            Unreadable: the file cannot be read.
            TargetError: the network does not answer with a row of logits.
        """
        if isinstance(image, Tensor) and image.is_floating_point():
            return self._answered(_batch(image), _stretched(_batch(image)[0]), name)
        preparation = self.brought.preparation
        if preparation is None:
            raise ConfigError(
                f"How are images prepared for {type(self.model).__name__}? Pass weights= (torchvision), preparation= "
                "(an InputSpec, weights.transforms(), or a function from a PIL image to a tensor), or a prepared float "
                "tensor (c, h, w)."
            )
        if not isinstance(preparation, InputSpec):
            prepared = preparation(_pil(image))
            if not isinstance(prepared, Tensor):
                raise ConfigError(f"`preparation` makes a tensor (c, h, w); it made {type(prepared).__name__}.")
            return self._answered(_batch(prepared), _stretched(_batch(prepared)[0]), name)
        picture = picture_of(image, preparation)
        values = np.stack([prepare(picture, preparation)])
        images = scale(torch.from_numpy(values), preparation)
        found = self._answered(images, shown_input(images[0].numpy(), preparation), name)
        return Subject(found.images, found.given, found.answer, found.prediction, picture, placed(picture, preparation))

    def classes(self, count: int) -> tuple[str, ...]:
        """The names of `count` outputs: those that are known, else "class 0", "class 1" …"""
        known = self.brought.classes
        return known if known and len(known) == count else tuple(f"class {number}" for number in range(count))

    def _answered(self, images: Float[Tensor, "1 c h w"], given: Pixels, name: str) -> Answered:
        weights = next((weight for weight in self.model.parameters() if weight.is_floating_point()), images)
        with borrow(self.model), torch.no_grad():
            logits = self.model(images.to(weights.device, weights.dtype, copy=True))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            told = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise TargetError(
                f"An explanation needs a network that answers with a row of logits for each image (n, k); this one "
                f"gave {told}: wrap it in a module that returns the logits."
            )
        row = logits[0].float().cpu()
        shares = (CLASSIFICATION.answers(row[None])[0] if len(row) > 1 else row.sigmoid()).tolist()
        names = self.classes(len(row))
        ranked = sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
        return Answered(images, given, int(row.argmax()), Prediction(name, *ranked[0], probabilities=dict(ranked)))


def picture_of(image: Any, spec: InputSpec) -> Picture:
    """An image of any kind, decoded; see `OwnNetwork.look`.

    Raises:
        DataError: it is no image.
        Unreadable: the file cannot be read.
    """
    if isinstance(image, (str, Path)):
        return decode(Path(image), spec)
    if isinstance(image, Image.Image):
        return decode(_png(image), spec)
    pixels = _array(image)
    return Picture(pixels, channel_names(pixels.shape[2]), original=pixels.shape[:2], mode="array")


def _pil(image: Any) -> Image.Image:
    """For functions that prepare a PIL image: upright and in colours, as torchvision's presets expect it."""
    if isinstance(image, (str, Path)):
        image = Image.fromarray(_eight_bits(decode(Path(image))))
    elif not isinstance(image, Image.Image):
        pixels = _array(image)
        image = Image.fromarray(_eight_bits(Picture(pixels, channel_names(pixels.shape[2]), pixels.shape[:2])))
    return ImageOps.exif_transpose(image).convert("RGB")


def _eight_bits(picture: Picture) -> np.ndarray:
    pixels = np.rint(picture.pixels.astype(np.float32) * (255 / picture.maximum)).astype(np.uint8)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _png(image: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        upright = upright.convert("RGB")
    buffer = io.BytesIO()
    upright.save(buffer, format="PNG")
    return buffer.getvalue()


def _array(image: Any) -> np.ndarray:
    """An array (h, w, c) in one of the depths of pictures.

    Raises:
        DataError: it is none.
    """
    pixels = image.detach().cpu().movedim(0, -1).numpy() if isinstance(image, Tensor) and image.ndim == 3 else image
    pixels = np.asarray(pixels)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.dtype.kind not in "uf":
        raise DataError(
            "An image is a path, a PIL image, an array (h, w) or (h, w, c) of uint8, uint16 or floats from 0 to 1, or "
            f"a tensor (c, h, w); received {type(image).__name__} {pixels.dtype} of shape {pixels.shape}."
        )
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise DataError("An image of floats has values from 0 to 1; one prepared already is passed as a tensor.")
    return pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels


def _batch(prepared: Tensor) -> Float[Tensor, "1 c h w"]:
    images = prepared.detach()[None] if prepared.ndim == 3 else prepared.detach()
    if images.ndim != 4 or len(images) != 1 or 0 in images.shape:
        raise DataError(f"A prepared image is a float tensor (c, h, w); received {tuple(prepared.shape)}.")
    return images.float().cpu() if images.dtype == torch.float16 else images.cpu()


def _stretched(image: Float[Tensor, "c h w"]) -> np.ndarray:
    """Values of an unknown scale for the eye: from their least to their largest, in colours where there are three."""
    values = image.float()
    low, high = values.min(), values.max()
    shares = (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
    shares = shares if len(shares) == 3 else shares[:1]
    return (shares * 255).round().byte().permute(1, 2, 0).numpy()
