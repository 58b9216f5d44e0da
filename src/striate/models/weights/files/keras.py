"""Read Keras files: weights in HDF5 by layer names (Keras 1 and 2), by variables (Keras 3), and `.keras` archives."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.archives import credible_size
from striate.core.errors import ModelError
from striate.core.memory import available_memory
from striate.core.registry import natural_key

if TYPE_CHECKING:
    import h5py

_TRIAL = Path(__file__).with_name("try_h5.py")
_SECONDS = 120
_DEEPEST = 32
_UNKNOWN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""Errors of a configuration of another form."""
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError)
_KERNEL_BIAS = (("kernel", ""), ("bias", "use_bias"))
# The variables of a layer in the order of their numbers, and the setting that each needs.
_VARIABLES = {
    "Conv2D": _KERNEL_BIAS,
    "DepthwiseConv2D": _KERNEL_BIAS,
    "Dense": _KERNEL_BIAS,
    "SeparableConv2D": (("depthwise_kernel", ""), ("pointwise_kernel", ""), ("bias", "use_bias")),
    "BatchNormalization": (("gamma", "scale"), ("beta", "center"), ("moving_mean", ""), ("moving_variance", "")),
    "LayerNormalization": (("gamma", "scale"), ("beta", "center")),
    "Normalization": (("mean", ""), ("variance", ""), ("count", "")),
}


def _snake_case(kind: str) -> str:
    """Return the name that Keras gives to layers of a class without a name of their own."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()


_NUMBERED = {_snake_case(kind): tuple(name for name, _ in variables) for kind, variables in _VARIABLES.items()}
_NUMBERED["layer_scale"] = ("gamma",)  # of ConvNeXt
_NO_WEIGHTS = ("optimizer", "optimizer_weights")


def read_h5(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """Return the arrays of an HDF5 file of Keras by `layer/variable`, and facts about the file.

    In the layout of Keras 1 and 2 the layers come in the order of the model, by the attributes `layer_names` and
    `weight_names`: `conv1/conv1_W:0`. That of Keras 3 numbers layers and variables, and most versions write the name of
    each layer next to them; without names, those of the arrays are the paths of the file: `layers/conv2d/vars/0`. The
    state of an optimizer is left out.

    Raises:
        ModelError: h5py is not installed, or the file is damaged, refers to other files, or unpacks to too much.
    """
    arrays, names, facts = _of_h5(path, data)
    return _by_layer_names(arrays, names), facts


def _of_h5(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str], Mapping[str, str]]:
    """Return the arrays, the names of layers by the paths of their variables (of Keras 3), and facts about the file."""
    module = _h5py(path)
    _try(path, data)
    try:
        with module.File(io.BytesIO(data), "r") as file:
            root: Any = file.get("model_weights", file)
            places = dict(_by_layers(root) if "layer_names" in root.attrs else _by_paths(root))
            arrays = _read(path, len(data), places)
            above = {name.rpartition("/")[0]: place.parent.attrs for name, place in places.items()}
            names = {inner: _text(attributes["name"]) for inner, attributes in above.items() if "name" in attributes}
            return arrays, names, _facts(file.attrs) | _facts(root.attrs)
    except _DAMAGED as error:
        raise ModelError(f"{path} is cut off or damaged ({error}). Get the file again.") from error


def read_keras(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """Return the arrays of a `.keras` archive by `layer/variable`, as in `one/kernel`, and facts about its model.

    Its weights count the layers of each class (`layers/conv2d_1/vars/0`); its configuration has their names.

    Raises:
        ModelError: as `read_h5`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            weights = archive.read("model.weights.h5")
            config = archive.read("config.json") if "config.json" in archive.namelist() else b""
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, *_DAMAGED) as error:
        raise ModelError(f"{path} is cut off or damaged ({error}). Get the file again.") from error
    arrays, names, facts = _of_h5(path, weights)
    named = _named(arrays, config)
    return (_by_layer_names(arrays, names) if named is None else named), {**facts, **_described(config)}


def _by_layer_names(arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Give the arrays of Keras 3 the names of their layers and variables, if all layers have names of their own.

    The number of variables of a layer decides which ones they are: without one of two, a batch norm has no `gamma`.
    """
    counts = Counter(place.rpartition("/")[0] for place in arrays)
    named: dict[str, np.ndarray] = {}
    for place, array in arrays.items():
        above, _, number = place.rpartition("/")
        kind = re.sub(r"_\d+$", "", above.removesuffix("/vars").rpartition("/")[2])
        known = _NUMBERED.get(kind, ())
        variables = known[1:] if kind == "batch_normalization" and counts[above] == 3 else known
        if above not in names or not number.isdecimal() or int(number) >= len(variables):
            return dict(arrays)
        named[f"{names[above]}/{variables[int(number)]}"] = array
    return named if len(named) == len(arrays) else dict(arrays)


def _named(arrays: Mapping[str, np.ndarray], config: bytes) -> dict[str, np.ndarray] | None:
    """Give the arrays the names of their layers and variables, in the order of the configuration's layers.

    Return None if the configuration does not have all of them.
    """
    try:
        layers = json.loads(config)["config"]["layers"]
        classes = [(layer["class_name"], layer["config"], layer["config"]["name"]) for layer in layers]
        return _by_configuration(arrays, classes)
    except _UNKNOWN:
        return None


def _by_configuration(
    arrays: Mapping[str, np.ndarray], classes: Sequence[tuple[str, Mapping[str, Any], str]]
) -> dict[str, np.ndarray] | None:
    """Name the arrays by the class, the settings and the name of each layer in order."""
    counts: Counter[str] = Counter()
    named: dict[str, np.ndarray] = {}
    for kind, settings, layer in classes:
        group = _snake_case(kind)
        number = counts[group]
        counts[group] += 1
        variables = [name for name, switch in _VARIABLES.get(kind, ()) if not switch or settings.get(switch, True)]
        for place, variable in enumerate(variables):
            array = arrays.get(f"layers/{group}{f'_{number}' if number else ''}/vars/{place}")
            if array is not None:
                named[f"{layer}/{variable}"] = array
    return named if len(named) == len(arrays) else None


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ModelError(
            f"{path} is a Keras file, and h5py, which reads those, is not installed. "
            "Install it: pip install 'striate[weights]'"
        ) from error
    return h5py


def _try(path: Path, data: bytes) -> None:
    """Read the file in another process first, which may crash: the HDF5 library trusts what it reads.

    Raises:
        ModelError: it did, or took longer than weights do.
    """
    most = min(available_memory(), credible_size(len(data)))
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_TRIAL), str(most)], input=data, capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{path} was not read within {_SECONDS} s, which is longer than weights take.") from error
    except BrokenPipeError:  # it died while it was given the file
        done = None
    if done is None or done.returncode not in (0, 1):
        raise ModelError(f"{path} is cut off or damaged (HDF5 crashes on it). Get the file again.")


def _by_layers(root: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the arrays of Keras 1 and 2 in the order of the layers."""
    for layer in _texts(root, "layer_names"):
        group = _own(root, layer)
        for name in _texts(group, "weight_names"):
            yield f"{layer}/{name}", _dataset(group, name)


def _by_paths(group: h5py.Group, above: str = "", depth: int = 0) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every array by its path, in the order of numbers in names (`conv2d_2` before `conv2d_10`)."""
    if depth > _DEEPEST:
        raise ValueError("its groups are nested without end")
    for name in sorted(group, key=natural_key):
        if not above and name in _NO_WEIGHTS:
            continue
        inner = _own(group, name)
        if hasattr(inner, "shape"):
            yield f"{above}{name}", _dataset(group, name)
        else:
            yield from _by_paths(inner, f"{above}{name}/", depth + 1)


def _own(group: h5py.Group, name: str) -> Any:
    """Return the group or array `name` of this file, step by step, without following links."""
    found: Any = group
    for step in name.split("/"):
        link = found.get(step, getlink=True)
        if type(link).__name__ != "HardLink":
            raise ValueError(f"{name} is missing, or a link to elsewhere")
        found = found[step]
    return found


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    found = _own(group, name)
    if not hasattr(found, "shape") or found.is_virtual or found.external:
        raise ValueError(f"{name} is no array of this file")
    return found


def _read(path: Path, size: int, places: Mapping[str, h5py.Dataset]) -> dict[str, np.ndarray]:
    """Read arrays of numbers, if all of them together are of a credible size."""
    numbers = {name: place for name, place in places.items() if place.dtype.kind in "fiu"}
    total = sum(place.nbytes for place in numbers.values())
    if total > min(available_memory(), credible_size(size)):
        raise ModelError(f"{path} unpacks to {total:,} bytes, which is more than weights of {size:,} bytes can be.")
    return {name: np.asarray(place[()]) for name, place in numbers.items()}


def _facts(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the backend and version of Keras, and the model's description, from the attributes of a file."""
    facts = {
        key: _text(attributes[key])
        for key in ("backend", "keras_version")
        if isinstance(attributes.get(key), (str, bytes))
    }
    config = attributes.get("model_config")
    return facts | _described(config if isinstance(config, (str, bytes)) else b"")


def _described(config: str | bytes) -> dict[str, str]:
    """Return the name of the model, and of its layers in order, from a configuration of Keras."""
    try:
        inner = json.loads(config)["config"]
        layers = [layer["config"]["name"] for layer in inner["layers"]]
        return {"model": str(inner["name"]), "layers": json.dumps(layers)}
    except _UNKNOWN:
        return {}


def _texts(group: Any, attribute: str) -> list[str]:
    return [_text(value) for value in group.attrs.get(attribute, ())]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
