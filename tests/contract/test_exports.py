"""Every form of export, for every kind of network: answers as torch's for images of any size, and for batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from promises.subject import asks_all, families, subject
from rehearsal.classifiers import PROVENANCE, recognizing
from striate.classifier import Arguments, Classifier
from striate.core.errors import DataError, RunError
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.data.preparation.arrays import prepare, scale
from striate.exporting import EXPORTERS, Judges, export_classifier, read_exported, synthetic_judges
from striate.exporting.onnx_files import session
from striate.exporting.parity import DIFFERENCE

_QUICK = {"onnx": ("lenet5_1998", "nin", "resnet20", "squeezenet1_1")}
_CASES = [
    (form, name) for form in EXPORTERS for name in (families() if asks_all() else _QUICK.get(form, ("lenet5_1998",)))
]


@pytest.mark.parametrize(("form", "name"), _CASES)
def test_a_network_leaves_with_the_same_answers(form: str, name: str, tmp_path: Path) -> None:
    exporter = EXPORTERS[form]()
    model = subject(name).settled
    size = subject(name).small
    spec = InputSpec(channels=RGB, height=size[0], width=size[1], mean=(0.5,) * 3, std=(0.25,) * 3, filter="bicubic")
    images = [image for image, _ in synthetic_judges(spec, 4).images]
    with torch.no_grad():
        logits = model(scale(torch.from_numpy(np.stack([prepare(image, spec) for image in images])), spec))
    classes = logits.shape[1]
    classifier = Classifier(
        model,
        name,
        Arguments(classes=classes, channels=3, size=size),
        spec,
        LabelSpec(tuple(map(str, range(classes)))),
        PROVENANCE,
        # Where random weights give logits in the hundreds, float32 alone changes a probability by 0.02.
        temperature=max(2.0, logits.abs().max().item()),
    )
    about = {"data": "", "accuracy": None, "licence": ""}
    if name in _QUICK["onnx"]:
        classifier = recognizing(classifier, images)
    judges = Judges(images=[(image, image) for image in images], count=len(images), source="")
    # OpenVINO prepares images to a level or two, to which deep networks with random weights are sensitive.
    most, near, allow = (5e-3, 0.1, [DIFFERENCE]) if form == "openvino" else (1e-3, 3e-3, [])
    found = export_classifier(classifier, exporter, tmp_path / "out", judges, about=about, allow=allow)
    assert type(read_exported(found.path).exporter) is type(exporter)
    exporter = found.exporter
    assert all(parity.largest_difference <= most for parity in found.parities)
    runtime, *_ = exporter.runtimes(found.path)
    for image, expected in zip(images, classifier.predict([image.pixels for image in images]), strict=True):
        answer = runtime(image.pixels)
        assert answer.none_of_these == expected.none_of_these
        assert answer.p_value == pytest.approx(expected.p_value)
    draws, pixels = np.random.default_rng(0), images[0].pixels
    for sides in ((1, 1), (1, 300), (300, 1), (1000, 3)):
        pixels = draws.integers(0, 256, (*sides, 3), dtype=np.uint8)
        answer = dict(zip(found.labels.classes, runtime(pixels).probabilities.tolist(), strict=True))
        assert answer == pytest.approx(classifier.predict(pixels).probabilities, abs=near), sides
    for odd in (pixels[..., :1], pixels[0], pixels[None], pixels.astype(np.uint16), pixels / 255, pixels[:0]):
        with pytest.raises(DataError, match="takes an image"):
            runtime(odd)
    for name in found.card["files"]:
        whole = (found.path / name).read_bytes()
        (found.path / name).write_bytes(whole[:-1])
        with pytest.raises(RunError, match="was changed"):
            read_exported(found.path)
        (found.path / name).write_bytes(whole)
    if form == "onnx":
        prepared = torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        expected = classifier.probabilities(scale(prepared, classifier.input)).numpy()
        answers, *_ = session(found.path / "network.onnx").run(None, {"prepared": prepared.numpy()})
        np.testing.assert_allclose(answers, expected, atol=1e-3)
