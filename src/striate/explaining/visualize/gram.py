"""What of a map is style: which channels are active together, wherever that is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def gram(a_map: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """G_ij = 1/(h·w) Σ_k F_ik F_jk over the positions k: Gatys et al. 2016 (CVPR, arXiv:1508.06576), equation 3.

    The paper's is the sum; ours is the mean, so that pictures of different sizes can be compared.
    """
    flat = a_map.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_distance(a_map: Float[Tensor, "n c h w"], wanted: Float[Tensor, "#n c c"]) -> Float[Tensor, " n"]:
    """‖G - A‖² / ‖A‖²: how far the style of each map is from the wanted Gram matrix A.

    The paper's E_l (equation 4) divides by 4·c²·(h·w)² instead, which leaves the size of a place's activations in: its
    weights then fit one network. Here all places count alike in any network, and the distance of a grey picture is
    about 1.
    """
    wanted = wanted.to(a_map)
    size = wanted.square().sum((1, 2)).clamp(min=torch.finfo(wanted.dtype).tiny)
    return (gram(a_map) - wanted).square().sum((1, 2)) / size
