"""Transfer: from weights of a file to runs of each kind, which resume exactly and say what they did."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import striate
from striate.classifier import load_classifier
from striate.core import device
from striate.core.config import to_json
from striate.core.errors import ConfigError, DataError, ModelError, RunError
from striate.core.spec import RGB, InputSpec
from striate.data.audit import audit
from striate.data.sources.opening import open_data
from striate.metrics import Rows
from striate.models import create_model
from striate.reporting import build
from striate.runs import prepare, transfer
from striate.runs.evaluate import Evaluation, answers
from striate.runs.events import RunEvent, RunFinished
from striate.runs.features import features_of
from striate.runs.folder import Run
from striate.runs.freezing import FreezeOut, ending
from striate.runs.plan import Plan, make_plan
from striate.runs.prepare import prepare_data
from striate.runs.probe import fold_count, pooled
from striate.runs.recipe import read_recipe
from striate.runs.resume import finish_run, resume_run
from striate.runs.start import plan_run, start_run
from striate.runs.transfer import Features
from striate.training import SafePoint, read_events

MODEL = "resnet20"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of an untrained network: its features still distinguish red from blue."""
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    save_file(create_model(MODEL, classes=10, size=(32, 32), seed=3).state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 12 images, of a colour with noise."""
    folder = tmp_path_factory.mktemp("data") / "colours"
    draw = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 120, (16, 16, 3))
            pixels[..., channel] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images that are redder, bluer, both or neither, two of them with a wrong label."""
    folder = tmp_path_factory.mktemp("labelled")
    draw, lines = np.random.default_rng(1), ["path,labels"]
    for number in range(40):
        red, blue = number % 2 == 1, number % 4 > 1
        pixels = draw.integers(0, 120, (16, 16, 3))
        pixels[..., 0] += 100 * red
        pixels[..., 2] += 100 * blue
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        wrong = number in (4, 7)
        lines.append(f"{number}.png,{';'.join(['red'] * (red ^ wrong) + ['blue'] * blue)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv"


def _events(
    photos: Path, weights: str | None, folder: Path, name: str, execution: Run | None = None, **changes: Any
) -> Generator[RunEvent, None, Any]:
    """Return the events of a training, without its report."""
    settings = {"model": MODEL, "input.height": 16, "input.width": 16, "precision": "float32", **changes}
    if weights is not None:
        settings["weights"] = weights
    return start_run(
        photos, settings, name=name, folder=folder, execution=None if execution is None else execution.path
    )


def _train(
    photos: Path,
    weights: str | None,
    folder: Path,
    name: str = "run",
    execution: Any = None,
    **changes: Any,
) -> Run:
    return _end(_events(photos, weights, folder, name, execution, **changes)).run


def _end(events: Iterable[RunEvent]) -> RunFinished:
    *_, end = events
    assert isinstance(end, RunFinished)
    return end


@pytest.fixture(scope="module")
def on_features(photos: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _train(
        photos,
        weights,
        tmp_path_factory.mktemp("runs"),
        **{"transfer.name": "features", "transfer.keep_folds": True, "device": "cpu"},
    )


def _start() -> dict[str, torch.Tensor]:
    """Return the weights of the file but for the head."""
    state = create_model(MODEL, classes=10, size=(32, 32), seed=3).state_dict()
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def test_a_linear_classifier_on_features_is_a_run_like_any_other(on_features: Run, photos: Path) -> None:
    network = load_classifier(on_features).model.state_dict()
    assert all(torch.equal(network[name], value) for name, value in _start().items())
    scores = on_features.scores["folds"]
    assert (scores.top1.count, scores.top1.value) == (24, 1.0)
    assert load_classifier(on_features).predict(photos / "red/0.png").label == "red"
    resumed = _end(resume_run(on_features, inexact=False))
    assert resumed.scores["folds"].top1 == scores.top1
    assert finish_run(on_features).scores["folds"].top1 == scores.top1


def test_the_classifiers_of_the_folds_are_kept_where_the_recipe_says_so(on_features: Run, photos: Path) -> None:
    kept = sorted((on_features.path / "folds").iterdir())
    assert [path.name for path in kept] == [f"classifier-{fold}" for fold in range(1, 6)]
    stored = Evaluation.read(on_features, "folds")
    assert stored is not None
    assert isinstance(stored.rows, Rows)
    found = []
    for path in kept:
        classifier = load_classifier(path)
        outputs = answers(classifier, open_data(photos), stored.rows.index)
        rows = Rows.of(outputs.values, outputs.targets, outputs.index, classifier.temperature)
        found.append(np.abs(rows.confidence - stored.rows.confidence) < 1e-4)
    assert np.stack(found).any(axis=0).all()  # each was answered by one of them
    assert not np.stack(found).all(axis=1).any()  # and none answered all
    assert striate.load(kept).predict(photos / "red/0.png").label == "red"


def test_outputs_from_features_are_those_of_the_network(on_features: Run) -> None:
    stored = Evaluation.read(on_features, "train")
    assert stored is not None
    assert isinstance(stored.rows, Rows)
    classifier = load_classifier(on_features)
    data = open_data(Plan.read(on_features).data)
    outputs = answers(classifier, data, stored.rows.index)
    rows = Rows.of(outputs.values, outputs.targets, outputs.index, classifier.temperature)
    np.testing.assert_allclose(stored.rows.confidence, rows.confidence, atol=1e-4)


def test_several_labels_are_fitted_on_features_and_evaluated_out_of_fold(
    labelled: Path, weights: str, tmp_path: Path
) -> None:
    run = _train(labelled, weights, tmp_path, **{"transfer.name": "auto", "transfer.keep_folds": True})
    plan = Plan.read(run)
    assert plan.recipe.transfer.name == "features"
    assert all(0 < probe.correct <= probe.count < 40 for probe in plan.probes)  # of the training split
    scores = run.scores["folds"]
    assert scores.count == 40
    assert scores.mean_average_precision > 0.9
    with pytest.raises(DataError, match="was evaluated by cross-validation"):
        striate.evaluate(run)
    classifier = load_classifier(run)
    found: Any = classifier.task
    assert len(found.thresholds) == 2
    assert classifier.predict(labelled.parent / "3.png").labels in (("red", "blue"), ("blue", "red"))
    assert classifier.predict(labelled.parent / "0.png").labels == ()
    assert striate.load(sorted((run.path / "folds").iterdir())).predict(labelled.parent / "1.png").labels == ("red",)
    page = build.write_run_report(run).read_text("utf-8")
    assert "in cross-validation. All labels are right on" in page
    for number, said in ((4, "not red"), (7, "red")):
        assert f">{said}<" in page.split(f'title="{number}.png')[0].split("<figure")[-1]
    resumed = _end(resume_run(run, inexact=False))
    assert resumed.scores["folds"] == scores


def test_training_starts_from_a_classifier_of_several_labels(labelled: Path, weights: str, tmp_path: Path) -> None:
    options = {"transfer.name": "full", "epochs": 1, "batch_size": 8, "optimizer.lr": 1e-6}
    run = _train(labelled, weights, tmp_path, **options)
    assert run.scores["train"].mean_average_precision > 0.9
    assert run.scores["train"].loss < 1.0  # two coins: 1.39


def test_norms_keep_the_statistics_of_the_weights_unless_the_recipe_says_otherwise(
    photos: Path, weights: str, tmp_path: Path
) -> None:
    options = {"transfer.name": "full", "epochs": 1, "batch_size": 8, "optimizer.lr": 1e-6}
    kept = _train(photos, weights, tmp_path, **options)
    taken = _train(photos, weights, tmp_path, "taken", **{**options, "transfer.batch_statistics": True})
    before = _start()
    moments = [name for name in before if name.endswith(("running_mean", "running_var"))]
    ours, theirs = (load_classifier(run).model.state_dict() for run in (kept, taken))
    assert moments
    assert all(torch.equal(ours[name], before[name]) for name in moments)
    assert not any(torch.equal(theirs[name], before[name]) for name in moments)
    first, second = (float(read_events(run.events_file)[1]["loss"]) for run in (kept, taken))
    assert max(first, second) < 1.0  # a coin has 0.69; without `soften_head`, the first is 5.0
    with pytest.raises(ConfigError, match="transfer full keeps the statistics"):
        _train(photos, weights, tmp_path, "none", **{**options, "batch_norm": "synchronised"})


def test_a_run_is_a_recipe_for_other_data(photos: Path, weights: str, on_features: Run, tmp_path: Path) -> None:
    options = {"transfer.name": "full", "epochs": 1, "batch_size": 8, "seed": 3}
    first = _train(photos, weights, tmp_path / "first", **options)
    others = tmp_path / "others"
    shutil.copytree(photos / "red", others / "rouge")
    shutil.copytree(photos / "blue", others / "bleu")
    stored = Plan.read(first)
    for recipe in (first.path, first.recipe_file):
        plan, _, _ = plan_run(others, {"optimizer.lr": 0.5}, recipe=str(recipe))
        assert plan.recipe == replace(stored.recipe, optimizer=replace(stored.recipe.optimizer, lr=0.5))
        assert (plan.base, plan.data) == (stored.base, str(others))
        assert plan.difference.keys() == stored.difference.keys() | {"optimizer.lr"}
    again, _, _ = plan_run(others, {}, recipe=str(on_features.path))
    assert again.recipe == Plan.read(on_features).recipe
    with pytest.raises(RunError, match="Restore it from a copy"):
        plan_run(others, {}, recipe=str(others))
    with pytest.raises(ConfigError, match="There is no recipe 'nowhere'"):
        plan_run(others, {}, recipe="nowhere")


def test_a_recipe_from_before_there_was_a_choice_takes_those_of_batches(photos: Path, weights: str) -> None:
    plan = make_plan(str(photos), "transfer", {"model": MODEL, "weights": weights, "transfer.name": "staged"})
    stored = json.loads(json.dumps(to_json(plan.recipe)))
    assert read_recipe(stored) == plan.recipe
    del stored["transfer"]["batch_statistics"]
    former: Any = read_recipe(stored).transfer
    assert former.batch_statistics


def test_auto_probes_places_and_records_what_it_found(photos: Path, weights: str, tmp_path: Path) -> None:
    plan = Plan.read(_train(photos, weights, tmp_path, **{"transfer.name": "auto"}))
    assert plan.recipe.transfer.name == "features"
    assert [probe.place for probe in plan.probes] == ["stage1", "stage2", "head"]
    assert all(probe.count < 24 for probe in plan.probes)
    assert "by 5 folds" in plan.reasons["transfer"]


def test_a_run_on_the_cpu_leaves_a_gpu_alone(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(device, "devices", lambda: ("xpu", "cpu"))  # which would fail
    run = _train(photos, weights, tmp_path, **{"transfer.name": "features", "device": "cpu"})
    assert "resnet20" in build.write_run_report(run).read_text("utf-8")


def test_a_classifier_of_an_earlier_place_loads_again(photos: Path, weights: str, tmp_path: Path) -> None:
    run = _train(photos, weights, tmp_path, **{"transfer.name": "features", "transfer.place": "stage1"})
    classifier = load_classifier(run)
    assert classifier.model_name == "resnet20@stage1"
    assert classifier.predict(photos / "blue/1.png").label == "blue"


@pytest.mark.parametrize("kind", ["head", "staged", "full"])
def test_training_stopped_and_resumed_is_bit_for_bit_that_of_one_go(
    kind: str, photos: Path, weights: str, on_features: Run, tmp_path: Path
) -> None:
    changes = {"transfer.name": kind, "epochs": 3, "batch_size": 8, "stop.keep": "last"}
    whole = _train(photos, weights, tmp_path, "whole", on_features, **changes)
    events = _events(photos, weights, tmp_path, "cut", whole, **changes)
    points = (event for event in events if isinstance(event, SafePoint))
    for _ in range(3):
        next(points)
    events.close()
    end = _end(resume_run(Run(tmp_path / "cut"), inexact=False))
    one, other = (load_classifier(run).model.state_dict() for run in (whole, end.run))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    same = {name for name, value in _start().items() if torch.equal(value, one[name])}
    if kind == "head":  # and with it the statistics of the norms
        assert same == set(_start())
    else:
        assert "conv1.weight" not in same
        assert "norm1.running_mean" in same


def test_settings_without_effect_and_missing_weights_are_refused(
    photos: Path, weights: str, on_features: Run, tmp_path: Path
) -> None:
    features = {"transfer.name": "features"}
    with pytest.raises(ConfigError, match="epochs has no effect"):
        _train(photos, weights, tmp_path, **features, epochs=5)
    with pytest.raises(ConfigError, match="no weights for resnet20"):
        _train(photos, None, tmp_path, **features)
    with pytest.raises(ModelError, match="nowhere"):
        _train(photos, "nowhere", tmp_path, **features)
    with pytest.raises(ConfigError, match="has no epochs"):
        list(resume_run(on_features, inexact=False, epochs=5))
    assert not any(tmp_path.iterdir())


def test_features_are_computed_again_after_an_edit(photos: Path, weights: str, tmp_path: Path) -> None:
    network = create_model(MODEL, classes=10, size=(16, 16), seed=3)
    spec = InputSpec(channels=RGB, height=16, width=16, mean=(0.5,) * 3, std=(0.2,) * 3)

    def computed() -> np.ndarray:
        dataset = open_data(photos)
        digests = audit(dataset).index.digests
        return np.array(features_of(network, spec, dataset, np.arange(24), digests=digests).places["head"])

    before = computed()
    assert np.array_equal(computed(), before)
    image = photos / "red/0.png"
    content = image.read_bytes()
    Image.new("RGB", (16, 16), (10, 10, 10)).save(image)
    try:
        changed = computed()
    finally:
        image.write_bytes(content)
    assert (changed != before).any(axis=1).sum() == 1
    with torch.no_grad():
        network.get_parameter("conv1.weight").mul_(1.1)
    assert (computed() != before).any(axis=1).all()


def test_a_recipe_without_transfer_reads_as_from_scratch(on_features: Run) -> None:
    content = json.loads(on_features.recipe_file.read_text())
    for key in ("weights", "transfer"):
        del content["recipe"][key]
    assert read_recipe(content["recipe"]).transfer.name == "scratch"


def test_a_classifier_on_features_has_its_limits(on_features: Run, photos: Path) -> None:
    classifier = load_classifier(on_features)
    reference = classifier.reference
    assert reference is not None
    assert (len(reference.features), len(reference.similarities)) == (24, 24)
    known = classifier.predict(photos / "red/0.png", coverage=0.9)
    assert known.similarity == pytest.approx(1, abs=2e-3)
    assert known.among == ("red",)
    stored = on_features.labels_file.read_text().splitlines()
    assert len(stored) == 25
    assert on_features.curve_file.exists()


@pytest.mark.parametrize(("folds", "found"), [(3, 3), (1, 1)])
def test_the_number_of_folds_is_the_users(folds: int, found: int, photos: Path, weights: str, tmp_path: Path) -> None:
    run = _train(photos, weights, tmp_path, **{"transfer.name": "auto", "transfer.folds": folds})
    chosen = Plan.read(run).recipe.transfer
    assert isinstance(chosen, Features)
    assert chosen.folds == folds
    assert ("folds" in run.scores) == (found > 1)
    assert f"by {5 if found == 1 else found} folds" in Plan.read(run).reasons["transfer"]
    assert load_classifier(run).reference is not None


def test_a_trained_network_recognises_its_training_images(
    photos: Path, weights: str, on_features: Run, tmp_path: Path
) -> None:
    changes = {"transfer.name": "head", "epochs": 1, "batch_size": 8}
    run = _train(photos, weights, tmp_path, execution=on_features, **changes)
    classifier = load_classifier(run)
    reference = classifier.reference
    assert reference is not None
    assert len(reference.similarities) == run.scores["val"].count
    with (run.path / "images.csv").open() as file:
        trained = [line.split(",")[0] for line in file if ",train," in line]
    assert len(reference.features) == len(trained)
    answer = classifier.predict(photos / trained[0])
    assert answer.similarity == pytest.approx(1, abs=2e-3)
    assert not answer.none_of_these


def _grouped(photos: Path, table: Path, groups: int, each: int = 6) -> Path:
    """Write a table of some images of each class, in `groups` groups; 0 makes each class a group."""
    names = [(label, f"{label}/{number}.png") for label in ("red", "blue") for number in range(each)]
    rows = [
        f"{photos / name},{label},{place % groups if groups else label}" for place, (label, name) in enumerate(names)
    ]
    table.write_text("\n".join(["path,label,group", *rows]))
    return table


def test_folds_take_the_place_of_a_validation_split_that_no_group_fits(
    photos: Path, weights: str, tmp_path: Path
) -> None:
    table = _grouped(photos, tmp_path / "classes.csv", 0)
    changes = {"model": MODEL, "weights": weights, "transfer.name": "features"}
    recipe = make_plan(str(table), "transfer", changes).recipe
    prepared = prepare_data(recipe, audit(open_data(table)))
    assert not len(prepared.splits["val"])
    assert fold_count(recipe, prepared) == 2
    assert pooled(recipe, prepared).counts == {"train": 12}


@pytest.mark.parametrize("settings", [{"transfer.name": "features", "transfer.folds": 1}, {"transfer.name": "full"}])
def test_without_folds_a_validation_split_is_needed(
    photos: Path, weights: str, tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=r"no image for the validation split.*groups of images"):
        _train(_grouped(photos, tmp_path / "classes.csv", 0), weights, tmp_path, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"transfer.name": "auto"},
        {"transfer.name": "features", "transfer.folds": 1},
        {"transfer.name": "head", "epochs": 1, "batch_size": 4},
    ],
    ids=["auto", "features", "head"],
)
def test_training_images_of_one_group_are_learned_from(
    photos: Path, weights: str, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Each of three groups, of four images, is a split."""
    run = _train(_grouped(photos, tmp_path / "three.csv", 3), weights, tmp_path, **settings)
    assert run.scores["folds" if settings["transfer.name"] == "auto" else "val"].top1.value > 0.7
    assert bool(load_classifier(run).model.state_dict()["fc.weight"].isfinite().all())


def test_images_of_one_group_cannot_be_folded_and_single_images_are_named(
    photos: Path, weights: str, tmp_path: Path
) -> None:
    features = {"transfer.name": "features"}
    with pytest.raises(DataError, match="no image for the validation split"):
        _train(_grouped(photos, tmp_path / "one.csv", 1), weights, tmp_path, **features)
    table = _grouped(photos, tmp_path / "few.csv", 9, each=1)
    table.write_text(table.read_text() + f"\n{photos / 'red/5.png'},red,8")
    with pytest.raises(DataError, match="only one image of blue"):
        _train(table, weights, tmp_path, **features)


def test_the_model_is_that_of_the_weights_with_their_padding_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(model="mobilenet_v2+symmetric")
    monkeypatch.setattr(transfer, "weights_of", lambda *_, **__: found)
    for model, expected in (
        ("mobilenet_v2", "mobilenet_v2+symmetric"),
        ("mobilenet_v2@stage3", "mobilenet_v2+symmetric@stage3"),
        (None, "mobilenet_v2+symmetric"),
    ):
        given = {"weights": "file", **({} if model is None else {"model": model})}
        assert transfer.complete(given, free=False)[0]["model"] == expected
    with pytest.raises(ModelError, match=r"weights of mobilenet_v2\+symmetric, not of mobilenet_v2\. Choose model="):
        transfer.build("mobilenet_v2", "file", classes=2, channels=3, size=(32, 32), seed=0)


def test_a_last_layer_without_parameters_is_not_trained() -> None:
    network = create_model("lenet5_1998", seed=0)
    with pytest.raises(ConfigError, match="nothing to train"):
        transfer.freeze_for(transfer.Head(), network, (32, 32))
    staged = transfer.freeze_for(transfer.Staged(thawed=0.5), network, (32, 32))
    assert [rate.start for rate in staged] == [0, 0.25, 0.5]  # three groups have parameters: top, stage2, stage1
    assert network.get_submodule("f6").weight is staged[0].parameters[-2]
    frozen = ending(FreezeOut(cubed=False, first=0.5), (), network, (32, 32))
    assert [rate.end for rate in frozen] == [1, 0.75, 0.5]


def test_weights_that_were_replaced_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    for seed in (0, 1):
        state = create_model("tiny_vgg", classes=3, seed=seed).state_dict()
        save_file(state, file)
        for model in ("tiny_vgg", "tiny_vgg@stage1"):
            found = transfer.weights_of(str(file), model)
            assert all(torch.equal(value, state[name]) for name, value in found.state.items())
        assert transfer.weights_of(str(file), "tiny_vgg") is found


@pytest.mark.parametrize("name", ["~no-such-user/w.pt", "a" * 5000, "a\0b"])
def test_what_is_no_name_of_weights_is_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match="There are no weights"):
        transfer.weights_of(name, "tiny_vgg")


def test_another_size_or_crop_keeps_the_preparation_of_the_weights_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = InputSpec(
        channels=RGB, height=224, width=224, mean=(0.5,) * 3, std=(0.2,) * 3, resized=(256, 256),
        side_rounding="floor",
    )  # fmt: skip
    monkeypatch.setattr(prepare, "weights_of", lambda *_: SimpleNamespace(input=spec))
    recipe = read_recipe(
        {"model": "tiny_vgg", "weights": "w", "transfer": {"name": "full"}, "epochs": "1ep",
         "input": {"height": 64}}
    )  # fmt: skip
    smaller = prepare._input_of_weights(recipe, RGB)
    assert smaller is not None
    assert (smaller.size, smaller.resized, smaller.side_rounding) == ((64, 64), (73, 73), "floor")
    wider = prepare._input_of_weights(replace(recipe, input=replace(recipe.input, crop=0.9)), RGB)
    assert wider is not None
    assert (wider.size, wider.resized, wider.crop) == ((64, 64), None, 0.9)
