"""New heads, groups of layers, frozen layers and earlier ends of networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

import striate
from striate.core.errors import ConfigError, ModelError
from striate.models import Network, create_model, truncate
from striate.models.surgery import heads_of


class _Plain(nn.Module):
    """A network of the user's, whose layers are registered in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.last(torch.relu(self.second(x)).mean((2, 3)))


def _resnet() -> nn.Module:
    return create_model("resnet20", classes=10, size=(32, 32), seed=0)


def test_a_new_head_has_other_outputs_and_weights_of_the_seed() -> None:
    network = _resnet().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert striate.replace_head(network, 3, seed=1) is network
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if not name.startswith("fc"))
    again = striate.replace_head(_resnet(), 3, seed=1).state_dict()
    assert torch.equal(again["fc.weight"], after["fc.weight"])


def test_the_head_of_any_module_is_its_last_linear_layer_or_1x1_convolution() -> None:
    network = striate.replace_head(_Plain(), 7, size=32)
    assert network.last.out_features == 7
    pooled = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert striate.replace_head(pooled, 2)(torch.zeros(1, 3, 9, 9)).shape == (1, 2)


def test_auxiliary_heads_are_replaced_too() -> None:
    network = create_model("googlenet_bn", classes=9, size=(224, 224), seed=0)
    striate.replace_head(network, 4)
    auxiliary: Any = network
    heads: list[Any] = [network.get_submodule(path) for path in (network.head, *auxiliary.auxiliary_heads.values())]
    assert [head.out_features for head in heads] == [4, 4, 4]


_SOFTMAX = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.Softmax(1), nn.Unflatten(1, (2, 2)))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), "it has no linear layer"),
        (_SOFTMAX, "its last linear layer is '1'"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), "Pass the size"),
    ],
    ids=["none", "not the output", "another size"],
)
def test_a_network_without_a_head_is_refused(network: nn.Module, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        striate.replace_head(network, 3, size=(4, 4))


def test_a_head_without_parameters_is_replaced_by_a_fully_connected_layer() -> None:
    network = striate.replace_head(create_model("lenet5_1998", seed=0), 3)
    assert (type(network.get_submodule("output")), network(torch.zeros(2, 1, 32, 32)).shape) == (nn.Linear, (2, 3))


@pytest.mark.parametrize(
    ("ends", "kept"),
    [
        ("conv3-K/2,same gap", "Conv2dSame(8, 5, kernel_size=(3, 3), stride=(2, 2))"),
        ("conv3-K,dilation2 gap", "Conv2d(8, 5, kernel_size=(3, 3), stride=(1, 1), padding=(2, 2), dilation=(2, 2))"),
        ("conv1-K,maxnorm1 gap", "MaxNormConv2d(8, 5, kernel_size=(1, 1), stride=(1, 1), max_norm=1.0)"),
        ("conv1-K,nobias gap", "Conv2d(8, 5, kernel_size=(1, 1), stride=(1, 1), bias=False)"),
        ("gap fc10,maxnorm3", "MaxNormLinear(in_features=8, out_features=5, bias=True, max_norm=3.0)"),
    ],
)
def test_a_new_head_keeps_the_kind_of_the_old(ends: str, kept: str) -> None:
    network = create_model(f"conv3-8 relu {ends}", size=(16, 16), classes=10)
    striate.replace_head(network, 5)
    assert repr(network.get_submodule(network.head)) == kept
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_groups_are_in_forward_order_and_hold_every_layer_once() -> None:
    network = _resnet()
    groups = striate.layer_groups(network, size=32)
    assert list(groups) == ["stem", "stage1", "stage2", "stage3", "head"]
    assert groups["head"] == (network.get_submodule("fc"),)
    listed = [module for group in groups.values() for module in group]
    owners = {module for module in network.modules() if module._parameters or module._buffers}
    assert len(listed) == len(set(listed))
    assert set(listed) == owners


def test_groups_of_any_module_follow_the_calls_and_end_where_maps_shrink() -> None:
    network = _Plain()
    groups = striate.layer_groups(network, size=32)
    assert groups == {"group1": (network.first, network.norm), "group2": (network.second,), "head": (network.last,)}


class _Gated(nn.Module):
    """Two halvings with gates, whose maps of 1×1 are no halvings, and a second head for training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.gates = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)) for _ in range(2))
        self.mixed = nn.Conv2d(4, 4, 1)
        self.beside = nn.Sequential(nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5))
        self.last = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = self.second(x * self.gates[0](x))
        if self.training:
            self.beside(x)
        return self.last(self.mixed(x * self.gates[1](x)).mean((2, 3)))


def test_groups_neither_end_within_a_gate_nor_add_layers_to_the_head() -> None:
    network = _Gated()
    assert striate.layer_groups(network, size=32) == {
        "group1": (network.first, network.get_submodule("gates.0.1")),
        "group2": (network.second, network.get_submodule("gates.1.1"), network.mixed),
        "apart": (network.get_submodule("beside.0"), network.get_submodule("beside.3")),
        "head": (network.last,),
    }


def test_layers_before_auxiliary_heads_are_apart() -> None:
    network = create_model("googlenet_bn", classes=9, size=(224, 224), seed=0)
    groups = striate.layer_groups(network)
    assert set(groups["head"]) == {network.get_submodule(path) for path in heads_of(network)}
    assert list(groups)[-2] == "apart"


def test_a_layer_whose_name_begins_like_the_head_is_no_part_of_it() -> None:
    network = nn.Sequential(OrderedDict(flat=nn.Flatten(), fc1=nn.Linear(12, 5), relu=nn.ReLU(), fc=nn.Linear(5, 2)))
    assert striate.layer_groups(network, size=2)["head"] == (network.fc,)


def test_frozen_layers_do_not_learn_and_keep_their_statistics() -> None:
    network = striate.freeze(_Plain().train(), size=32)
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == [
        "last.weight",
        "last.bias",
    ]
    before = network.norm.running_mean.clone()  # pyright: ignore[reportOptionalMemberAccess]
    network(torch.randn(4, 3, 32, 32)).sum().backward()
    assert torch.equal(network.norm.running_mean, before)  # pyright: ignore[reportArgumentType]
    striate.thaw(network, "group1", size=32)
    assert network.norm.training
    assert network.first.weight.requires_grad
    assert not network.second.weight.requires_grad


def test_an_unknown_group_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="stage3"):
        striate.freeze(_resnet(), "stage33", size=32)


def test_tracing_leaves_the_model_as_it_was() -> None:
    network = _resnet().train()
    network.get_submodule("fc").eval()
    striate.layer_groups(network, size=32)
    assert network.training
    assert not network.get_submodule("fc").training
    assert not any(module._forward_hooks for module in network.modules())


def test_a_truncated_network_computes_the_features_of_its_place() -> None:
    network = create_model("resnet20", classes=10, size=(32, 32), seed=0).eval()
    cut = truncate(network, "stage2", size=(32, 32), classes=4).eval()
    captured: list[Any] = []
    network.get_submodule(network.feature_maps["stage2"]).register_forward_hook(lambda *call: captured.append(call[2]))
    x = torch.randn(2, 3, 32, 32)
    network(x)
    assert torch.equal(cut(x), cut.fc(captured[0].mean((2, 3))))
    assert list(cut.feature_maps) == ["stem", "stage1", "stage2"]


def test_a_place_in_a_name_builds_the_truncated_network() -> None:
    cut = create_model("resnet20@stage1", classes=3, size=(32, 32), seed=0).eval()
    whole = create_model("resnet20", classes=10, size=(32, 32), seed=0)
    assert cut(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    ours, theirs = cut.state_dict(), whole.state_dict()
    trunk = [name for name in ours if name.startswith("trunk.")]
    assert all(torch.equal(ours[name], theirs[name.removeprefix("trunk.")]) for name in trunk)
    assert len(trunk) == len(ours) - 2
    assert create_model("resnet20@stage1", classes=3, size=(16, 24)).card.name == "resnet20"


def test_a_wrong_place_is_refused() -> None:
    with pytest.raises(ModelError, match="stage3"):
        create_model("resnet20@stage9")
    with pytest.raises(ModelError, match="no model 'nothing@stage1'"):
        create_model("nothing@stage1")


class _Parallel(Network):
    """Two convolutions of one map: not a row."""

    feature_maps: Mapping[str, str] = {"sum": "two"}
    head = "fc"

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc((self.one(x) + self.two(x)).mean((2, 3)))


def test_a_network_that_does_more_than_call_its_parts_cannot_be_truncated() -> None:
    with pytest.raises(ModelError, match="cannot end at sum"):
        truncate(_Parallel(), "sum", size=(4, 4), classes=2)


class _HeadFirst(nn.Module):
    """The head is registered before the first convolution, and takes other channels."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.first = nn.Conv2d(8, 4, 1), nn.Conv2d(3, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(x)).mean((2, 3))


def test_the_channels_are_those_of_the_layer_that_runs_first() -> None:
    assert striate.replace_head(_HeadFirst(), 2, size=8)(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


class _Own(nn.Linear):
    def __init__(self) -> None:
        super().__init__(8, 4)


class _Asserts(_Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] == 64, "only 64"
        return super().forward(x)


def _with_head(head: nn.Module) -> _Plain:
    network = _Plain()
    network.last = head  # pyright: ignore[reportAttributeAccessIssue]
    return network


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Conv2d(3, 4, 1), "it is one layer itself"),
        (_with_head(_Own()), "'last' is a _Own, which is not built from its inputs"),
        (_with_head(nn.LazyLinear(4)), "'last' is lazy"),
        (_Asserts(), r"does not run on images of 3×32×32 \(only 64\)"),
        (nn.Sequential(nn.Conv2d(3, 4, 1, groups=1), nn.Conv2d(4, 4, 1, groups=2)), "without groups"),
    ],
    ids=["one layer", "own constructor", "lazy", "assertion", "grouped"],
)
def test_an_odd_module_is_refused_in_a_sentence(network: nn.Module, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        striate.replace_head(network, 3, size=32)


def test_layers_after_the_head_that_need_its_outputs_leave_the_network_as_it_was() -> None:
    network = nn.Sequential(_Plain(), nn.BatchNorm1d(4))
    head = network[0].last
    with pytest.raises(ModelError, match="running_mean"):
        striate.replace_head(network, 3, size=32)
    assert network[0].last is head


def test_a_normalized_head_is_replaced_by_a_plain_layer() -> None:
    network = _with_head(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)))
    assert type(striate.replace_head(network, 3, size=32).last) is nn.Linear


def test_parameters_made_in_inference_mode_cannot_be_thawed() -> None:
    with torch.inference_mode():
        network = _Plain()
    with pytest.raises(ModelError, match="inference_mode"):
        striate.thaw(network, size=32)


@pytest.mark.parametrize(
    "arguments",
    [{"classes": "3"}, {"classes": True}, {"classes": 2.5}, {"size": "32"}, {"size": (32,)}, {"size": (32, "32")},
     {"size": 2.5}, {"seed": "x"}, {"seed": 1.5}],
    ids=str,
)  # fmt: skip
def test_arguments_of_other_types_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(arguments))} is "):
        striate.replace_head(_Plain(), **({"classes": 3, "size": 32} | arguments))


@pytest.mark.parametrize("what", ["resnet18", None, _Plain, torch.zeros(3)], ids=["name", "none", "class", "tensor"])
def test_what_is_no_module_is_refused(what: Any) -> None:
    for function in (striate.layer_groups, striate.freeze, striate.thaw):
        with pytest.raises(ConfigError, match="model is a Module"):
            function(what)


def test_sizes_and_numbers_of_outputs_have_bounds() -> None:
    for arguments in ({"classes": 0}, {"classes": 10**12}, {"classes": 3, "size": -3}, {"classes": 3, "size": (0, 4)}):
        with pytest.raises(ModelError, match=r"at least|outputs"):
            striate.replace_head(_Plain(), **arguments)
    with pytest.raises(ModelError, match="seed is a whole number"):
        create_model("lenet5", seed=1.5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", [3, True, b"net", ["net"], "a-b", ""], ids=str)
def test_the_name_of_an_own_model_is_a_word(name: Any) -> None:
    with pytest.raises(ModelError, match="The name of a model is a word"):
        striate.register_model(_Plain, name=name)


class Owning(nn.Module):
    """A block that owns a parameter besides its layers, of which the second halves the map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 2, 2)
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gamma * self.second(self.first(x))


def _trainable(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_a_block_that_owns_a_parameter_is_frozen_and_thawed_without_layers_of_other_groups() -> None:
    network = nn.Sequential(Owning(3, 4), Owning(4, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    groups = striate.layer_groups(network, size=32)
    assert [len(group) for group in groups.values()] == [1, 3, 2, 1]
    striate.freeze(network, size=32)
    assert _trainable(network) == {"4.weight", "4.bias"}
    assert not network.get_submodule("0.first").training
    striate.thaw(network, "group3", size=32)
    assert _trainable(network) == {"4.weight", "4.bias", "1.gamma", "1.second.weight", "1.second.bias"}


def test_attention_is_in_the_group_of_its_place_with_the_layer_that_it_computes_itself() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.attention = nn.Conv2d(3, 4, 4, 4), nn.MultiheadAttention(4, 2, batch_first=True)
            self.head = nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.conv(x).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))

    network = Attending()
    assert striate.layer_groups(network, size=16)["head"] == (network.head,)
    striate.freeze(network, size=16)
    assert _trainable(network) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("outputs", [5, 7])
def test_a_layer_that_runs_after_the_head_is_not_replaced(outputs: int) -> None:
    class Embedding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.project = nn.Linear(12, 5), nn.Linear(12, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = self.head(x.flatten(1))
            self.embedding = self.project(x.flatten(1))
            return answer

    network = striate.replace_head(Embedding(), 3, size=2)
    assert (network.head.out_features, network.project.out_features) == (3, outputs)


def test_a_layer_that_only_has_the_width_of_the_outputs_is_refused_and_stays() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.project = nn.Linear(12, 5), nn.Linear(12, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer = self.head(x.flatten(1))
            self.embedding = self.project(x.flatten(1))
            return answer.softmax(1)

    network = Hidden()
    with pytest.raises(ModelError, match="'project', does not compute the outputs of this Hidden"):
        striate.replace_head(network, 3, size=2)
    assert network.project.out_features == 5
