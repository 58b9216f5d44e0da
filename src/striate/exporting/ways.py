"""Ways to compute an exported network on a processor: runtimes, memory layouts and precisions."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.device import computes_in_bf16
from striate.exporting.answering import answering
from striate.exporting.onnx_files import PREPARED, session

RuntimeName = Literal["torch", "torch_channels_last", "torch_compiled", "onnxruntime", "openvino"]
Precision = Literal["float32", "bf16", "int8"]
Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""From prepared images (n, c, h, w), not scaled, to the outputs of `answering`."""


@dataclass(frozen=True)
class Way:
    """A runtime and a precision."""

    runtime: RuntimeName
    precision: Precision = "float32"

    def __str__(self) -> str:
        return f"{self.runtime}, {self.precision}"


PLAIN = Way("torch")


def ways(*, compiled: bool = False, reduced: bool = True) -> list[Way]:
    """Return the ways that this machine has, the one of `Classifier.predict` without an export first.

    bf16 only where the processor has instructions for it. `compiled`: also by torch's compiler, if there is one for
    C++. `reduced`: also with less precision than float32.
    """
    bf16 = reduced and computes_in_bf16("cpu")
    found = [PLAIN, Way("torch_channels_last"), *([Way("torch_channels_last", "bf16")] if bf16 else [])]
    if compiled and (shutil.which("g++") or shutil.which("clang++")):
        found += [Way("torch_compiled"), *([Way("torch_compiled", "bf16")] if bf16 else [])]
    found += [Way("onnxruntime"), *([Way("onnxruntime", "int8")] if reduced else [])]
    if importlib.util.find_spec("openvino") is not None:
        found += [Way("openvino"), *([Way("openvino", "bf16")] if bf16 else [])]
        found += [Way("openvino", "int8")] if reduced else []
    return found


def open_way(way: Way, network: Path, classifier: Classifier | None) -> Run:
    """Open `network`, an ONNX file in the precision of `way`, with as many threads as torch uses.

    torch computes the network of `classifier` in its place.
    """
    if way.runtime == "onnxruntime":
        opened = session(network)
        return lambda prepared: opened.run(None, {PREPARED: prepared})
    if way.runtime == "openvino":
        return _in_openvino(network, "bf16" if way.precision == "bf16" else "f32")
    assert classifier is not None
    return _in_torch(classifier, way)


def _in_openvino(network: Path, precision: str) -> Run:
    openvino: Any = importlib.import_module("openvino")
    options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": precision}
    core = openvino.Core()
    model = core.read_model(network)
    if model.input(0).get_element_type() == openvino.Type.u16:  # with which it computes nothing in int8
        model.get_parameters()[0].set_element_type(openvino.Type.f32)
        model.validate_nodes_and_infer_types()
    compiled = core.compile_model(model, "CPU", options)
    taken = compiled.input(0).get_element_type().to_dtype()

    def run(prepared: np.ndarray) -> Sequence[np.ndarray]:
        found = compiled([prepared.astype(taken, copy=False)])
        return [found[number] for number in range(len(found))]

    return run


def _in_torch(classifier: Classifier, way: Way) -> Run:
    module: Any = answering(classifier)[0]
    memory = torch.contiguous_format if way.runtime == "torch" else torch.channels_last
    if memory == torch.channels_last:
        module = copy.deepcopy(module).to(memory_format=memory)  # the weights are those of the classifier
    if way.runtime == "torch_compiled":
        module = torch.compile(module, dynamic=True)

    def run(prepared: np.ndarray) -> Sequence[np.ndarray]:
        levels = torch.from_numpy(prepared).float().contiguous(memory_format=memory)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=way.precision == "bf16"):
            found = module(levels)
        outputs = found if isinstance(found, tuple) else (found,)
        return [(each.float() if each.dtype == torch.bfloat16 else each).numpy() for each in outputs]

    return run


def version(way: Way) -> str:
    """Return the runtime with its version, and the precision, in words."""
    package = way.runtime.partition("_")[0]
    module: Any = importlib.import_module(package)
    kind = way.runtime.removeprefix(package).replace("_", " ")
    return f"{package} {module.__version__.split('-')[0]}{kind}, {way.precision}"
