"""A classifier is replaced as a whole: a kill at any moment, or a reader at any moment, finds the old or the new."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from striate.classifier import (
    Arguments,
    Classifier,
    Provenance,
    describe_standing,
    load_classifier,
    save_classifier,
    standing,
)
from striate.core import files
from striate.core.errors import RunError
from striate.core.spec import InputSpec, LabelSpec
from striate.models import create_model

ARGUMENTS = Arguments(classes=2, channels=3, size=(12, 12))


def made(seed: int) -> Classifier:
    spec = InputSpec(channels=("red", "green", "blue"), height=12, width=12, mean=(0.5,) * 3, std=(0.3,) * 3)
    provenance = Provenance(run="r", created="now", data="d", data_digest="0", recipe="photos", recipe_digest="0",
                            seed=seed, epochs=float(seed), unfinished=f"epoch {seed} of 9")  # fmt: skip
    name = "conv3-2 relu pool2"
    model = create_model(name, seed=seed, **ARGUMENTS).eval()
    return Classifier(model, name, ARGUMENTS, spec, LabelSpec(("a", "b")), provenance)


def seed_of(folder: Path) -> int:
    """Whose weights lie in `folder`; the provenance must be of the same."""
    found = load_classifier(folder)
    seed = found.provenance.seed
    truth = made(seed).model.state_dict()
    assert all(torch.equal(value, truth[name]) for name, value in found.model.state_dict().items())
    return seed


class Killed(BaseException):
    """The process ends here."""


def moments(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Call `act` with 0, 1, 2 … before each write, sync and rename of what follows."""
    count = iter(range(10_000))
    for owner, name in ((files, "write_chunk"), (os, "fsync"), (os, "replace"), (files, "sync_folder")):
        function = getattr(owner, name)

        def acting(*arguments: object, function: Callable[..., object] = function) -> object:
            act(next(count))
            return function(*arguments)

        monkeypatch.setattr(owner, name, acting)


def test_a_kill_at_any_moment_leaves_the_old_classifier_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    for moment in range(100):
        folder = tmp_path / str(moment)
        save_classifier(made(1), folder)
        reached: list[int] = []

        def kill(at: int, moment: int = moment, reached: list[int] = reached) -> None:
            reached.append(at)
            if at == moment:
                raise Killed

        with monkeypatch.context() as patched:
            moments(patched, kill)
            try:
                save_classifier(made(2), folder)
            except Killed:
                found.append(seed_of(folder))
                continue
        assert seed_of(folder) == 2
        break
    assert len(found) > 8
    assert found == sorted(found)
    assert set(found) == {1, 2}


def test_a_reader_at_any_moment_finds_the_old_classifier_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_classifier(made(1), tmp_path)
    found: list[int] = []
    moments(monkeypatch, lambda _: found.append(seed_of(tmp_path)))
    save_classifier(made(2), tmp_path)
    monkeypatch.undo()
    found.append(seed_of(tmp_path))
    assert found == sorted(found)
    assert set(found) == {1, 2}


def test_a_classifier_that_is_replaced_between_two_reads_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_classifier(made(1), tmp_path)
    opened, again = os.open, [2, 3]

    def replaced_after_the_description(path: str | Path, *arguments: int) -> int:
        handle = opened(path, *arguments)
        if str(path).endswith("classifier.json") and again:
            save_classifier(made(again.pop(0)), tmp_path)
        return handle

    monkeypatch.setattr(os, "open", replaced_after_the_description)
    assert seed_of(tmp_path) == 3


def test_how_far_a_training_is_can_be_said_without_its_weights(tmp_path: Path) -> None:
    assert standing(tmp_path) is None
    save_classifier(made(1), tmp_path / "classifier")
    describe_standing(tmp_path / "classifier", "epoch 7 of 9")
    assert standing(tmp_path) == standing(tmp_path / "classifier") == "epoch 7 of 9"
    assert load_classifier(tmp_path).provenance == replace(made(1).provenance, unfinished="epoch 7 of 9")
    (tmp_path / "classifier" / "classifier.json").write_text("[")
    assert standing(tmp_path) is None


def test_weights_of_another_description_are_refused(tmp_path: Path) -> None:
    save_classifier(made(1), tmp_path)
    save_classifier(made(2), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(RunError, match="its digest differs"):
        load_classifier(tmp_path)
