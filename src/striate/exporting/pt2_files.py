"""Export to a program of torch, which `torch.export.load` opens without Striate and without the code of the network."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.config import from_json, to_json
from striate.core.errors import RunError
from striate.core.files import write_atomically
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.data.preparation.colour import storage_dtype
from striate.exporting.answering import answering
from striate.exporting.exporter import EXPORTERS, Answer, Batches, Exporter, Runtime, checked_image
from striate.exporting.translation import record

PROGRAM = "network.pt2"
_INPUT = "input.json"  # of the program's archive
_PICKLED = b"\x80", b"PK"  # the first bytes of pickles, and of archives with one


@dataclass(frozen=True, kw_only=True)
class Pt2(Exporter):
    """A program of torch: `network.pt2` takes prepared images, levels in float32 (n, c, height, width).

    It answers with the probabilities (n, k); of a classifier that recognizes images of none of its classes with a tuple
    of them, p-values (n,), whether each is of none (n,), and its similarity to the nearest training image (n,). The
    preparation is not in it. The archive holds no pickle.
    """

    resizes: ClassVar[bool] = False

    def check(self) -> None:
        pass  # torch is there

    def write(self, classifier: Classifier, folder: Path) -> None:
        program = record(*answering(classifier))
        program.example_inputs = None  # the only part that is pickled
        buffer = io.BytesIO()
        described = {
            _INPUT: json.dumps(to_json(classifier.input)),
            "classes.json": json.dumps(classifier.labels.classes),
        }
        torch.export.save(program, buffer, extra_files=described)
        write_atomically(folder / PROGRAM, buffer.getvalue())
        self.verify(folder)

    def verify(self, folder: Path) -> None:
        path = folder / PROGRAM
        try:
            with zipfile.ZipFile(path) as archive:
                if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                    raise RunError(f"{path} holds compressed parts, which a program of torch does not have.")
                first = {name: archive.open(name).read(2) for name in archive.namelist() if not _is_raw(name)}
                configs = [archive.read(name) for name in archive.namelist() if name.endswith("_config.json")]
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise RunError(f"{path} is no program of torch, or is damaged ({error}).") from error
        pickled = [name for name, data in first.items() if data.startswith(_PICKLED)]
        if pickled or any(b'"use_pickle": true' in config for config in configs):
            raise RunError(f"{path} holds a pickle, which could run code: it is refused.")

    def runtimes(self, folder: Path) -> Sequence[Runtime]:
        return [Loaded(folder / PROGRAM)]

    def batches(self, folder: Path) -> Batches | None:
        return Loaded(folder / PROGRAM).answer


def _is_raw(name: str) -> bool:
    """Return whether a part of an archive holds the bytes of a tensor as they are."""
    return "/weights/weight_" in name or "/constants/tensor_" in name


EXPORTERS.add("pt2", Pt2)


class Loaded:
    """`network.pt2`, loaded by torch."""

    def __init__(self, path: Path) -> None:
        extra = {_INPUT: ""}
        with warnings.catch_warnings():  # torch 2.11 makes tensors of bytes that cannot be written to, and never does
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            self._program = torch.export.load(path, extra_files=extra).module()
        self._input = from_json(InputSpec, json.loads(extra[_INPUT]))

    @property
    def name(self) -> str:
        return f"torch {torch.__version__}, exported program"

    def __call__(self, pixels: np.ndarray) -> Answer:
        spec = self._input
        image = DecodedImage(
            checked_image(pixels, len(spec.channels), storage_dtype(spec)), spec.channels, pixels.shape[:2]
        )
        return self.answer(prepare(image, spec)[None])[0]

    def answer(self, prepared: np.ndarray) -> list[Answer]:
        """Return the answer for each of prepared images (n, c, h, w)."""
        with torch.inference_mode():
            found = self._program(torch.from_numpy(prepared.astype(np.float32)))
        return Answer.each([each.numpy() for each in (found if isinstance(found, tuple) else (found,))])
