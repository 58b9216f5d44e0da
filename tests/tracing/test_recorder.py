"""The record of a forward pass: what ran, in which module, on which values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.tracing import EmptyMapError, Operation, Recorder


class Mixed(nn.Module):
    """A module, a function, an operation in place, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu_(x).flatten(1)


def _names(recorder: Recorder) -> list[str]:
    return [operation.function._schema.name for operation in recorder.operations]


def test_operations_stand_in_order_with_the_module_that_runs_them() -> None:
    recorder = Recorder.of(Mixed(), (2, 5, 6))
    assert _names(recorder) == ["aten::convolution", "aten::relu_", "aten::view"]
    assert [operation.call.path for operation in recorder.operations if operation.call] == ["conv", "", ""]
    order = [type(event).__name__ for event in recorder.events]
    assert order == ["Entered", "Entered", "Operation", "Left", "Operation", "Operation", "Left"]


def test_an_operation_in_place_makes_a_new_value_of_the_same_tensor() -> None:
    convolved, rectified, viewed = (one.results[0] for one in Recorder.of(Mixed(), (2, 5, 6)).operations)
    assert rectified is not convolved
    assert rectified.tensor is convolved.tensor
    assert viewed.tensor is not convolved.tensor
    assert viewed.storage == convolved.storage
    assert (tuple(convolved.shape), tuple(viewed.shape)) == ((1, 3, 3, 4), (1, 36))


def test_a_value_keeps_the_shape_of_its_moment() -> None:
    class Squeezing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            y.squeeze_(0)
            return y * 2

    added, squeezed, doubled = Recorder.of(Squeezing(), (2, 5, 6)).operations
    assert tuple(added.results[0].shape) == (1, 2, 5, 6)
    assert tuple(squeezed.results[0].shape) == (2, 5, 6)
    assert doubled.inputs == (squeezed.results[0],)


def test_arguments_go_by_name_with_their_defaults_and_values_for_tensors() -> None:
    model = Mixed()
    (convolution, *_) = Recorder.of(model, (2, 5, 6)).operations
    assert convolution.given["stride"] == [1, 1]
    assert convolution.given["groups"] == 1
    assert [convolution.given[name] for name in ("input", "weight", "bias")] == list(convolution.inputs)
    assert convolution.window is not None
    assert convolution.window.kernel == (3, 3)


def test_real_numbers_are_computed_as_without_a_recorder() -> None:
    model, images = Mixed(), torch.rand(2, 2, 5, 6)
    recorder = Recorder(images)
    with torch.no_grad(), recorder:
        found = model(images)
    with torch.no_grad():
        assert torch.equal(found, model(images))
    assert recorder.value(found) is recorder.operations[-1].results[0]
    assert all(isinstance(event, Operation) for event in recorder.events)  # modules are followed in copies only


def test_the_network_stays_as_it_is() -> None:
    model = Mixed().train()
    Recorder.of(model, (2, 5, 6))
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not model.conv.weight.is_meta


def test_a_window_that_is_too_large_is_named_with_its_layer() -> None:
    with pytest.raises(EmptyMapError, match=r"^Layer 'conv' .*3×3.*2×9"):
        Recorder.of(Mixed(), (2, 2, 9))
