"""Compute a network in whole numbers of 8 bits: static ranges, and one for each channel of the weights.

Ranges of activations are those of a few hundred images of the training part (Jacob et al., "Quantization and training
of neural networks for efficient integer-arithmetic-only inference", CVPR 2018, arXiv:1712.05877). The file has
QuantizeLinear and DequantizeLinear around each convolution, which ONNX Runtime and OpenVINO turn into products of whole
numbers.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.files import write_atomically
from striate.core.progress import Progress, silent

if TYPE_CHECKING:
    import onnx

_WEIGHTED = ("Conv", "Gemm")
_BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "MaxPool", "Relu")


def write_int8(network: Path, file: Path, images: Sequence[np.ndarray], progress: Progress = silent) -> None:
    """Write `network`, an ONNX file, into `file` with 8-bit convolutions, calibrated on prepared `images` (c, h, w)."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    model = onnx.load(str(network))
    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._images = enumerate(images)

        def get_next(self) -> Any:
            number, image = next(self._images, (len(images), None))
            progress("converting to int8", number, len(images))
            return None if image is None else {name: image[None]}

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            quantize_static(
                model,
                Path(folder) / "int8.onnx",
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=saturates(),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=_chosen(model),
                calibrate_method=CalibrationMethod.MinMax,
            )
            write_atomically(file, (Path(folder) / "int8.onnx").read_bytes())
    finally:
        logging.disable(disabled)


def saturates() -> bool:
    """Return whether sums of products of bytes overflow on this processor, so that weights need a bit less.

    x86 processors without VNNI add two products of bytes in 16 bits.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True
    return "avx512_vnni" not in flags and "avx_vnni" not in flags


def _chosen(model: onnx.ModelProto) -> list[str]:
    """Return the names of the operators to compute in 8 bits: those with weights, and those between them.

    What precedes the first one with weights and what follows the last one, the answers, stay in float32.
    """
    held = {tensor.name for tensor in model.graph.initializer} | {""}
    nodes = model.graph.node
    weighted = {node.name for node in nodes if node.op_type in _WEIGHTED and node.input[1] in held}
    needed = {name for node in nodes if node.name in weighted for name in node.input}
    for node in reversed(nodes):  # from the answers back
        if needed.intersection(node.output):
            needed.update(node.input)
    after: set[str] = set()
    chosen = []
    for node in nodes:
        computed = [name for name in node.input if name not in held]
        if node.name in weighted or any(name in after for name in computed):
            after.update(node.output)
        between = node.op_type in _BETWEEN and needed.intersection(node.output) and after.issuperset(computed)
        if node.name in weighted or between:
            chosen.append(node.name)
    return chosen
