"""Export to ONNX, with the preparation in the graph."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.config import from_json, to_json
from striate.core.errors import ModelError, RunError
from striate.core.files import write_atomically
from striate.core.spec import InputSpec
from striate.data.preparation.colour import storage_dtype
from striate.exporting.answering import NONE_OF_THESE, P_VALUE, PROBABILITIES, SIMILARITY, answering, set_thresholds
from striate.exporting.exporter import EXPORTERS, Answer, Batches, Exporter, Runtime, check_installed, checked_image

if TYPE_CHECKING:
    import onnx

    from striate.exporting.graph import Graph, Value

MODEL, NETWORK = "model.onnx", "network.onnx"
IMAGE, PREPARED = "image", "prepared"
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
        check_installed("ONNX", ("onnx", "onnxruntime"), "export")

    def write(self, classifier: Classifier, folder: Path) -> None:
        from striate.exporting.graph import Graph
        from striate.exporting.preparation import add_preparation
        from striate.exporting.translation import add_network, record

        spec, count = classifier.input, len(classifier.labels)
        program, metadata = record(*answering(classifier)), _metadata(classifier)
        whole, dtype = Graph(), storage_dtype(spec)
        image = whole.input(IMAGE, dtype, ("n", "height", "width", len(spec.channels)))
        _add_outputs(whole, add_network(whole, program, add_preparation(whole, image, spec)), count)
        _save(whole.model(metadata), folder / MODEL)
        if self.network:
            bare = Graph()
            prepared = bare.input(PREPARED, dtype, ("n", *spec.shape))
            levels = prepared if dtype == np.float32 else prepared.to(np.float32)
            _add_outputs(bare, add_network(bare, program, levels), count)
            _save(bare.model(metadata), folder / NETWORK)

    def verify(self, folder: Path) -> None:
        for name in (MODEL, NETWORK) if self.network else (MODEL,):
            check_file(folder / name)

    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        return [OnnxRuntime(folder / MODEL)]

    def batches(self, folder: Path) -> Batches | None:
        if not self.network:
            return None
        opened = session(folder / NETWORK)
        return lambda prepared: Answer.each(opened.run(None, {PREPARED: prepared}))


EXPORTERS.add("onnx", Onnx)


class OnnxRuntime:
    """`model.onnx`, opened in ONNX Runtime on the processor."""

    def __init__(self, path: Path) -> None:
        self._session = session(path)
        self._taken = len(self.input.channels), storage_dtype(self.input)

    @property
    def name(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    @property
    def input(self) -> InputSpec:
        """The preparation that is in the file."""
        return from_json(InputSpec, json.loads(self._session.get_modelmeta().custom_metadata_map["input"]))

    def __call__(self, pixels: np.ndarray) -> Answer:
        return Answer.each(self._session.run(None, {IMAGE: checked_image(pixels, *self._taken)[None]}))[0]


def write_whole(classifier: Classifier, folder: Path) -> None:
    """Write model.onnx again, with the network as it is in network.onnx."""
    import onnx

    from striate.exporting.graph import Graph
    from striate.exporting.preparation import add_preparation

    spec = classifier.input
    whole, dtype = Graph(), storage_dtype(spec)
    image = whole.input(IMAGE, dtype, ("n", "height", "width", len(spec.channels)))
    levels = add_preparation(whole, image, spec)
    network = onnx.load(str(folder / NETWORK))
    answers = whole.include(network, levels if dtype == np.float32 else levels.to(dtype.type))
    _add_outputs(whole, answers, len(classifier.labels))
    _save(whole.model(_metadata(classifier)), folder / MODEL)


def _metadata(classifier: Classifier) -> dict[str, str]:
    return {
        "classes": json.dumps(classifier.labels.classes, ensure_ascii=False),
        "input": json.dumps(to_json(classifier.input)),
        "task": json.dumps(to_json(classifier.task)),
        "network": classifier.model_name,
        "sets": json.dumps(set_thresholds(classifier)),
    }


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

    from striate.exporting.graph import BRANCHES, SPARSE

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # of the parser of protocol buffers
        raise RunError(f"{path} is no ONNX file, or is damaged ({error}).") from error
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    held = [attribute.t for attribute in attributes if attribute.HasField("t")]
    held += [tensor for attribute in attributes for tensor in attribute.tensors]
    if model.graph.sparse_initializer or any(attribute.type in SPARSE for attribute in attributes):
        raise RunError(f"{path} holds sparse weights, which no exported classifier has.")
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


def _add_outputs(graph: Graph, answers: Sequence[Value], classes: int) -> None:
    """Declare the outputs of `answering`."""
    graph.output(PROBABILITIES, answers[0], np.float32, ("n", classes))
    if len(answers) > 1:
        graph.output(P_VALUE, answers[1], np.float32, ("n",))
        graph.output(NONE_OF_THESE, answers[2], np.bool_, ("n",))
        graph.output(SIMILARITY, answers[3], np.float32, ("n",))


def _save(model: onnx.ModelProto, path: Path) -> None:
    if model.ByteSize() > _LARGEST:
        raise ModelError("The network has more than 2 GiB of weights, which one ONNX file cannot hold.")
    write_atomically(path, model.SerializeToString())
