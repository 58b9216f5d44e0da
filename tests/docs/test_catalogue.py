"""The catalogue of pretrained weights: every entry can be used, and its page says what it holds."""

from __future__ import annotations

import catalogue

from striate.models import MODELS
from striate.models.weights import DIALECTS, entries


def test_every_entry_is_of_a_model_of_its_dialect() -> None:
    for entry in entries.entries():
        assert entry.name.startswith(f"{entry.model}.")
        assert entry.model in MODELS
        assert DIALECTS[entry.dialect].rules(entry.model) is not None, entry.name
        assert len(entry.labels) == len(set(entry.labels)) == 1000
        assert entry.package or entry.hub or entry.addresses or entry.notes.startswith("torchvision.models."), (
            entry.name
        )
        assert entry.hub or (entry.digest or "").startswith(("sha256:", "sha256-prefix:")), entry.name
        assert entry.licence, entry.name


def test_a_model_has_one_default() -> None:
    defaults = [entry.model for entry in entries.entries() if entry.default]
    assert len(defaults) == len(set(defaults))
    assert set(defaults) == {entry.model for entry in entries.entries()}


def test_the_page_is_that_of_the_catalogue() -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page(entries.entries())


def test_names_of_timm_lead_to_our_models() -> None:
    assert entries.model_of("tf_efficientnetv2_s") == "efficientnet_v2_s"
    assert entries.model_of("tf_efficientnet_b0") == entries.model_of("efficientnet_b0") == "efficientnet_b0"
    assert entries.model_of("resnet50") == "resnet50"
