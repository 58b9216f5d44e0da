"""Export to OpenVINO: the ONNX graph in OpenVINO's own form."""

from __future__ import annotations

import importlib
import importlib.util
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.errors import ConfigError, RunError
from striate.exporting.exporter import EXPORTERS, Answer, Exporter, Runtime
from striate.exporting.onnx_files import MODEL as ONNX_MODEL
from striate.exporting.onnx_files import Onnx

MODEL = "model.xml"


@dataclass(frozen=True, kw_only=True)
class OpenVino(Exporter):
    """OpenVINO: `model.xml` and `model.bin` take decoded images of any size.

    OpenVINO computes float64 in float32, so prepared images may differ by a level or two from Striate's.
    """

    def check(self) -> None:
        missing = [name for name in ("onnx", "openvino") if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(f"Export to OpenVINO needs {' and '.join(missing)}: pip install 'striate[openvino]'.")

    def write(self, classifier: Classifier, folder: Path) -> None:
        openvino = _library()
        Onnx(network=False).write(classifier, folder)
        model = openvino.Core().read_model(folder / ONNX_MODEL)
        model.set_rt_info(json.dumps(classifier.labels.classes), ["model_info", "labels"])
        openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
        (folder / ONNX_MODEL).unlink()

    def verify(self, folder: Path) -> None:
        try:
            ElementTree.parse(folder / MODEL)
        except (OSError, ElementTree.ParseError) as error:
            raise RunError(f"{folder / MODEL} is no model of OpenVINO, or is damaged ({error}).") from error

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

    @property
    def name(self) -> str:
        return f"openvino {_library().__version__.split('-')[0]}"

    def __call__(self, pixels: np.ndarray) -> Answer:
        return Answer.each(list(self._model([pixels[None]]).values()))[0]
