"""The torch form of preparation: `arrays.prepare_many` on tensors, differentiable and not rounded.

Exporting and attacks on whole images need it. Where no value is rounded on the way to numpy's result (floating images),
the two forms agree to 1e-5 of full intensity. Of whole levels, the resize alone is off by at most one level once
rounded; each conversion of channels or depth, which numpy rounds too, adds at most half a level before the resize.
With Pillow as the resampler, which resizes the rows or the columns first, a cubic filter may differ by several levels
where the image is resized to another aspect ratio and the filter overshoots.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from striate.core.geometry import Placement, place
from striate.core.spec import InputSpec
from striate.data.images.decoded import ALPHA
from striate.data.preparation.colour import channel_weights, padding_values, storage_dtype, without_alpha


def prepare_tensors(
    images: Float[Tensor, "n c h w"],
    spec: InputSpec,
    *,
    channels: tuple[str, ...] | None = None,
    maximum: float | None = None,
) -> Float[Tensor, "n k {spec.height} {spec.width}"]:
    """Prepare decoded images as `spec` describes, up to the scale.

    Args:
        images: stored values from 0 to `maximum`, as floating numbers; the result has values up to `spec.maximum`.
        spec: the preparation.
        channels: what each channel is; those of `spec` by default.
        maximum: the stored value of full intensity: 255, 65535 or 1; that of `spec` by default.

    Raises:
        DataError: the images lack a channel that `spec` names.
    """
    placement = place(spec, images.shape[2], images.shape[3])
    arranged = _arranged(images, channels or spec.channels, maximum or spec.maximum, spec)
    return _window(_resized(arranged, placement.resized, spec), placement, spec)


def _arranged(
    images: Float[Tensor, "n c h w"], channels: tuple[str, ...], maximum: float, spec: InputSpec
) -> Float[Tensor, "n k h w"]:
    """Blend alpha over the background, convert the channels, then the depth."""
    if ALPHA in channels and ALPHA not in spec.channels:
        at, ground = channels.index(ALPHA), spec.background * maximum
        opaque = torch.cat([images[:, :at], images[:, at + 1 :]], dim=1)
        images = ground + (opaque - ground) * (images[:, at : at + 1] / maximum)
        channels = without_alpha(channels)
    if channels != spec.channels:
        weights = torch.from_numpy(channel_weights(channels, spec.channels)).to(images)
        images = torch.einsum("kc,nchw->nkhw", weights, images)
    return images if maximum == spec.maximum else images * (spec.maximum / maximum)


def _resized(images: Float[Tensor, "n c h w"], size: tuple[int, int], spec: InputSpec) -> Float[Tensor, "n c y x"]:
    height, width = size
    if images.shape[2:] == size:
        return images
    if spec.filter == "nearest":
        rows, columns = (_nearest(before, after) for before, after in zip(images.shape[2:], size, strict=True))
        return images[:, :, rows][:, :, :, columns]
    wide = F.interpolate(images, (images.shape[2], width), mode=spec.filter, antialias=spec.antialias)
    if spec.maximum == 255:  # numpy's form clips 8-bit values between the two passes, too
        wide = wide.clamp(0, spec.maximum)
    if width == 1:  # torch's filter errs along a single column, not along a row
        resized = F.interpolate(wide.mT, (1, height), mode=spec.filter, antialias=spec.antialias).mT
    else:
        resized = F.interpolate(wide, (height, width), mode=spec.filter, antialias=spec.antialias)
    return resized if storage_dtype(spec) == np.float32 else resized.clamp(0, spec.maximum)


def _nearest(before: int, after: int) -> Tensor:
    """Return the old pixel under the centre of each new one."""
    return ((2 * torch.arange(after) + 1) * before) // (2 * after)


def _window(
    images: Float[Tensor, "n c y x"], placement: Placement, spec: InputSpec
) -> Float[Tensor, "n c {spec.height} {spec.width}"]:
    """Crop or pad to the input grid: negative padding crops."""
    (top, left), (height, width) = placement.offset, placement.resized
    bottom, right = spec.height + top - height, spec.width + left - width
    margins = (-left, right, -top, bottom)
    values = padding_values(spec)
    if len(set(values)) == 1 or max(margins) <= 0:
        return F.pad(images, margins, value=values[0])
    channels = images.split(1, dim=1)
    return torch.cat([F.pad(part, margins, value=value) for part, value in zip(channels, values, strict=True)], dim=1)
