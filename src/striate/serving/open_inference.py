"""The Open Inference Protocol, version 2, with its extension for binary tensors.

Source: the "Open Inference Protocol" of KServe, and the "Binary tensor data extension" of Triton.

An input is called `image`. Its datatype is BYTES, shape [n], for image files (in JSON: each in base64), or UINT8 or
FP32, shape [n, height, width, channels], for decoded images, from 0 to 255 or from 0 to 1. The outputs are
`probabilities` (FP32 [n, k], in the order of the classes), `label` (BYTES [n]) and `none_of_these` (BOOL [n]).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.serving.bodies import check_count, from_base64, read_json
from striate.serving.hosting import Hosted, Loaded, input_of
from striate.serving.limits import Limits
from striate.serving.refusal import Refusal
from striate.tasks import Prediction

LENGTH_HEADER = "Inference-Header-Content-Length"
INPUT = "image"
PROBABILITIES, LABEL, NONE = "probabilities", "label", "none_of_these"
_TYPES = {PROBABILITIES: "FP32", LABEL: "BYTES", NONE: "BOOL"}
_ARRAYS = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}


@dataclass(frozen=True, eq=False)
class Inference:
    """A request: images as files or arrays, and the names of the outputs, each with whether it is binary."""

    images: list[bytes | np.ndarray]
    outputs: dict[str, bool]
    identifier: str | None


def metadata(hosted: Hosted) -> dict[str, Any]:
    """Describe a model as the protocol does."""
    model = hosted.current.model
    spec, count = input_of(model), len(model.labels)
    return {
        "name": hosted.name,
        "versions": [hosted.current.version],
        "platform": "striate",
        "inputs": [
            {"name": INPUT, "datatype": "BYTES", "shape": [-1]},
            {"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, len(spec.channels)]},
            {"name": INPUT, "datatype": "FP32", "shape": [-1, -1, -1, len(spec.channels)]},
        ],
        "outputs": [
            {"name": name, "datatype": kind, "shape": [-1, count] if name == PROBABILITIES else [-1]}
            for name, kind in _TYPES.items()
        ],
        "classes": list(model.labels.classes),
    }


def read_inference(body: bytes, header_length: str | None, limits: Limits) -> Inference:
    """Read a request; with a `header_length`, binary tensors follow after so many bytes of JSON.

    Raises:
        Refusal: it does not follow the protocol.
    """
    head, rest = _divided(body, header_length)
    document = read_json(head)
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, f"A request has one input, called {INPUT}.")
    tensor = inputs[0]
    binary = _parameters(tensor).get("binary_data_size")
    if binary is not None and binary != len(rest):
        raise Refusal(400, f"binary_data_size is {binary!r}, and {len(rest):,} bytes follow the JSON.")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(side) is int and side > 0 for side in shape):
        raise Refusal(400, "The shape of an input is a list of positive whole numbers.")
    check_count(shape[0], limits)
    data = rest if binary is not None else tensor.get("data")
    if tensor.get("datatype") == "BYTES":
        images: list[bytes | np.ndarray] = [*_files(data, shape)]
    else:
        images = [*_arrays(data, str(tensor.get("datatype")), shape, limits)]
    return Inference(images, _outputs(document), document.get("id"))


def _divided(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    length = int(header_length) if re.fullmatch("[0-9]{1,18}", header_length) else len(body) + 1
    if length > len(body):
        raise Refusal(400, f"{LENGTH_HEADER} is the number of bytes of the JSON in the body.")
    return body[:length], memoryview(body)[length:]


def _parameters(of: Mapping[str, Any]) -> Mapping[str, Any]:
    found = of.get("parameters", {})
    return found if isinstance(found, dict) else {}


def _files(data: Any, shape: list[int]) -> list[bytes]:
    count = math.prod(shape)
    if isinstance(data, memoryview):
        found, position = [], 0
        while position + 4 <= len(data) and len(found) < count:
            (length,) = struct.unpack_from("<I", data, position)
            found.append(bytes(data[position + 4 : position + 4 + length]))
            position += 4 + length
        if position != len(data):
            raise Refusal(400, "Each element of BYTES is its length in 4 bytes, little-endian, and so many bytes.")
    else:
        found = [from_base64(text) for text in _flat(data)]
    if len(found) != count or shape[0] != count:
        raise Refusal(400, f"An input of BYTES has the shape [n] and n elements; received {shape} and {len(found)}.")
    return found


def _arrays(data: Any, datatype: str, shape: list[int], limits: Limits) -> list[np.ndarray]:
    if datatype not in _ARRAYS:
        raise Refusal(400, f"The datatype of {INPUT} is BYTES, UINT8 or FP32; received {datatype[:20]!r}.")
    if len(shape) != 4:
        raise Refusal(400, f"Decoded images have the shape [n, height, width, channels]; received {shape[:8]}.")
    if math.prod(shape[1:3]) > limits.pixels:
        raise Refusal(413, f"An image has at most {limits.pixels:,} pixels; received {shape[2]}×{shape[1]}.")
    dtype, count = _ARRAYS[datatype], math.prod(shape)
    if isinstance(data, memoryview):
        if len(data) != count * dtype.itemsize:
            raise Refusal(400, f"{datatype} {shape} has {count * dtype.itemsize:,} bytes; received {len(data):,}.")
        flat = np.frombuffer(data, dtype)
    else:
        values = _flat(data)
        if len(values) != count:
            raise Refusal(400, f"The shape {shape} has {count:,} values; received {len(values):,}.")
        flat = _numbers(values, dtype)
    return list(flat.reshape(shape))


def _numbers(values: list[Any], dtype: np.dtype) -> np.ndarray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refusal(400, "The data of a tensor are numbers.") from error
    if dtype == np.uint8 and not ((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))).all():
        raise Refusal(400, "Values of UINT8 are whole numbers from 0 to 255.")
    with np.errstate(over="ignore"):
        return numbers.astype(dtype)


def _flat(data: Any) -> list[Any]:
    """Return the values of lists in lists, in their order."""
    if not isinstance(data, list):
        raise Refusal(400, "An input has its values in data, or in binary form after the JSON.")
    while data and isinstance(data[0], list):
        if not all(isinstance(each, list) for each in data):
            raise Refusal(400, "The lists in data are of one depth.")
        data = [value for each in data for value in each]
    return data


def _outputs(document: Mapping[str, Any]) -> dict[str, bool]:
    every = bool(_parameters(document).get("binary_data_output", False))
    wanted = document.get("outputs")
    if wanted is None:
        return dict.fromkeys(_TYPES, every)
    if not isinstance(wanted, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) and each["name"] in _TYPES for each in wanted
    ):
        raise Refusal(400, f"The outputs are {', '.join(_TYPES)}.")
    return {each["name"]: bool(_parameters(each).get("binary_data", every)) for each in wanted}


def written(name: str, loaded: Loaded, request: Inference, found: Sequence[Prediction]) -> tuple[bytes, int | None]:
    """Return the body of the answer, and the bytes of its JSON where binary tensors follow."""
    classes = loaded.model.labels.classes
    columns: dict[str, Any] = {
        PROBABILITIES: np.array([[each.probabilities[label] for label in classes] for each in found], np.float32),
        LABEL: [each.label for each in found],
        NONE: [bool(each.none_of_these) for each in found],
    }
    outputs, parts = [], []
    for output_name, binary in request.outputs.items():
        shape = [len(found), len(classes)] if output_name == PROBABILITIES else [len(found)]
        output: dict[str, Any] = {"name": output_name, "datatype": _TYPES[output_name], "shape": shape}
        if binary:
            parts.append(_binary(columns[output_name]))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            column = columns[output_name]
            output["data"] = column.ravel().tolist() if isinstance(column, np.ndarray) else column
        outputs.append(output)
    document: dict[str, Any] = {"model_name": name, "model_version": loaded.version, "outputs": outputs}
    if request.identifier is not None:
        document["id"] = str(request.identifier)
    head = json.dumps(document).encode()
    return b"".join([head, *parts]), len(head) if parts else None


def _binary(column: Any) -> bytes:
    if isinstance(column, np.ndarray):
        return column.astype("<f4").tobytes()
    if column and isinstance(column[0], str):
        encoded = [text.encode() for text in column]
        return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    return np.array(column, np.uint8).tobytes()
