"""The way to run an export is the fastest that passes, and `predict` uses it as long as it is valid."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from rehearsal.classifiers import recognizing, untrained
from striate.classifier import Classifier
from striate.core.errors import ConfigError, RunError
from striate.core.spec import RGB, InputSpec
from striate.exporting import Exported, Exporter, HeldOut, Samples, export_classifier, read_exported, synthetic_judges
from striate.exporting.artefact import synthetic_samples
from striate.exporting.cpu_files import Cpu, in_runtime
from striate.exporting.int8 import saturates, write_int8
from striate.exporting.onnx_files import Onnx, session
from striate.exporting.openvino_files import OpenVino
from striate.exporting.parity import DIFFERENCE
from striate.exporting.trial import Tried, choose, correct, measure
from striate.exporting.ways import Way, open_way, ways

SPEC = InputSpec(channels=RGB, height=28, width=28, mean=(0.5,) * 3, std=(0.25,) * 3)
PLAIN, ORT, INT8 = Way("torch"), Way("onnxruntime"), Way("onnxruntime", "int8")


def tried(milliseconds: float, difference: float = 0.0) -> Tried:
    return Tried(runtime="r", precision="p", milliseconds=milliseconds, fastest=1.0, slowest=9.0, difference=difference)


def answering(of: dict[Way, int], count: int) -> Callable[[Way], np.ndarray]:
    """Held-out answers of which the first ones are right."""
    return lambda way: np.arange(count) < of[way]


def test_the_fastest_exact_way_is_chosen() -> None:
    chosen, rows = choose({PLAIN: tried(3), ORT: tried(2), Way("openvino"): tried(1, difference=2e-3)}, 0.005, None)
    assert chosen == ORT
    assert [row.verdict for row in rows.values()] == ["", "chosen", "a probability differs by more than 0.001"]


@pytest.mark.parametrize(
    ("milliseconds", "right", "count", "verdict"),
    [
        (1.0, 995, 1000, "chosen"),
        (1.9, 1000, 1000, "not 1.1 times as fast as float32"),
        (1.0, 990, 1000, "may lose 1.0 points of accuracy, more than 0.5"),
        (
            1.0,
            200,
            200,
            "may lose 1.0 points of accuracy, more than 0.5; 200 held-out images cannot show less than 1.0",
        ),
    ],
    ids=["kept", "slow", "worse", "few images"],
)
def test_int8_is_kept_if_it_is_faster_and_the_interval_of_its_loss_ends_below_the_tolerance(
    milliseconds: float, right: int, count: int, verdict: str
) -> None:
    reference = 995 if count == 1000 else 200
    ways = {PLAIN: tried(3), ORT: tried(2), INT8: tried(milliseconds, difference=0.1)}
    chosen, rows = choose(ways, 0.005, answering({ORT: reference, INT8: right}, count))
    assert rows[INT8].verdict == verdict
    assert chosen == (INT8 if verdict == "chosen" else ORT)
    if verdict.startswith("may lose"):
        assert (rows[INT8].right, rows[ORT].right) == (right, reference)


def test_less_precision_needs_held_out_images() -> None:
    assert choose({PLAIN: tried(3), INT8: tried(1)}, 1.0, None)[0] == PLAIN
    compared = replace(tried(3), verdict="for comparison")
    with pytest.raises(RunError, match=r"No way to run the network passes: .*no held-out images"):
        choose({PLAIN: compared, INT8: tried(1)}, 1.0, None)
    assert choose({PLAIN: compared, INT8: tried(1)}, 1.0, answering({PLAIN: 9, INT8: 9}, 10))[0] == INT8


def test_an_answer_of_none_of_the_classes_is_wrong() -> None:
    held_out = HeldOut(images=[np.full((1, 1, 1), level) for level in range(40)], targets=np.zeros(40, np.int64))

    def run(prepared: np.ndarray) -> list[np.ndarray]:
        level = prepared[:, 0, 0, 0]
        return [np.stack([level < 35, level >= 35], axis=1).astype(np.float32), level / 40, level < 3]

    assert correct(run, held_out).nonzero()[0].tolist() == list(range(3, 35))


def test_ways_take_turns_and_a_hopeless_one_is_left_out() -> None:
    calls: list[str] = []

    def way(name: str, work: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        def run(prepared: np.ndarray) -> list[np.ndarray]:
            calls.append(name)
            np.linalg.svd(np.eye(work))
            return [np.full((len(prepared), 2), 0.5 if name == "a" else 0.25)]

        return run

    found = measure({PLAIN: way("a", 2), ORT: way("b", 2), INT8: way("c", 150)}, np.zeros((4, 1, 1, 1)), batch=2)
    assert [row.difference for row in found.values()] == [0.0, 0.25, 0.25]
    assert found[INT8].verdict == "more than 4 times as slow as float32"
    assert all(row.fastest <= row.milliseconds <= row.slowest for row in found.values())
    assert sum(a != b for a, b in itertools.pairwise(calls)) > 8


def test_float32_is_timed_however_fast_less_precision_is() -> None:
    def way(work: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        def run(prepared: np.ndarray) -> list[np.ndarray]:
            np.linalg.svd(np.eye(work))
            return [np.full((len(prepared), 2), 0.5)]

        return run

    found = measure({PLAIN: way(150), ORT: way(150), INT8: way(2)}, np.zeros((4, 1, 1, 1)), batch=2)
    assert {tried.verdict for tried in found.values()} == {""}
    assert choose(found, 0.005, None)[0] in (PLAIN, ORT)  # without held-out images int8 does not pass


def test_the_time_of_an_image_is_that_of_the_images_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 8 takes as long as its 4 images: at 10 ms an image, 40 ms."""
    monkeypatch.setattr("striate.exporting.trial._timed", lambda run, batch: 0.01 * len(batch))
    runs = {PLAIN: lambda prepared: [np.zeros((len(prepared), 2))]}
    for batch in (2, 8):
        assert measure(runs, np.zeros((4, 1, 1, 1)), batch)[PLAIN].milliseconds == pytest.approx(10)


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 fma", True), ("avx2 avx_vnni", False), ("avx512f avx512_vnni", False)]
)
def test_weights_have_7_bits_where_sums_of_bytes_overflow(
    flags: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags}\n")
    assert saturates() is expected
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not saturates()


def classifier() -> Classifier:
    images = [image for image, _ in synthetic_judges(SPEC, 8).images]
    return recognizing(untrained("lenet5", SPEC, ("green", "red", "blue"), at=0.1), images)


def write(folder: Path, form: Exporter, samples: Samples | None = None) -> Exported:
    about = {"data": "", "accuracy": None, "licence": ""}
    allow = [DIFFERENCE] if isinstance(form, OpenVino) else []  # it prepares images to a level or two
    judges = synthetic_judges(SPEC, 4)
    return export_classifier(classifier(), form, folder, judges, about=about, samples=samples, allow=allow)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An export in int8, which may lose all accuracy."""
    images = synthetic_samples(SPEC).calibration
    held_out = HeldOut(images=images, targets=np.zeros(len(images), np.int64))
    form = Cpu(runtime="onnxruntime", precision="int8", tolerance=1.0)
    samples = Samples(calibration=images, held_out=held_out)
    return write(tmp_path_factory.mktemp("exports") / "cpu", form, samples)


def test_int8_is_in_both_files(exported: Exported) -> None:
    for name in ("model.onnx", "network.onnx"):
        model = onnx.load(exported.path / name)
        kinds = [node.op_type for node in model.graph.node]
        assert kinds.count("DequantizeLinear") > 8
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        made = {output: node.op_type for node in model.graph.node for output in node.output}
        assert {made[each] for node in convolutions for each in node.input} == {"DequantizeLinear"}

    pixels = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8)
    whole = session(exported.path / "model.onnx").run(None, {"image": pixels})
    batches = read_exported(exported.path).exporter.batches(exported.path)
    assert batches
    for number, answer in enumerate(batches(pixels.transpose(0, 3, 1, 2))):
        np.testing.assert_allclose(answer.probabilities, whole[0][number], atol=1e-6)
        np.testing.assert_allclose(answer.probabilities, list(of_torch(pixels[number])), atol=0.2)
    assert {path.name for path in exported.path.iterdir()} == {*exported.card["files"], "card.json", "README.md"}


@pytest.mark.parametrize("maximum", [255.0, 65535.0, 1.0])
def test_both_runtimes_compute_int8_for_every_depth(maximum: float, tmp_path: Path) -> None:
    subject = untrained("lenet5", replace(SPEC, maximum=maximum), ("green", "red", "blue"), at=0.1)
    samples = synthetic_samples(subject.input)
    Onnx().write(subject, tmp_path)
    write_int8(tmp_path / "network.onnx", tmp_path / "int8.onnx", samples.calibration)
    images = samples.few(8)
    exact, *found = (
        open_way(way, tmp_path / "int8.onnx", subject)(images)[0] for way in (PLAIN, INT8, Way("openvino", "int8"))
    )
    for each in found:
        np.testing.assert_allclose(each, exact, atol=0.05)
    assert np.ptp(exact, axis=0).max() > 0.1


def of_torch(pixels: np.ndarray) -> list[float]:
    found = classifier().predict(pixels).probabilities
    return [found[name] for name in ("green", "red", "blue")]


def test_the_card_has_the_trial(exported: Exported) -> None:
    row, of_torch = sorted(exported.card["trial"]["tried"], key=lambda each: each["verdict"])
    assert (of_torch["precision"], of_torch["verdict"]) == ("float32", "for comparison")
    assert (row["runtime"], row["precision"], row["verdict"]) == ("onnxruntime", "int8", "chosen")
    assert row["count"] == 16
    assert row["fastest"] <= row["milliseconds"] <= row["slowest"]
    assert exported.card["form"] | {"tolerance": 1.0, "precision": "int8"} == exported.card["form"]
    text = (exported.path / "README.md").read_text("utf-8")
    assert "onnxruntime, int8" in text


def test_predict_uses_it(exported: Exported, tmp_path: Path) -> None:
    plain = classifier()
    faster = in_runtime(plain, exported.path)
    assert faster.runtime.startswith("onnxruntime ")
    assert "int8" in faster.runtime
    assert "int8" in faster._repr_html_()
    moved = in_runtime(plain, shutil.copytree(exported.path, tmp_path / "moved"))
    assert moved.execution is not None
    assert faster.execution is not None
    assert moved.runtime != faster.runtime
    assert moved.execution.identity == faster.execution.identity
    assert hashlib.sha256((exported.path / "network.onnx").read_bytes()).hexdigest() in moved.execution.identity
    image = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    found, expected = faster.predict(image), plain.predict(image)
    assert found.probabilities != expected.probabilities
    assert found.probabilities == pytest.approx(expected.probabilities, abs=0.2)
    assert found.similarity == pytest.approx(expected.similarity, abs=0.2)
    assert found.p_value is not None
    assert faster.predict(image, views="flip").probabilities == plain.predict(image, views="flip").probabilities


def hooked(faster: Classifier) -> Classifier:
    faster.model.register_forward_hook(lambda *_: None)
    return faster


def retrained(faster: Classifier) -> Classifier:
    with torch.no_grad():
        next(faster.model.parameters()).add_(0.1)
    return faster


def replaced(faster: Classifier) -> Classifier:
    next(faster.model.parameters()).data = torch.zeros_like(next(faster.model.parameters()))
    return faster


def calibrated(faster: Classifier) -> Classifier:
    return replace(faster, temperature=3.0)


@pytest.mark.parametrize("change", [hooked, retrained, replaced, calibrated])
def test_torch_computes_after_a_change(exported: Exported, change: Callable[[Classifier], Classifier]) -> None:
    faster = change(in_runtime(classifier(), exported.path))
    image = np.random.default_rng(1).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    assert faster.predict(image).probabilities == replace(faster, execution=None).predict(image).probabilities


def test_an_export_of_other_weights_or_another_machine_is_not_used(exported: Exported, tmp_path: Path) -> None:
    for changed in (retrained(classifier()), calibrated(classifier())):
        passed_over = in_runtime(changed, exported.path)
        assert passed_over.runtime == "torch"
        assert "the classifier has changed since. Export again: striate export " in passed_over.passed_over
    for path in exported.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card: dict[str, Any] = json.loads((tmp_path / "card.json").read_text("utf-8"))
    card["trial"]["machine"]["processor"] = "another"
    (tmp_path / "card.json").write_text(json.dumps(card), "utf-8")
    passed_over = in_runtime(classifier(), tmp_path)
    assert passed_over.runtime == "torch"
    assert "its runtime was chosen on another kind of machine" in passed_over.passed_over


def test_a_damaged_export_is_refused(exported: Exported, tmp_path: Path) -> None:
    for path in exported.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "network.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(RunError, match="was changed"):
        in_runtime(classifier(), tmp_path)


def without(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    """Make `libraries` impossible to find and to import, as where they are not installed."""
    find = importlib.util.find_spec
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name in libraries else find(name))


def test_torch_computes_where_the_runtime_is_not_installed(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_openvino = write(tmp_path / "cpu", Cpu(runtime="openvino", precision="float32"))
    with monkeypatch.context() as patched:
        without(patched, "openvino")
        for_openvino = in_runtime(classifier(), in_openvino.path)
        assert in_runtime(classifier(), exported.path).runtime.startswith("onnxruntime ")
    with monkeypatch.context() as patched:
        without(patched, "onnx", "onnxruntime")
        for_onnx = in_runtime(classifier(), exported.path)
    for found, path, said in (
        (for_openvino, in_openvino.path, "OpenVINO needs openvino: pip install 'striate[openvino]'"),
        (for_onnx, exported.path, "ONNX needs onnx and onnxruntime: pip install 'striate[export]'"),
    ):
        assert found.runtime == "torch"
        assert found.passed_over == f"torch computes, not {path}. An export to {said}"


def test_torch_computes_where_the_compiler_was_removed(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in exported.path.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card: dict[str, Any] = json.loads((tmp_path / "card.json").read_text("utf-8"))
    card["form"] |= {"runtime": "torch_compiled", "precision": "float32"}
    (tmp_path / "card.json").write_text(json.dumps(card), "utf-8")
    monkeypatch.setattr("shutil.which", lambda _: None)
    found = in_runtime(classifier(), tmp_path)
    assert found.runtime == "torch"
    assert "this machine has no torch_compiled, float32, any more. Export again" in found.passed_over


@pytest.mark.parametrize(
    ("form", "library", "extra"),
    [
        (Onnx(), "onnxruntime", "export"),
        (OpenVino(), "openvino", "openvino"),
        (Cpu(runtime="openvino", precision="float32"), "openvino", "openvino"),
    ],
    ids=["onnx", "openvino", "cpu"],
)
def test_an_export_whose_runtime_is_not_installed_is_refused(
    form: Exporter, library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "out", form).path
    without(monkeypatch, library)
    with pytest.raises(ConfigError, match=rf"needs {library}: pip install 'striate\[{extra}\]'\.$"):
        read_exported(path)


def test_openvino_opens_its_files_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "out", OpenVino()).path
    without(monkeypatch, "onnx", "onnxruntime")
    assert read_exported(path).exporter.runtimes(path)
    with pytest.raises(ConfigError, match="OpenVINO needs onnx: "):
        write(tmp_path / "other", OpenVino())


def test_what_this_machine_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no runtime=onnxruntime with precision=bf16; it has torch, float32; "):
        write(tmp_path / "out", Cpu(runtime="onnxruntime", precision="bf16"))
    with pytest.raises(ConfigError, match="batch must be at least 1; received 0"):
        Cpu(batch=0)
    assert not list(tmp_path.iterdir())


def test_bf16_is_tried_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bf16 = {Way("torch_channels_last", "bf16"), Way("openvino", "bf16")}
    monkeypatch.setattr("striate.exporting.ways.computes_in_bf16", lambda _: False)
    assert not bf16 & set(ways())
    monkeypatch.setattr("striate.exporting.ways.computes_in_bf16", lambda _: True)
    assert bf16 <= set(ways())
    assert {way.precision for way in ways(reduced=False)} == {"float32"}
    images = synthetic_samples(SPEC).few(4)
    subject = classifier()
    strides = [parameter.stride() for parameter in subject.model.parameters()]
    exact, rounded = (
        open_way(Way("torch_channels_last", kind), Path(), subject)(images) for kind in ("float32", "bf16")
    )
    assert [parameter.stride() for parameter in subject.model.parameters()] == strides
    assert [each.dtype for each in rounded] == [each.dtype for each in exact]
    np.testing.assert_allclose(rounded[0], exact[0], atol=0.05)
    assert (rounded[0] != exact[0]).any()
    assert np.abs(rounded[3] - exact[3]).max() < 5e-3  # the similarity to training images is computed in float32
