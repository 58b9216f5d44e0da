"""Files of predictions, a row for each image: Parquet, JSON lines and CSV.

A file is written in parts, each by itself, which are put together at the end.
"""

from __future__ import annotations

import io
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from striate.classifier import Failure, Prediction
from striate.core.comma_separated import csv_row
from striate.core.errors import ConfigError
from striate.core.names import json_escaped, legible

Results = Sequence[Prediction | Failure]

FIELDS = ("class", "probability", "probabilities", "none_of_these", "similarity", "p_value", "among")
_ROWS = 8192  # of a group in a Parquet file; a reader keeps one in memory
_GROUP_BYTES = 32 << 20


def fields(result: Prediction | Failure) -> dict[str, object]:
    """Return the row of an image as JSON has it; of one that cannot be read, the reason as `error`."""
    if isinstance(result, Failure):
        return {"image": result.name, **dict.fromkeys(FIELDS), "error": result.reason}
    values = (
        result.label,
        round(result.probability, 6),
        {label: round(value, 6) for label, value in result.probabilities.items()},
        result.none_of_these,
        None if result.similarity is None else round(result.similarity, 6),
        None if result.p_value is None else round(result.p_value, 6),
        None if result.among is None else list(result.among),
    )
    labels = {} if result.labels is None else {"labels": list(result.labels)}
    return {"image": result.name, **dict(zip(FIELDS, values, strict=True)), **labels, "error": None}


def columns() -> tuple[str, ...]:
    """Return the names of the columns of CSV."""
    return "image", "class", "probability", "none_of_these", "among", "error"


def cells(result: Prediction | Failure) -> tuple[str, ...]:
    """Return the row of an image as CSV has it."""
    if isinstance(result, Failure):
        return result.name, "", "", "", "", result.reason
    if result.labels is not None:  # as a cell of the column labels of a list of images
        sure = (f"{result.probabilities[label]:.6f}" for label in result.labels)
        return result.name, ";".join(result.labels), ";".join(sure), "", "", ""
    outside = {None: "", True: "yes", False: "no"}[result.none_of_these]
    return result.name, result.label, f"{result.probability:.6f}", outside, " | ".join(result.among or ()), ""


class Format(ABC):
    """A form of file. `classes` are those of the classifier, in its order."""

    @abstractmethod
    def part(self, results: Results, classes: Sequence[str]) -> bytes:
        """Return the rows of `results` as one part of a file."""

    @abstractmethod
    def join(self, parts: Iterable[Path], file: IO[bytes]) -> None:
        """Write the file of all `parts`, in order."""


class JsonLines(Format):
    """A line of JSON for each image, with the probability of every class."""

    def part(self, results: Results, classes: Sequence[str]) -> bytes:
        """Return the lines."""
        return b"".join(_json(fields(result)) for result in results)

    def join(self, parts: Iterable[Path], file: IO[bytes]) -> None:
        """Write the lines of all parts."""
        _concatenate(parts, file)


class Csv(Format):
    """A line for each image, with the probability of its class alone."""

    def part(self, results: Results, classes: Sequence[str]) -> bytes:
        """Return the lines."""
        return b"".join(_csv(cells(result)) for result in results)

    def join(self, parts: Iterable[Path], file: IO[bytes]) -> None:
        """Write the names of the columns, then the lines of all parts."""
        file.write(_csv(columns()))
        _concatenate(parts, file)


class Parquet(Format):
    """A row for each image; `probabilities` are those of all classes, which the metadata `striate` name in order."""

    def part(self, results: Results, classes: Sequence[str]) -> bytes:
        """Return a Parquet file."""
        arrow, parquet = _pyarrow()
        found = [result if isinstance(result, Prediction) else None for result in results]
        column: dict[str, Any] = {
            "image": [legible(result.name) for result in results],
            "class": [each and each.label for each in found],
            "probability": [each and each.probability for each in found],
            "probabilities": [each and [each.probabilities[label] for label in classes] for each in found],
            **{name: [each and getattr(each, name) for each in found] for name in ("none_of_these", "similarity")},
            "p_value": [each and each.p_value for each in found],
            **{name: [_list(each and getattr(each, name)) for each in found] for name in ("among", "labels")},
            "error": [result.reason if isinstance(result, Failure) else None for result in results],
        }
        number, text = arrow.float32(), arrow.string()
        kinds = {
            **{"image": text, "class": text, "probability": number},
            "probabilities": arrow.list_(number),  # pyarrow 18 to 21 cannot read lists of one size where some are null
            **{"none_of_these": arrow.bool_(), "similarity": number, "p_value": number},
            **{"among": arrow.list_(text), "labels": arrow.list_(text), "error": text},
        }
        about = json.dumps({"format": "striate predictions 1", "classes": list(map(legible, classes))})
        schema = arrow.schema(kinds.items(), metadata={"striate": about})
        buffer = io.BytesIO()
        parquet.write_table(arrow.table(column, schema=schema), buffer, compression="zstd")
        return buffer.getvalue()

    def join(self, parts: Iterable[Path], file: IO[bytes]) -> None:
        """Write all rows, in groups of about 8,000 or 32 MB."""
        arrow, parquet = _pyarrow()
        writer, waiting, size = None, [], 0
        try:
            for path in parts:
                table = parquet.ParquetFile(path).read()
                writer = writer or parquet.ParquetWriter(file, table.schema, compression="zstd")
                waiting.append(table)
                size += table.nbytes
                if size >= _GROUP_BYTES or sum(map(len, waiting)) >= _ROWS:
                    writer.write_table(arrow.concat_tables(waiting))
                    waiting, size = [], 0
            if writer is not None and waiting:
                writer.write_table(arrow.concat_tables(waiting))
        finally:
            if writer is not None:
                writer.close()


FORMATS: dict[str, Format] = {".parquet": Parquet(), ".csv": Csv(), ".jsonl": JsonLines()}
"""The forms of files by their suffixes."""


def check_output(path: Path) -> Format:
    """Return the form of the file at `path`.

    Raises:
        ConfigError: there is none of its suffix, or pyarrow, which writes Parquet, is not installed.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(f"Predictions are written as {', '.join(FORMATS)}; received {path.name!r}.")
    if isinstance(form, Parquet):
        _pyarrow()
    return form


def _json(row: dict[str, object]) -> bytes:
    return (json_escaped(json.dumps(row, ensure_ascii=False)) + "\n").encode(errors="backslashreplace")


def _csv(row: Iterable[str]) -> bytes:
    return csv_row(row).encode(errors="surrogateescape")


def _list(value: Sequence[str] | None) -> list[str] | None:
    return None if value is None else list(map(legible, value))


def _concatenate(parts: Iterable[Path], file: IO[bytes]) -> None:
    for path in parts:
        with path.open("rb") as part:
            shutil.copyfileobj(part, file)


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "Parquet files are written by pyarrow, which is not installed. Install it, or write .csv or .jsonl: "
            "pip install 'striate[parquet]'"
        ) from error
