"""The zoo's table in `results/` is of the zoo as it is."""

from __future__ import annotations

from promises import recorded
from promises.sources import _code, digest_of
from striate.models import MODELS


def test_everything_was_asked_of_all_models_as_they_are_and_held() -> None:
    """Written by `make zoo`, which takes hours in all: it asks what the suite has no time for."""
    assert list(recorded.models()) == list(MODELS)
    for name in MODELS:
        recorded.kept_every_promise(name)
    summary = recorded.study()["notes"][0]
    assert summary.startswith(f"{len(MODELS)} models, ")
    assert summary.endswith(" 0 problems.")


def test_a_models_record_is_of_the_code_that_builds_it_and_of_no_other() -> None:
    """Variants of one file differ by their card's input only where they have another."""
    digests = {name: digest_of(name) for name in ("resnet18", "resnet34", "resnet20", "plain20", "vgg16", "lenet5")}
    assert digests["resnet18"] == digests["resnet34"]
    assert len(set(digests.values())) == len(digests) - 1


def test_what_computes_belongs_to_the_code_and_what_only_tells_does_not() -> None:
    code = _code("striate.models.families.vgg")
    assert "def forward" in code
    assert "Dropout(0.5)" in code
    assert "Published" not in code
    assert "Simonyan" not in code
