"""A dialect: how a library names, lays out and uses the weights of the architectures that it shares with Striate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.core.registry import natural_key
from striate.core.spec import InputSpec
from striate.models._create import create_model
from striate.models._padding import Padding
from striate.models._zoo import Network
from striate.models.surgery import heads_of
from striate.models.weights.dialects.layouts import TORCH, Layout, own_tensors
from striate.models.weights.dialects.names import Rule, rename
from striate.models.weights.load import BATCH_COUNTER, by, fits, some_of

Tensors = Mapping[str, Tensor]


def head_prefixes(network: Network) -> tuple[str, ...]:
    """Return the beginnings of the paths in the layers whose size is the number of classes."""
    return tuple(f"{path}." for path in heads_of(network))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The form of one family's models in a library.

    `ours` renames the paths of our state dict, `theirs` the names of the file: both must lead to the same names.
    `prepare` rearranges the tensors of the file first. `unused` matches tensors that our network has no place for,
    `optional` paths of ours that a file may lack (they get the initial weights of seed 0), and `filled` gives the value
    of paths that the library never has. `flattened` gives the channels of the map that a fully connected layer reads.

    With equal tensors the library may compute another function: `epsilon` is that of its batch norms, and `padding` the
    rule of its strided convolutions, where they differ from ours. `source` matches the library's name of an
    architecture where only that name distinguishes two dialects. `input` is the preparation that all weights share.
    """

    ours: tuple[Rule, ...] = ()
    theirs: tuple[Rule, ...] = ()
    prepare: Callable[[Tensors, Network], Tensors] | None = None
    unused: str = ""
    optional: str = ""
    filled: Mapping[str, float] = field(default_factory=dict)
    flattened: Mapping[str, int] = field(default_factory=dict)
    epsilon: float | None = None
    padding: Padding | None = None
    source: str = ""
    input: InputSpec | None = None


@dataclass(frozen=True)
class Fit:
    """Which tensors of a file belong to which paths of a network.

    `placed` and `misshapen` hold the file's name by our path, `missing` the name that the file should have. `biases`
    are those of convolutions that have none in our network, by the path of the norm that absorbs them. `left_over` are
    names of the file without a place.
    """

    placed: Mapping[str, str]
    misshapen: Mapping[str, str]
    missing: Mapping[str, str]
    biases: Mapping[str, str]
    left_over: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every tensor has its place and every place its tensor."""
        return not (self.missing or self.misshapen or self.left_over)


@dataclass(frozen=True)
class Dialect:
    """The weights of one library; `models` holds rules by patterns of our models' names."""

    name: str
    title: str
    models: Mapping[str, Rules]
    layout: Layout = TORCH

    def rules(self, network: Network | str) -> Rules | None:
        """Return the rules for a network of the zoo or its name, None where the library does not have it."""
        name = network if isinstance(network, str) else network.card.name
        found = (rules for pattern, rules in self.models.items() if re.fullmatch(pattern, name))
        return next(found, None)

    def model(self, network: Network) -> str:
        """Return the name of the model that computes what the library's does: with its padding rule."""
        rules = self.rules(network)
        return f"{network.card.name}+{rules.padding}" if rules and rules.padding else network.card.name

    def fit(self, tensors: Tensors, network: Network) -> Fit:
        """Compare the names and shapes of a file's tensors with the network's.

        The last layer may have another number of classes.

        Raises:
            ModelError: the library does not have this network.
        """
        rules = self._rules(network)
        return self._fit(rules.prepare(tensors, network) if rules.prepare else tensors, network, rules)

    def convert(self, tensors: Tensors, network: Network) -> dict[str, Tensor]:
        """Return the tensors of a file by the paths of `network`, in its shapes.

        In eval mode the network, built by the name `model`, then computes what the library's does: another epsilon of
        batch norms is folded into their scales, and biases before them into their means. The last layer may have
        another number of classes than `network`; its tensors keep it.

        Raises:
            ModelError: tensors are missing, left over or of the wrong shape; or the library does not have this network.
        """
        rules = self._rules(network)
        tensors = rules.prepare(tensors, network) if rules.prepare else tensors
        fit = self._fit(tensors, network, rules)
        if not fit.complete:
            raise ModelError(_told(self, fit, tensors, network))
        own, places = own_tensors(network), network.state_dict()
        state = {
            path: self.layout.tensor(tensors[name], places[path], own[path][0], rules.flattened.get(own[path][1], 0))
            for path, name in fit.placed.items()
        }
        for path, value in rules.filled.items():
            for place in (place for place in places if re.search(path, place) and place not in state):
                state[place] = torch.full(places[place].shape, value, dtype=places[place].dtype)
        if absent := [path for path in places if path not in state and _matches(rules.optional, path)]:
            head = next((tensor for path, tensor in state.items() if path.startswith(f"{network.head}.")), None)
            classes = len(places[absent[-1]]) if head is None else len(head)
            initial = create_model(self.model(network), classes=classes, seed=0).state_dict()
            state |= {path: initial[path] for path in absent}
        for norm, name in fit.biases.items():
            state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - tensors[name]
        if rules.epsilon is not None:
            _fold_epsilon(state, network, rules.epsilon)
        return state

    def _rules(self, network: Network) -> Rules:
        rules = self.rules(network)
        if rules is None:
            raise ModelError(
                f"{self.title} has no weights for {network.card.name}: a network of another family may compute "
                f"something else with the same tensors."
            )
        return rules

    def _fit(self, tensors: Tensors, network: Network, rules: Rules) -> Fit:
        own, places = own_tensors(network), network.state_dict()
        expected = rename(
            {path: self.layout.ours(module_path, leaf, module) for path, (module, module_path, leaf) in own.items()},
            rules.ours,
            network,
        )
        names = sorted(tensors, key=natural_key)
        theirs = rename({name: self.layout.theirs(name) for name in names}, rules.theirs)
        by_name = {name: file_name for file_name, name in theirs.items()}
        placed, misshapen, missing = {}, {}, {}
        heads = head_prefixes(network)
        for path, name in expected.items():
            if name not in by_name:
                if not (path.endswith(BATCH_COUNTER) or _matches(rules.optional, path) or _filled(rules, path)):
                    missing[path] = name
                continue
            module, module_path, _ = own[path]
            tensor = tensors[by_name[name]].to("meta")
            laid = self.layout.tensor(tensor, places[path], module, rules.flattened.get(module_path, 0))
            head = path.startswith(heads)
            (placed if fits(laid, places[path], head=head) else misshapen)[path] = by_name[name]
        biases = self._absorbed(by_name, expected, network)
        used = {*placed.values(), *misshapen.values(), *biases.values()}
        left_over = tuple(
            name
            for name in names
            if name not in used and not _matches(rules.unused, name) and not name.endswith(BATCH_COUNTER)
        )
        return Fit(placed, misshapen, missing, biases, left_over)

    def _absorbed(self, by_name: Mapping[str, str], expected: Mapping[str, str], network: Network) -> dict[str, str]:
        """Return the biases of convolutions that have none in our network, by the path of the norm that follows."""
        absorbed: dict[str, str] = {}
        before = ""
        for path, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                weight = expected[f"{path}.weight"]
                before = re.sub(r"(weight|kernel)$", "bias", weight) if module.bias is None else ""
            elif isinstance(module, nn.BatchNorm2d):
                if before in by_name:
                    absorbed[path] = by_name[before]
                before = ""
        return absorbed


def _filled(rules: Rules, path: str) -> bool:
    return any(re.search(pattern, path) for pattern in rules.filled)


def _matches(pattern: str, name: str) -> bool:
    return bool(pattern) and re.search(pattern, name) is not None


def _fold_epsilon(state: dict[str, Tensor], network: nn.Module, epsilon: float) -> None:
    """Scale by √((v + ours) / (v + theirs)), so that w / √(v + ours) is what w / √(v + theirs) was."""
    for path, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and f"{path}.weight" in state and module.eps != epsilon:
            variance = state[f"{path}.running_var"].double()
            weight = state[f"{path}.weight"]
            factor = ((variance + module.eps) / (variance + epsilon)).sqrt()
            state[f"{path}.weight"] = (weight * factor).to(weight.dtype)


def _told(dialect: Dialect, fit: Fit, tensors: Tensors, network: Network) -> str:
    """Return the sentence about tensors that do not fit."""
    name, places = network.card.name, network.state_dict()
    if fit.misshapen:
        pairs = [
            f"{theirs!r} is {by(tensors[theirs].shape)}, and {path!r} of {name} is {by(places[path].shape)}"
            for path, theirs in fit.misshapen.items()
        ]
        return f"These weights ({dialect.title}) have other shapes: {some_of(pairs, '; ')}."
    if fit.missing:
        pairs = [f"{theirs!r} (for {path!r})" for path, theirs in fit.missing.items()]
        return f"These weights, read as those of {dialect.title} for {name}, have no {some_of(pairs)}."
    return (
        f"{name} has no place for {some_of([repr(name) for name in fit.left_over])} of these weights ({dialect.title})."
    )
