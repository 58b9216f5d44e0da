"""What every model of the zoo promises, asked of all that are registered: a new one gets its tests by being so."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from striate.core.errors import ModelError
from striate.core.protocols import Described
from striate.models import MODELS, Network, create_model, describe, list_models, sketch_model

pytestmark = pytest.mark.parametrize("name", list(MODELS))

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.LeakyReLU)


def _network(name: str, *, channels: int = 3, size: tuple[int, int] = (40, 36), classes: int = 5) -> Network:
    return create_model(name, classes=classes, channels=channels, size=size, seed=1)


def _pictures(count: int, channels: int = 3, size: tuple[int, int] = (40, 36)) -> Tensor:
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (40, 36)), (5, (32, 32))])
def test_gives_one_logit_per_class_for_any_channels_and_size(name: str, channels: int, size: tuple[int, int]) -> None:
    network = _network(name, channels=channels, size=size, classes=7)
    for training in (True, False):
        logits = network.train(training)(_pictures(4, channels, size))
        assert logits.shape == (4, 7)
        assert logits.isfinite().all()


def test_every_parameter_receives_a_finite_gradient_that_is_not_zero_once_all_are_random(name: str) -> None:
    network = _network(name).train()
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    (network(_pictures(8)) * torch.randn(8, 5, generator=generator)).sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.abs().max() > 0, path


def test_its_card_says_what_it_is(name: str) -> None:
    card = MODELS[name].card
    network = sketch_model(name, classes=card.classes, channels=card.input[0], size=card.input[1:])
    totals = describe(network, card.input).totals
    assert card.name == name
    assert network.card is card
    assert (totals.parameters, totals.macs, totals.depth) == (card.parameters, card.macs, card.depth)
    assert card.title
    assert card.authors
    assert card.paper.startswith("https://")
    assert card in list_models()


def test_its_sums_are_those_that_torch_counts(name: str) -> None:
    network, pictures = _network(name).eval(), _pictures(1)
    with FlopCounterMode(display=False) as counter:
        network(pictures)
    totals = describe(network, (3, 40, 36)).totals
    assert 2 * totals.macs == counter.get_total_flops()
    assert totals.parameters == sum(tensor.numel() for tensor in network.state_dict().values())


def test_its_description_gives_the_shapes_that_the_network_gives(name: str) -> None:
    network = _network(name).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(path: str) -> Callable[..., None]:
        return lambda module, given, output: shapes.update({path: tuple(output.shape[1:])})

    for path, module in network.named_modules():
        module.register_forward_hook(note(path))
    network(_pictures(1))
    rows = describe(network, (3, 40, 36)).rows
    assert rows
    for row in rows:
        assert row.output_shape == shapes[row.path], row.path


def test_it_says_where_to_look(name: str) -> None:
    network = _network(name)
    assert isinstance(network, Described)
    description = describe(network, (3, 40, 36))
    order = [row.path for row in description.rows]
    places = [order.index(place.module) for place in network.feature_maps]
    assert places == sorted(places)
    for place in network.feature_maps:
        row = description.row(place.module)
        assert (row.output_shape[0], row.stride, row.receptive_field) == (
            place.channels,
            place.stride,
            place.receptive_field,
        ), place.name


def test_its_receptive_fields_are_where_the_gradient_is_not_zero(name: str) -> None:
    size = (64, 72)  # large enough for a value in the middle to see no border
    network = _network(name, size=size).eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.01  # nothing cancels, no ReLU is shut
    for place in network.feature_maps:
        first, second = _seen_from_the_middle(network, place.module, size)
        assert tuple(last - start + 1 for start, last in first) == place.receptive_field
        assert tuple(b[0] - a[0] for a, b in zip(first, second, strict=True)) == place.stride


def _seen_from_the_middle(network: Network, path: str, size: tuple[int, int]) -> list[list[tuple[int, int]]]:
    """First and last row, first and last column that two neighbours on the diagonal of a map see of the picture."""
    maps: list[Tensor] = []

    def capture(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        maps.append(output)

    # Max pooling hands its gradient to one pixel only: the sum over many pictures reaches all that it may choose from.
    pictures = torch.rand(96, 3, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with network.get_submodule(path).register_forward_hook(capture):
        network(pictures)
    height, width = maps[0].shape[2:]
    ranges = []
    for shift in (0, 1):
        value = maps[0][:, :, height // 2 + shift, width // 2 + shift].sum()
        (gradient,) = torch.autograd.grad(value, pictures, retain_graph=True)
        seen = gradient.abs().amax(dim=(0, 1)) > 0
        lines = [seen.any(dim=axis).nonzero().flatten() for axis in (1, 0)]
        ranges.append([(int(line[0]), int(line[-1])) for line in lines])
    return ranges


def test_no_activation_is_shared_or_in_place(name: str) -> None:
    network = _network(name)
    called: list[nn.Module] = []
    for path, module in network.named_modules():
        if isinstance(module, _ACTIVATIONS):
            assert not getattr(module, "inplace", False), path
            module.register_forward_hook(lambda module, given, output: called.append(module))
    network(_pictures(2))
    assert len(called) == len(set(called))


def test_every_activation_is_a_module(name: str) -> None:
    network = _network(name)
    modules = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    program = torch.export.export(network.eval(), (_pictures(1),))
    operations = [node for node in program.graph.nodes if "relu" in str(node.target)]
    assert len(operations) == len(modules)


def test_eval_is_deterministic_and_independent_across_the_batch(name: str) -> None:
    network, pictures = _network(name).double().eval(), _pictures(6).double()
    together = network(pictures)
    assert torch.equal(together, network(pictures))
    apart = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-10)


def test_eval_in_single_precision_agrees_with_double(name: str) -> None:
    network, pictures = _network(name).eval(), _pictures(4)
    single = network(pictures)
    double = copy.deepcopy(network).double()(pictures.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


def test_its_head_can_be_replaced(name: str) -> None:
    network = _network(name)
    head = network.get_submodule(network.head)
    assert isinstance(head, nn.Linear)
    assert head.out_features == 5
    parent, _, last = network.head.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Linear(head.in_features, 9))
    assert network(_pictures(2)).shape == (2, 9)


def test_its_state_goes_to_another_network_and_back(name: str) -> None:
    first, second = _network(name).eval(), create_model(name, classes=5, size=(40, 36), seed=2).eval()
    assert not torch.equal(first(_pictures(2)), second(_pictures(2)))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(_pictures(2)), second(_pictures(2)))


def test_it_exports_with_any_number_of_pictures(name: str) -> None:
    network = _network(name).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (_pictures(4),), dynamic_shapes=({0: batch},))
    pictures = _pictures(9)
    torch.testing.assert_close(program.module()(pictures), network(pictures))


def test_it_is_built_and_runs_on_the_meta_device(name: str) -> None:
    network = sketch_model(name, classes=5, size=(40, 36))
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}
    assert network(torch.empty(2, 3, 40, 36, device="meta")).shape == (2, 5)


def test_its_first_weights_follow_from_the_seed_alone_and_leave_the_random_state_as_found(name: str) -> None:
    before = torch.get_rng_state()
    first = _network(name).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    with torch.device("meta"):  # where the caller builds things makes no difference
        again = _network(name).state_dict()
    other = create_model(name, classes=5, size=(40, 36), seed=2).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_it_starts_with_logits_of_a_sensible_spread(name: str) -> None:
    spread = _network(name).eval()(_pictures(32)).std()
    assert 0.05 < spread < 5


def test_a_picture_too_small_is_refused_with_the_smallest_size_that_works(name: str) -> None:
    try:
        sketch_model(name, classes=3, size=(1, 1))
        return  # nothing is too small for it
    except ModelError as error:
        found = re.search(r"from (\d+)×\1 pixels on; received 1×1", str(error))
    assert found
    smallest = int(found[1])
    pictures = _pictures(1, size=(smallest, smallest))
    assert create_model(name, classes=3, size=(smallest, smallest))(pictures).shape == (1, 3)
    for size in ((smallest - 1, 64), (64, smallest - 1)):
        with pytest.raises(ModelError, match=f"from {smallest}×{smallest} pixels on; received {size[0]}×{size[1]}"):
            create_model(name, classes=3, size=size)


def test_it_memorises_32_pictures_in_200_steps(name: str) -> None:
    network, pictures = _network(name).train(), _pictures(32)
    targets = torch.arange(32) % 5
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(pictures), targets).backward()
        optimizer.step()
    assert nn.functional.cross_entropy(network.eval()(pictures), targets) < 0.05
