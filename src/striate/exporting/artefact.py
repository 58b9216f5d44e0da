"""The folder of an exported classifier: its files, its card, and the programs that use it.

model.onnx …    the exported files                 predict.py, predict.js    stand-alone programs
card.json       what it is, for programs           README.md                 the same, for people
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.classifier import Classifier
from striate.core.config import from_json, to_json
from striate.core.errors import ConfigError, RunError
from striate.core.files import file_digest, read_json, replacing_folder, write_atomically, write_json
from striate.core.notebook import table
from striate.core.progress import Progress, silent
from striate.core.proportion import Proportion
from striate.core.spec import InputSpec, LabelSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.data.preparation.colour import storage_dtype
from striate.exporting.answering import set_thresholds
from striate.exporting.exporter import Exporter
from striate.exporting.parity import DIFFERENCE, FLIPS, Answers, Parity, answers
from striate.exporting.readme import readme
from striate.exporting.samples import Samples
from striate.tasks import CLASSIFICATION, Task

FORMAT = 1
_PATCH = 16  # pixels of a side of one colour in a synthetic image
CARD, README = "card.json", "README.md"
_OF_THE_SYSTEM = ("__pycache__", ".DS_Store", "Thumbs.db", "desktop.ini")  # what Python and file managers leave


@dataclass(frozen=True, kw_only=True, eq=False)
class Judges:
    """The images on which an exported file is compared with torch.

    `images`: each decoded completely, and as the classifier decodes it. `source`: what they are, in words. `targets`:
    the number of the class of each, None where there is none.
    """

    images: Iterable[tuple[DecodedImage, DecodedImage]]
    count: int
    source: str
    targets: np.ndarray | None = None


def synthetic_judges(spec: InputSpec, count: int) -> Judges:
    """Return random images of many sizes, smooth with noise, in the channels of `spec`."""
    draws = np.random.default_rng(0)

    def images() -> Iterator[tuple[DecodedImage, DecodedImage]]:
        for _ in range(count):
            height, width = (int(draws.integers(max(2, side // 2), 2 * side + 2)) for side in spec.size)
            coarse = draws.random((-(-height // _PATCH), -(-width // _PATCH), len(spec.channels)))
            smooth = np.kron(coarse, np.ones((_PATCH, _PATCH, 1)))[:height, :width]
            values = np.clip(smooth + draws.normal(0, 0.05, smooth.shape), 0, 1) * spec.maximum
            dtype = storage_dtype(spec)
            pixels = values.astype(dtype) if dtype == np.float32 else np.rint(values).astype(dtype)
            image = DecodedImage(pixels, spec.channels, (height, width))
            yield image, image

    return Judges(images=images(), count=count, source=f"{count:,} synthetic images")


def synthetic_samples(spec: InputSpec, count: int = 16) -> Samples:
    """Return random images, prepared."""
    return Samples(calibration=[prepare(image, spec) for image, _ in synthetic_judges(spec, count).images])


@dataclass(frozen=True, eq=False)
class Exported:
    """An exported classifier in its folder. It is path-like.

    `card` is the content of card.json.
    """

    path: Path
    card: Mapping[str, Any]

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Exported({str(self.path)!r}, {self.card['form']['name']})"

    def _repr_html_(self) -> str:
        rows = [(p.runtime, p.images, f"{p.largest_difference:.1e}", p.changed, p.none_changed) for p in self.parities]
        columns = ("runtime", "images", "largest difference", "changed first classes", "changed “none of these”")
        return table(columns, rows, title=f"Exported to {self.path}")

    @property
    def exporter(self) -> Exporter:
        """The form of export, with its options."""
        return from_json(Exporter, self.card["form"])

    @property
    def network(self) -> str:
        """The name of the network."""
        return str(self.card["network"])

    @property
    def input(self) -> InputSpec:
        """The preparation of images."""
        return from_json(InputSpec, self.card["input"])

    @property
    def labels(self) -> LabelSpec:
        """The classes."""
        return LabelSpec(tuple(self.card["classes"]))

    @property
    def parities(self) -> list[Parity]:
        """The comparison of each runtime with torch."""
        return [Parity(**stored) for stored in self.card["parity"]["runtimes"]]

    @property
    def task(self) -> Task:
        """What was learned."""
        return from_json(Task, self.card["task"])

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {str(name): str(entry["sha256"]) for name, entry in self.card["files"].items()}

    def check_files(self) -> None:
        """Check that the files are those that were written, and that a runtime may open them.

        Raises:
            RunError: a file is missing, was changed, or holds something else than data.
            ConfigError: a library is missing that opens them.
        """
        self.exporter.check_opens()
        for name, digest in self.digests.items():
            _check_file(self.path / name, digest, inside=self.path)
        self.exporter.verify(self.path)


def export_classifier(
    classifier: Classifier,
    exporter: Exporter,
    folder: Path,
    judges: Judges,
    *,
    about: Mapping[str, Any],
    samples: Samples | None = None,
    allow: Sequence[str] = (),
    progress: Progress = silent,
) -> Exported:
    """Write `classifier` into `folder`, which is complete or not there, and return it.

    `about` goes into the card: `data`, what the classifier was trained on, in place of the path in its provenance;
    `accuracy`; and `licence` of the weights. `samples` are images of the data; without any, a form that needs some has
    synthetic ones. An earlier export in `folder` is replaced.

    Raises:
        RunError: the exported file does not answer as torch does and `allow` does not name the difference; or the
            folder holds something else, or cannot be written.
        ModelError: the network cannot be translated.
        ConfigError: a library is missing, or `allow` names something else.
    """
    unknown = set(allow) - {FLIPS, DIFFERENCE}
    if unknown:
        raise ConfigError(f"allow names {FLIPS} or {DIFFERENCE}; received {sorted(unknown)[0]!r}.")
    exporter.check()
    _check_target(folder)
    # Other programs decode a JPEG completely.
    whole = replace(classifier, model=_plain(classifier.model), input=replace(classifier.input, decode_scale=0.0))
    with replacing_folder(folder) as temporary:
        progress("exporting", 0, 1)
        exporter.write(whole, temporary)
        progress("exporting", 1, 1)
        trial = None
        if exporter.uses_samples:
            exporter, trial = exporter.tuned(whole, temporary, samples or synthetic_samples(whole.input), progress)
        found = answers(whole, exporter.runtimes(temporary), judges.images, judges.count, progress)
        for parity in found.parities:
            parity.check([*allow, *exporter.accepted])
        programs = exporter.programs_for(whole.input)
        for name in programs:
            program = resources.files("striate.exporting").joinpath("programs", name)
            write_atomically(temporary / name, program.read_bytes())
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
            for path in sorted(temporary.iterdir())
        }
        card = _card(whole, exporter, judges, found, {**about, "allowed": list(allow), "trial": trial, "files": files})
        write_json(temporary / CARD, card)
        write_atomically(temporary / README, readme(card, programs))
    return Exported(folder, card)


def _check_target(folder: Path) -> None:
    """Check that `folder` is not there, or holds an earlier export and nothing else.

    Raises:
        RunError: it holds something else, which would be lost.
    """
    if not os.path.lexists(folder):
        return
    if not (folder / CARD).is_file():
        raise RunError(f"{folder} already exists and is no export. Choose another folder with --out, or move it.")
    try:
        written = read_card(folder).digests
    except RunError:
        return  # a damaged export is replaced, as its error advises
    known = {*written, CARD, README, *_OF_THE_SYSTEM}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if others:
        raise RunError(f"{folder} also holds {others[0]}, which is no part of the export. Move it, or choose --out.")


def _plain(model: nn.Module) -> nn.Module:
    """Return `model` with float32 weights on the CPU: itself, or a copy."""
    held = [*model.parameters(), *model.buffers()]
    if all(each.device.type == "cpu" and each.dtype in (torch.float32, torch.int64) for each in held):
        return model
    return copy.deepcopy(model).cpu().float()


def _card(
    classifier: Classifier, exporter: Exporter, judges: Judges, found: Answers, about: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "form": to_json(exporter),
        "network": classifier.model_name,
        "parameters": sum(parameter.numel() for parameter in classifier.model.parameters()),
        "task": to_json(classifier.task),
        "classes": list(classifier.labels.classes),
        "input": to_json(classifier.input),
        "temperature": classifier.temperature,
        "none_of_these": classifier.reference is not None,
        "sets": set_thresholds(classifier),
        **about,
        "parity": {"images": judges.source, "runtimes": [asdict(parity) for parity in found.parities]},
        "decoding": _decoding(found, judges.targets if classifier.task == CLASSIFICATION else None),
        "provenance": asdict(replace(classifier.provenance, data=about["data"])),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }


def _decoding(found: Answers, targets: np.ndarray | None) -> dict[str, Any]:
    """Describe what changes because JPEG files are decoded completely."""
    whole, trained = found.torch, found.as_trained
    changed = whole.probabilities.argmax(axis=1) != trained.probabilities.argmax(axis=1)
    result: dict[str, Any] = {
        "images": len(changed),
        "decoded_at_a_fraction": found.shrunk,
        "changed": int(changed.sum()),
        "largest_difference": float(np.abs(whole.probabilities - trained.probabilities).max()),
    }
    if whole.none_of_these is not None:
        result["none_changed"] = int((whole.none_of_these != trained.none_of_these).sum())
    if targets is not None:
        for name, values in (("accuracy_complete", whole), ("accuracy_at_a_fraction", trained)):
            right = Proportion(int((values.probabilities.argmax(axis=1) == targets).sum()), len(targets))
            result[name] = {"value": right.value, "interval": right.interval, "images": right.count}
    return result


def read_exported(folder: str | os.PathLike[str]) -> Exported:
    """Read an export, and check that its files are those that were written.

    Nothing in it is run.

    Raises:
        RunError: there is none, it is of another format, or a file is missing or was changed.
        ConfigError: a library is missing that opens the files.
    """
    found = read_card(folder)
    found.check_files()
    return found


def read_card(folder: str | os.PathLike[str]) -> Exported:
    """Read the card of an export, without its files.

    Raises:
        RunError: there is none, it is of another format, or it is damaged.
    """
    path = Path(folder)
    try:
        card = read_json(path / CARD, "Export the classifier again.")
    except FileNotFoundError as error:
        raise RunError(f"There is no export in {path}: {CARD} is not there. Make one: striate export RUN") from error
    stored = card.get("format") if isinstance(card, dict) else None
    if stored != FORMAT:
        raise RunError(f"{path / CARD} has format {stored!r}; this version of Striate reads format {FORMAT}.")
    try:
        found = Exported(path, card)
        for part in ("exporter", "network", "input", "labels", "task", "parities", "digests"):
            getattr(found, part)  # raises an error if it is damaged
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path / CARD} is damaged ({error}). Export the classifier again.") from error
    return found


def _check_file(path: Path, digest: str, *, inside: Path) -> None:
    if path.parent != inside:
        raise RunError(f"{inside / CARD} names the file {str(path)!r}, which is not in its folder.")
    try:
        same = file_digest(path) == digest
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}). Export the classifier again.") from error
    if not same:
        raise RunError(f"{path} is not the file that {CARD} describes: it was changed. Export the classifier again.")
