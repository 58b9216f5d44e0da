"""Facts on cards against the metadata of the libraries that publish them, and against each other."""

from __future__ import annotations

import importlib
import re

import pytest

import judges.parity  # noqa: F401 (loads torchvision, of which an extension may be missing)
from promises.published import agrees
from striate.models import MODELS, ModelCard, Published, list_models

torchvision_models = importlib.import_module("torchvision.models")

# Of the same name, and another network: with batch norm, and the paper's form.
_ANOTHER = {"googlenet"}
_OURS = {"googlenet_bn": "googlenet"}


def _rows(card: ModelCard) -> list[Published]:
    return [row for row in card.published if row.source.startswith("https://docs.pytorch.org/vision/")]


@pytest.mark.parametrize("card", [card for card in list_models() if _rows(card)], ids=lambda card: card.name)
def test_torchvisions_figures_are_those_of_its_metadata(card: ModelCard) -> None:
    weights = torchvision_models.get_model_weights(_OURS.get(card.name, card.name))
    for row in _rows(card):
        metas = [each.meta for each in weights]
        figures = [meta["_metrics"]["ImageNet-1K"] for meta in metas]
        assert (row.top1, row.top5) in [(each["acc@1"], each["acc@5"]) for each in figures]
        assert row.parameters is None or agrees(metas[0]["num_params"], row.parameters)
        assert row.macs is None or agrees(round(metas[0]["_ops"] * 1e9), row.macs)


def test_a_network_of_torchvision_has_an_accuracy_on_its_card() -> None:
    theirs = set(torchvision_models.list_models(module=torchvision_models)) - _ANOTHER
    without = [name for name in MODELS if name in theirs and not any(row.top1 for row in MODELS[name].card.published)]
    assert without == []


def test_a_network_of_torchvisions_name_has_torchvisions_count_of_parameters() -> None:
    for name in sorted(set(torchvision_models.list_models(module=torchvision_models)) & set(MODELS) - _ANOTHER):
        (weights, *_) = torchvision_models.get_model_weights(name)
        assert MODELS[name].card.parameters == weights.meta["num_params"], name


def test_the_year_is_that_of_the_first_public_version() -> None:
    """Of a paper on arXiv its first version there, whose number begins with the year; conferences come later."""
    for card in list_models():
        number = re.search(r"arxiv\.org/abs/(\d\d)\d\d\.", card.paper)
        assert number is None or card.year == 2000 + int(number[1]), card.name


def test_a_depth_that_is_not_the_names_is_explained() -> None:
    counted_by_name = re.compile(
        r"^(?:(?:se_)?res(?:net|next)|plain|vgg|highway|wide_resnet|densenet(?:_bc)?|senet|resnet_rs)(\d+)"
    )
    for card in list_models():
        number = counted_by_name.match(card.name)
        assert number is None or card.depth == int(number[1]) or re.search("depth|layers|name", card.notes), card.name


def test_an_accuracy_of_other_padding_is_said_to_be_so() -> None:
    for card in list_models():
        if card.family in ("efficientnet", "efficientnet_v2"):
            assert "TensorFlow's padding" in card.notes, card.name
