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
_LARGEST = 2**31 - 1  # of a side of a shape
_COLOURS = (1, 3, 4)  # channels of images that every network takes: grey, and colours without or with transparency
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


def read_inference(body: bytes, header_length: str | None, channels: int, limits: Limits) -> Inference:
    """Read a request; with a `header_length`, binary tensors follow after so many bytes of JSON.

    `channels` is the number of those of the model's input.

    Raises:
        Refusal: it does not follow the protocol.
    """
    head, rest = _divided(body, header_length)
    document = read_json(head)
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, f"A request has one input, called {INPUT}.")
    tensor = inputs[0]
    if tensor.get("name") != INPUT:
        raise Refusal(400, f"The input is called {INPUT}; received {_shortened(tensor.get('name'))}.")
    binary = _parameters(tensor).get("binary_data_size")
    if binary is not None and binary != len(rest):
        raise Refusal(400, f"binary_data_size is the number of bytes that follow the JSON, here {len(rest):,}.")
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    if datatype not in ("BYTES", *_ARRAYS):
        raise Refusal(400, f"The datatype of {INPUT} is BYTES, UINT8 or FP32; received {_shortened(datatype)}.")
    if not isinstance(shape, list) or not all(type(side) is int and 0 < side <= _LARGEST for side in shape):
        raise Refusal(400, "The shape of an input is a list of positive whole numbers.")
    if len(shape) != (1 if datatype == "BYTES" else 4):
        raise Refusal(400, f"The shape of BYTES is [n], of images [n, height, width, channels]; received {shape[:8]}.")
    check_count(shape[0], limits)
    data = rest if binary is not None else tensor.get("data")
    if datatype == "BYTES":
        images = _files(data, shape[0])
    elif shape[3] in (*_COLOURS, channels):
        images = _arrays(data, datatype, shape, limits)
    else:
        raise Refusal(400, f"An image has {channels} channels, and they are last; received the shape {shape}.")
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


def _shortened(value: object) -> str:
    return repr(value[:20]) if isinstance(value, str) else "none" if value is None else type(value).__name__


def _files(data: Any, count: int) -> list[bytes | np.ndarray]:
    if isinstance(data, memoryview):
        found: list[bytes | np.ndarray] = []
        position = 0
        while position + 4 <= len(data) and len(found) < count:
            (length,) = struct.unpack_from("<I", data, position)
            found.append(bytes(data[position + 4 : position + 4 + length]))
            position += 4 + length
        if position != len(data):
            raise Refusal(400, "Each element of BYTES is its length in 4 bytes, little-endian, and so many bytes.")
    else:
        found = [from_base64(text) for text in _flat(data)]
    if len(found) != count:
        raise Refusal(400, f"An input of BYTES has the shape [n] and n elements; received [{count}] and {len(found)}.")
    return found


def _arrays(data: Any, datatype: str, shape: list[int], limits: Limits) -> list[bytes | np.ndarray]:
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
    if not all(type(value) in (int, float) for value in values):
        raise Refusal(400, "The data of a tensor are numbers.")
    try:
        numbers = np.array(values, np.float64)
    except OverflowError as error:
        raise Refusal(400, "The data of a tensor are numbers within the range of float64.") from error
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
