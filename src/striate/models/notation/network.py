"""A written network as a network: its layers one after the other, each by its name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._zoo import ModelCard, Network
from striate.models.notation.assembly import Assembly
from striate.models.notation.closing import check_classes, ending
from striate.models.notation.flow import Flow
from striate.models.notation.grammar import Notation, parse
from striate.tracing import describe

FAMILY = "notation"


class SoftmaxNotRun(nn.Module):
    """The softmax that closes a written network: shown where it stands, and left to the loss. Outputs are logits."""

    def forward(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return logits


class WrittenNetwork(Network):
    """The layers of a network written down, in its order.

    Initial weights are He's where a rectifier follows, Xavier's elsewhere.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], feature_maps: Mapping[str, str], head: str) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.feature_maps = feature_maps
        self.head = head

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        for layer in self.children():
            x = layer(x)
        return x


def build_written(text: str, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """The network that `text` writes down, for pictures of `size` (height, width).

    Raises:
        NotationError: the text has a mistake, a layer does not fit its input, or the closing layer the classes.
        LostMapError: the pictures are too small.
    """
    notation = parse(text)
    end = ending(notation)
    check_classes(notation, end.head, classes)
    assembly = Assembly(text, classes, Flow((channels, *size)), staged=True)
    assembly.extend(end.items)
    assembly.finish()
    if end.softmax:
        assembly.layers["softmax"] = SoftmaxNotRun()
    network = WrittenNetwork(assembly.layers, assembly.maps, assembly.name_of(end.head))
    network.card = _card(notation, network, (channels, *size), classes)
    return network


def _card(notation: Notation, network: Network, shape: tuple[int, int, int], classes: int) -> ModelCard:
    """What is counted in it, for these pictures and classes; there is no paper to name."""
    totals = describe(network, shape).totals
    return ModelCard(
        name=notation.text,
        family=FAMILY,
        title="a network written down",
        authors="",
        year=0,
        paper="",
        input=shape,
        classes=classes,
        parameters=totals.parameters,
        macs=totals.macs,
        depth=totals.depth,
        notes=f"Read as: {notation}",
    )
