"""The catalogue of pretrained weights: where they are published, and what is needed to use them.

`catalogue/*.json` hold a list of entries each, `catalogue/classes/NAME.json` lists of class names. A command of the
maintainers writes them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.config import from_json
from striate.core.download import Remote, fetch
from striate.core.errors import DataError, ModelError, closest, command
from striate.core.files import cache_folder
from striate.core.progress import Progress, silent
from striate.core.registry import natural_key
from striate.core.spec import InputSpec
from striate.models._zoo import matching
from striate.models.weights import hub

IMAGENET = "imagenet-1k"
_FOLDER = Path(__file__).with_name("catalogue")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Published weights of one model.

    `name` is MODEL.TAG, `default` marks the tag that MODEL alone stands for. The file `file` is at one of `addresses`,
    in the repository `hub` of the Hugging Face hub, or installed with a Python `package`. `digest` is "sha256:…" of its
    bytes, or "sha256-prefix:…" of the first digits; None where only the hub knows it. `dialect` names the library.
    `input` is the preparation of the published evaluation, `classes` the name of a list of class names. `top1` and
    `top5` are the published accuracies in per cent.
    """

    name: str
    model: str
    dialect: str
    input: InputSpec
    classes: str
    licence: str
    file: str
    addresses: tuple[str, ...] = ()
    hub: str | None = None
    package: str | None = None
    digest: str | None = None
    size: int | None = None
    top1: float | None = None
    top5: float | None = None
    default: bool = False
    notes: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return labels_of(self.classes)

    def find(self) -> Path | None:
        """Return the file if it is on this machine: in its package or in the cache."""
        if self.package is not None:
            return _installed(self.package, self.file)
        if self.hub is not None:
            return hub.find_file(hub.Repository(self.hub), self.file)
        path = self._cached()
        return path if path.exists() else None

    def provide(self, progress: Progress = silent) -> tuple[Path, str | None]:
        """Return the file, downloaded if it is not on this machine, and the digest that it must have, if it is known.

        Raises:
            ModelError: it cannot be downloaded; the message says how to get it.
            RunError: the cache cannot be written, or another process is downloading the same weights.
        """
        whole = self.digest if self.digest and self.digest.startswith("sha256:") else None
        found = self.find()
        if found is not None:
            return found, self.digest
        if self.package is not None:
            raise ModelError(
                f"{self.name} comes with the package {self.package}, which is not installed. "
                f"Install it: pip install {self.package}"
            )
        if self.hub is not None:
            return hub.provide_file(hub.Repository(self.hub), self.file, digest=whole, progress=progress)
        path = self._cached()
        if self.digest is None or not self.addresses:
            origin = f" ({self.notes})" if self.notes else ""
            raise ModelError(
                f"{self.name} is not downloaded: its catalogue entry has no address or no digest. Get {self.file} from "
                f"its source{origin} and pass its path: {self._use}"
            )
        try:
            fetch([Remote(path.name, self.addresses, self.size, self.digest)], path.parent, progress=progress)
        except DataError as error:
            raise ModelError(
                f"{self.name} could not be downloaded ({error.__cause__ or error}). Where there is a network: "
                f"curl -LO {self.addresses[0]}; then here: {self._use}"
            ) from error
        return path, self.digest

    @property
    def _use(self) -> str:
        """A command line that uses the file by its path."""
        return command("predict", self.model, "--weights", self.file, "IMAGES")

    def _cached(self) -> Path:
        return cache_folder() / "weights" / self.name / self.file


def names() -> list[str]:
    """Return the names of all entries, in natural order."""
    return sorted(_raw(), key=natural_key)


def entries(pattern: str | None = None) -> list[Entry]:
    """Return all entries in natural order, or those whose name matches `pattern`, as `striate.models.list_models`."""
    return [entry(name) for name in matching(names(), pattern)]


def entry(name: str) -> Entry:
    """Return the entry MODEL.TAG, or the default one of MODEL.

    Raises:
        ModelError: there is none; the nearest name is offered.
    """
    raw = _raw()
    known = name if name in raw else _defaults().get(name)
    if known is None:
        raise ModelError(f"The catalogue has no weights {name!r}. {suggestion(name)}")
    return from_json(Entry, raw[known], where=known)


def suggestion(name: str) -> str:
    """Suggest the name of an entry close to `name`; the names are too many to be listed in a sentence."""
    close = closest(name, _raw())
    return f"Did you mean {close!r}?" if close else f"List the names: {command('list-models', '--weights')}."


def is_entry(name: str) -> bool:
    """Return whether `name` is MODEL.TAG of an entry, or a MODEL with weights in the catalogue."""
    return name in _raw() or name in _defaults()


def entry_with(digest: str) -> Entry | None:
    """Return the entry of the file with this digest, "sha256:…"; None if no entry has it."""
    digits = digest.rpartition(":")[2]
    for name, raw in _raw().items():
        kind, _, known = (raw.get("digest") or "").partition(":")
        if known and (digits == known if kind == "sha256" else kind == "sha256-prefix" and digits.startswith(known)):
            return entry(name)
    return None


def model_of(architecture: str) -> str | None:
    """Return the model of the zoo that timm calls `architecture`, from its repositories `timm/ARCHITECTURE.TAG`."""
    begins = f"timm/{architecture}."
    return next((raw["model"] for raw in _raw().values() if (raw.get("hub") or "").startswith(begins)), None)


@functools.cache
def labels_of(classes: str) -> tuple[str, ...]:
    """Return a list of class names, such as `imagenet-1k`."""
    return tuple(json.loads((_FOLDER / "classes" / f"{classes}.json").read_text(encoding="utf-8")))


@functools.cache
def _raw() -> Mapping[str, Mapping[str, Any]]:
    """Return the entries by name as JSON has them; each is read when it is used."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(_FOLDER.glob("*.json")):
        for raw in json.loads(path.read_text(encoding="utf-8")):
            if raw["name"] in found:
                raise ValueError(f"{raw['name']} is in the catalogue twice")
            found[raw["name"]] = raw
    return found


@functools.cache
def _defaults() -> Mapping[str, str]:
    """Return the name of the default entry by model."""
    return {raw["model"]: name for name, raw in _raw().items() if raw.get("default")}


def _installed(package: str, name: str) -> Path | None:
    """Return the path of the file `name` of an installed package, which is not imported; None if it is not there."""
    try:
        files = importlib.metadata.files(package) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    path = next((Path(str(file.locate())) for file in files if file.name == name), None)
    return path if path is not None and path.is_file() else None
