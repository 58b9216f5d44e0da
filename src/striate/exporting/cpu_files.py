"""Export for a processor: ONNX files, and the fastest way to run them here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from striate.classifier import Classifier
from striate.classifier.execution import Execution, state_of
from striate.core.config import to_json
from striate.core.device import machine
from striate.core.errors import ConfigError, command
from striate.core.progress import Progress, silent
from striate.core.scalars import check_range
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.data.preparation.colour import storage_dtype
from striate.exporting.artefact import read_card
from striate.exporting.exporter import EXPORTERS, Answer, Batches, Exporter, Runtime, checked_image
from striate.exporting.int8 import saturates, write_int8
from striate.exporting.onnx_files import MODEL, NETWORK, Onnx, OnnxRuntime, write_whole
from striate.exporting.openvino_files import OpenVino
from striate.exporting.parity import DIFFERENCE, FLIPS
from striate.exporting.samples import Samples
from striate.exporting.trial import Tried, choose, correct, measure
from striate.exporting.ways import PLAIN, Precision, Run, Way, open_way, version, ways
from striate.tasks import CLASSIFICATION

_INT8 = "int8.onnx"
_COMPARED = 32  # images, at least, of which the probabilities are compared with torch's


@dataclass(frozen=True, kw_only=True)
class Cpu(Exporter):
    """The files of ONNX, and the fastest way to run them on this processor, found by measuring.

    Args:
        runtime: the runtime; auto chooses.
        precision: the type of products and convolutions; auto chooses among float32, bf16 where the processor has it,
            and int8.
        tolerance: the loss of accuracy that bf16 or int8 may have against float32, as a fraction. The 95 % interval of
            the loss on the validation split must end below it.
        batch: how many images are timed at once, as far as there are so many.
        compiled: also try torch's compiler, which takes a minute at each start and needs a C++ compiler.
    """

    runtime: Literal["auto", "torch", "torch_channels_last", "torch_compiled", "onnxruntime", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    tolerance: float = 0.005
    batch: int = 8
    compiled: bool = False

    programs: ClassVar[Mapping[str, str]] = Onnx.programs
    uses_samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range(self, "batch", at_least=1)
        check_range(self, "tolerance", at_least=0, at_most=1)

    def check(self) -> None:
        Onnx().check()
        if not self.is_available:
            raise ConfigError(
                f"This machine has no runtime={self.runtime} with precision={self.precision}; it has "
                + "; ".join(map(str, self._available()))
                + "."
            )

    def check_opens(self) -> None:
        Onnx().check_opens()
        if self.runtime == "openvino":
            OpenVino().check_opens()

    def _available(self, *, reduced: bool = True) -> list[Way]:
        return ways(compiled=self.compiled or self.runtime == "torch_compiled", reduced=reduced)

    def write(self, classifier: Classifier, folder: Path) -> None:
        Onnx().write(classifier, folder)

    def tuned(
        self, classifier: Classifier, folder: Path, samples: Samples, progress: Progress = silent
    ) -> tuple[Cpu, dict[str, Any]]:
        """Choose the way to run the files, convert them to its precision, and return it with what was measured.

        Raises:
            RunError: no way passes.
        """
        judged = samples.held_out is not None and classifier.task == CLASSIFICATION
        reduced = self.precision not in ("auto", "float32") or (self.precision == "auto" and judged)
        wanted = [way for way in self._available(reduced=reduced) if self._allows(way)]
        files: dict[Precision, Path] = {"float32": folder / NETWORK, "bf16": folder / NETWORK, "int8": folder / _INT8}
        if any(way.precision == "int8" for way in wanted):
            write_int8(files["float32"], files["int8"], samples.calibration, progress)
        runs = {way: open_way(way, files[way.precision], classifier) for way in dict.fromkeys((PLAIN, *wanted))}
        images = samples.few(max(_COMPARED, self.batch))
        tried = measure(runs, images, self.batch, progress)
        if PLAIN not in wanted:
            tried[PLAIN] = replace(tried[PLAIN], verdict="for comparison")
        held_out = samples.held_out
        answered = None if held_out is None or not judged else lambda way: correct(runs[way], held_out, progress)
        chosen, tried = choose(tried, self.tolerance, answered)
        runs.clear()
        if chosen.precision == "int8":
            os.replace(files["int8"], files["float32"])
            write_whole(classifier, folder)
        files["int8"].unlink(missing_ok=True)
        settled = replace(self, runtime=chosen.runtime, precision=chosen.precision)
        return settled, _described(classifier, list(tried.values()), min(self.batch, len(images)))

    def _allows(self, way: Way) -> bool:
        return self.runtime in ("auto", way.runtime) and self.precision in ("auto", way.precision)

    @property
    def accepted(self) -> tuple[str, ...]:
        """With less precision than float32 other probabilities are expected; `tuned` has judged the accuracy."""
        return (FLIPS, DIFFERENCE) if self.precision in ("bf16", "int8") else ()

    def verify(self, folder: Path) -> None:
        Onnx().verify(folder)

    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        whole = OnnxRuntime(folder / MODEL)
        return [whole] if self._way.runtime != "openvino" else [_Prepared(self, folder, whole.input), whole]

    def batches(self, folder: Path) -> Batches | None:
        run = self.run(folder)
        return lambda prepared: Answer.each(run(prepared))

    @property
    def _way(self) -> Way:
        if self.runtime == "auto" or self.precision == "auto":
            raise ConfigError("This form has not been measured yet: tuned() chooses its runtime and precision.")
        return Way(self.runtime, self.precision)

    def run(self, folder: Path, classifier: Classifier | None = None) -> Run:
        """Open the files in the chosen runtime. torch needs the `classifier`; without one, ONNX Runtime opens them."""
        way = self._way
        if classifier is None and way.runtime.startswith("torch"):
            way = Way("onnxruntime")
        return open_way(way, folder / NETWORK, classifier)

    @property
    def is_available(self) -> bool:
        """Whether this machine has the runtime and the precision."""
        return any(map(self._allows, self._available()))

    def sentence(self) -> str:
        """Return runtime and precision in words, as in `onnxruntime 1.32.0, int8`."""
        return version(self._way)


EXPORTERS.add("cpu", Cpu)


class _Prepared:
    """`network.onnx` in the chosen runtime, for images that Striate prepares."""

    def __init__(self, form: Cpu, folder: Path, spec: InputSpec) -> None:
        self._run, self._input, self.name = form.run(folder), spec, form.sentence()

    def __call__(self, pixels: np.ndarray) -> Answer:
        spec = self._input
        image = DecodedImage(
            checked_image(pixels, len(spec.channels), storage_dtype(spec)), spec.channels, pixels.shape[:2]
        )
        return Answer.each(self._run(prepare(image, spec)[None]))[0]


def in_runtime(classifier: Classifier, folder: Path) -> Classifier:
    """Return `classifier` with the execution of the export `folder`, or with the reason why it is `passed_over`.

    The export must be of this classifier, chosen on this kind of machine, and its runtime installed.

    Raises:
        RunError: the export is damaged, or a file in it was changed.
    """
    exported = read_card(folder)
    form, trial = exported.exporter, exported.card.get("trial")
    if not isinstance(form, Cpu) or not isinstance(trial, dict):
        return _outdated(classifier, folder, "it is no export for a processor")
    if trial.get("classifier") != fingerprint(classifier):
        return _outdated(classifier, folder, "the classifier has changed since")
    if trial.get("machine") != machine():
        return _outdated(classifier, folder, "its runtime was chosen on another kind of machine")
    try:
        form.check_opens()
    except ConfigError as error:
        return replace(classifier, passed_over=f"torch computes, not {folder}. {str(error).rstrip('.')}")
    if not form.is_available:
        return _outdated(classifier, folder, f"this machine has no {form.runtime}, {form.precision}, any more")
    exported.check_files()
    whole = replace(classifier, input=replace(classifier.input, decode_scale=0.0))
    sentence = form.sentence()
    execution = Execution(
        form.run(folder, whole),
        name=f"{sentence} ({folder})",
        identity=f"{sentence}, {exported.digests[NETWORK]}",
        state=state_of(classifier),
    )
    return replace(classifier, execution=execution)


def _outdated(classifier: Classifier, folder: Path, why: str) -> Classifier:
    remedy = command("export", folder.parent.parent, "--for", "cpu")
    return replace(classifier, passed_over=f"torch computes, not {folder}: {why}. Export again: {remedy}")


def _described(classifier: Classifier, tried: Sequence[Tried], batch: int) -> dict[str, Any]:
    """Return the entry of the trial for the card."""
    return {
        "tried": [asdict(each) for each in sorted(tried, key=lambda each: each.milliseconds)],
        "batch": batch,
        "threads": torch.get_num_threads(),
        "weights_of_7_bits": saturates(),
        "machine": machine(),
        "classifier": fingerprint(classifier),
    }


def fingerprint(classifier: Classifier) -> str:
    """Return the SHA-256 of everything that decides the answers for prepared images."""
    spec = to_json(replace(classifier.input, decode_scale=0.0))
    digest = hashlib.sha256(json.dumps([spec, classifier.temperature, classifier.labels.classes]).encode())
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in classifier.model.state_dict().items()}
    if classifier.reference is not None:
        kept = classifier.reference
        arrays |= {"features": kept.features, "similarities": kept.similarities}
        arrays |= {} if kept.logits is None else {"logits": kept.logits}
    for name, array in arrays.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
