"""The notation as text: what is read, what is printed, and how a mistake is shown."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.core.errors import ModelError
from striate.models import MODELS, check_model, meta_model
from striate.models.notation import NotationError, is_notation, parse
from striate.models.notation.grammar import PLAIN, SOFTMAX
from striate.models.notation.text import Span
from striate.models.notation.tree import (
    Convolution,
    Dropout,
    FullyConnected,
    Item,
    Layer,
    Padding,
    Plain,
    Pooling,
    Repeated,
    Residual,
    written,
)

AT = Span(0, 0)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "(conv3-32 relu)*2 pool2 (conv3-64 relu)*2 pool2 fc512 relu dropout.5",
            "(conv3-32 relu)*2 pool2 (conv3-64 relu)*2 pool2 fc512 relu dropout.5",
        ),
        ("[(CONV3-8-RELU)*2-POOL2]*3-(FC16-RELU)*2", "((conv3-8 relu)*2 pool2)*3 (fc16 relu)*2"),
        ("conv3-8 -> relu -> pool2 → fc-10", "conv3-8 relu pool2 fc10"),
        ("conv3-8\nrelu\n\tpool2", "conv3-8 relu pool2"),
        ("Conv3-8 ReLU MaxPool2 FC-k", "conv3-8 relu pool2 fcK"),
        ("conv1x7-8/2,same,dilation2,nobias relu", "conv1x7-8/2,same,dilation2,nobias relu"),
        ("conv3-8,groups2,pad4/2", None),
        ("conv3-8,valid conv3-8,pad0", "conv3-8,valid conv3-8,valid"),
        ("conv3-8/1 pool2/2 pool3/2,pad1", "conv3-8 pool2 pool3/2,pad1"),
        ("avgpool3/2,same gap gmp", "avgpool3/2,same gap gmp"),
        ("dropout0.25 dropout.125 dropout0", "dropout.25 dropout.125 dropout.0"),
        ("fc8,maxnorm3 relu conv3-8,maxnorm1.50", "fc8,maxnorm3 relu conv3-8,maxnorm1.5"),
        ("relu*3 ×2", None),
        ("(relu)*1 (relu) relu×3 (bn relu)× 2", "(relu) (relu) relu*3 (bn relu)*2"),
        ("{conv3-8 bn relu | conv1-8}*2 {bn}", "{conv3-8 bn relu | conv1-8}*2 {bn}"),
    ],
)
def test_networks_written_down_are_read_as_expected(text: str, read: str | None) -> None:
    if read is None:
        with pytest.raises(NotationError):
            parse(text)
    else:
        assert str(parse(text)) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "conv3-64 conv3-64 maxpool FC-4096 FC-4096 FC-1000 soft-max",
            "conv3-64 relu conv3-64 relu pool2 fc4096 relu dropout.5 fc4096 relu dropout.5 fc1000 softmax",
        ),
        ("conv3-64 LRN maxpool FC-10", "conv3-64 relu lrn pool2 fc10"),
        ("conv3-64 bn maxpool FC-9 bn FC-10", "conv3-64 bn relu pool2 fc9 bn relu dropout.5 fc10"),
        ("(conv3-64)*2 maxpool {conv3-64}", "(conv3-64 relu)*2 pool2 {conv3-64 relu}"),
        ("conv3-64 maxpool FC-99 dropout.3 FC-10", "conv3-64 relu pool2 fc99 relu dropout.3 fc10"),
        ("conv3-64 maxpool", "conv3-64 relu pool2"),
        # Where an activation is written, or no word is the table's, nothing is added.
        ("conv3-64 conv3-64 tanh maxpool FC-99 FC-10 soft-max", "conv3-64 conv3-64 tanh pool2 fc99 fc10 softmax"),
        ("conv3-64 pool2 fc99 fc10 softmax", "conv3-64 pool2 fc99 fc10 softmax"),  # no word of the table's own
        ("conv3-64 conv3-64 pool2 fc99 fc10", "conv3-64 conv3-64 pool2 fc99 fc10"),
    ],
)
def test_layers_that_vggs_table_omits_are_added_to_a_text_in_its_words(text: str, read: str) -> None:
    assert str(parse(text)) == read


@pytest.mark.parametrize(
    ("text", "sentence", "marked"),
    [
        ("cnov3-32 relu", "There is no layer 'cnov3-32'. Did you mean 'conv3-64'?", "cnov3-32"),
        ("conv3-32 rleu pool2", "Did you mean 'relu'?", "rleu"),
        ("conv3-32 %%% pool2", "Expected a layer (conv3-64, pool2", "%%%"),
        ("conv3 relu", "a hyphen and the number of filters, as in conv3-64", " "),
        ("conv3-x relu", "a hyphen and the number of filters", "-"),
        ("conv-64 relu", "the side of the kernel", "-64"),
        ("conv0-64 relu", "the side of the kernel, as in conv3-64, from 1 to 99,999", "0-64"),
        ("conv3-100000", "the number of filters, as in conv3-64, from 1 to 99,999", "100000"),
        ("conv3-64/ relu", "the stride, as in conv3-64/2", " "),
        ("conv3-64.5 relu", "the end of the word, or a stride as in /2, or a comma and valid, same, pad1", ".5"),
        ("conv3-64,padd1 relu", "There is no option 'padd' here. Expected valid, same, pad1", "padd1"),
        ("conv3-64, relu", "Expected valid, same, pad1", " "),
        ("conv3-64,groups2,groups4", "This option is given twice", "groups4"),
        ("conv3-64,valid,same", "This option is given twice", "same"),
        ("relu conv4-64 relu", "A kernel of even size needs its padding", " "),
        ("conv3-64,maxnorm3,groups2", "maxnorm can be combined only with", "conv3-64,maxnorm3,groups2"),
        ("conv3-64,maxnorm0", "more than 0", "0"),
        ("relu pool", "the side of the window, as in pool2", ""),
        ("avgpool relu", "the side of the window, as in avgpool2", " "),
        ("pool2,pad2", "is padded by at most 1", "pool2,pad2"),
        ("POOL2? relu", "the end of the word", "?"),
        ("fc relu", "the number of units, as in fc512, or K", " "),
        ("dropout relu", "the fraction that is dropped, as in dropout.5", " "),
        ("dropout1.5", "less than 1", "1.5"),
        ("(conv3-64 relu", "or the closing )", ""),
        ("[conv3-64 relu) relu", "or the closing ]", ")"),
        ("{bn relu", "or an opening bracket, | and a shortcut, or the closing }", ""),
        ("{bn | relu | relu}", "or the closing }", "|"),
        ("{bn | }", "Expected a layer", "}"),
        ("bn | relu", "or an opening bracket, or the end", "|"),
        ("bn) relu", "or an opening bracket, or the end", ")"),
        ("() relu", "Expected a layer", ")"),
        ("(", "Expected a layer", ""),
        ("*2 relu", "A repetition must follow what it repeats", "*"),
        ("relu*2*3", "A repetition must follow what it repeats", "*"),
        ("(relu)*0", "the number of repetitions, from 1 to 9999", "0"),
        ("(relu)*N", "the number of repetitions, from 1 to 9999", "N"),
        ("(relu)*", "the number of repetitions, from 1 to 9999", ""),
        ("((relu)*900)*900 bn", "at most 5,000 layers", "((relu)*900)*900"),
        ("(" * 30, "at most 20 deep", "("),
        ("soft-max fc10", "can only be the last layer", "soft-max"),
        ("(fc10 soft-max)*2", "can only be the last layer", "soft-max"),
        ("softmax", "at least one layer before it", "softmax"),
        ("fc20 fcK relu", "K, the number of classes, is allowed in the last layer only", "fcK"),
        ("conv1-K relu fc10", "K, the number of classes", "conv1-K"),
        ("(conv1-K gap)*2", "K, the number of classes", "conv1-K"),
        ("conv3-64 relu pool2 " * 9 + "conv3-64 rlu " + "relu pool2 " * 9, "Did you mean 'relu'?", "rlu"),
    ],
)
def test_a_mistake_is_a_sentence_and_a_caret_under_the_place(text: str, sentence: str, marked: str) -> None:
    with pytest.raises(NotationError) as caught:
        check_model(text)
    said, line, carets = str(caught.value).split("\n")
    assert sentence in said
    assert len(line) <= 2 * 36 + len(text.split()[0]) + 30
    first, count = carets.index("^"), carets.count("^")
    assert carets == " " * first + "^" * count
    assert line[first : first + count].ljust(1) == (marked or " ")


def test_line_ends_in_a_text_are_shown_as_spaces_so_that_the_caret_stays_in_its_place() -> None:
    with pytest.raises(NotationError) as caught:
        parse("conv3-8\nrelu\trleu\nrelu")
    assert str(caught.value).splitlines()[1:] == ["  conv3-8 relu rleu relu", "               ^^^^"]


@pytest.mark.parametrize(
    "name", ["relu", "fc10", "FC-K", "gap", "conv3-8", "dropout.5", "pool2", "x y", "(", "a{b}", "a*2"]
)
def test_a_text_that_begins_with_a_layer_or_has_spaces_or_brackets_is_taken_for_a_network_written_down(
    name: str,
) -> None:
    assert is_notation(name)


@pytest.mark.parametrize("name", ["", "lenet6", "vgg-16", "convnext-tiny", "resnet50.pt", "fcn", "poolnet", "gapnet"])
def test_a_text_like_a_name_is_read_as_one_and_the_nearest_is_offered(name: str) -> None:
    assert not is_notation(name)
    with pytest.raises(ModelError, match="There is no model"):
        check_model(name)


def test_the_name_of_a_family_is_answered_with_its_members() -> None:
    assert not is_notation("convnext")
    with pytest.raises(ModelError, match=r"'convnext' is a family of models. Choose one of .*convnext_tiny"):
        check_model("convnext")


def test_no_model_of_the_zoo_has_a_name_that_could_be_a_network_written_down() -> None:
    assert not [name for name in MODELS if is_notation(name)]


def test_every_layer_and_bracket_of_the_reference_is_read() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "notation.md"
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) >= 25
    cells = [row.removeprefix("| `").partition("` |")[0].replace("\\|", "|") for row in rows]
    for text in cells:
        assert is_notation(text)
        parse(f"fc10 {text}")
    options = {option for text in cells for option in re.findall(r",([a-z]+)", text)}
    assert options == {"valid", "pad", "same", "dilation", "groups", "nobias", "maxnorm"}


_few, _many = st.integers(1, 9), st.integers(1, 99_999)
_paddings: st.SearchStrategy[Padding] = st.one_of(st.integers(0, 9), st.just("same"))
_bounds = st.one_of(st.none(), st.integers(1, 10_000_000).map(lambda count: count / 1000))


@st.composite
def _convolutions(draw: st.DrawFn) -> Convolution:
    kernel = draw(st.tuples(_few, _few))
    odd = all(side % 2 for side in kernel)
    half: st.SearchStrategy[Padding] = st.just("half")
    padding = draw(st.one_of(_paddings, half) if odd else _paddings)
    bound = None if padding == "same" else draw(_bounds)
    return Convolution(
        kernel=kernel,
        filters=draw(st.one_of(_many, st.none())),
        stride=draw(_few),
        padding=padding,
        dilation=1 if bound else draw(_few),
        groups=1 if bound else draw(_many),
        bias=bound is not None or draw(st.booleans()),
        max_norm=bound,
        at=AT,
    )


@st.composite
def _poolings(draw: st.DrawFn) -> Pooling:
    side = draw(_many)
    padding: int | Literal["same"] = draw(st.integers(0, side // 2)) if draw(st.booleans()) else "same"
    return Pooling(
        kind=draw(st.sampled_from(["max", "average"])), side=side, stride=draw(_many), padding=padding, at=AT
    )


_layers: st.SearchStrategy[Layer] = st.one_of(
    _convolutions(),
    _poolings(),
    st.builds(FullyConnected, units=st.one_of(_many, st.none()), max_norm=_bounds, at=st.just(AT)),
    st.integers(0, 999_999).map(lambda count: Dropout(rate=count / 1_000_000, at=AT)),
    st.sampled_from([word for word in PLAIN if word != SOFTMAX]).map(lambda word: Plain(word=word, at=AT)),
)


def _brackets(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    inside = st.lists(items, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Repeated, items=inside, times=st.integers(1, 4), at=st.just(AT)),
        st.builds(Residual, body=inside, shortcut=st.one_of(st.just(()), inside), at=st.just(AT)),
    )


_networks = st.lists(st.recursive(_layers, _brackets, max_leaves=12), min_size=1, max_size=6).map(tuple)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(items=_networks, closed=st.booleans())
def test_printed_networks_are_read_as_equal_ones(items: tuple[Item, ...], closed: bool) -> None:
    if closed:
        items = (
            *items,
            Plain(word=SOFTMAX, at=AT),
        )
    # An activation in front, so that nothing is read as VGG's table is.
    items = (Plain(word="relu", at=AT), *items)
    again = parse(written(items))
    assert again.items == items
    assert str(again) == written(items)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(items=_networks, table=st.sampled_from(["maxpool ", "FC-7 ", ""]))
def test_vggs_table_is_printed_with_all_added_layers(items: tuple[Item, ...], table: str) -> None:
    once = parse(table + written(items))
    assert parse(str(once)).items == once.items


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    text=st.one_of(st.text(max_size=60), st.text(alphabet="convfpolrdut-KxX0123456789.,/*×()[]{}| →>\n", max_size=60))
)
def test_random_text_is_read_or_refused_with_a_notation_error(text: str) -> None:
    with contextlib.suppress(NotationError):
        assert parse(str(parse(text))).items == parse(text).items


_VALID = (
    "(conv3-32 relu)*2 pool2 (conv3-64 relu)*2 pool2 fc512 relu dropout.5",
    "conv3-64 conv3-64 maxpool conv3-128 conv1-128 LRN maxpool FC-40 FC-40 FC-7 soft-max",
    "conv7-8/2,nobias bn relu pool3/2,pad1 {conv3-8 bn | conv1-8}*2 {conv3-16/2 tanh | conv1-16/2}*1 gap FC-K",
    "dropout.2 [conv3-8,groups1-relu6]*2 avgpool2/1,same conv1x3-8,dilation2 conv5-K,valid gmp",
)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """A valid text in which a few characters are gone, doubled, exchanged or new."""
    text = draw(st.sampled_from(_VALID))
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        taken = draw(st.integers(0, 2))
        new = draw(
            st.one_of(st.just(text[place : place + 2] * 2), st.text(alphabet="conv0123456789-,/*(){}|K ", max_size=2))
        )
        text = text[:place] + new + text[place + taken :]
    return text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=_mutated(), side=st.sampled_from([1, 9, 32]))
def test_a_valid_text_with_slips_of_the_pen_becomes_a_network_or_a_sentence(text: str, side: int) -> None:
    try:
        network = meta_model(text, classes=7, size=(side, side + 1))
    except ModelError:
        return
    assert network.get_submodule(network.head)
