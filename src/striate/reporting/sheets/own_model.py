"""A module that is not a classifier of ours: prepare images for it, and read its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from striate.classifier import Prediction
from striate.classifier.images import as_image
from striate.core.errors import ConfigError, DataError
from striate.core.spec import RGB, InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.explaining import TargetError
from striate.explaining.model_input import check_model
from striate.hooks import borrow
from striate.reporting.sheets.input_image import Answered, Subject
from striate.reporting.sheets.own_preparation import Brought
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.tasks import CLASSIFICATION

_IN_FULL = InputSpec(channels=RGB, height=1, width=1, mean=(0.0,) * 3, std=(1.0,) * 3, decode_scale=0.0)
"""A preparation for which images are decoded with all their pixels."""


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A module, with the preparation of its input and the names of its classes."""

    model: nn.Module
    brought: Brought

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions about the preparation."""
        return (self.brought.note,) if self.brought.note else ()

    def look(self, image: Any, name: str) -> Answered:
        """Prepare an image: a path, the bytes of a file, a PIL image, an array (h, w[, c]), or a tensor (c, h, w).

        A float tensor counts as prepared; tensors of other types are images.

        Raises:
            ConfigError: the preparation of images is not known.
            DataError: it is not an image.
            Unreadable: the file cannot be read.
            NetworkError: the module needs further inputs.
            TargetError: it does not return a row of logits.
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
                raise ConfigError(f"`preparation` returns a tensor (c, h, w); it returned {type(prepared).__name__}.")
            return self._answered(_batch(prepared), _stretched(_batch(prepared)[0]), name)
        decoded = as_image(image, preparation)
        values = np.stack([prepare(decoded, preparation)])
        images = scale(torch.from_numpy(values), preparation)
        found = self._answered(images, shown_input(images[0].numpy(), preparation), name)
        placement = decoded.placement(preparation)
        return Subject(found.images, found.given, found.answer, found.prediction, decoded, placement)

    def classes(self, count: int) -> tuple[str, ...]:
        """Return the names of `count` outputs, by default "class 0", "class 1" …"""
        known = self.brought.classes
        return known if known and len(known) == count else tuple(f"class {number}" for number in range(count))

    def _answered(self, images: Float[Tensor, "1 c h w"], given: Pixels, name: str) -> Answered:
        check_model(self.model)
        weights = next((weight for weight in self.model.parameters() if weight.is_floating_point()), images)
        with borrow(self.model), torch.no_grad():
            logits = self.model(images.to(weights.device, weights.dtype, copy=True))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            found = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise TargetError(
                f"An explanation needs a module that returns a row of logits for each image (n, k); this one returns "
                f"{found}: wrap it in a module that returns the logits."
            )
        row = logits[0].float().cpu()
        shares = CLASSIFICATION.answers(row[None])[0].tolist()
        names = self.classes(len(row))
        ranked = sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
        return Answered(images, given, int(row.argmax()), Prediction(name, *ranked[0], probabilities=dict(ranked)))


def _pil(image: Any) -> Image.Image:
    """Convert to an upright RGB image, as torchvision's presets expect it."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(_eight_bits(as_image(image, _IN_FULL)))
    return ImageOps.exif_transpose(image).convert("RGB")


def _eight_bits(decoded: DecodedImage) -> np.ndarray:
    pixels = np.rint(decoded.pixels.astype(np.float32) * (255 / decoded.maximum)).astype(np.uint8)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _batch(prepared: Tensor) -> Float[Tensor, "1 c h w"]:
    images = prepared.detach()[None] if prepared.ndim == 3 else prepared.detach()
    if images.ndim != 4 or len(images) != 1 or 0 in images.shape:
        raise DataError(f"A prepared image is a float tensor (c, h, w); received {tuple(prepared.shape)}.")
    return images.float().cpu() if images.dtype == torch.float16 else images.cpu()


def _stretched(image: Float[Tensor, "c h w"]) -> np.ndarray:
    """Scale values of an unknown range to 8 bits; of other than three channels show the first."""
    values = image.float()
    low, high = values.min(), values.max()
    shares = (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
    shares = shares if len(shares) == 3 else shares[:1]
    return (shares * 255).round().byte().permute(1, 2, 0).numpy()
