"""What a model declares, checked on the meta device: counts, maps, heads. Cheap enough for every variant."""

from __future__ import annotations

from torch import nn

from promises.subject import CLASSES, Subject, heads
from striate.core.protocols import Described
from striate.models import Network, list_models
from striate.tracing import Description

ACTIVATIONS = tuple(
    kind
    for kind in vars(nn.modules.activation).values()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind not in (nn.Module, nn.MultiheadAttention)
)


def its_card_says_what_it_is(subject: Subject) -> None:
    card, totals = subject.card, subject.description.totals
    assert card.name == subject.name
    assert subject.sketch.card is card
    counted = {"parameters": totals.parameters, "macs": totals.macs, "depth": totals.depth}
    said = {"parameters": card.parameters, "macs": card.macs, "depth": card.depth}
    assert said == counted, f"{card.name}: the card says {said}; counted are {counted}"
    assert card.title
    assert card.authors
    assert card.family == card.family.lower()
    assert 1950 < card.year < 2030
    assert card.paper.startswith("https://")
    assert card in list_models()


def it_gives_one_logit_per_class(subject: Subject) -> None:
    assert subject.description.rows[-1].output_shape == (subject.card.classes,)
    assert subject.huge_description.rows[-1].output_shape == (CLASSES,)


def its_maps_are_as_declared(subject: Subject) -> None:
    """On images of the card's size and on huge ones: layers that run, in forward order, that give a map."""
    _check_maps(subject.sketch, subject.description)
    _check_maps(subject.huge, subject.huge_description)


def _check_maps(network: Network, description: Description) -> None:
    assert isinstance(network, Described)
    order = [row.path for row in description.rows]
    for name, path in network.feature_maps.items():
        assert path in order, f"{name}: no layer at work is called {path!r}"
        row = description.row(path)
        assert len(row.output_shape) == 3, f"{name} gives {row.output_shape}"
        assert row.stride is not None, f"{name} has no positions"
    places = [order.index(path) for path in network.feature_maps.values()]
    assert places == sorted(places), f"not in forward order: {list(network.feature_maps)}"


def its_heads_are_the_last_layers(subject: Subject) -> None:
    """A fully connected layer or a 1×1 convolution, with one output for each class."""
    for network, classes in ((subject.sketch, subject.card.classes), (subject.huge, CLASSES)):
        for path, head in heads(network).items():
            assert outputs(head) == classes, f"{path} has {outputs(head)} outputs for {classes} classes"


def no_activation_is_in_place_or_shared(subject: Subject) -> None:
    """Sharing would show as one module with two rows, each a call."""
    for path, module in subject.sketch.named_modules():
        assert not getattr(module, "inplace", False), f"{path} works in place"
    calls = [row.path for row in subject.description.rows if is_activation(subject.sketch.get_submodule(row.path))]
    assert len(calls) == len(set(calls)), sorted({path for path in calls if calls.count(path) > 1})


def outputs(head: nn.Module) -> int:
    if isinstance(head, nn.Conv2d):
        assert head.kernel_size == (1, 1), f"a head of {head.kernel_size}"
        return head.out_channels
    return int(getattr(head, "out_features", -1))


def is_activation(module: nn.Module) -> bool:
    return isinstance(module, ACTIVATIONS)


PROMISES = (
    its_card_says_what_it_is,
    it_gives_one_logit_per_class,
    its_maps_are_as_declared,
    its_heads_are_the_last_layers,
    no_activation_is_in_place_or_shared,
)
