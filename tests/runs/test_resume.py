"""A run that was stopped can be used, ended, lengthened and gone on with; what changed in between is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from rehearsal.colours import two_colours
from striate.core import device
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.core.errors import DataError, RunError, StriateError
from striate.reporting import build
from striate.runs import start, train
from striate.runs.events import RunFinished, RunStarted
from striate.runs.folder import Run
from striate.runs.recipes import cifar
from striate.runs.resume import _consequence
from striate.runs.transfer import Staged
from striate.training import (
    CheckpointPolicy,
    SafePoint,
    circumstances,
    newest_checkpoint,
    read_checkpoint,
    read_events,
    session,
)
from striate.training.checkpoint import write_checkpoint
from striate.training.event_log import without_wall
from striate.training.schedules import Constant

SETTINGS = ["batch_size=8", "input.height=12", "input.width=12", "stop.metric=loss", "schedule.name=constant"]
NETWORK = "conv3-4 relu pool2 fc8 relu"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is known, and the same in each run."""
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan())


@pytest.fixture
def reports() -> None:
    """The test reads reports."""


@pytest.fixture(autouse=True)
def no_needless_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no report where a test reads none: it takes longer than such a training."""
    if "reports" not in request.fixturenames:
        monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty noisy images of each of two colours."""
    return two_colours(tmp_path / "photos", 20)


def begin(photos: Path, epochs: int = 4, name: str = "mine", settings: tuple[str, ...] = ()) -> Iterator[object]:
    return striate.train.events(photos, model=NETWORK, epochs=epochs, name=name, set=[*SETTINGS, *settings])


def stop(events: Iterator[object], epoch: int) -> Run:
    """Leave a training at the safe point after `epoch` epochs."""
    run = None
    for event in events:
        run = event.run if isinstance(event, RunStarted) else run
        if isinstance(event, SafePoint) and event.clock.epochs == epoch:
            break
    events.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert run is not None
    return run


def whole(photos: Path, epochs: int = 4, name: str = "whole", settings: tuple[str, ...] = ()) -> Run:
    return striate.train(photos, model=NETWORK, epochs=epochs, name=name, set=[*SETTINGS, *settings])


def weights(run: Run) -> bytes:
    return (run.path / "classifier" / "model.safetensors").read_bytes()


def edit(run: Run, **changes: object) -> None:
    """Change settings in `recipe.json` by hand."""
    content = json.loads(run.recipe_file.read_text())
    for key, value in changes.items():
        *groups, name = key.split("__")
        place = content["recipe"]
        for group in groups:
            place = place[group]
        place[name] = value
    run.recipe_file.write_text(json.dumps(content))


def started(events: Iterator[object]) -> RunStarted:
    found = [event for event in events if isinstance(event, RunStarted)]
    assert len(found) == 1
    return found[0]


# A stopped run


def test_a_stopped_run_predicts_with_its_best_weights_and_says_that_it_is_unfinished(
    photos: Path, reports: None
) -> None:
    run = stop(begin(photos), 2)
    classifier = striate.load(run.path)
    assert classifier.provenance.unfinished == "epoch 2 of 4"
    scores = {event["clock"]["epoch"]: event["scores"]["loss"] for event in read_events(run.events_file)
              if event["event"] == "evaluated"}  # fmt: skip
    assert classifier.provenance.epochs == min(scores, key=lambda epoch: scores[epoch])
    assert classifier.predict(photos / "red" / "3.png").probabilities.keys() == {"red", "green"}
    assert striate.predict(run.path, photos / "red" / "3.png")
    assert striate.evaluate(run.path).scores.count > 0
    page = striate.report(run.path).read_text(encoding="utf-8")
    assert "Unfinished: epoch 2 of 4." in page


def test_a_training_in_its_first_epoch_is_used_with_its_last_weights(photos: Path) -> None:
    events = begin(photos)
    run = next(event.run for event in events if isinstance(event, RunStarted))
    next(event for event in events if isinstance(event, SafePoint))
    events.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert striate.load(run.path).provenance.unfinished == "epoch 0.33 of 4"


def test_the_classifier_of_a_training_follows_it_and_says_how_far_it_is(photos: Path) -> None:
    run, seen = stop(begin(photos, settings=("stop.keep=last",)), 1), []
    for epoch in (2, 3):
        stop(striate.resume.events(run.path), epoch)
        classifier = striate.load(run.path, device="cpu")
        seen.append(classifier.provenance.unfinished)
        newest = read_checkpoint(max(run.checkpoints.iterdir())).weights
        assert all(torch.equal(value, newest[name]) for name, value in classifier.model.state_dict().items())
    assert seen == ["epoch 2 of 4", "epoch 3 of 4"]
    striate.resume(run.path)
    assert striate.load(run.path).provenance.unfinished is None


def test_judgements_of_other_weights_are_not_shown_as_those_of_the_present_ones(photos: Path, reports: None) -> None:
    run = stop(begin(photos, settings=("stop.keep=last",)), 1)
    striate.evaluate(run.path)
    assert "has not been evaluated" not in striate.report(run.path).read_text(encoding="utf-8")
    stop(striate.resume.events(run.path), 2)
    assert "has not been evaluated" in striate.report(run.path).read_text(encoding="utf-8")


# finish


def test_finish_ends_a_run_where_it_is_and_it_can_still_resume_exactly(photos: Path, reports: None) -> None:
    complete = whole(photos)
    run = stop(begin(photos), 2)
    events = list(striate.finish.events(run.path))
    finished = next(event for event in events if isinstance(event, RunFinished))
    assert finished.reason == "ended by 'striate finish' at epoch 2 of 4"
    assert set(finished.scores) == {"train", "val", "test"}
    assert striate.load(run.path).provenance.unfinished is None
    assert striate.load(run.path).provenance.scores.keys() == {"train", "val", "test"}
    assert "ended by" in run.report_file.read_text(encoding="utf-8")
    striate.resume(run.path)
    assert weights(run) == weights(complete)
    assert striate.finish(run.path).path == run.path  # of a complete run: judged again
    assert weights(run) == weights(complete)


def test_finish_of_a_run_that_has_learned_nothing_says_so(photos: Path) -> None:
    events = begin(photos)
    run = next(event.run for event in events if isinstance(event, RunStarted))
    with pytest.raises(RunError, match="Another process is writing in"):
        striate.finish(run.path)
    next(events)
    events.close()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RunError, match=r"has not made a training step yet.* striate resume runs/mine"):
        striate.finish(run.path)
    assert striate.resume(run.path).path == run.path


def test_the_averaged_weights_are_kept_and_resumed_exactly(photos: Path) -> None:
    network, settings = "conv3-4 bn relu pool2 fc8 relu", [*SETTINGS, "average=swa", "average.start=0.4"]
    complete = striate.train(photos, model=network, epochs=4, name="whole", set=[*settings, "stop.keep=last"])
    run = stop(striate.train.events(photos, model=network, epochs=4, set=[*settings, "stop.keep=last"]), 3)
    striate.resume(run.path)
    assert weights(run) == weights(complete)
    last = read_checkpoint(sorted(run.checkpoints.iterdir())[-1])
    kept = striate.load(run.path, device="cpu").model.state_dict()
    assert last.averaged == 3
    assert all(torch.equal(kept[name], value) for name, value in last.average.items())
    assert not any(torch.equal(value, last.weights[name]) for name, value in kept.items() if value.ndim > 1)


# Another end


@pytest.mark.parametrize("stopped", [2, None])
def test_where_the_schedule_does_not_depend_on_the_end_a_longer_run_is_exactly_one_meant_so(
    photos: Path, stopped: int | None
) -> None:
    longer = whole(photos, epochs=6)
    run = whole(photos, name="mine") if stopped is None else stop(begin(photos), stopped)
    said = started(striate.resume.events(run.path, epochs=6))
    assert said.changes == ("epochs 4ep → 6ep; the result is exactly that of a training meant for 6ep from the start",)
    assert said.until.amount == 6
    assert weights(run) == weights(longer)
    assert json.loads(run.recipe_file.read_text())["recipe"]["epochs"] == "6ep"
    assert striate.resume(run.path).path == run.path  # nothing has changed since


def test_an_average_that_begins_at_a_fraction_of_the_training_is_named(photos: Path) -> None:
    settings = ("average=swa", "average.start=0.5")
    early = stop(begin(photos, settings=settings), 2)
    assert "exactly" in started(striate.resume.events(early.path, epochs=6)).changes[0]
    late = stop(begin(photos, settings=settings, name="late"), 3)
    said = started(striate.resume.events(late.path, epochs=6)).changes[0]
    assert "begins at a fraction of the training, so it holds other epochs than in a training meant for 6ep" in said


def test_an_evaluation_at_the_former_end_that_was_not_due_is_named_with_what_follows_it(photos: Path) -> None:
    settings = ("evaluate_every=3ep", "stop.patience=5")
    run = whole(photos, name="mine", settings=settings)
    (said,) = started(striate.resume.events(run.path, epochs=7)).changes
    assert said == (
        "epochs 4ep → 7ep; the result is that of a training meant for it, plus an evaluation at its former end, whose "
        "scores count for early stopping and the choice of the weights"
    )


def test_thawing_in_stages_follows_the_fraction_of_the_training() -> None:
    staged: dict[str, Any] = {"model": "resnet18", "weights": "resnet18.imagenet1k_v1", "transfer": Staged()}
    recipe = replace(cifar(), schedule=Constant(), **staged)
    start, later = Clock(10), Clock(10, step=20)
    longer = replace(recipe, epochs=Duration.parse("20ep"))
    assert "exactly" in _consequence(longer, Duration.parse("10ep"), start)
    assert "frozen layers follow the fraction" in _consequence(longer, Duration.parse("10ep"), later)
    head_only = replace(longer, transfer=Staged(thawed=0.0))
    assert "exactly" in _consequence(head_only, Duration.parse("10ep"), later)


def test_a_shorter_end_is_exact_too_and_one_that_has_passed_is_refused(photos: Path) -> None:
    shorter = whole(photos, epochs=3)
    run = stop(begin(photos), 2)
    before = run.recipe_file.read_bytes()
    with pytest.raises(RunError, match=r"trained for 2 epochs already, more than 1ep.* striate finish runs/mine"):
        striate.resume(run.path, epochs=1)
    assert run.recipe_file.read_bytes() == before
    striate.resume(run.path, epochs="3ep")
    assert weights(run) == weights(shorter)


def test_a_schedule_that_depends_on_the_end_is_named_with_the_rates(photos: Path, reports: None) -> None:
    settings = ("schedule.name=cosine", "optimizer.lr=0.1")
    run = stop(begin(photos, settings=settings), 2)
    said = started(striate.resume.events(run.path, epochs=8)).changes[0]
    # Half a cosine over 12 and over 24 steps, in the middle of the seventh.
    rates = [0.05 * (1 + np.cos(np.pi * 6.5 / steps)) for steps in (24, 12)]
    assert f"next learning rate is {rates[0]:.3g} instead of {rates[1]:.3g}" in said
    assert "differs from a training meant for 8ep from the start" in said
    assert any(
        "epochs 4ep → 8ep" in change for event in read_events(run.events_file) for change in event.get("changes", ())
    )
    assert "epochs 4ep → 8ep" in run.report_file.read_text(encoding="utf-8")


def test_a_kill_right_after_the_end_was_changed_keeps_the_wish(photos: Path) -> None:
    longer = whole(photos, epochs=6)
    run = stop(begin(photos), 2)
    events = striate.resume.events(run.path, epochs=6)
    kept = {path: path.read_bytes() for path in run.checkpoints.iterdir()}
    next(event for event in events if isinstance(event, RunStarted))
    recipe = run.recipe_file.read_bytes()
    events.close()
    for path, content in kept.items():  # as if nothing had been saved since
        path.write_bytes(content)
    assert b"6ep" in recipe
    striate.resume(run.path)
    assert weights(run) == weights(longer)


@pytest.mark.parametrize("recorded", [True, False])
def test_an_end_that_is_changed_before_the_first_checkpoint_is_kept(photos: Path, recorded: bool) -> None:
    longer = whole(photos, epochs=6)
    run = stop(begin(photos), 1)
    shutil.rmtree(run.checkpoints)  # as if it had been killed before it had written one
    if recorded:
        run.events_file.write_bytes(run.events_file.read_bytes().partition(b"\n")[0] + b"\n")
    else:
        run.events_file.unlink()
    stop(striate.resume.events(run.path, epochs=6), 2)
    assert striate.resume(run.path).path == run.path
    assert weights(run) == weights(longer)


# What changed in between


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"optimizer__lr": 0.5}, r"optimizer\.lr 0\.002 → 0\.5"),
        ({"optimizer__weight_decay": 0.2}, r"optimizer\.weight_decay 0\.01 → 0\.2"),
        ({"seed": 7}, "seed 0 → 7"),
        (
            {"augmentation": ["from_data", {"name": "shift", "fraction": 0.2}]},
            r"augmentation\.shift\.fraction none → 0\.2",
        ),
        ({"epochs": "9ep"}, "epochs 4ep → 9ep"),
        ({"stop__keep": "last", "seed": 1}, r"stop\.keep best → last, seed 0 → 1"),
    ],
)
def test_an_edited_recipe_is_refused_by_the_names_of_the_settings(
    photos: Path, changes: dict[str, object], phrase: str
) -> None:
    run = stop(begin(photos), 2)
    before = run.events_file.read_bytes()
    edit(run, **changes)
    with pytest.raises(RunError, match=rf"changed since the training began: {phrase}.*--inexact"):
        striate.resume(run.path)
    assert run.events_file.read_bytes() == before


def test_inexact_goes_on_with_an_edited_recipe_names_it_and_asks_no_second_time(photos: Path, reports: None) -> None:
    run = stop(begin(photos), 1)
    edit(run, optimizer__lr=0.5)
    events = striate.resume.events(run.path, inexact=True)
    said = next(event for event in events if isinstance(event, RunStarted))
    assert said.changes == ("optimizer.lr 0.002 → 0.5",)
    next(event for event in events if isinstance(event, SafePoint))
    events.close()
    assert started(striate.resume.events(run.path)).changes == ()
    assert "optimizer.lr 0.002 → 0.5" in run.report_file.read_text(encoding="utf-8")


FORMAT_1 = {
    "augmentation": dict.fromkeys(("flip", "shift", "rotation_degrees", "scale", "brightness", "contrast", "cutout")),
    "loss": {"name": "cross_entropy", "label_smoothing": None, "margin": None, "auxiliary": None},
    "optimizer": {"name": "adamw", "lr": 0.002, "momentum": None, "nesterov": None, "betas": None, "epsilon": None,
                  "weight_decay": 0.01, "l1": 0.0, "clip_norm": None},
    "schedule": {"name": "constant", "warmup_share": None, "start_factor": None, "final_factor": None,
                 "every_epochs": None, "factor": None, "decay_per_epoch": None},
}  # fmt: skip


def test_a_metric_that_was_not_evaluated_before_decides_from_the_change_on(photos: Path) -> None:
    run = stop(begin(photos), 2)
    edit(run, stop__metric="macro_f1")
    stop(striate.resume.events(run.path, inexact=True), 3)
    assert striate.resume(run.path).path == run.path
    scores = [event["scores"] for event in read_events(run.events_file) if event["event"] == "evaluated"]
    assert ["macro_f1" in each for each in scores] == [False, False, True, True]


def test_a_run_whose_settings_are_in_format_1_goes_on_to_the_same_weights(photos: Path) -> None:
    complete = whole(photos)
    run = stop(begin(photos), 1)
    for path in run.checkpoints.iterdir():  # their record of the log would not be that of the log changed here
        path.unlink()
    content = json.loads(run.recipe_file.read_text())
    recipe = content["recipe"] | FORMAT_1
    run.recipe_file.write_text(json.dumps(content | {"format": 1, "recipe": recipe}))
    first, *others = run.events_file.read_text().splitlines()
    lines = [json.dumps(json.loads(first) | {"recipe": recipe}), *others]
    run.events_file.write_text("\n".join(lines) + "\n")
    assert started(striate.resume.events(run.path)).changes == ()
    assert weights(run) == weights(complete)


def test_settings_without_effect_may_change(photos: Path) -> None:
    complete = whole(photos)
    run = stop(begin(photos), 2)
    edit(run, loader_threads=3, in_memory=False)
    striate.resume(run.path)
    assert weights(run) == weights(complete)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "conv3-6 relu pool2 fc8 relu"},
        {"batch_size": 4},
        {"input__height": 14},
        {"optimizer__norm_bias_rate": 4.0},
        {"initial": [{"name": "dirac"}]},
    ],
)
def test_settings_that_cannot_change_within_a_run_are_refused_in_any_case(
    photos: Path, changes: dict[str, object]
) -> None:
    run = stop(begin(photos), 1)
    edit(run, **changes)
    with pytest.raises(RunError, match=r"Within a run .* cannot change: restore the former value"):
        striate.resume(run.path, inexact=True)


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.9), (0.9, 0.0)])
def test_momentum_cannot_begin_or_end_within_a_run(photos: Path, before: float, after: float) -> None:
    run = stop(begin(photos, settings=("optimizer.name=rmsprop", f"optimizer.momentum={before}")), 1)
    edit(run, optimizer__momentum=after)
    with pytest.raises(RunError, match=r"Within a run optimizer\.momentum cannot change"):
        striate.resume(run.path, inexact=True)


def test_the_execution_follows_an_edited_precision(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stop(begin(photos), 1)
    edit(run, precision="float32")
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan(layout="channels_last"))
    assert started(striate.resume.events(run.path, inexact=True)).execution == ExecutionPlan(layout="channels_last")


def test_a_run_of_a_device_that_is_missing_goes_on_elsewhere_if_that_is_accepted(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan())
    for name in ("resumed", "finished"):
        with monkeypatch.context() as there:
            there.setattr(device, "devices", lambda: ("cuda", "cpu"))
            there.setattr(torch.cuda, "device_count", lambda: 1)
            run = stop(begin(photos, name=name, settings=("device=cuda",)), 1)
        checkpoint, _ = newest_checkpoint(run.checkpoints)
        assert checkpoint is not None
        write_checkpoint(run.checkpoints, replace(checkpoint, plan=ExecutionPlan(device="cuda")))
        monkeypatch.setattr(device, "devices", lambda: ("cpu",))
        if name == "finished":
            assert striate.finish(run.path).scores["test"].top1.count
            continue
        with pytest.raises(RunError, match=r"computed on 'cuda', which this machine does not have.*--inexact"):
            striate.resume(run.path)
        assert striate.resume(run.path, inexact=True).scores["test"].top1.count


def test_another_machine_is_refused_and_named_when_it_is_accepted(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stop(begin(photos), 2)
    monkeypatch.setattr(train, "circumstances", lambda *facts: circumstances(*facts) | {"processor": "abacus"})
    with pytest.raises(RunError, match="cannot be resumed exactly here: processor abacus"):
        striate.resume(run.path)
    said = started(striate.resume.events(run.path, inexact=True))
    assert said.changes[0].startswith("processor abacus (was ")


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_the_execution_is_that_of_the_start_and_no_new_trial(
    photos: Path, monkeypatch: pytest.MonkeyPatch, with_checkpoint: bool
) -> None:
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan(layout="channels_last"))
    run = stop(begin(photos), 1)
    if not with_checkpoint:
        for path in run.checkpoints.iterdir():
            path.unlink()
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: ExecutionPlan())
    events = striate.resume.events(run.path)
    said = next(event for event in events if isinstance(event, RunStarted))
    events.close()
    assert said.execution == ExecutionPlan(layout="channels_last")


def test_the_threads_of_the_caller_are_given_back(photos: Path) -> None:
    run = stop(begin(photos), 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        stop(striate.resume.events(run.path), 2)
        assert torch.get_num_threads() == 3
        striate.resume(run.path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# Images that are gone


def remove(photos: Path, run: Run, split: str, count: int) -> list[str]:
    """Delete the first `count` images of a split, as the run recorded them."""
    rows = [line.split(",") for line in run.images_file.read_text().splitlines()[1:]]
    names = [row[0] for row in rows if row[2] == split][:count]
    for name in names:
        (photos / name).unlink()
    return names


def test_images_deleted_during_the_training_are_left_out_of_the_judgement_by_name(photos: Path, reports: None) -> None:
    names: list[str] = []
    finished = None
    for event in begin(photos):
        if isinstance(event, RunStarted):
            names = remove(photos, event.run, "test", 2) + remove(photos, event.run, "val", 1)
        finished = event if isinstance(event, RunFinished) else finished
    assert finished is not None
    assert sorted(finished.unread) == sorted(names)
    assert finished.scores["test"].count == 8 - 2
    assert names[0] in finished.run.report_file.read_text(encoding="utf-8")


def test_a_split_of_which_nothing_is_left_is_not_judged(photos: Path) -> None:
    finished = None
    for event in begin(photos):
        if isinstance(event, RunStarted):
            remove(photos, event.run, "val", 100)
        finished = event if isinstance(event, RunFinished) else finished
    assert finished is not None
    assert finished.scores.keys() == {"train", "test"}
    assert striate.load(finished.run.path).temperature == 1.0


def test_an_image_that_the_training_itself_cannot_read_stops_it_with_all_ways_on(photos: Path) -> None:
    events = begin(photos, settings=("in_memory=false", "loader_threads=0"))
    run, names, saved = None, [], {}
    with pytest.raises(DataError) as caught:  # noqa: PT012 (the image goes while the loop goes on)
        for event in events:
            run = event.run if isinstance(event, RunStarted) else run
            if isinstance(event, SafePoint) and event.clock.epochs == 1:
                assert run is not None
                name = run.images_file.read_text().splitlines()[1].split(",")[0]
                saved = {name: (photos / name).read_bytes()}
                names = remove(photos, run, "train", 1)
    assert run is not None
    for word in (names[0], "epoch 1", f"resume {run.path}", "--inexact", f"finish {run.path}"):
        assert word in str(caught.value)
    assert striate.load(run.path).provenance.epochs >= 1
    with pytest.raises(RunError, match=rf"1 image cannot be read any more \({names[0]}\).*--inexact.*striate finish"):
        striate.resume(run.path)
    for name, content in saved.items():
        (photos / name).write_bytes(content)
    striate.resume(run.path)
    assert weights(run) == weights(whole(photos, settings=("in_memory=false", "loader_threads=0")))


def test_where_an_evaluation_cannot_read_an_image_the_position_told_is_that_of_the_checkpoint(photos: Path) -> None:
    events, run = begin(photos, settings=("in_memory=false", "loader_threads=0")), None
    with pytest.raises(DataError) as caught:  # noqa: PT012 (the image goes while the loop goes on)
        for event in events:
            run = event.run if isinstance(event, RunStarted) else run
            if isinstance(event, SafePoint) and event.clock.step == 5:  # one before the second evaluation
                assert run is not None
                remove(photos, run, "val", 1)
    assert run is not None
    saved, _ = newest_checkpoint(run.checkpoints)
    assert saved is not None
    assert saved.clock.step < 6
    assert f"saved at epoch {round(saved.clock.epochs, 2):g} of 4." in str(caught.value)


def test_a_run_goes_on_with_what_remains_in_the_splits_in_which_it_was(photos: Path) -> None:
    run = stop(begin(photos), 2)
    names = remove(photos, run, "train", 3)
    Image.new("RGB", (14, 14)).save(photos / "red" / "new.png")
    with pytest.raises(
        RunError, match=r"not those .*: 3 images cannot be read any more .*; 1 image added \(red/new\.png\)"
    ):
        striate.resume(run.path)
    said = started(striate.resume.events(run.path, inexact=True))
    assert all(name in said.changes[0] for name in names)
    assert said.counts == {"train": 24 - 3, "val": 8, "test": 8}
    assert said.steps_per_epoch == 3
    recorded = {line.split(",")[0] for line in run.images_file.read_text().splitlines() if ",test," in line}
    judged = {line.split(",")[1] for line in (run.evaluations / "test.csv").read_text().splitlines()[1:]}
    assert judged == recorded
    assert striate.evaluate(run.path).scores.count == 8
    assert started(striate.resume.events(run.path)).resumed_at == 12  # asks no second time


def test_images_that_were_moved_relabelled_and_edited_are_told_apart(photos: Path) -> None:
    listed = photos / "listed.csv"
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    listed.write_text("\n".join(["path,label", *rows]) + "\n")
    run = stop(begin(listed), 2)
    (photos / "red/0.png").rename(photos / "red/moved.png")
    Image.new("RGB", (16, 16), (200, 10, 9)).save(photos / "red/1.png")
    now = [row.replace("red/0.png", "red/moved.png") for row in rows]
    now[now.index("red/2.png,red")] = "red/2.png,blue"
    listed.write_text("\n".join(["path,label", *now]) + "\n")
    with pytest.raises(RunError) as refused:
        striate.resume(run.path)
    said = str(refused.value)
    assert "1 image changed (red/1.png)" in said
    assert "1 image relabelled (red/2.png: red → blue)" in said
    assert "1 image moved (red/0.png → red/moved.png)" in said
    assert "added" not in said
    assert said.endswith(f"striate train {listed} --weights {run.path}")


def test_finish_uses_what_remains(photos: Path) -> None:
    run = stop(begin(photos), 2)
    names = remove(photos, run, "test", 1)
    finished = next(event for event in striate.finish.events(run.path) if isinstance(event, RunFinished))
    assert finished.unread == tuple(names)
    assert finished.scores["test"].count == 7


def test_a_run_whose_data_are_gone_still_predicts(photos: Path) -> None:
    run = stop(begin(photos), 1)
    one = (photos / "red" / "1.png").read_bytes()
    photos.rename(photos.parent / "elsewhere")
    for way in (striate.resume, striate.finish):
        with pytest.raises(DataError, match="There is nothing at"):
            way(run.path)
    Path("one.png").write_bytes(one)
    assert striate.load(run.path).predict("one.png").label in {"red", "green"}


# Damage


def blank(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4096) + b'":3}\n{"event"')


def test_zeros_after_a_power_cut_are_cut_away(photos: Path, reports: None) -> None:
    complete = whole(photos)
    run = stop(begin(photos), 2)
    blank(run.events_file)
    assert striate.report(run.path).exists()
    striate.resume(run.path)
    assert weights(run) == weights(complete)

    def record(run: Run) -> list[dict[str, object]]:
        return [event for event in without_wall(read_events(run.events_file)) if event["event"] != "stopped"]

    assert record(run) == record(complete)


@pytest.mark.parametrize("content", [None, 3, [], {"a": 1}])
@pytest.mark.parametrize("key", ["data", "base", "recipe", "difference"])
def test_a_recipe_of_the_wrong_types_is_a_sentence(reports: None, key: str, content: object) -> None:
    run = Run(Path("runs/x"))
    run.path.mkdir(parents=True)
    good = {"format": 2, "data": "digits", "base": "digits", "difference": {}, "execution": None, "recipe": {}}
    run.recipe_file.write_text(json.dumps(good | {key: content}))
    for way in (striate.resume, striate.finish, striate.report):
        with pytest.raises(RunError, match=r"recipe\.json (is damaged|has a setting that does not hold here)"):
            way(run.path)


def test_a_loss_that_is_not_registered_is_not_called_damage(photos: Path) -> None:
    run = stop(begin(photos), 1)
    content = json.loads(run.recipe_file.read_text())
    content["recipe"]["loss"] = {"name": "poly"}
    run.recipe_file.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"There is no loss 'poly'\..* import the module that registers it first"):
        striate.resume(run.path)


@pytest.mark.parametrize("damage", ["list", "empty", "pipe", "folder", "missing"])
def test_a_damaged_record_is_a_sentence_and_the_classifier_is_used(photos: Path, damage: str) -> None:
    run = stop(begin(photos), 1)
    run.events_file.unlink()
    if damage == "list":
        run.events_file.write_text("[]\n")
    elif damage == "empty":
        run.events_file.touch()
    elif damage == "pipe":
        os.mkfifo(run.events_file)
    elif damage == "folder":
        run.events_file.mkdir()
    for way in (striate.resume, striate.finish):
        with pytest.raises(StriateError, match=r"events\.jsonl|nothing yet"):
            way(run.path)
    assert striate.load(run.path).provenance.unfinished == "epoch 1 of 4"


@pytest.mark.parametrize("leave", [lambda path: None, lambda path: (path / ".lock").touch(),
                                   lambda path: (path / ".recipe.json.99999999.tmp").write_text("{")])  # fmt: skip
def test_a_name_that_was_left_before_the_beginning_is_free(photos: Path, leave: Callable[[Path], object]) -> None:
    path = Path("runs/mine")
    path.mkdir(parents=True)
    leave(path)
    with pytest.raises(RunError, match=r"stopped before it began.*striate train DATA --name mine"):
        striate.resume(path)
    run = whole(photos, epochs=1, name="mine")
    assert run.path == path
    assert striate.load(path).provenance.unfinished is None
    assert not list(path.glob(".*.tmp"))


def test_of_two_trainings_with_one_name_the_second_is_refused_and_touches_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(begin(photos, epochs=1), 1)
    monkeypatch.setattr(start, "check_name", lambda *_: None)  # the second found the name free
    before = {path: path.read_bytes() for path in Path("runs/mine").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="already exists"):
        list(begin(photos, epochs=2))
    assert {path: path.read_bytes() for path in Path("runs/mine").rglob("*") if path.is_file()} == before


def test_a_report_during_the_training_is_whole_and_says_unfinished(
    photos: Path, reports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CheckpointPolicy", lambda: CheckpointPolicy(seconds=1e-9, share=1e9))  # at every step
    events = begin(photos)
    for event in events:
        if isinstance(event, SafePoint) and event.clock.epochs == 2:
            break
    assert "Unfinished: epoch 2 of 4." in striate.report("runs/mine").read_text(encoding="utf-8")
    events.close()  # pyright: ignore[reportAttributeAccessIssue]
