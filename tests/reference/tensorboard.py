"""A reader of TensorBoard's event files, from the format's specification, bit by bit; it refuses a wrong checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


def read_event_file(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a file: their wall time, step, version, and values by tag."""
    return [_event(record) for record in _records(data)]


def bitwise_crc32c(data: bytes) -> int:
    """CRC-32C as polynomial division in GF(2), one bit at a time, lowest bit first."""
    register = (1 << 32) - 1
    for bit in (byte >> place & 1 for byte in data for place in range(8)):
        register = register >> 1 ^ (0x82F63B78 if (register ^ bit) & 1 else 0)
    return register ^ ((1 << 32) - 1)


def _records(data: bytes) -> Iterator[bytes]:
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        for part, stored in ((data[:8], data[8:12]), (body, data[12 + length : 16 + length])):
            crc = bitwise_crc32c(part)
            assert struct.unpack("<I", stored)[0] == ((crc // 2**15 + crc % 2**15 * 2**17) + 0xA282EAD8) % 2**32
        yield body
        data = data[16 + length :]


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (field, value) of a protobuf message."""
    while message:
        key, message = _number(message)
        field, wire = key // 8, key % 8
        if wire == 0:
            value, message = _number(message)
        elif wire == 2:
            length, message = _number(message)
            value, message = message[:length], message[length:]
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[wire]
            (value,), message = struct.unpack(form, message[:size]), message[size:]
        yield field, value


def _number(message: bytes) -> tuple[int, bytes]:
    last = next(place for place, byte in enumerate(message) if byte < 128)
    return sum((message[place] & 127) * 128**place for place in range(last + 1)), message[last + 1 :]


def _event(record: bytes) -> dict[str, Any]:
    fields = dict(_fields(record))
    values = [dict(_fields(value)) for field, value in _fields(fields.get(5, b"")) if field == 1]
    return {
        "time": fields[1],
        "step": fields.get(2, 0),
        "version": fields.get(3, b"").decode(),
        "values": {value[1].decode(): value[2] for value in values},
    }
