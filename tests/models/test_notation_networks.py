"""Networks written down: the same as the zoo's where it has them, and refused with sizes where they do not fit."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from striate.core.errors import ModelError
from striate.models import Network, create_model, default_input, list_models, meta_model
from striate.models.notation import NotationError
from striate.tracing import describe

_AS_PRINTED = "FC-4096 FC-4096 FC-1000 soft-max"
_BN_TAIL = "(fc4096 relu dropout.5)*2 FC-K"
_BASIC = "conv3-{0},nobias bn relu conv3-{0},nobias bn"
_HALVED = "{{conv3-{0}/2,nobias bn relu conv3-{0},nobias bn | conv1-{0}/2,nobias bn}} relu"


def _resnet18() -> str:
    stages = [f"({{{_BASIC.format(64)}}} relu)*2"]
    stages += [f"{_HALVED.format(width)} {{{_BASIC.format(width)}}} relu" for width in (128, 256, 512)]
    return f"conv7-64/2,nobias bn relu pool3/2,pad1 {' '.join(stages)} gap FC-K"


# VGG's columns as table 1 of the paper prints them; the courses' nets, and others that use more of the grammar.
WRITTEN = {
    "vgg11": "conv3-64 maxpool conv3-128 maxpool conv3-256 conv3-256 maxpool conv3-512 conv3-512 maxpool "
    f"conv3-512 conv3-512 maxpool {_AS_PRINTED}",
    "vgg11_lrn": "conv3-64 LRN maxpool conv3-128 maxpool conv3-256 conv3-256 maxpool conv3-512 conv3-512 maxpool "
    f"conv3-512 conv3-512 maxpool {_AS_PRINTED}",
    "vgg13": "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool conv3-256 conv3-256 maxpool "
    f"conv3-512 conv3-512 maxpool conv3-512 conv3-512 maxpool {_AS_PRINTED}",
    "vgg16_1x1": "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool conv3-256 conv3-256 conv1-256 maxpool "
    f"conv3-512 conv3-512 conv1-512 maxpool conv3-512 conv3-512 conv1-512 maxpool {_AS_PRINTED}",
    "vgg16": "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool conv3-256 conv3-256 conv3-256 maxpool "
    f"conv3-512 conv3-512 conv3-512 maxpool conv3-512 conv3-512 conv3-512 maxpool {_AS_PRINTED}",
    "vgg19": "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool conv3-256 conv3-256 conv3-256 conv3-256 maxpool "
    "conv3-512 conv3-512 conv3-512 conv3-512 maxpool conv3-512 conv3-512 conv3-512 conv3-512 maxpool " + _AS_PRINTED,
    "vgg11_bn": "conv3-64 bn relu pool2 conv3-128 bn relu pool2 (conv3-256 bn relu)*2 pool2 "
    f"((conv3-512 bn relu)*2 pool2)*2 {_BN_TAIL}",
    "vgg13_bn": "(conv3-64 bn relu)*2 pool2 (conv3-128 bn relu)*2 pool2 (conv3-256 bn relu)*2 pool2 "
    f"((conv3-512 bn relu)*2 pool2)*2 {_BN_TAIL}",
    "vgg16_bn": "(conv3-64 bn relu)*2 pool2 (conv3-128 bn relu)*2 pool2 (conv3-256 bn relu)*3 pool2 "
    f"((conv3-512 bn relu)*3 pool2)*2 {_BN_TAIL}",
    "vgg19_bn": "(conv3-64 bn relu)*2 pool2 (conv3-128 bn relu)*2 pool2 (conv3-256 bn relu)*4 pool2 "
    f"((conv3-512 bn relu)*4 pool2)*2 {_BN_TAIL}",
    "mnist_cnn": "conv3-32,valid relu pool2 conv3-64,valid relu pool2 fc1024 relu FC-K",
    "deep_mnist": "conv5-32 relu pool2 conv5-64 relu pool2 fc1024 relu dropout.5",
    "cifar10_maxnorm": "conv3-32,maxnorm3 relu dropout.2 conv3-32,maxnorm3 relu pool2 "
    "fc512,maxnorm3 relu dropout.5 FC-K",
    "dogs_and_cats": "conv3-32 relu pool2 conv3-64 relu pool2 (conv3-128 relu pool2)*2 dropout.5 "
    "fc512 relu fc128 relu fcK",
    "dogs_and_cats_2017": "conv3-32,valid relu pool2 conv3-64,valid relu pool2 (conv3-128,valid relu pool2)*2 "
    "fc512 relu fcK",
    "digit_net": "conv5-6,valid-relu-pool2 -> conv5-16,valid-relu-pool2 -> fc120-relu -> fc100-relu -> FC-K",
    "tiny_vgg": "[(conv3-10,valid relu)*2 pool2]*2 fcK",
    "lenet5_rgb": "conv5-8,valid relu pool2 conv5-16,valid relu pool2 fc120 relu fc84 relu fc10",
    "linear": "FC-K",
    "all_cnn_c": "dropout.2 (conv3-96 relu)*2 conv3-96/2 relu dropout.5 (conv3-192 relu)*2 conv3-192/2 relu dropout.5 "
    "conv3-192,valid relu conv1-192 relu conv1-K relu gap",
    "resnet18": _resnet18(),
}  # fmt: skip
# Sides for logits in the time of a test; the others are taken at their card's.
_SMALLER = {"vgg": 32, "dogs_and_cats": 64, "dogs_and_cats_2017": 64, "resnet18": 64, "deep_mnist": 28}


def _text(name: str, classes: int) -> str:
    return WRITTEN[name].replace("FC-1000", f"FC-{classes}")


@pytest.mark.parametrize("name", list(WRITTEN))
def test_a_written_network_equals_the_zoos_parameter_for_parameter(name: str) -> None:
    (channels, *size), classes = default_input(name)
    height, width = size
    zoo = meta_model(name, classes=classes, channels=channels, size=(height, width))
    ours = meta_model(_text(name, classes), classes=classes, channels=channels, size=(height, width))
    assert [p.shape for p in ours.parameters()] == [p.shape for p in zoo.parameters()]
    assert (ours.card.parameters, ours.card.macs, ours.card.depth) == (
        zoo.card.parameters,
        zoo.card.macs,
        zoo.card.depth,
    )
    ours_head, zoos_head = ours.get_submodule(ours.head), zoo.get_submodule(zoo.head)
    assert isinstance(ours_head, type(zoos_head))
    assert [p.shape for p in ours_head.parameters()] == [p.shape for p in zoos_head.parameters()]


@pytest.mark.parametrize("name", list(WRITTEN))
def test_a_written_network_gives_the_zoos_logits_with_the_same_weights(name: str) -> None:
    (channels, *card_size), _ = default_input(name)
    side = next((small for start, small in _SMALLER.items() if name.startswith(start)), card_size[0])
    generator = torch.Generator().manual_seed(1)
    networks = [
        meta_model(text, classes=10, channels=channels, size=(side, side)).eval() for text in (name, _text(name, 10))
    ]
    weights = [_random(tensor, generator) for tensor in networks[0].state_dict().values()]
    for network in networks:
        keys = network.state_dict().keys()
        network.load_state_dict(dict(zip(keys, weights, strict=True)), assign=True)
    pictures = torch.randn(2, channels, side, side, generator=generator)
    zoos, ours = (network(pictures) for network in networks)
    assert zoos.std() > 0
    torch.testing.assert_close(ours, zoos, rtol=1e-5, atol=1e-5 * float(zoos.detach().std()))


def _random(like: Tensor, generator: torch.Generator) -> Tensor:
    """Weights that keep the spread, norms near one, whole numbers zero."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    if like.ndim < 2:
        return 0.5 + torch.rand(like.shape, generator=generator)
    return torch.randn(like.shape, generator=generator) * (2 / like[0].numel()) ** 0.5


def _maps(network: Network, shape: tuple[int, int, int]) -> list[tuple[object, ...]]:
    """Return shape, stride and receptive field of each feature map."""
    description = describe(network, shape)
    rows = [description.row(path) for path in network.feature_maps.values()]
    return [(row.output_shape, row.stride, row.receptive_field) for row in rows]


@pytest.mark.parametrize("name", ["vgg11_lrn", "vgg16", "vgg16_1x1"])
def test_vggs_layers_have_the_names_and_maps_they_have_in_the_zoo(name: str) -> None:
    zoo, ours = (meta_model(text, classes=1000, size=(224, 224)) for text in (name, WRITTEN[name]))
    bare = [
        re.sub(r"^features\.|norm1", "", path) for path, module in zoo.named_modules() if not list(module.children())
    ]
    assert [path for path, _ in ours.named_children() if path not in ("lrn1_1", "softmax")] == [p for p in bare if p]
    assert {name: f"features.{path}" for name, path in ours.feature_maps.items()} == dict(zoo.feature_maps)
    assert _maps(ours, (3, 224, 224)) == _maps(zoo, (3, 224, 224))


@pytest.mark.parametrize(
    ("text", "classes", "under"),
    [
        ("conv3-8 relu pool2 fc16 relu fc1 sigmoid", 2, "fc1"),
        ("conv3-8 relu fc1 relu", 2, "fc1"),
        ("conv3-8 relu fc1 tanh", 1, "fc1"),
        ("conv3-8 relu fc10 sigmoid", 10, "fc10"),
        ("conv3-8 relu fc2 sigmoid", 2, "fc2"),
    ],
)
def test_no_head_is_added_after_an_output_with_an_activation(text: str, classes: int, under: str) -> None:
    with pytest.raises(NotationError, match=r"FC-K") as refused:
        meta_model(text, classes=classes, size=(8, 8))
    line, carets = str(refused.value).splitlines()[1:]
    assert line[carets.index("^") : len(carets)] == under


def test_a_hidden_layer_with_a_sigmoid_gets_its_head() -> None:
    network = meta_model("conv3-8 relu fc16 sigmoid", classes=10, size=(8, 8))
    assert [p.shape for p in network.get_submodule(network.head).parameters()] == [(10, 16), (10,)]


def test_a_small_network_worked_by_hand() -> None:
    """28×28 grey: 8·(9+1) = 80 and 16·(8·9+1) = 1168 weights; 14·14·16 = 3136 inputs of 20 units, then 5 classes."""
    network = meta_model("conv3-8 relu pool2 conv3-16 bn tanh fc20 relu", classes=5, channels=1, size=(28, 28))
    description = describe(network, (1, 28, 28))
    assert [(row.path, row.output_shape, row.parameters) for row in description.rows] == [
        ("conv1_1", (8, 28, 28), 80),
        ("relu1_1", (8, 28, 28), 0),
        ("pool1", (8, 14, 14), 0),
        ("conv2_1", (16, 14, 14), 1168),
        ("bn2_1", (16, 14, 14), 32),
        ("tanh2_1", (16, 14, 14), 0),
        ("flatten", (3136,), 0),
        ("fc3", (20,), 3136 * 20 + 20),
        ("relu3", (20,), 0),
        ("fc4", (5,), 105),
    ]
    card = network.card
    assert (card.family, card.input, card.classes, card.depth) == ("notation", (1, 28, 28), 5, 4)
    assert card.parameters == 80 + 1168 + 32 + 62_740 + 105
    assert card.macs == 28 * 28 * 8 * 9 + 14 * 14 * 16 * 8 * 9 + 3136 * 20 + 100


_NETWORKS = [
    "(conv3-8 relu)*2 pool2 (conv3-16 relu)*2 pool2 fc32 relu dropout.5",
    "conv3-8 conv3-8 maxpool conv3-16 LRN maxpool FC-20 FC-5 soft-max",
    "bn conv5-8/2,nobias bn silu pool3/1,pad1 {conv3-8 gelu conv3-8 | conv1-8} elu*2 {conv3-12/2 | pool2 conv1-12} gap",
    "dropout.2 conv3x1-8,valid relu6 conv1x3-8,valid leakyrelu avgpool2 conv3-8,groups4,dilation2 sigmoid conv1-K gap",
    "pool2 {conv3-3 {conv3-3 relu}*2} avgpool3/2,same conv4-6/2,same tanh gmp fc9 bn relu {fc9 relu} fcK softmax",
]


@pytest.mark.parametrize("text", _NETWORKS)
def test_a_written_network_keeps_the_promise_of_a_model(text: str) -> None:
    size = (40, 36)
    network = create_model(text, classes=5, size=size, seed=1).eval()
    pictures = torch.randn(4, 3, *size, generator=torch.Generator().manual_seed(2))
    assert network(pictures).shape == (4, 5)
    again = create_model(text, classes=5, size=size, seed=1).eval()
    assert torch.equal(network(pictures), again(pictures))
    other = create_model(text, classes=5, size=size, seed=2).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(pictures), other(pictures))
    program = torch.export.export(network, (pictures,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))
    torch.testing.assert_close(program.module()(pictures[:3]), network(pictures[:3]))
    double = network.double()
    apart = torch.cat([double(picture[None]) for picture in pictures.double()])
    torch.testing.assert_close(double(pictures.double()), apart, rtol=1e-10, atol=1e-10)
    assert list_models() == [card for card in list_models() if card.name != text]


@pytest.mark.parametrize("text", _NETWORKS)
def test_the_maps_of_a_written_network_are_what_they_are_said_to_be(text: str) -> None:
    network = meta_model(text, classes=5, size=(40, 36))
    description = describe(network, (3, 40, 36))
    order = [row.path for row in description.rows]
    places = [order.index(path) for path in network.feature_maps.values()]
    assert places == sorted(places)
    assert list(network.feature_maps) == [f"stage{n + 1}" for n in range(len(places))]
    assert places
    for path in network.feature_maps.values():
        row = description.row(path)
        assert len(row.output_shape) == 3
        assert row.stride is not None


def test_every_parameter_of_a_written_network_learns() -> None:
    for text in _NETWORKS:
        network = create_model(text, classes=5, size=(40, 36), seed=3).train()
        network(torch.randn(8, 3, 40, 36)).square().sum().backward()
        for path, parameter in network.named_parameters():
            assert parameter.grad is not None, path
            assert parameter.grad.isfinite().all(), path


def test_first_weights_are_hes_before_a_rectifier_and_xaviers_elsewhere() -> None:
    network = create_model("conv3-64 bn relu conv3-64 tanh fc400 relu fcK", classes=10, size=(16, 16), seed=1)
    spreads = {path: float(weight.detach().std()) for path, weight in network.named_parameters() if weight.ndim > 1}
    assert spreads["conv1_1.weight"] == pytest.approx((2 / 27) ** 0.5, rel=0.1)
    assert spreads["conv1_2.weight"] == pytest.approx((2 / (576 + 576)) ** 0.5, rel=0.05)
    assert spreads["fc2.weight"] == pytest.approx((2 / 16384) ** 0.5, rel=0.05)
    assert spreads["fc3.weight"] == pytest.approx((2 / 410) ** 0.5, rel=0.1)


def test_a_closing_softmax_is_shown_and_not_run() -> None:
    shown = create_model("conv3-8 relu gap FC-5 soft-max", classes=5, size=(8, 8), seed=1)
    plain = create_model("conv3-8 relu gap FC-5", classes=5, size=(8, 8), seed=1)
    pictures = torch.randn(3, 3, 8, 8)
    assert torch.equal(shown(pictures), plain(pictures))
    last = describe(shown, (3, 8, 8)).rows[-1]
    assert (last.path, last.kind) == ("softmax", "SoftmaxNotRun")
    assert shown.head == plain.head == "fc2"


@pytest.mark.parametrize(
    ("text", "sentence", "marked"),
    [
        ("conv3-8 relu FC-1000", "has 1,000 outputs, and there are 10 classes: write FC-K or FC-10", "FC-1000"),
        ("conv3-8,groups2 relu", "receives 3×32×32: its 3 channels cannot be divided into 2 groups", "conv3-8,groups2"),
        ("conv3-8,groups3 relu", "receives 3×32×32: its 8 filters cannot be divided into 3 groups", "conv3-8,groups3"),
        ("fc20 conv3-8 fc10", "receives 20 numbers without positions: it needs a map", "conv3-8"),
        ("pool2 gap pool2", "pool2 receives 3 numbers without positions: it needs a map", "pool2"),
        ("gap gmp", "gmp receives 3 numbers without positions", "gmp"),
        ("gap lrn", "lrn receives 3 numbers without positions", "lrn"),
        ("{conv3-8}", "the body returns 8×32×32 and the shortcut 3×32×32. A shortcut follows a bar", "{conv3-8}"),
        ("conv3-8 {conv3-16/2}", "8×32×32. A shortcut follows a bar: {… | conv1-16/2}", "{conv3-16/2}"),
        ("{pool2 | conv1-3}", "the body returns 3×16×16 and the shortcut 3×32×32.", "{pool2 | conv1-3}"),
        ("{pool31,valid | conv32-3/2,valid}", "a stride of 31 pixels and the shortcut one of 2", None),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_fit_says_so_with_the_sizes(text: str, sentence: str, marked: str | None) -> None:
    with pytest.raises(NotationError) as caught:
        meta_model(text, classes=10, size=(32, 32))
    said, line, carets = str(caught.value).split("\n")
    assert sentence in said
    assert line[carets.index("^") : len(carets)] == (marked or text)


def test_images_too_small_are_refused_with_the_smallest_size_that_works_and_the_layer_that_is_left_with_nothing() -> (
    None
):
    text = "(conv5-8,valid relu pool2)*3 fc20 relu FC-10"  # 36: 32, 16, 12, 6, 2, 1
    with pytest.raises(ModelError) as caught:
        create_model(text, classes=10, size=(35, 64))
    first, line, carets = str(caught.value).split("\n")
    assert "at least 36×36 pixels; received 35×64" in first
    assert "pool2 has a kernel of 2×2, larger than its input of 1×" in first
    assert line[carets.index("^") : len(carets)] == "pool2"
    assert create_model(text, classes=10, size=(36, 36))(torch.randn(1, 3, 36, 36)).shape == (1, 10)
    with pytest.raises(ModelError, match="No image up to 4096×4096 is large enough"):
        meta_model("(pool99)*3", classes=10, size=(64, 64))


def test_the_usual_input_of_a_written_network_is_imagenets_with_the_classes_that_it_names() -> None:
    assert default_input("conv3-8 FC-7") == ((3, 224, 224), 7)
    assert default_input("conv3-8 relu") == ((3, 224, 224), 1000)
    assert default_input("tiny_vgg") == ((3, 64, 64), 10)
