"""Export to OpenVINO: the ONNX graph in OpenVINO's own form."""

from __future__ import annotations

import importlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.errors import RunError
from striate.exporting.exporter import EXPORTERS, Answer, Exporter, Runtime, check_installed, checked_image
from striate.exporting.onnx_files import MODEL as ONNX_MODEL
from striate.exporting.onnx_files import Onnx

MODEL, WEIGHTS = "model.xml", "model.bin"
_STANDARD = re.compile(r"opset\d+")  # the sets of operators of OpenVINO itself


@dataclass(frozen=True, kw_only=True)
class OpenVino(Exporter):
    """OpenVINO: `model.xml` and `model.bin` take decoded images of any size.

    OpenVINO computes float64 in float32, so prepared images may differ by a level or two from Striate's.
    """

    def check(self) -> None:
        check_installed("OpenVINO", ("onnx", "openvino"), "openvino")

    def check_opens(self) -> None:
        check_installed("OpenVINO", ("openvino",), "openvino")

    def write(self, classifier: Classifier, folder: Path) -> None:
        openvino = _library()
        Onnx(network=False).write(classifier, folder)
        model = openvino.Core().read_model(folder / ONNX_MODEL)
        model.set_rt_info(json.dumps(classifier.labels.classes), ["model_info", "labels"])
        try:
            openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
        except RuntimeError as error:
            raise RunError(f"OpenVINO could not write {MODEL} and {WEIGHTS}, perhaps for lack of space.") from error
        (folder / ONNX_MODEL).unlink()

    def verify(self, folder: Path) -> None:
        path = folder / MODEL
        try:
            if b"<!DOCTYPE" in path.read_bytes():
                raise RunError(f"{path} defines entities of XML, which are refused.")
            layers = list(ElementTree.parse(path).iter("layer"))
            held = (folder / WEIGHTS).stat().st_size
            parts = [data for layer in layers if layer.get("type") == "Const" for data in layer.iter("data")]
            ends = [(int(data.get("offset", "")), int(data.get("size", ""))) for data in parts]
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise RunError(f"{path} is no model of OpenVINO, or is damaged ({error}).") from error
        foreign = [version for layer in layers if not _STANDARD.fullmatch(version := layer.get("version", ""))]
        if foreign:
            raise RunError(f"{path} needs operators of {foreign[0]!r}, which are refused.")
        if any(min(offset, size) < 0 or offset + size > held for offset, size in ends):
            raise RunError(f"{path} states weights that {WEIGHTS} does not hold.")

    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        return [OpenVinoRuntime(folder / MODEL)]


EXPORTERS.add("openvino", OpenVino)


def _library() -> Any:
    """Import OpenVINO, which is an extra that the type checker need not find."""
    return importlib.import_module("openvino")


class OpenVinoRuntime:
    """`model.xml`, opened in OpenVINO on the processor, with as many threads as torch uses."""

    def __init__(self, path: Path) -> None:
        openvino = _library()
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        self._model = openvino.Core().compile_model(path, "CPU", threads)
        taken = self._model.input(0)
        self._taken = taken.get_partial_shape()[3].get_length(), taken.get_element_type().to_dtype()

    @property
    def name(self) -> str:
        return f"openvino {_library().__version__.split('-')[0]}"

    def __call__(self, pixels: np.ndarray) -> Answer:
        return Answer.each(list(self._model([checked_image(pixels, *self._taken)[None]]).values()))[0]
