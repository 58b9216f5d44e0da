"""Networks of the zoo with random weights, made quickly: where any weights will do, papers' own take too long."""

from __future__ import annotations

import torch
from torch import nn

from promises.subject import subject
from striate.models import Network

_OF_BATCH_NORM = {"running_mean", "running_var", "num_batches_tracked"}


def filled(name: str, channels: int = 3) -> Network:
    """The network `name` for its small size, in eval mode."""
    size = subject(name).small
    network = subject(name).meta(size, channels=channels)
    if {path.rpartition(".")[2] for path, _ in network.named_buffers()} - _OF_BATCH_NORM:
        return subject(name).fresh(size, channels=channels).eval()
    network.to_empty(device="cpu")
    _fill(network)
    return network.eval()


@torch.no_grad()
def _fill(network: nn.Module) -> None:
    for path, tensor in (*network.named_parameters(), *network.named_buffers()):
        if path.endswith(("running_mean", "num_batches_tracked")):
            tensor.zero_()
        elif path.endswith("bias"):
            tensor.uniform_(-0.1, 0.1)  # with zeros, a black image would leave layer norms nothing to divide by
        elif tensor.ndim < 2:
            tensor.fill_(1)
        else:
            tensor.uniform_(-1, 1).mul_((6 / tensor[0].numel()) ** 0.5)
