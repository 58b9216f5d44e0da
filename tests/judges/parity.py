"""Our network compared with another library's, with the same weights: the same logits, the same gradients.

A judge is described in `tests/judges/nets/<file>.py`, one file for each of ours:

    JUDGES = (
        Judge("resnet50", "torchvision", lambda: torchvision.models.resnet50()),
        Judge("mobilenet_100", "keras", lambda: keras.applications.MobileNet(weights=None, classifier_activation=None)),
    )

Weights are carried by the order in which modules are used, so ours must run its branches in the judge's order; what
differs for a reason is said in the `Judge`. Random weights come from us: every parameter is drawn, and batch norm's
statistics are those of what really arrives, moved a little, so that no activation vanishes or explodes.

Importing this module makes `import torchvision` and `import timm` work (`judges.torchvision_here`), and chooses torch
as Keras's backend.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import judges.torchvision_here  # noqa: F401  (after it torchvision and timm can be imported)
from judges.cells import Cell, Slot, keras_cells, listening, overhearing_keras
from striate.core.protocols import Auxiliary
from striate.models import MODELS, Network, create_model

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")  # as the networks it is compared with

Answer = Callable[[Any, Tensor], "Tensor | tuple[Tensor, ...]"]


class DisagreementError(AssertionError):
    """Two networks that cannot be compared; the message names the first place where they differ."""


def ask(network: Any, pictures: Tensor) -> Tensor:
    """The logits (n, k) that a torch module or a Keras model gives for images (n, c, h, w), in the mode it is in."""
    if is_keras(network):
        return network(pictures.permute(0, 2, 3, 1), training=network.training)
    return network(pictures)


@dataclass(frozen=True)
class Judge:
    """Another library's implementation of our model `name`; `build()` gives it, with any weights and logits as output.

    `shape` (c, h, w) and `classes` are those of the comparison, if not our card's. `theirs` asks the judge and `ours`
    our network for what is compared, a tensor or several. `rename` pairs a module of the judge's with one of ours by
    path, where the order of use is not the same. `skip` are paths of the judge's (with * and ?) that are not carried.
    `only_theirs` and `only_ours` name tensors that one side alone has in otherwise equal modules, with the value at
    which they do nothing: `only_theirs={"bias": 0.0}` for convolutions with a bias before a norm. `build_ours` is for
    judges that take other arguments than a variant of ours gives.

    With `auxiliary`, the judge runs its auxiliary classifiers in training mode only: it is recorded in that mode, where
    `theirs` gives its logits and then those of the classifiers, in the order of our `forward_with_auxiliary`.

    `double` compares in float64, where float32 is too loose to mean anything. `norms_differ` says why the norms'
    epsilon is not the judge's (which is asked of every pair).
    """

    name: str
    library: str
    build: Callable[[], Any]
    _: KW_ONLY
    shape: tuple[int, int, int] | None = None
    classes: int | None = None
    theirs: Answer = ask
    ours: Answer = ask
    build_ours: Callable[[], Network] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    only_theirs: Mapping[str, float] = field(default_factory=dict)
    only_ours: Mapping[str, float] = field(default_factory=dict)
    auxiliary: bool = False
    double: bool = False
    tolerance: float = 1e-4
    norms_differ: str = ""

    @property
    def input(self) -> tuple[int, int, int]:
        return self.shape or MODELS[self.name].card.input


@dataclass(frozen=True)
class Agreement:
    """How far the two are apart, relative to the largest value: logits in eval mode, then, where asked for, logits in
    training mode without dropout (None too where the judge's are not deterministic) and the gradients of a loss."""

    logits: float
    training: float | None = None
    gradients: float | None = None


def compare(judge: Judge, *, gradients: bool = False, seed: int = 0) -> Agreement:
    """Compare our network with the judge's, with the same random weights.

    Gradients are those of a cross-entropy, in eval mode, with respect to all parameters. Gradients and training mode
    are compared in float64: a ReLU's kink and batch norm over few images magnify rounding.

    Raises:
        DisagreementError: the weights of one cannot be carried into the other, or the logits are no judge of anything.
    """
    ours, theirs, pairs = pair_up(judge, seed)
    pictures = draw(judge, 2, seed)
    with torch.no_grad():
        expected = judge.theirs(theirs.eval(), pictures)
        logits = apart(judge.ours(ours.eval(), pictures), expected)
    spread = float(_all(expected).std())
    if not 1e-4 < spread < 1e4:
        raise DisagreementError(f"{judge.name}: logits with a spread of {spread:.3g} would hide a difference.")
    if not gradients:
        return Agreement(logits)
    if is_keras(theirs) and not judge.double:  # its precision is chosen when it is built
        judge = dataclasses.replace(judge, double=True)
        ours, theirs, pairs = pair_up(judge, seed)
    ours, theirs, pictures = ours.double(), theirs if is_keras(theirs) else theirs.double(), pictures.double()
    slopes = _gradients_apart(judge, ours, theirs, pairs, pictures)
    return Agreement(logits, _training_apart(judge, ours, theirs, pictures), slopes)


def pair_up(judge: Judge, seed: int = 0) -> tuple[Network, Any, list[tuple[str, Slot, Slot]]]:
    """Our network with random weights, the judge's with the same ones, and the pairs of tensors: ours, theirs."""
    with Undrawn():
        theirs, layers = _build_theirs(judge)
        ours = judge.build_ours() if judge.build_ours else _build_ours(judge)
    ours = ours.double() if judge.double else ours
    pictures = draw(judge, 2, seed)
    randomise(ours, seed)
    with torch.no_grad(), calibrating(ours, seed), listening(ours) as our_cells:
        _ask_all(judge, ours.eval(), pictures)
    if layers is not None:
        their_cells = keras_cells(layers)
    else:
        theirs.train(judge.auxiliary)
        with torch.no_grad(), listening(theirs) as their_cells:
            judge.theirs(theirs, pictures)
    pairs = carry(judge, our_cells, their_cells)
    return ours, theirs, pairs


def carry(judge: Judge, ours: list[Cell], theirs: list[Cell]) -> list[tuple[str, Slot, Slot]]:
    """Pair the cells of both by name where `rename` says so, by order elsewhere, and put our values into theirs."""
    theirs = [cell for cell in theirs if not any(fnmatch.fnmatchcase(cell.path, skipped) for skipped in judge.skip)]
    by_path = {cell.path: cell for cell in ours}
    named = set(judge.rename.values())
    rest = iter(cell for cell in ours if cell.path not in named)
    pairs = []
    for number, cell in enumerate(theirs):
        mine = by_path.get(judge.rename[cell.path]) if cell.path in judge.rename else next(rest, None)
        if mine is None:
            raise DisagreementError(f"{judge.name}: ours has no place for the judge's module {number}, {_told(cell)}.")
        pairs += _pair_slots(judge, number, mine, cell)
    left = next(rest, None)
    if left is not None:
        raise DisagreementError(
            f"{judge.name}: the judge has nothing for ours after its {len(theirs)} modules: {_told(left)}."
        )
    with torch.no_grad():
        for _, mine, other in pairs:
            other.fill(mine.value.reshape(other.value.shape))
    return pairs


def _pair_slots(judge: Judge, number: int, ours: Cell, theirs: Cell) -> list[tuple[str, Slot, Slot]]:
    place = f"{judge.name}: module {number} is {_told(ours)} in ours and {_told(theirs)} in the judge"
    mine, other = dict(ours.slots), dict(theirs.slots)
    if len(mine) == len(other) == 1:  # one tensor each: a layer scale is a gamma here, a scale or a weight there
        (name,), (theirs_name,) = mine, other
        other = {name: other[theirs_name]}
    with torch.no_grad():
        for name in other.keys() - mine.keys():
            if name not in judge.only_theirs:
                raise DisagreementError(f"{place}, which has {name!r} besides.")
            other.pop(name).fill(judge.only_theirs[name])
        for name in mine.keys() - other.keys():
            if name not in judge.only_ours:
                raise DisagreementError(f"{place}, which has no {name!r}.")
            mine.pop(name).fill(judge.only_ours[name])
    for name in mine:
        if not _alike(tuple(mine[name].value.shape), tuple(other[name].value.shape)):
            raise DisagreementError(f"{place}: {name!r} differs in shape.")
    if None not in (ours.epsilon, theirs.epsilon) and ours.epsilon != theirs.epsilon and not judge.norms_differ:
        raise DisagreementError(f"{place}: epsilon is {ours.epsilon} in ours, {theirs.epsilon} in the judge.")
    return [(f"{ours.path}.{name}", mine[name], other[name]) for name in mine]


def _alike(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether one is the other, or a fully connected layer for a convolution over all of a map, or c for c×1×1."""
    if ours == theirs:
        return True
    flat = len(ours) != len(theirs) and min(len(ours), len(theirs)) <= 2
    return flat and ours[0] == theirs[0] and _product(ours) == _product(theirs)


def randomise(network: nn.Module, seed: int) -> None:
    """Draw every parameter: filters from a normal distribution of variance 2 / fan-in, scales around 1, the rest
    around 0."""
    generator = torch.Generator().manual_seed(seed)
    for path, parameter in network.named_parameters():
        fan_in = parameter.numel() // max(1, *parameter.shape[:1])
        drawn = torch.randn(parameter.shape, generator=generator)
        if fan_in > 1:
            value = drawn * (2 / fan_in) ** 0.5
        elif path.endswith("bias"):
            value = 0.1 * drawn
        else:
            value = 0.5 + torch.rand(parameter.shape, generator=generator)
        parameter.data.copy_(value)


class Undrawn(TorchFunctionMode):
    """Inside the block weights have no values yet: all are put in afterwards, and to draw VGG's first takes seconds."""

    _DRAWS = ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        drawn = args[0] if args else given.get("tensor")
        if isinstance(drawn, nn.Parameter) and func.__name__ in self._DRAWS:
            return drawn
        return func(*args, **given)


class calibrating:  # noqa: N801 (used as a word, in a with statement)
    """While a network runs inside the block, batch norm's statistics become those of what arrives, moved a little."""

    def __init__(self, network: nn.Module, seed: int) -> None:
        self._norms = [m for m in network.modules() if isinstance(getattr(m, "running_mean", None), Tensor)]
        self._generator = torch.Generator().manual_seed(seed + 1)

    def __enter__(self) -> None:
        self._handles = [norm.register_forward_pre_hook(self._take) for norm in self._norms]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _take(self, norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        values = args[0].transpose(0, 1).flatten(1)
        variance = values.var(dim=1, unbiased=False)
        variance = variance.clamp_min(0.1 * float(variance.mean()) + 1e-6)
        noise = torch.randn(variance.shape, generator=self._generator)
        norm.get_buffer("running_mean").copy_(values.mean(dim=1) + 0.1 * noise * variance.sqrt())
        norm.get_buffer("running_var").copy_(variance * (0.5 + torch.rand(variance.shape, generator=self._generator)))


def still(network: Any) -> None:
    """Set the rate of every dropout and stochastic depth to 0, in torch's, torchvision's, timm's, Keras's and ours."""
    for module in [*network.modules(), *(network._flatten_layers() if is_keras(network) else ())]:
        kind = type(module).__name__
        for name in ("p", "rate", "drop_prob", "drop_rate"):
            if ("Drop" in kind or "StochasticDepth" in kind or name == "drop_rate") and hasattr(module, name):
                setattr(module, name, 0.0)


def apart(ours: Tensor | tuple[Tensor, ...], theirs: Tensor | tuple[Tensor, ...]) -> float:
    """The largest difference, relative to the largest value; infinite where shapes differ or a value is not finite."""
    pairs = list(zip(_several(ours), _several(theirs), strict=True))
    if any(a.shape != b.shape or not a.isfinite().all() or not b.isfinite().all() for a, b in pairs):
        return float("inf")
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) for a, b in pairs)


def draw(judge: Judge, count: int, seed: int) -> Tensor:
    pictures = torch.randn(count, *judge.input, generator=torch.Generator().manual_seed(seed + 2))
    return pictures.double() if judge.double else pictures


def is_keras(network: Any) -> bool:
    return hasattr(network, "_flatten_layers")


def _build_theirs(judge: Judge) -> tuple[Any, list[Any] | None]:
    """The judge, and the layers that its building called if it is a Keras model."""
    if judge.library != "keras":
        network = judge.build()
        return (network.double() if judge.double else network), None
    import keras
    from keras.src.backend.common import dtypes

    # Keras on torch takes float64 for float32 wherever it works out a type: in the middle of batch norm, for one.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

    def set_precision(name: str) -> None:
        keras.config.set_floatx(name)
        keras.config.set_dtype_policy(name)

    try:
        set_precision("float64" if judge.double else "float32")
        with overhearing_keras() as layers:
            network = judge.build()
    finally:
        set_precision("float32")
    return network, layers


def _build_ours(judge: Judge) -> Network:
    channels, *size = judge.input
    classes = judge.classes or MODELS[judge.name].card.classes
    return create_model(judge.name, classes=classes, channels=channels, size=(size[0], size[1]), seed=0)


def _ask_all(judge: Judge, ours: Network, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Our logits, and those of the auxiliary classifiers where the judge has them."""
    if not judge.auxiliary:
        return judge.ours(ours, pictures)
    assert isinstance(ours, Auxiliary)
    logits, auxiliary = ours.forward_with_auxiliary(pictures)
    return (logits, *auxiliary.values())


def _gradients_apart(
    judge: Judge, ours: Network, theirs: Any, pairs: list[tuple[str, Slot, Slot]], pictures: Tensor
) -> float:
    """Of a cross-entropy: the largest difference in a parameter's gradient, relative to its largest value."""
    for network, answer in ((ours, judge.ours), (theirs, judge.theirs)):
        network.eval()
        logits = _several(answer(network, pictures))[0]
        targets = torch.arange(len(pictures)) % logits.shape[1]
        nn.functional.cross_entropy(logits, targets).backward()
    slopes = [
        (path, mine.gradient, other.gradient.reshape(mine.value.shape))
        for path, mine, other in pairs
        if mine.gradient is not None and other.gradient is not None
    ]
    assert slopes
    steepest = max(_largest(theirs) for _, _, theirs in slopes)
    return max(_largest(a - b) / max(_largest(b), 1e-6 * steepest) for _, a, b in slopes)


def _training_apart(judge: Judge, ours: Network, theirs: Any, pictures: Tensor) -> float | None:
    """Logits in training mode without dropout; None where the judge gives other logits each time."""
    still(ours)
    still(theirs)
    with torch.no_grad():
        expected = judge.theirs(theirs.train(), pictures)
        if apart(judge.theirs(theirs, pictures), expected) > 1e-6:
            return None
        return apart(_ask_all(judge, ours.train(), pictures), expected)


def _largest(values: Tensor) -> float:
    """The largest absolute value, without a copy of what may be a gigabyte."""
    return float(torch.linalg.vector_norm(values, torch.inf))


def _told(cell: Cell) -> str:
    shapes = ", ".join(f"{name} {'×'.join(map(str, slot.value.shape))}" for name, slot in cell.slots.items())
    return f"{cell.path!r} ({cell.kind}: {shapes})"


def _several(values: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (values,) if isinstance(values, Tensor) else tuple(values)


def _all(values: Tensor | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([value.flatten() for value in _several(values)])


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for side in shape:
        result *= side
    return result
