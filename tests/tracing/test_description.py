"""The description against numbers worked by hand, against torch's own counter, and against gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from reference.receptive import extent, make_positive, seen_rows_and_columns, unseen_at_the_end
from striate import layers
from striate.core.errors import ModelError
from striate.models import create_model
from striate.tracing import WithoutWeightSharing, describe, without_weight_sharing


def test_lenet5_is_the_table_that_people_work_out_by_hand() -> None:
    network = create_model("lenet5", classes=10, channels=1, size=(32, 32))
    table = [
        (row.path, row.output_shape, row.parameters, row.macs, row.receptive_field, row.stride)
        for row in describe(network, (1, 32, 32)).rows
    ]
    assert table == [
        ("features.conv1", (6, 28, 28), 6 * 25 + 6, 28 * 28 * 6 * 25, (5, 5), (1, 1)),
        ("features.relu1", (6, 28, 28), 0, 0, (5, 5), (1, 1)),
        ("features.pool1", (6, 14, 14), 0, 0, (6, 6), (2, 2)),
        ("features.conv2", (16, 10, 10), 16 * 150 + 16, 10 * 10 * 16 * 150, (14, 14), (2, 2)),
        ("features.relu2", (16, 10, 10), 0, 0, (14, 14), (2, 2)),
        ("features.pool2", (16, 5, 5), 0, 0, (16, 16), (4, 4)),
        ("flatten", (400,), 0, 0, (32, 32), None),
        ("fc1", (120,), 400 * 120 + 120, 48_000, (32, 32), None),
        ("relu3", (120,), 0, 0, (32, 32), None),
        ("fc2", (84,), 120 * 84 + 84, 10_080, (32, 32), None),
        ("relu4", (84,), 0, 0, (32, 32), None),
        ("fc3", (10,), 84 * 10 + 10, 840, (32, 32), None),
    ]


@pytest.mark.parametrize("side", [28, 29, 30, 31, 32])
def test_lenet5_has_its_61706_parameters_from_28_to_32_pixels(side: int) -> None:
    network = create_model("lenet5", classes=10, channels=1, size=(side, side))
    assert describe(network, (1, side, side)).totals.parameters == 61_706


def test_tiny_vgg_has_the_shapes_that_cnn_explainer_shows() -> None:
    description = describe(create_model("tiny_vgg", classes=10, size=(64, 64)), (3, 64, 64))
    shapes = [row.output_shape for row in description.rows if not row.path.startswith("features.relu")]
    sides = [(10, side, side) for side in (62, 60, 30, 28, 26, 13)]
    assert shapes == [*sides, (1690,), (10,)]
    assert [row.parameters for row in description.rows if row.parameters] == [280, 910, 910, 910, 16_910]


def test_memory_is_that_of_the_numbers_written() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 4))
    description = describe(network, (1, 8, 8))
    assert [row.activation_bytes for row in description.rows] == [4 * 72, 4 * 72, 0, 0, 4 * 4]
    assert description.totals.parameter_bytes == 4 * (2 * 9 + 2 + 72 * 4 + 4)
    assert describe(network.double(), (1, 8, 8)).totals.activation_bytes == 2 * description.totals.activation_bytes


def test_an_unshared_first_layer_of_alexnet_needs_105_million_parameters() -> None:
    """CS231n's notes: 55 × 55 × 96 units with 11 × 11 × 3 weights and a bias each, against 34,944 shared ones."""
    network = nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(290_400, 2))
    full = 227 * 227 * 3 * 290_400 + 290_400
    assert without_weight_sharing(network.to("meta"), (3, 227, 227)) == (
        WithoutWeightSharing("0", 34_944, 105_705_600, full),
    )


def test_unshared_numbers_of_a_grouped_convolution_without_bias_are_its_layers_own() -> None:
    (saved,) = without_weight_sharing(nn.Conv2d(4, 6, 3, groups=2, bias=False), (4, 5, 6))
    assert (saved.shared, saved.locally_connected) == (6 * 2 * 9, 3 * 4 * 6 * 2 * 9)
    assert saved.fully_connected == 4 * 5 * 6 * 6 * 3 * 4


class _Inception(nn.Module):
    """The courses' example on 28×28×256: 128 1×1, 192 3×3, 96 5×5 filters and pooling, with bottlenecks or without."""

    def __init__(self, bottleneck: int | None) -> None:
        super().__init__()
        inner = bottleneck or 256
        self.one = nn.Conv2d(256, 128, 1)
        self.three = nn.Sequential(*self._reduce(bottleneck), nn.Conv2d(inner, 192, 3, padding=1))
        self.five = nn.Sequential(*self._reduce(bottleneck), nn.Conv2d(inner, 96, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *self._reduce(bottleneck))

    def _reduce(self, bottleneck: int | None) -> list[nn.Module]:
        return [nn.Conv2d(256, bottleneck, 1)] if bottleneck else []

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


@pytest.mark.parametrize(("bottleneck", "macs", "channels"), [(None, 854_196_224, 672), (64, 271_351_808, 480)])
def test_an_inception_module_costs_what_the_courses_say(bottleneck: int | None, macs: int, channels: int) -> None:
    description = describe(_Inception(bottleneck), (256, 28, 28))
    assert description.totals.macs == macs
    assert description.rows[-1].output_shape == (channels, 28, 28)
    assert description.rows[-1].receptive_field == (5, 5)  # the widest branch
    assert description.totals.depth == (2 if bottleneck else 1)


@pytest.mark.parametrize(("count", "field"), [(2, 5), (3, 7)])
def test_stacked_3x3_layers_see_what_one_large_layer_sees(count: int, field: int) -> None:
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(count)))
    assert describe(network, (1, 20, 20)).rows[-1].receptive_field == (field, field)


class _Functional(nn.Module):
    """A network as tutorials write it: pooling and ReLU are function calls, one pooling module serves twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc = nn.Linear(400, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(x)))
        x = functional.max_pool2d(functional.relu_(self.conv2(x)), 2)
        return self.fc(x.view(-1, 400))


def test_functional_calls_are_followed_and_booked_where_they_are_made() -> None:
    rows = describe(_Functional(), (3, 32, 32)).rows
    assert [row.path for row in rows] == ["conv1", "pool", "conv2", "fc", ""]
    assert [row.receptive_field for row in rows] == [(5, 5), (6, 6), (14, 14), (32, 32), (32, 32)]
    assert rows[-1].activation_bytes == 4 * (6 * 28 * 28 + 16 * 5 * 5)  # relu_ wrote nothing new


def test_a_module_called_twice_works_twice_and_weighs_once() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    description = describe(nn.Sequential(conv, nn.ReLU(), conv), (2, 8, 8))
    assert [row.macs for row in description.rows] == [64 * 36, 0, 64 * 36]
    assert [row.parameters for row in description.rows] == [36, 0, 0]
    assert description.totals.parameters == 36


class _Odd(nn.Module):
    """What later networks bring: a shortcut, grouped and shuffled channels, shifted slices, a transposed layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.branch = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.response = nn.LocalResponseNorm(3)
        self.dense = nn.Linear(4, 4)
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        x = x + self.response(self.branch(x))
        x = x.view(-1, 2, 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
        x = functional.avg_pool2d(functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:], 1, stride=2)
        return self.up(x)


def test_shortcuts_shuffles_slices_and_transposed_layers_are_followed() -> None:
    network = _Odd()
    description = describe(network, (1, 20, 24))
    row = description.row("up")
    make_positive(network)
    assert row.receptive_field == extent(seen_rows_and_columns(network, (20, 24), (10, 12))) == (5, 5)
    assert row.stride == (1, 1)
    with FlopCounterMode(display=False) as counter:
        network.float()(torch.rand(1, 1, 20, 24))
    assert 2 * description.totals.macs == counter.get_total_flops()
    parameters = network.dense.weight.numel() + 4 + 12
    assert f"{parameters} parameters are not used by this forward pass: it does not reach them." in description.notes


@pytest.mark.parametrize("first", [1, 6])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (4, 2, 1), (5, 3, 1), (2, 3, 0), (3, 1, 1)])
@pytest.mark.parametrize("last", [nn.Identity(), nn.AvgPool2d(2, 1), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, padding=1)])
def test_the_field_behind_a_transposed_layer_is_the_largest_or_a_bound(
    first: int, window: tuple[int, int, int], last: nn.Module
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, first, first), nn.ConvTranspose2d(1, 1, *window), last)
    make_positive(network)
    row = describe(network, (1, 9 * first, 4 * first)).rows[-1]
    picture = torch.rand(1, 1, 9 * first, 4 * first, requires_grad=True)
    outputs = network(picture)[0, 0, :, 0]
    gradients = (torch.autograd.grad(output, picture, retain_graph=True)[0][0, 0] for output in outputs)
    largest = max(extent(gradient > 0)[0] for gradient in gradients if gradient.any())
    assert row.receptive_field is not None
    stated = row.receptive_field[0]
    assert largest <= stated if row.bound else largest == stated


def test_a_gate_on_a_map_with_gaps_sees_the_pixels_that_are_read() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate = nn.Conv2d(1, 2, 1, stride=2), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(functional.pad(x, (1, 0, 2, 1)))
            return x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()

    network = Gated()
    row = describe(network, (1, 40, 41)).rows[-1]
    make_positive(network)
    assert row.receptive_field == extent(seen_rows_and_columns(network, (40, 41), (3, 5))) == (39, 39)
    assert not row.bound


class _ChannelsLast(nn.Module):
    """A block as ConvNeXt's first implementation has it, its channels last from the norm to the scale."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(2, 2, 7, padding=3, groups=2)
        self.norm = nn.LayerNorm(2)
        self.widen = nn.Linear(2, 8)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(self.gelu(self.widen(inner))).permute(0, 3, 1, 2)


def test_layers_on_a_map_with_its_channels_last_keep_to_their_places() -> None:
    description = describe(_ChannelsLast(), (2, 20, 18))
    assert [description.row(path).receptive_field for path in ("norm", "widen", "narrow", "")] == [(7, 7)] * 4
    assert description.row("widen").macs == 20 * 18 * 2 * 8
    assert description.row("").stride == (1, 1)


class _Turning(nn.Linear):
    """A dense layer that turns the channels to the end by itself."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_is_followed_however_it_is_called(bias: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), _Turning(4, 6, bias=bias), nn.Conv2d(6, 2, 3))
    rows = describe(network, (3, 21, 25)).rows
    assert [(row.receptive_field, row.stride) for row in rows] == [((3, 3), (2, 2))] * 2 + [((7, 7), (2, 2))]


def test_a_flattening_is_no_folding() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 3 * 4, 5))
    rows = describe(network, (3, 5, 6)).rows
    assert [(row.receptive_field, row.stride) for row in rows[1:]] == [((5, 6), None)] * 2


def test_a_dense_layer_along_the_rows_mixes_all_columns() -> None:
    row = describe(nn.Linear(5, 7), (2, 6, 5)).rows[0]
    assert (row.receptive_field, row.macs) == ((1, 5), 2 * 6 * 5 * 7)


def test_a_map_met_by_its_mirror_image_across_the_diagonal_sees_all() -> None:
    class Mirrored(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.transpose(2, 3)

    row = describe(Mirrored(), (1, 9, 9)).rows[0]
    assert (row.receptive_field, row.stride) == ((9, 9), None)


def test_a_gate_that_averages_the_image_sees_all_of_it() -> None:
    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(dim=(2, 3), keepdim=True)

    row = describe(Gate(), (1, 9, 12)).rows[0]
    assert (row.receptive_field, row.stride) == ((9, 12), (1, 1))


def test_after_a_gate_the_whole_image_is_seen_and_places_are_kept() -> None:
    gate = layers.SqueezeExcitation(4, 2)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), gate, nn.Conv2d(4, 4, 5, 2, 2), nn.MaxPool2d(3, 2, 1))
    rows = {row.path: (row.receptive_field, row.stride) for row in describe(network, (3, 40, 36)).rows}
    assert rows["0"] == ((3, 3), (2, 2))
    assert [rows[path] for path in ("1.expand", "1", "2", "3")] == [
        ((40, 36), None),
        ((40, 36), (2, 2)),
        ((40, 36), (4, 4)),
        ((40, 36), (8, 8)),
    ]


def test_a_gate_along_the_columns_only_keeps_what_the_rows_see() -> None:
    class Rows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(dim=3, keepdim=True) * x.amax(dim=1, keepdim=True)

    row = describe(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Rows()), (1, 9, 12)).row("1")
    assert (row.receptive_field, row.stride) == ((3, 12), (1, 1))


def _mix() -> nn.Module:
    """Weighs channels differently, so that what a norm makes of them does not cancel."""
    return nn.Conv2d(4, 4, 1)


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        (layers.Conv2dSame(4, 4, 3, 2), (4, 4)),
        (layers.Conv2dSame(4, 4, (4, 2), (1, 2), dilation=(2, 1), groups=4), (8, 3)),
        (layers.MaxPool2dSame(3, 2), (4, 4)),
        (layers.MaxPool2dSame(2, 1), (3, 3)),
        (layers.AvgPool2dSame((4, 3), (1, 2)), (5, 4)),
        (layers.SeparableConv2d(4, 4, 3, 2, "same"), (4, 4)),
        (layers.LocalResponseNorm(3, alpha=1.0), (2, 2)),
        (layers.LayerNorm2d(4), (2, 2)),
        (layers.StochasticDepth(0.5), (2, 2)),
        (layers.GlobalAveragePool(), (29, 33)),
        (layers.SqueezeExcitation(4, 2), (29, 33)),
        (layers.Branches(one=nn.Conv2d(4, 2, 1), five=nn.Conv2d(4, 2, 5, padding=2)), (6, 6)),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate"), (4, 4)),
    ],
)
def test_our_layers_see_what_their_gradients_say(layer: nn.Module, field: tuple[int, int]) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 2, padding=1), _mix(), layer)  # an even kernel first: nothing is symmetric
    if not isinstance(layer, layers.GlobalAveragePool):
        network.append(_mix())
    last = describe(network, (1, 29, 33)).rows[-1]
    assert last.receptive_field == field
    make_positive(network)
    middle = tuple(side // 2 for side in last.output_shape[1:])
    seen = seen_rows_and_columns(network, (29, 33), (middle[0], middle[1]) if len(middle) == 2 else None)
    assert extent(seen) == last.receptive_field


def test_a_sum_of_paths_of_different_kinds_sees_the_union_of_both() -> None:
    class TwoPaths(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(1, 1, 3, padding=1)
            self.left = nn.ZeroPad2d((2, 0, 2, 0))

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x) + self.left(x)[:, :, :-2, :-2]

    network = TwoPaths()
    row = describe(network, (1, 12, 12)).row("")
    make_positive(network)
    # The one sees a pixel to either side, the other the pixel two before: four in all.
    assert row.receptive_field == extent(seen_rows_and_columns(network, (12, 12), (6, 6))) == (4, 4)


_kinds = st.sampled_from(["conv", "average", "max"])
_layer = st.tuples(_kinds, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


def _stack(layers: list[tuple[str, int, int, int, int]]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for kind, kernel, stride, padding, dilation in layers:
        if kind == "conv":
            modules.append(nn.Conv2d(1, 1, (kernel, 3), stride, (padding, 1), dilation))
        elif kind == "average":
            modules.append(nn.AvgPool2d(kernel, stride, min(padding, kernel // 2)))
        else:
            modules.append(nn.MaxPool2d(kernel, stride, min(padding, kernel // 2)))
    return nn.Sequential(*modules)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(_layer, min_size=1, max_size=3))
def test_receptive_fields_of_any_stack_are_where_the_gradient_is_not_zero(
    layers: list[tuple[str, int, int, int, int]],
) -> None:
    network = _stack(layers)
    last = describe(network, (1, 70, 70)).rows[-1]
    make_positive(network)
    middle = last.output_shape[1] // 2, last.output_shape[2] // 2
    here = seen_rows_and_columns(network, (70, 70), middle)
    assert last.receptive_field == extent(here)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(_layer, min_size=1, max_size=3), st.tuples(st.integers(60, 70), st.integers(60, 70)))
def test_receptive_fields_of_any_stack_padded_as_tensorflow_does_are_where_the_gradient_is_not_zero(
    stack: list[tuple[str, int, int, int, int]], size: tuple[int, int]
) -> None:
    kinds = {"average": layers.AvgPool2dSame, "max": layers.MaxPool2dSame}
    network = nn.Sequential(
        *(
            layers.Conv2dSame(1, 1, (kernel, 3), stride, dilation) if kind == "conv" else kinds[kind](kernel, stride)
            for kind, kernel, stride, _, dilation in stack
        )
    )
    last = describe(network, (1, *size)).rows[-1]
    make_positive(network)
    middle = last.output_shape[1] // 2, last.output_shape[2] // 2
    assert last.receptive_field == extent(seen_rows_and_columns(network, size, middle))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(layer=_layer, size=st.tuples(st.integers(8, 14), st.integers(8, 14)))
def test_rows_said_to_be_dropped_are_those_that_no_output_sees(
    layer: tuple[str, int, int, int, int], size: tuple[int, int]
) -> None:
    _, kernel, stride, padding, _ = layer
    assume(kernel >= stride or padding == 0)
    network = _stack([(*layer[:4], 1)])
    notes = describe(network, (1, *size)).notes
    make_positive(network)
    gap = max(0, stride - kernel)  # a kernel smaller than its stride leaves gaps everywhere, which are no misfit
    unseen = unseen_at_the_end(seen_rows_and_columns(network, size, None))
    rows, columns = (max(0, count - gap) for count in unseen)
    if rows == columns == 0:
        assert notes == ()
    elif rows == columns == 1:
        assert notes[0].endswith("it drops the last row and column.")
    else:
        assert len(notes) == 1
        said = notes[0].partition("it drops ")[2]
        for count, noun in ((rows, "row"), (columns, "column")):
            plain = f"the last {noun}" if count == 1 else f"the last {count} {noun}s"
            assert (plain in said) == (count > 0)


@pytest.mark.parametrize(
    ("layer", "side", "note"),
    [
        (nn.Conv2d(3, 8, 3, 2), 32, "3×3/2 on 32×32 would fit 15.5×15.5 times; it drops the last row and column."),
        (
            nn.Conv2d(3, 9, 11, 4),
            224,
            "11×11/4 on 224×224 would fit 54.25×54.25 times; it drops the last row and column.",
        ),
        (
            nn.MaxPool2d(4),
            30,
            "4×4/4 on 30×30 would fit 7.5×7.5 times; it drops the last 2 rows and the last 2 columns.",
        ),
    ],
)
def test_a_kernel_that_does_not_fit_is_said_with_what_it_drops(layer: nn.Module, side: int, note: str) -> None:
    assert describe(nn.Sequential(layer), (3, side, side)).notes == (f"0: {note}",)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(3, 8, 4, stride=4)]
)
def test_a_kernel_whose_misfit_costs_nothing_is_not_mentioned(layer: nn.Module) -> None:
    assert describe(layer, (3, 32, 32)).notes == ()


def test_an_empty_map_is_an_error_that_names_the_smallest_size_that_works() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Conv2d(4, 4, 5), nn.Flatten(), nn.Linear(4, 2))
    message = r"13×40 is too small: layer '2' has a kernel of 5×5, larger than its input of 4×18.*14×14"
    with pytest.raises(ModelError, match=message):
        describe(network, (3, 13, 40))
    describe(network, (3, 14, 14))


@pytest.mark.parametrize("network", [nn.MaxPool2d(5), nn.AvgPool2d(5), nn.Conv2d(1, 1, 3, dilation=2)])
def test_every_kind_of_window_may_find_its_map_too_small(network: nn.Module) -> None:
    describe(network, (1, 5, 5))
    with pytest.raises(ModelError, match="smallest square image that works is 5×5"):
        describe(network, (1, 4, 5))


def test_a_layer_that_does_not_take_what_it_is_given_is_named() -> None:
    network = create_model("lenet5", classes=10, channels=1, size=(28, 28))
    with pytest.raises(ModelError, match=r"Layer 'fc1' cannot process its input for images of 1×40×40"):
        describe(network, (1, 40, 40))
    with pytest.raises(ModelError, match="at least one channel, row and column"):
        describe(network, (1, 0, 28))


def test_the_network_is_left_as_found_and_its_hooks_do_not_run() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.ReLU()).train()
    ran: list[str] = []
    network[0].register_forward_hook(lambda *_: ran.append("forward"))
    network[1].register_forward_pre_hook(lambda *_: ran.append("before"))
    state, hooks = copy.deepcopy(network.state_dict()), [len(module._forward_hooks) for module in network.modules()]
    tensors, random = [id(p) for p in network.parameters()], torch.get_rng_state()
    describe(network, (1, 8, 8))
    with pytest.raises(ModelError):
        describe(network, (1, 2, 2))
    assert ran == []
    assert network.training
    assert [len(module._forward_hooks) for module in network.modules()] == hooks
    assert [id(p) for p in network.parameters()] == tensors
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in state.items())
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_of_the_size_of_the_data_is_allocated() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 9998 * 9998, 1000))
    totals = describe(network, (3, 10_000, 10_000)).totals
    assert totals.activation_bytes > 2**34


def test_a_network_in_training_mode_is_described_as_it_is_used() -> None:
    """In training mode batch norm refuses a single value per channel, and dropout writes a mask."""
    network = nn.Sequential(nn.Conv2d(1, 2, 8), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    assert [row.activation_bytes for row in describe(network, (1, 8, 8)).rows] == [8, 8, 0]


class _Between(nn.Module):
    """A convolution, something else, and a convolution."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self._between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self._between(self.first(x)))


_WHOLE_MAP = {
    "batch norm of the batch": nn.BatchNorm2d(4, track_running_stats=False),
    "batch norm as a function": lambda x: functional.batch_norm(x, None, None, training=True),
    "instance norm": nn.InstanceNorm2d(4),
    "instance norm as a function": functional.instance_norm,
    "group norm": nn.GroupNorm(2, 4),
    "layer norm over all": nn.LayerNorm([4, 12, 12]),
    "layer norm over columns": nn.LayerNorm(12),
    "softmax over columns": lambda x: x.softmax(-1),
    "softmax over rows": lambda x: x.log_softmax(2),
    "batch norm of statistics": nn.BatchNorm2d(4),
}


@pytest.mark.parametrize("between", _WHOLE_MAP.values(), ids=_WHOLE_MAP)
def test_after_statistics_of_the_map_the_gradient_reaches_the_stated_field(
    between: Callable[[Tensor], Tensor],
) -> None:
    network = _Between(between).double().eval()
    row = describe(network, (3, 12, 12)).row("second")
    image = torch.rand(1, 3, 12, 12, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, 6, 6].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0) > 1e-12
    assert row.receptive_field == (int(seen.any(1).sum()), int(seen.any(0).sum()))
    assert not row.bound
    assert row.stride == (1, 1)


_OF_UNKNOWN_REACH = {
    "enlarged": lambda x: functional.interpolate(x, scale_factor=2.0),
    "pooled to a size": lambda x: functional.adaptive_avg_pool2d(x, 5),
    "shuffled": lambda x: functional.pixel_shuffle(x, 2).repeat(1, 4, 1, 1),
    "rolled": lambda x: x.roll(3, 2),
    "mirrored": lambda x: x.flip(3),
    "summed up": lambda x: x.cumsum(2),
    "indexed": lambda x: x[:, :, [0, 5, 2, 7]],
    "unfolded": lambda x: functional.unfold(x, 2).view(1, 4, -1, 11),
}


@pytest.mark.parametrize("between", _OF_UNKNOWN_REACH.values(), ids=_OF_UNKNOWN_REACH)
def test_a_receptive_field_that_may_be_smaller_is_marked(between: Callable[[Tensor], Tensor]) -> None:
    description = describe(_Between(between), (3, 12, 12))
    assert not description.row("first").bound
    assert description.row("second").bound
    assert max(description.row("second").receptive_field or ()) == 12


def test_a_layer_that_mixes_all_positions_sees_all_of_them_whatever_came_before() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2), nn.ReLU())
    rows = describe(network, (3, 12, 12)).rows
    assert [row.bound for row in rows] == [False, True, True, False, False]
    rows = describe(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d(1)), (3, 12, 12)).rows
    assert [row.bound for row in rows] == [False, False]


class _Tokens(nn.Module):
    """Patches as tokens, and attention between them, written in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)

    def tokens(self, x: Tensor) -> Tensor:
        return self.patches(x).flatten(2).transpose(1, 2)


class _ByModule(_Tokens):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


class _ByFunction(_Tokens):
    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x)
        return functional.scaled_dot_product_attention(tokens, tokens, tokens)


class _ByEinsum(_Tokens):
    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x)
        weights = torch.einsum("nqc,nkc->nqk", tokens, tokens).softmax(-1)
        return torch.einsum("nqk,nkc->nqc", weights, tokens)


class _ByMatmul(_Tokens):
    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x)
        return (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens


# Of 16 tokens of 8 numbers: patches 16·8·48; the two products 16·16·8 each; projections 16·8·24 and 16·8·8.
_PATCHES, _PRODUCTS, _PROJECTIONS = 6_144, 4_096, 4_096


@pytest.mark.parametrize(
    ("kind", "macs", "depth"),
    [
        (_ByModule, _PATCHES + _PRODUCTS + _PROJECTIONS, 3),
        (_ByFunction, _PATCHES + _PRODUCTS, 1),
        (_ByEinsum, _PATCHES + _PRODUCTS, 1),
        (_ByMatmul, _PATCHES + _PRODUCTS, 1),
    ],
)
def test_attention_costs_its_products_sees_all_and_is_reached_however_it_is_written(
    kind: type[_Tokens], macs: int, depth: int
) -> None:
    network = kind()
    description = describe(network, (3, 16, 16))
    assert (description.totals.macs, description.totals.depth, description.notes) == (macs, depth, ())
    assert description.rows[-1].receptive_field == (16, 16)
    assert sum(row.parameters for row in description.rows) == description.totals.parameters


class _UsesAnothersWeights(nn.Module):
    """The head is never called; its weights are used by functions, the bias and a spare layer by nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.spare = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.conv(x).mean((2, 3)), self.head.weight.data)


def test_parameters_count_as_reached_where_an_operation_reads_them() -> None:
    description = describe(_UsesAnothersWeights(), (3, 8, 8))
    assert [(row.path, row.parameters) for row in description.rows] == [("conv", 112), ("", 20)]
    assert description.notes == ("11 parameters are not used by this forward pass: it does not reach them.",)


def test_tied_weights_are_read_once() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 12), nn.Linear(12, 12))
    network[2].weight = network[1].weight
    description = describe(network, (3, 2, 2))
    assert [row.parameters for row in description.rows] == [0, 156, 12]
    assert description.notes == ()


class _Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.Bilinear(3, 3, 5)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))
        return self.pair(means, means)


def test_a_bilinear_layer_has_a_product_for_each_weight() -> None:
    totals = describe(_Bilinear(), (3, 8, 8)).totals
    assert (totals.macs, totals.depth, totals.parameters) == (3 * 3 * 5, 1, 3 * 3 * 5 + 5)


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (lambda x: torch.from_numpy(x.numpy()), "needs the values"),
        (lambda x: x if x.sum() > 0 else -x, "needs the values"),
        (lambda x: x / x.max().item(), "needs the values"),
        (lambda x: {"a": x}["b"], "cannot process its input"),
        (lambda x: x.view(7, -1), "cannot process its input"),
    ],
)
def test_a_forward_pass_that_cannot_be_followed_without_data_is_refused_in_one_sentence(
    between: Callable[[Tensor], Tensor], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        describe(_Between(between), (3, 12, 12))


def test_a_lazy_layer_is_refused_until_it_has_seen_data() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyConv2d(4, 3))
    with pytest.raises(ModelError, match=r"'1' is lazy.*Run the network once"):
        describe(network, (3, 12, 12))
    network(torch.zeros(1, 3, 12, 12))
    assert describe(network, (3, 12, 12)).totals.parameters == 112 + 148
