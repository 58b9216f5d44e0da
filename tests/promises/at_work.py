"""A model on images, with real values: its gradients, its logits, its weights, its program."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from promises.declared import outputs
from promises.subject import CLASSES, Subject, all_logits, heads, pictures
from striate.core.errors import ModelError
from striate.models import Network
from striate.tracing import describe

aten = torch.ops.aten
_ACTIVATION_OPERATIONS = {
    *(aten.relu, aten.hardtanh, aten.silu, aten.gelu, aten.elu, aten.leaky_relu, aten.sigmoid, aten.tanh, aten.mish),
    *(aten.softplus, aten.hardswish, aten.hardsigmoid, aten._prelu_kernel, aten.clamp, aten.clamp_min),
}


def it_gives_finite_logits_for_any_channels_and_size(subject: Subject) -> None:
    """One channel at the smallest size, three at a larger one."""
    side = subject.smallest
    small = subject.fresh((side, side), channels=1, classes=7)
    for network, size, channels, classes in (
        (small, (side, side), 1, 7),
        (copy.deepcopy(subject.first), subject.small, 3, CLASSES),
    ):
        seen = pictures(3, size, channels)
        with torch.no_grad():
            for training in (True, False):
                for logits in all_logits(network.train(training), seen):
                    assert logits.shape == (3, classes), f"{tuple(logits.shape)} for {channels} channels, {size}"
                    assert logits.isfinite().all()
            assert network(seen).shape == (3, classes)


def too_small_a_picture_is_refused(subject: Subject) -> None:
    """In either direction; the sentence names the smallest side (which `Subject.smallest` reads in it)."""
    side = subject.smallest
    for size in ((side - 1, side + 30), (side + 30, side - 1)) if side > 1 else ():
        with pytest.raises(ModelError, match=f"at least {side}×{side} pixels; received {size[0]}×{size[1]}"):
            subject.meta(size)


def every_parameter_receives_a_gradient(subject: Subject) -> None:
    """A finite one at the start of training; one that is not zero once all parameters and statistics are random.

    The second in eval mode: in training mode, the mean that batch norm subtracts takes a bias before it away.
    """
    network, seen = copy.deepcopy(subject.first).train(), pictures(3, subject.small)
    _backward(network, seen)
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{path} has no gradient"
        assert parameter.grad.isfinite().all(), f"{path} has a gradient that is not finite"
    network = copy.deepcopy(subject.settled)
    _backward(network, seen)
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{path} has no gradient"
        assert parameter.grad.isfinite().all(), f"{path} has a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"{path} has a gradient of zero"


def _backward(network: Network, seen: Tensor) -> None:
    generator = torch.Generator().manual_seed(7)
    losses = [(each * torch.randn(each.shape, generator=generator)).sum() for each in all_logits(network, seen)]
    sum(losses[1:], losses[0]).backward()


def eval_is_deterministic_and_treats_each_picture_by_itself(subject: Subject) -> None:
    """In float64 with random weights of all kinds, in float32 with the first ones: statistics of so few and so small
    images let the rounding grow from norm to norm, a thousandfold in Inception-v4, whoever implements it."""
    seen = pictures(2, subject.small).double()
    with torch.no_grad():
        network = copy.deepcopy(subject.settled).double()
        together = network(seen)
        assert torch.equal(together, network(seen))
        _close(torch.cat([network(picture[None]) for picture in seen]), together, 1e-10)
        network = copy.deepcopy(subject.first).eval()
        single, double = network(seen.float()), copy.deepcopy(network).double()(seen)
        if double.abs().max() > 1e30:
            return  # each of ResNet-1202's 600 blocks doubles what an untrained norm lets through: beyond float32
        rounded = seen + 2**-24 * pictures(2, subject.small, seed=4)
        if _apart(copy.deepcopy(network).double()(rounded), double) > 1e-5:
            return  # to round the image alone moves them further (EfficientNetV2-M's by a seventh)
        _close(torch.cat([network(picture[None].float()) for picture in seen]), single, 1e-5)
        _close(single.double(), double, 1e-4)


def its_sums_are_those_that_torch_counts(subject: Subject) -> None:
    network = copy.deepcopy(subject.first).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(pictures(1, subject.small))
    totals = describe(network, (3, *subject.small)).totals
    assert 2 * totals.macs == counter.get_total_flops()
    assert totals.parameters == sum(parameter.numel() for parameter in network.parameters())


def its_description_gives_the_shapes_that_the_network_gives(subject: Subject) -> None:
    network = copy.deepcopy(subject.first).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(path: str) -> Callable[..., None]:
        return lambda module, given, output: shapes.update({path: tuple(output.shape[1:])})

    for path, module in network.named_modules():
        module.register_forward_hook(note(path))
    with torch.no_grad():
        network(pictures(1, subject.small))
    for row in describe(network, (3, *subject.small)).rows:
        assert row.output_shape == shapes[row.path], row.path


def every_activation_is_a_module_of_its_own(subject: Subject) -> None:
    """Wherever an activation's operation runs, a module without children runs it, and no other; nothing is in place."""
    network = subject.sketch.eval()
    listener = _Listener(network)
    with listener, torch.no_grad():
        network(torch.empty(1, *subject.card.input, device="meta"))
    parents = {path for path, module in network.named_modules() if next(module.children(), None) is not None}
    functional = sorted(listener.activations.keys() & parents)
    assert not functional, f"activations that are no modules of their own, in {functional}"
    repeated = sorted(path for path, count in listener.activations.items() if count > 1)
    assert not repeated, f"activations that run more than once: {repeated}"
    assert not listener.in_place, f"operations in place: {sorted(listener.in_place)}"


class _Listener(TorchDispatchMode):
    """How many activations each module runs itself, and where maps are changed in place."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.activations: Counter[str] = Counter()
        self.in_place: set[str] = set()
        self._running: list[str] = []
        for path, module in network.named_modules():
            module.register_forward_pre_hook(lambda module, given, path=path: self._running.append(path))
            module.register_forward_hook(lambda module, given, output: (self._running.pop(), None)[1])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        path = self._running[-1] if self._running else ""
        if packet in _ACTIVATION_OPERATIONS:
            self.activations[path] += 1
        if func._schema.is_mutable:
            self.in_place.add(f"{packet} in {path}")
        return func(*args, **(kwargs or {}))


def its_heads_can_be_replaced(subject: Subject) -> None:
    network, seen = copy.deepcopy(subject.first), pictures(2, subject.small)
    for path, head in heads(network).items():
        assert outputs(head) == CLASSES
        parent, _, last = path.rpartition(".")
        setattr(network.get_submodule(parent), last, _like(head, classes=9))
    assert [tuple(logits.shape) for logits in all_logits(network, seen)] == [(2, 9)] * len(heads(network))


def _like(head: nn.Module, classes: int) -> nn.Module:
    if isinstance(head, nn.Conv2d):
        return nn.Conv2d(head.in_channels, classes, 1)
    return nn.Linear(int(getattr(head, "in_features", -1)), classes)


def its_state_goes_to_another_network_and_back(subject: Subject) -> None:
    seen = pictures(2, subject.small)
    first, second = subject.settled, copy.deepcopy(subject.first).eval()
    with torch.no_grad():
        assert not torch.equal(first(seen), second(seen))
        second.load_state_dict(first.state_dict())
        assert torch.equal(first(seen), second(seen))


def it_exports_with_any_number_of_pictures(subject: Subject) -> None:
    network = subject.settled
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (pictures(2, subject.small),), dynamic_shapes=({0: batch},))
    seen = pictures(3, subject.small)
    with torch.no_grad():
        _close(program.module()(seen), network(seen), 1e-5)


def its_first_weights_follow_from_the_seed_alone(subject: Subject) -> None:
    """And torch's random state is left as found."""
    first = subject.first.state_dict()
    torch.rand(3)
    before = torch.get_rng_state()
    with torch.device("meta"):  # where the caller builds things makes no difference
        again = subject.fresh(subject.small).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    other = subject.fresh(subject.small, seed=2).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def its_fields_are_where_the_gradient_is_not_zero(subject: Subject, largest: int = 64, deepest: int = 4) -> None:
    """Every feature map of a field of at most `largest` pixels, and those that see the whole image, at strides of at
    most `deepest`."""
    from promises.fields import places, seen_by_neighbours

    for place in places(subject):
        field = place.field
        if max(place.stride) > deepest if field is None else max(field) > largest:
            continue
        first, second, size = seen_by_neighbours(subject, place)
        if field is None:
            assert list(first) == [(0, side - 1) for side in size], (place, first)
        else:
            assert tuple(last - start + 1 for start, last in first) == field, (place, first)
            steps = tuple(b[0] - a[0] for a, b in zip(first, second, strict=True))
            assert steps == place.stride, (place, steps)


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    difference = _apart(ours, theirs)
    assert difference <= tolerance, f"apart by {difference:.2g}, at most {tolerance:g} is allowed"


PROMISES = (
    it_gives_finite_logits_for_any_channels_and_size,
    too_small_a_picture_is_refused,
    every_parameter_receives_a_gradient,
    eval_is_deterministic_and_treats_each_picture_by_itself,
    its_sums_are_those_that_torch_counts,
    its_description_gives_the_shapes_that_the_network_gives,
    every_activation_is_a_module_of_its_own,
    its_heads_can_be_replaced,
    its_state_goes_to_another_network_and_back,
    it_exports_with_any_number_of_pictures,
    its_first_weights_follow_from_the_seed_alone,
    its_fields_are_where_the_gradient_is_not_zero,
)
