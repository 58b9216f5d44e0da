"""Hostile requests: malformed HTTP, truncated bodies, bombs, slow senders, wrong types."""

from __future__ import annotations

import asyncio
import io
import json
import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable

from PIL import Image

from _load import connected, request

_HANGS = 45.0  # seconds; a server closes every connection before
_AT_ONCE = 32

Draws = random.Random


def _stored(image: Image.Image, kind: str) -> bytes:
    image.save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


GOOD = _stored(Image.linear_gradient("L").convert("RGB"), "JPEG")


def bomb(side: int = 50_000) -> bytes:
    """A PNG of `side`² pixels in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BOMB = bomb()
FORM = "Content-Type: multipart/form-data; boundary=XX"
PART = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'


def noise(draws: Draws) -> bytes:
    return draws.randbytes(draws.randrange(1, 400)) + b"\r\n\r\n"


def broken_head(draws: Draws) -> bytes:
    return draws.choice(
        [
            b"GET\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
    )


def damaged_image(draws: Draws) -> bytes:
    data = bytearray(GOOD[: draws.randrange(1, len(GOOD))])
    for _ in range(draws.randrange(10)):
        data[draws.randrange(len(data))] = draws.randrange(256)
    return request("/predict", bytes(data))


def damaged_form(draws: Draws) -> bytes:
    whole = PART + GOOD + b"\r\n--XX--\r\n"
    return request("/predict", whole[: draws.randrange(len(whole))], FORM)


def many_parts(draws: Draws) -> bytes:
    return request("/predict", PART * 5000, FORM)


def bombs(draws: Draws) -> bytes:
    return request("/predict", BOMB)


def wrong_json(draws: Draws) -> bytes:
    body = draws.choice(
        [
            b"[" * 50_000,
            b'{"images": [' + b"1," * 20_000 + b"1]}",
            b'{"images": "' + b"A" * 20_000 + b'"}',
            b"\xff\xfe",
            b'{"images": [{"a": 1e999}]}',
        ]
    )
    return request("/predict", body, "Content-Type: application/json")


def wrong_tensor(draws: Draws) -> bytes:
    tensor = {
        "name": draws.choice(["image", "", 7]),
        "datatype": draws.choice(["UINT8", "FP32", "BYTES", "INT64", None]),
        "shape": draws.choice([[1, 2, 2, 3], [10**18] * 4, [-1], [], "x", [1, 1, 1, 3]]),
        "data": draws.choice([[1, 2, 3], [[[1]], 2], "abc", None, [None], [1e300, 2, 3]]),
    }
    body = json.dumps({"inputs": [tensor]}).encode()
    return request("/v2/models/net/infer", body, "Content-Type: application/json")


def wrong_type(draws: Draws) -> bytes:
    kind = draws.choice(
        ["text/html", "video/mp4", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 3000]
    )
    return request("/predict", GOOD, f"Content-Type: {kind}")


def cut_off(draws: Draws) -> bytes:
    whole = request("/predict", GOOD)
    return whole[: draws.randrange(1, len(whole))]


def announced(draws: Draws) -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n"


KINDS: dict[str, tuple[Callable[[Draws], bytes], int]] = {
    "noise": (noise, 10),
    "broken head": (broken_head, 10),
    "damaged image": (damaged_image, 20),
    "damaged form": (damaged_form, 20),
    "many parts": (many_parts, 2),
    "bomb": (bombs, 6),
    "wrong JSON": (wrong_json, 8),
    "wrong tensor": (wrong_tensor, 10),
    "wrong type": (wrong_type, 6),
    "cut off, then gone": (cut_off, 6),
    "huge length": (announced, 4),
}
"""The kinds, each with its weight. Slow senders are apart: each takes as long as the server lets it."""


async def attack(port: int, count: int) -> dict[str, Counter[str]]:
    """Send `count` hostile requests; return, for each kind, how many ended how."""
    draws = random.Random(7)
    names = draws.choices(list(KINDS), [weight for _, weight in KINDS.values()], k=count)
    found: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    waiting = iter(names)

    async def one() -> None:
        for name in waiting:
            found[name][await _ended(port, KINDS[name][0](draws), gone=name.startswith("cut"))] += 1

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
    return found


async def slow(port: int, count: int) -> Counter[str]:
    """Send requests a byte at a time, half of them only the head; return how many ended how."""
    found: Counter[str] = Counter()

    async def one(number: int) -> None:
        whole = request("/predict", GOOD)
        start = 0 if number % 2 else whole.index(b"\r\n\r\n") + 4
        outcome = "hangs"
        try:
            async with asyncio.timeout(_HANGS), connected(port) as connection:
                connection.writer.write(whole[:start])
                reading = asyncio.create_task(connection.reader.read())
                for position in range(start, len(whole)):
                    if reading.done():
                        break
                    connection.writer.write(whole[position : position + 1])
                    await asyncio.sleep(0.5)
                outcome = _outcome(await reading)
        except TimeoutError:
            pass
        except OSError:
            outcome = "closed"
        found[outcome] += 1

    await asyncio.gather(*(one(number) for number in range(count)))
    return found


async def _ended(port: int, sent: bytes, *, gone: bool) -> str:
    start = time.perf_counter()
    try:
        async with asyncio.timeout(_HANGS), connected(port) as connection:
            connection.writer.write(sent)
            await connection.writer.drain()
            if gone:
                return "gone"
            return (await connection.reader.readuntil(b"\r\n\r\n"))[9:12].decode("latin-1")
    except TimeoutError:
        return f"hangs after {time.perf_counter() - start:.0f} s"
    except (OSError, asyncio.IncompleteReadError):
        return "closed"


def _outcome(answer: bytes) -> str:
    return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "closed"
