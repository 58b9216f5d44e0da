"""The list of networks: what it leaves out, in which order it stands, and how it is shown."""

from __future__ import annotations

import json

import pytest

import striate
from striate.cli.main import main
from striate.cli.show.models import about
from striate.core.errors import ConfigError, ModelError, StriateError
from striate.models import MODELS


def names(*words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["list-models", *words])
    assert not ended.value.code
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]


def test_everything_is_listed_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list-models"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "family", "year", "input", "parameters", "MACs"]
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert max(map(len, lines)) <= 80


def test_filters_narrow_and_an_order_turns_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    small = names("--parameters", "100K", "--sort", "parameters", capsys=capsys)
    counts = [MODELS[name].card.parameters for name in small]
    assert counts == sorted(counts)
    assert counts[-1] <= 100_000
    assert {"linear", "lenet5", "tiny_vgg"} <= set(small)
    assert names("--family", "vgg", capsys=capsys) == [name for name in MODELS if MODELS[name].card.family == "vgg"]
    assert names("lenet?", capsys=capsys) == ["lenet5"]
    assert "tiny_vgg" not in names("--parameters", "60K-", capsys=capsys)


def test_json_holds_the_cards_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["list-models", "lenet5", "--json"])
    card = json.loads(capsys.readouterr().out)[0]
    assert (card["name"], card["parameters"], card["macs"]) == ("lenet5", 61_706, 416_520)
    assert card["paper"] == "https://doi.org/10.1109/5.726791"


def test_what_is_like_a_network_is_its_family_and_a_word_stands_for_all_that_contain_it() -> None:
    assert {card.family for card in striate.list_models(like="vgg16")} == {"vgg"}
    kin = striate.list_models(like="vgg")
    assert "tiny_vgg" in [card.name for card in kin]
    assert "linear" not in [card.name for card in kin]


@pytest.mark.parametrize(
    ("wanted", "years"), [("1998", {1998}), ("1998-2012", {1998, 2012}), ("-1998", {1998}), ("1998-1999", {1998})]
)
def test_a_year_is_one_or_a_range(wanted: str, years: set[int]) -> None:
    found = {card.year for card in striate.list_models(year=wanted)}
    assert years <= found
    assert found <= set(range(min(found), max(years) + 1))


@pytest.mark.parametrize(
    ("wanted", "least", "most"),
    [("20K", 0, 20_000), ("0.02m", 0, 20_000), ("10k-70,000", 10_000, 70_000), ("1M-", 1_000_000, 10**12)],
)
def test_counts_are_at_most_or_in_a_range(wanted: str, least: int, most: int) -> None:
    found = {card.name for card in striate.list_models(parameters=wanted)}
    assert found == {name for name in MODELS if least <= MODELS[name].card.parameters <= most}
    found = {card.name for card in striate.list_models(macs=wanted)}
    assert found == {name for name in MODELS if least <= MODELS[name].card.macs <= most}


@pytest.mark.parametrize(
    ("asked", "kind", "sentence"),
    [
        ({"pattern": "lenot5"}, ModelError, r"contains 'lenot5'\. Did you mean 'lenet5'\?"),
        ({"like": "lenett5"}, ModelError, r"like 'lenett5'\. Did you mean 'lenet5'\?"),
        ({"family": "vggs"}, ModelError, r"no family 'vggs'\. Did you mean 'vgg'\?"),
        ({"parameters": "few"}, ConfigError, r"as in 5M, 1M-25M or 100M-; received 'few'"),
        ({"macs": "-"}, ConfigError, r"macs is a number or a range"),
        ({"year": "nineties"}, ConfigError, r"as in 2015, 2012-2015"),
        ({"sort": "param"}, ConfigError, r"received 'param'\. Did you mean 'parameters'\?"),
    ],
)
def test_a_mistake_is_one_sentence_that_offers_the_nearest(
    asked: dict[str, str], kind: type[StriateError], sentence: str
) -> None:
    pattern = asked.pop("pattern", None)
    with pytest.raises(kind, match=sentence):
        striate.list_models(pattern, **asked)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_pattern_that_nothing_fits_lists_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert striate.list_models("z*z*z") == []
    with pytest.raises(SystemExit):
        main(["list-models", "z*z*z"])
    assert capsys.readouterr().out == "No model matches. All of them: striate list-models\n"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (850, "850"),
        (7_850, "7.85 K"),
        (61_706, "61.7 K"),
        (999_700, "1.00 M"),
        (25_557_032, "25.6 M"),
        (138e6, "138 M"),
    ],
)
def test_large_counts_are_read_at_a_glance(count: int, shown: str) -> None:
    assert about(count) == shown


def test_a_word_does_not_match_in_the_middle_of_a_word() -> None:
    assert {card.family for card in striate.list_models(like="lenet")} == {"lenet5", "lenet5_1998"}
    assert {card.name for card in striate.list_models(like="resnet")} >= {"resnet18", "inception_resnet_v2"}


def test_the_name_of_a_family_is_answered_by_its_members() -> None:
    with pytest.raises(ModelError, match=r"'resnet' is a family of models\. Choose one of resnet18, resnet34, "):
        striate.train("digits", model="resnet")
    with pytest.raises(ModelError, match="'vgg' is a family"):
        striate.summary("vgg")
