"""A model is loaded again when its files are replaced; an exported one answers as the classifier does."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rehearsal.classifiers import recognizing
from rehearsal.served import FILES, FORM, SPEC, Talk, form, small, talking
from striate.classifier import Classifier, load_classifier, save_classifier
from striate.core.errors import ConfigError, RunError
from striate.exporting import EXPORTERS, Exporter, export_classifier, synthetic_judges
from striate.exporting.cpu_files import Cpu
from striate.exporting.onnx_files import Onnx
from striate.serving import Source
from striate.serving.hosting import Hosted
from striate.verbs.predict import predict
from striate.verbs.serve import _named, _source, serve


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.serving.hosting._POLL", 0.02)


def source_of(path: Path, warned: list[str] | None = None) -> Source:
    return _source(path, "cpu", lambda _, why: None if warned is None else warned.append(why))


def version_of(talk: Talk, wanted: str) -> dict[str, object]:
    """Ask until the version is the wanted one; every answer on the way is one."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = talk.post("/predict", FILES[0])
        assert answer.status_code == 200
        if answer.json()["version"] == wanted:
            return answer.json()["predictions"][0]
    raise AssertionError("it was not loaded again")


def test_a_replaced_classifier_answers_without_a_lost_request(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "net")
    with talking([source_of(tmp_path / "net")]) as talk:
        expected = small().predict(FILES[0]).probabilities
        assert version_of(talk, "1")["probabilities"] == pytest.approx(expected, abs=1e-6)
        save_classifier(small(seed=2), tmp_path / "net")
        expected = small(seed=2).predict(FILES[0]).probabilities
        assert version_of(talk, "2")["probabilities"] == pytest.approx(expected, abs=1e-6)
        assert 'striate_model_version{model="net"} 2.0' in talk.client.get("/metrics").text


def test_a_model_is_loaded_in_a_thread_that_ends_and_takes_its_threads_of_openmp_along() -> None:
    threads: list[threading.Thread] = []

    def load() -> Classifier:
        threads.append(threading.current_thread())
        return small()

    Hosted(Source("net", load), batch=2)
    (loading,) = threads
    assert loading is not threading.current_thread()
    assert not loading.is_alive()


def test_a_damaged_replacement_is_reported_and_the_former_model_stays(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "net")
    with talking([source_of(tmp_path / "net")]) as talk:
        (tmp_path / "net" / "classifier.json").write_text("{}")
        end = time.monotonic() + 60
        while "model failed" not in talk.lines.getvalue():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert version_of(talk, "1")
        (line,) = [line for line in talk.lines.getvalue().splitlines() if "model failed" in line]
        assert "format" in json.loads(line)["reason"]
        save_classifier(small(seed=2), tmp_path / "net")
        assert version_of(talk, "2")


def test_models_are_watched_after_any_error_of_a_runtime(tmp_path: Path) -> None:
    marker, outcomes = tmp_path / "marker", [small, lambda: {}["task"], small]
    marker.write_text("1")
    with talking([Source("net", lambda: outcomes.pop(0)(), marker)]) as talk:
        marker.write_text("two")
        end = time.monotonic() + 60
        while "model failed" not in talk.lines.getvalue():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert "KeyError: 'task'" in talk.lines.getvalue()
        marker.write_text("three")
        assert version_of(talk, "2")


@pytest.mark.parametrize("exporter", [Onnx(), Onnx(network=False)], ids=["batches", "single"])
def test_an_exported_classifier_answers_as_the_classifier(tmp_path: Path, exporter: Exporter) -> None:
    about = {"data": "colours", "accuracy": None, "licence": ""}
    classifier = recognizing(small(), [image for image, _ in synthetic_judges(SPEC, 6).images])
    export_classifier(classifier, exporter, tmp_path / "out", synthetic_judges(SPEC, 2), about=about)
    source = source_of(tmp_path / "out")
    with talking([source]) as talk:
        rows = talk.post("/models/out/predict", form(FILES[0], b"x", FILES[2]), FORM).json()["predictions"]
        for row, file in ((rows[0], FILES[0]), (rows[2], FILES[2])):
            expected: Any = classifier.predict(file)
            assert row["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
            assert row["similarity"] == pytest.approx(expected.similarity, abs=1e-5)
            assert row["none_of_these"] == expected.none_of_these
        assert "not an image" in rows[1]["error"]
        (model,) = talk.client.get("/models").json()["models"]
        assert (model["network"], model["explains"]) == ("mlp", False)
        assert talk.post("/predict?explain=true", FILES[0]).status_code == 400


def test_a_classifier_runs_in_the_runtime_that_its_export_chose(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "net")
    form, about = Cpu(runtime="onnxruntime", precision="float32"), {"data": "colours", "accuracy": None, "licence": ""}
    export_classifier(small(), form, tmp_path / "net/exports/cpu", synthetic_judges(SPEC, 2), about=about)
    warned: list[str] = []
    source = source_of(tmp_path / "net", warned)
    model = source.load()
    assert isinstance(model, Classifier)
    assert model.runtime.startswith("onnxruntime")
    assert not warned
    named: list[str] = []
    for views in ("", "flip"):  # views are computed by torch, and so it is said
        predict(tmp_path / "net", FILES[0], views=views, on_start=lambda given: named.append(given.runtime.split()[0]))
    assert named == ["onnxruntime", "torch"]
    save_classifier(small(seed=2), tmp_path / "net")
    model = source.load()
    assert isinstance(model, Classifier)
    assert model.runtime == "torch"
    assert "the classifier has changed since" in "".join(warned)


def test_a_model_has_the_name_of_its_folder_or_the_given_one(tmp_path: Path) -> None:
    for given, name in (("runs/photos", "photos"), ("runs/photos/classifier", "photos"), ("b=runs/photos", "b")):
        assert _named(given)[0] == name
    for kind in EXPORTERS:
        assert _named(f"runs/photos/exports/{kind}")[0] == "photos"
    assert _named("runs/cpu")[0] == "cpu"
    assert _named("exports/resnet50-onnx")[0] == "resnet50-onnx"  # where weights without a folder are exported to
    assert _named("my photos")[0] == "my-photos"
    (tmp_path / "a=b").mkdir()
    assert _named(str(tmp_path / "a=b"))[0] == "a-b"
    assert _named(small())[0] == "r"
    with pytest.raises(ConfigError, match="letters"):
        _named("a/b=runs/photos")


def test_mistakes_are_sentences_before_anything_is_loaded(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "net")
    given = str(tmp_path / "net")
    with pytest.raises(ConfigError, match="Two models are called 'net'"):
        serve(given, given)
    with pytest.raises(ConfigError, match="A port is"):
        serve(given, port=80000)
    with pytest.raises(ConfigError, match="megabytes"):
        serve(given, megabytes=float("nan"))
    with pytest.raises(ConfigError, match="cannot be used"):
        serve(given, host="203.0.113.1")
    with pytest.raises(ConfigError, match="token"):
        serve(given, token="")
    with pytest.raises(RunError, match="no classifier"):
        serve(str(tmp_path / "other"), port=0)


def test_classifiers_of_a_folder_are_read_by_thesource_of(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "run" / "classifier")
    source = source_of(tmp_path / "run")
    assert source.marker == tmp_path / "run" / "classifier" / "classifier.json"
    assert source.load().labels == load_classifier(tmp_path / "run").labels
    assert Source("x", small).stamp() is None
