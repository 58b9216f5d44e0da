"""TensorBoard's event files, written without TensorFlow or protobuf.

A file is a sequence of records (TFRecord): the length of the data in 8 bytes, its masked CRC-32C, the data, and their
masked CRC-32C, all little-endian. The data are a message `Event` of `tensorflow/core/util/event.proto` in protobuf's
wire format: `wall_time` (1, double), `step` (2, varint), `file_version` (3, string) and `summary` (5). A `Summary`
holds values (1), each with its `tag` (1, string) and `simple_value` (2, float).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
"""Wire types of protobuf."""

_CASTAGNOLI = 0x82F63B78  # CRC-32C's polynomial, reversed: RFC 3720, appendix B.4
_MASK = 0xA282EAD8


def tensorboard(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Return an event file with the scalars of `events`, over steps.

    They are `loss/train`, the mean loss since the point before, `learning_rate`, and a scalar for each score of the
    validation split, as in `accuracy/val`.
    """
    start = events[0].get("wall", {}).get("at", 0.0) if events else 0.0
    records = [_record(_double(1, start) + _text(3, "brain.Event:2"))]
    for event in events:
        if scalars := dict(_scalars(event)):
            values = b"".join(_message(1, _text(1, tag) + _float(2, value)) for tag, value in scalars.items())
            time, step = event.get("wall", {}).get("at", 0.0), event["clock"]["step"]
            records.append(_record(_double(1, time) + _key(2, _VARINT) + varint(step) + _message(5, values)))
    return b"".join(records)


def _scalars(event: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    if event["event"] == "step":
        yield "loss/train", event["loss"]
        yield "learning_rate", event["lr"]
    elif event["event"] == "evaluated":
        yield from ((f"{score}/val", value) for score, value in event["scores"].items())


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data` (Castagnoli), as RFC 3720 defines it.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_remainder, range(256)))


def varint(number: int) -> bytes:
    """Return a whole number of at least 0 in groups of 7 bits, the lowest first.

    >>> varint(300).hex()
    'ac02'
    """
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    """Return the CRC-32C, rotated and shifted: a checksum of data that hold checksums would else be weak."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def _key(field: int, wire: int) -> bytes:
    return varint(field << 3 | wire)


def _double(field: int, value: float) -> bytes:
    return _key(field, _DOUBLE) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, _FLOAT) + struct.pack("<f", value)


def _message(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
