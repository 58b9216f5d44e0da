"""A network that ends at one of its feature maps, with a new linear layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from striate.core.errors import ModelError, nearest
from striate.layers import GlobalAveragePool
from striate.models._zoo import Network
from striate.models.surgery import Call, calls_of


class Truncated(Network):
    """A network up to one of its feature maps (`trunk`), then the mean of each channel and a linear layer."""

    head = "fc"

    def __init__(self, trunk: nn.Sequential, maps: Mapping[str, str], channels: int, classes: int) -> None:
        super().__init__()
        self.feature_maps = {name: f"trunk.{path}" for name, path in maps.items()}
        self.trunk = trunk
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.trunk(x)))


def truncate(network: Network, place: str, *, size: tuple[int, int], classes: int) -> Truncated:
    """Return a network of the layers of `network` up to its feature map `place`, with a new linear layer after it.

    The layers are those of `network` themselves, with their weights. They must form a sequence: each module up to
    `place` only calls its children, one after the other.

    Raises:
        ModelError: there is no such feature map, or a module before it does more than call its children in sequence.
    """
    if place not in network.feature_maps:
        raise ModelError(f"There is no feature map {place!r} in this network. {nearest(place, network.feature_maps)}")
    calls = calls_of(network, size)
    path = network.feature_maps[place]
    end = next(call for call in calls if call.path == path)
    trunk = _row(network, "", end, calls)
    if trunk is None:
        raise ModelError(
            f"This network cannot end at {place}: the modules before it are not called one after the other. Choose "
            "another of its feature maps."
        )
    before = {name: path for name, path in network.feature_maps.items() if _contains(trunk, path)}
    built = Truncated(trunk, before, end.output.shape[1], classes)
    built.card = network.card
    return built


def _row(module: nn.Module, path: str, end: Call, calls: list[Call]) -> nn.Sequential | None:
    """Return the children of `module` up to the output of `end` as a sequence; None where they are not one."""
    prefix = f"{path}." if path else ""
    row: OrderedDict[str, nn.Module] = OrderedDict()
    before: Tensor | None = None
    for name, child in module.named_children():
        called = [call for call in calls if call.path == prefix + name]
        inside = end.path.startswith(f"{prefix}{name}.")
        if len(called) != 1 or called[0].input is None or (before is not None and called[0].input is not before):
            return None
        if called[0].output is end.output:
            row[name] = child
            return nn.Sequential(row)
        if inside:
            cut = _row(child, prefix + name, end, calls)
            if cut is not None:
                row[name] = cut
            return None if cut is None else nn.Sequential(row)
        row[name], before = child, called[0].output
    return None


def _contains(trunk: nn.Module, path: str) -> bool:
    try:
        trunk.get_submodule(path)
    except AttributeError:
        return False
    return True
