"""Read the description of weights: `classifier.json` of Striate, or `config.json` of timm on the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.config import from_json
from striate.core.errors import ConfigError, ModelError
from striate.core.files import read_regular
from striate.core.spec import InputSpec, LabelSpec
from striate.models._zoo import MODELS
from striate.models.weights import entries
from striate.models.weights.preparation import input_spec_of

_PACKED = 2  # the format of a compressed classifier (`classifier.folder`)


@dataclass(frozen=True)
class Described:
    """The model of weights, and their input, classes and library as far as they are known.

    `digest` is the SHA-256 that their file must have, as `"sha256:…"`; `packed` weights are no plain tensors.
    """

    model: str
    input: InputSpec | None = None
    labels: tuple[str, ...] | None = None
    dialect: str | None = None
    digest: str | None = None
    packed: bool = False


def described_by_striate(path: Path) -> Described:
    """Read the model, input and classes of a `classifier.json`.

    Raises:
        ModelError: it is damaged.
    """
    try:
        stored = json.loads(read_regular(path))
        labels = from_json(LabelSpec, stored["labels"], where="labels").classes
        return Described(
            str(stored["model"]["name"]),
            from_json(InputSpec, stored["input"], where="input"),
            labels,
            digest=f"sha256:{stored['weights_sha256']}",
            packed=stored["format"] == _PACKED,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise ModelError(f"{path} does not describe a classifier ({error}). Restore it from a copy.") from error


def described_by_config(config: Mapping[str, Any], source: str, model: str | None) -> Described:
    """Read a `config.json` of timm: its architecture, `pretrained_cfg` and class names.

    `model` is the zoo's, if the user names it; else the catalogue finds it by the architecture.

    Raises:
        ModelError: it is no configuration of timm, or the zoo does not have the architecture.
    """
    prepared = config.get("pretrained_cfg")
    architecture = config.get("architecture")
    if not isinstance(prepared, Mapping) or not isinstance(architecture, str):
        raise ModelError(
            f"{source} is no model of timm: its config.json has no architecture and pretrained_cfg, which say how "
            "images are prepared. Pass the path of its file of weights, and name the network."
        )
    found = model or entries.model_of(architecture) or (architecture if architecture in MODELS else None)
    if found is None:
        raise ModelError(f"{source} is the architecture {architecture!r}, which the zoo does not have.")
    try:
        return Described(found, input_spec_of(prepared), _labels(config, prepared), _dialect(architecture))
    except (ConfigError, TypeError, ValueError) as error:
        raise ModelError(f"{source}: its config.json cannot be used ({str(error).rstrip('.')}).") from error


def _dialect(architecture: str) -> str:
    """Return the dialect of an architecture: timm marks those with TensorFlow's padding and epsilon."""
    return "tensorflow" if architecture.startswith("tf_") else "timm"


def _labels(config: Mapping[str, Any], prepared: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names: those in the file if they differ from each other, or ImageNet's for its 1,000."""
    count = config.get("num_classes", prepared.get("num_classes"))
    names = config.get("label_names") or prepared.get("label_names")
    if isinstance(names, list) and len(names) == count and len({str(name) for name in names}) == count:
        return tuple(map(str, names))
    if count == 1000:
        return entries.labels_of(entries.IMAGENET)
    return None if type(count) is not int else tuple(map(str, range(count)))
