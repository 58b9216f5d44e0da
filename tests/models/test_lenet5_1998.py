"""LeNet-5 of 1998 against the numbers of its paper: section II-B, table I, appendix A."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.models import create_model
from striate.models.families.lenet5_1998 import LeNet5Of1998, class_codes
from striate.tracing import describe

# Table I as printed: a column for each of C3's sixteen maps, a row for each of S2's six.
_TABLE_1 = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)


def _network(classes: int = 10) -> LeNet5Of1998:
    network = create_model("lenet5_1998", classes=classes, channels=1, size=(32, 32), seed=1)
    assert isinstance(network, LeNet5Of1998)
    return network


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_each_layer_has_the_papers_parameters() -> None:
    network = _network()
    features = {name: _count(layer) for name, layer in network.features.named_children() if _count(layer)}
    assert features == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120}
    assert _count(network.f6) == 10_164
    assert _count(network) == 60_000


def test_it_has_the_papers_340_908_connections() -> None:
    """A unit is connected to each of its inputs and, but for the outputs, to a bias."""
    description = describe(_network(), (1, 32, 32))

    def units(path: str) -> int:
        return math.prod(description.row(path).output_shape)

    connections = {
        "C1": units("features.c1") * (25 + 1),
        "S2": units("features.s2") * (4 + 1),
        "C3": sum(math.prod(size[1:]) * sum(25 * (fan // 25) + 1 for fan in fans) for size, fans in _c3_units()),
        "S4": units("features.s4") * (4 + 1),
        "C5": units("features.c5") * (16 * 25 + 1),
        "F6": units("f6") * (120 + 1),
        "output": units("output") * 84,
    }
    assert connections == {
        "C1": 122_304,
        "S2": 5_880,
        "C3": 151_600,
        "S4": 2_000,
        "C5": 48_120,
        "F6": 10_164,
        "output": 840,
    }
    assert sum(connections.values()) == 340_908


def _c3_units() -> list[tuple[tuple[int, ...], list[int]]]:
    """For each part of C3: the shape of its maps, and the inputs of a unit in each of them."""
    network = _network()
    c3 = network.features.get_submodule("c3")
    description = describe(network, (1, 32, 32))
    return [
        (description.row(f"features.c3.{path}").output_shape, [layer.weight[0].numel()] * layer.out_channels)
        for path, layer in c3.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]


def test_c3_is_connected_as_in_table_1() -> None:
    c3 = _network().features.get_submodule("c3").double()
    given = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    maps = c3(given)
    assert maps.shape == (1, 16, 1, 1)
    for column in range(16):
        (gradient,) = torch.autograd.grad(maps[0, column].sum(), given, retain_graph=True)
        seen = gradient[0].abs().amax(dim=(1, 2)) > 0
        assert seen.tolist() == [row[column] == "X" for row in _TABLE_1], column


def test_c3_is_a_full_convolution_with_zeros_where_table_1_has_none() -> None:
    c3 = _network().features.get_submodule("c3").double()
    parts = [layer for layer in c3.modules() if isinstance(layer, nn.Conv2d)]
    filters = [row for part in parts for row in part.weight]
    full = torch.zeros(16, 6, 5, 5, dtype=torch.float64)
    for column, row in enumerate(filters):
        full[column, [index for index in range(6) if _TABLE_1[index][column] == "X"]] = row
    given = torch.randn(2, 6, 14, 14, dtype=torch.float64)
    bias = torch.cat([part.get_parameter("bias") for part in parts])
    torch.testing.assert_close(c3(given), F.conv2d(given, full, bias))


def test_subsampling_weighs_the_sum_of_four_and_adds_a_bias() -> None:
    subsampling = _network().features.get_submodule("s2")
    subsampling.get_parameter("weight").data = torch.arange(1.0, 7.0)
    subsampling.get_parameter("bias").data = 10 * torch.arange(6.0)
    given = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 6, 2, 2)
    assert subsampling(given).flatten().tolist() == [10.0, 30.0, 50.0, 70.0, 90.0, 110.0]


def test_the_squashing_function_is_one_at_one() -> None:
    squash = _network().squash6
    values = squash(torch.tensor([[-1.0, 0.0, 1.0, 100.0]]))
    torch.testing.assert_close(values, torch.tensor([[-1.0, 0.0, 1.0, 1.7159]]), rtol=1e-4, atol=0)


def test_logits_are_minus_the_squared_distances_to_the_codes() -> None:
    network = _network()
    output, features = network.output.double(), torch.randn(5, 84, dtype=torch.float64)
    codes = torch.tensor(class_codes(10), dtype=torch.float64)
    slow = torch.tensor(
        [[-sum((float(a) - float(b)) ** 2 for a, b in zip(x, c, strict=True)) for c in codes] for x in features]
    )
    torch.testing.assert_close(output(features), slow.double(), rtol=1e-6, atol=0)
    at_the_codes = output(codes)
    assert at_the_codes.diagonal().abs().max() == 0
    assert at_the_codes.argmax(dim=1).tolist() == list(range(10))


def _distances(codes: list[list[int]]) -> Tensor:
    """In how many places each pair of codes differs."""
    values = torch.tensor(codes, dtype=torch.float64)
    return (84 - values @ values.T) / 2 + 84 * torch.eye(len(codes), dtype=torch.float64)


def test_codes_of_digits_are_bitmaps_that_look_alike_where_digits_do() -> None:
    codes = class_codes(10)
    assert [len(code) for code in codes] == [84] * 10
    assert {value for code in codes for value in code} == {-1, 1}
    distances = _distances(codes)
    assert distances.min() >= 6
    assert distances[3, 8] < distances[3, 4]
    assert distances[0, 8] < distances[0, 1]
    # The 1 is upright, and the 7 has its bar at the top: rows of seven pixels from the top.
    seven = [codes[7][row * 7 : row * 7 + 7] for row in range(12)]
    assert seven[0] == [1] * 7
    assert all(sum(pixel == 1 for pixel in row) <= 3 for row in seven[1:])


@pytest.mark.parametrize("classes", [2, 9, 11, 200])
def test_other_numbers_of_classes_have_codes_by_chance_that_never_change(classes: int) -> None:
    codes = class_codes(classes)
    assert len(codes) == classes
    assert {value for code in codes for value in code} == {-1, 1}
    assert codes == class_codes(200)[:classes]
    assert _distances(codes).min() >= 15
    assert [sum(code) for code in codes[:2]] == [12, 2]  # the drawing itself


def test_codes_are_kept_with_the_weights_and_not_trained() -> None:
    network = _network(classes=3)
    assert "output.codes" in network.state_dict()
    assert "output.codes" not in dict(network.named_parameters())


def test_first_weights_lie_within_the_bounds_of_appendix_a() -> None:
    network = _network()
    bounds = {"features.c1": 25, "features.s2": 4, "features.c3.parts.of4": 100, "features.c5": 400, "f6": 120}
    for path, inputs in bounds.items():
        weight = network.get_submodule(path).get_parameter("weight")
        assert 0.5 * 2.4 / inputs < float(weight.detach().abs().max()) <= 2.4 / inputs, path
