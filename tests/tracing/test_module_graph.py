"""What reads what, against networks whose graphs can be drawn by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.models import meta_model
from striate.tracing import INPUT, Graph, graph


def _named(found: Graph) -> set[tuple[str, str]]:
    names = {INPUT: "input"} | {number: node.path for number, node in enumerate(found.nodes)}
    return {(names[start], names[end]) for start, end in found.edges}


class Branching(nn.Module):
    """Two branches that are added and concatenated by functions, a layer used twice, dropout and a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, padding=1)
        self.right = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU()
        self.drop = nn.Dropout()
        self.last = nn.Linear(4 * 2 * 8 * 8, 2)

    def forward(self, x: Tensor) -> Tensor:
        left = self.relu(self.left(x))
        both = left + self.right(x)
        return self.last(self.drop(torch.cat([self.relu(both), left], 1).flatten(1)))


def test_functions_between_modules_are_looked_through() -> None:
    found = graph(Branching(), (3, 8, 8))
    assert [node.path for node in found.nodes] == ["left", "relu", "right", "relu", "last"]
    assert set(found.edges) == {(INPUT, 0), (0, 1), (INPUT, 2), (1, 3), (2, 3), (3, 4), (1, 4)}


def test_a_residual_block_is_two_roads_that_meet() -> None:
    network = meta_model("resnet18", classes=5, size=(64, 64))
    assert _named(graph(network, (3, 64, 64), within="stage1.block2")) == {
        ("input", "stage1.block2.conv1"),
        ("stage1.block2.conv1", "stage1.block2.norm1"),
        ("stage1.block2.norm1", "stage1.block2.relu1"),
        ("stage1.block2.relu1", "stage1.block2.conv2"),
        ("stage1.block2.conv2", "stage1.block2.norm2"),
        ("stage1.block2.norm2", "stage1.block2.add"),
        ("input", "stage1.block2.add"),
        ("stage1.block2.add", "stage1.block2.relu2"),
    }


def test_nodes_have_their_modules_and_shapes_and_a_gate_is_one_node() -> None:
    network = meta_model("se_resnet50", classes=5, size=(64, 64))
    found = graph(network, (3, 64, 64), within="stages.stage1.block2")
    gate = next(node for node in found.nodes if node.path.endswith("excitation"))
    assert gate.module is network.get_submodule(gate.path)
    assert gate.output_shape == (256, 16, 16)
    assert not any("excitation." in node.path for node in found.nodes)


class Shared(nn.Module):
    """One block of two layers under two paths, and a layer that returns a number."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.again = nn.ModuleList([self.first])
        self.number = Number()

    def forward(self, x: Tensor) -> Tensor:
        return self.again[0](self.first(x)) * self.number(x)


class Number(nn.Module):
    def forward(self, x: Tensor) -> int:
        return x.shape[1]


def test_a_shared_part_is_drawn_by_each_of_its_paths_and_a_layer_without_tensor_is_none() -> None:
    found = graph(Shared(), (3, 8, 8))
    assert [node.path for node in found.nodes] == ["first.0", "first.1"] * 2
    assert set(found.edges) == {(INPUT, 0), (0, 1), (1, 2), (2, 3)}
    part = graph(Shared(), (3, 8, 8), within="again.0")
    assert [node.path for node in part.nodes] == ["first.0", "first.1"] * 2
    assert set(part.edges) == {(INPUT, 0), (0, 1), (INPUT, 2), (2, 3)}


def test_the_network_is_left_as_it_is() -> None:
    network = Branching().train()
    graph(network, (3, 8, 8))
    assert network.training
    assert not network.left._forward_hooks
    assert not network.left.weight.is_meta
