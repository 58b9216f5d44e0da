"""Export to ONNX, with the preparation in the graph."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.classifier import Classifier
from striate.core.config import to_json
from striate.core.errors import ConfigError, ModelError, RunError
from striate.core.files import write_atomically
from striate.core.spec import InputSpec
from striate.data.preparation.colour import storage_dtype
from striate.exporting.exporter import EXPORTERS, Batches, Exporter, Runtime
from striate.tasks import Task
from striate.tracing import fold

if TYPE_CHECKING:
    import onnx

MODEL, NETWORK = "model.onnx", "network.onnx"
IMAGE, PREPARED, ANSWER = "image", "prepared", "probabilities"
_LARGEST = (1 << 31) - 1  # bytes of a protocol buffer


@dataclass(frozen=True, kw_only=True)
class Onnx(Exporter):
    """ONNX: `model.onnx` takes decoded images of any size, and `network.onnx` prepared ones.

    Args:
        network: write network.onnx, too, which holds the same weights again.
    """

    network: bool = True

    programs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"predict.py": "numpy, Pillow and onnxruntime", "predict.js": "onnxruntime-web, in a browser"}
    )

    def check(self) -> None:
        missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(f"Export to ONNX needs {' and '.join(missing)}: pip install 'striate[export]'.")

    def write(self, classifier: Classifier, folder: Path) -> None:
        from striate.exporting.graph import Graph
        from striate.exporting.preparation import add_preparation
        from striate.exporting.translation import add_network, record

        spec, count = classifier.input, len(classifier.labels)
        program = record(*answering(classifier))
        metadata = {
            "classes": json.dumps(classifier.labels.classes, ensure_ascii=False),
            "input": json.dumps(to_json(spec)),
            "task": json.dumps(to_json(classifier.task)),
            "network": classifier.model_name,
        }
        whole, dtype = Graph(), storage_dtype(spec)
        image = whole.input(IMAGE, dtype, ("n", "height", "width", len(spec.channels)))
        answer = add_network(whole, program, add_preparation(whole, image, spec))
        _save(whole.model(answer, ANSWER, ("n", count), metadata), folder / MODEL)
        if self.network:
            bare = Graph()
            prepared = bare.input(PREPARED, dtype, ("n", *spec.shape))
            answer = add_network(bare, program, prepared if dtype == np.float32 else prepared.to(np.float32))
            _save(bare.model(answer, ANSWER, ("n", count), metadata), folder / NETWORK)

    def verify(self, folder: Path) -> None:
        for name in (MODEL, NETWORK) if self.network else (MODEL,):
            check_file(folder / name)

    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        return [OnnxRuntime(folder / MODEL)]

    def batches(self, folder: Path) -> Batches | None:
        if not self.network:
            return None
        opened = session(folder / NETWORK)
        return lambda prepared: opened.run([ANSWER], {PREPARED: prepared})[0]


EXPORTERS.add("onnx", Onnx)


class OnnxRuntime:
    """`model.onnx`, opened in ONNX Runtime on the processor."""

    def __init__(self, path: Path) -> None:
        self._session = session(path)

    @property
    def name(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._session.run([ANSWER], {IMAGE: pixels[None]})[0][0]


def session(path: Path) -> Any:
    """Open an ONNX file in ONNX Runtime on the processor, with as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check_file(path: Path) -> None:
    """Check that an ONNX file holds its own weights, and standard operators only.

    Raises:
        RunError: it refers to other files, states weights larger than itself, or needs operators of a library.
    """
    import onnx

    from striate.exporting.graph import BRANCHES

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # of the parser of protocol buffers
        raise RunError(f"{path} is no ONNX file, or is damaged ({error}).") from error
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    held = [attribute.t for attribute in attributes if attribute.HasField("t")]
    for tensor in [*model.graph.initializer, *held]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise RunError(f"{path} refers to another file for its weights, which is refused.")
        if min(tensor.dims, default=1) < 0 or math.prod(tensor.dims) > 8 * max(1, tensor.ByteSize()):
            raise RunError(f"{path} states weights of {'×'.join(map(str, tensor.dims))}, and does not hold them.")
    if model.functions or any(attribute.type in BRANCHES for attribute in attributes):
        raise RunError(f"{path} holds functions or branches, which no exported classifier has.")
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if domains:
        raise RunError(f"{path} needs operators of {sorted(domains)[0]}, which are refused.")


def answering(classifier: Classifier) -> tuple[nn.Module, Float[Tensor, "n c h w"]]:
    """Return the network from prepared levels, in float32, to probabilities, and an example of its input."""
    network = fold(classifier.model.eval(), classifier.input.shape)
    module = _Answering(network, classifier.input, classifier.task, classifier.temperature)
    return module.eval(), torch.zeros(2, *classifier.input.shape)


class _Answering(nn.Module):
    """Scale prepared images, run the network, and convert its outputs to probabilities."""

    first: Tensor
    second: Tensor

    def __init__(self, network: nn.Module, spec: InputSpec, task: Task, temperature: float) -> None:
        super().__init__()
        self.network, self._task, self._temperature = network, task, temperature
        self._divides = storage_dtype(spec) == np.float32
        columns = ([spec.maximum * value for value in column] for column in (spec.mean, spec.std))
        first, second = columns if self._divides else spec.scaling
        self.register_buffer("first", torch.tensor(first, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("second", torch.tensor(second, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, levels: Tensor) -> Tensor:
        scaled = (levels - self.first) / self.second if self._divides else levels * self.first + self.second
        return self._task.answers(self._task.outputs(self.network, scaled), self._temperature)


def _save(model: onnx.ModelProto, path: Path) -> None:
    if model.ByteSize() > _LARGEST:
        raise ModelError("The network has more than 2 GiB of weights, which one ONNX file cannot hold.")
    write_atomically(path, model.SerializeToString())
