"""Load for a server on this machine: requests over open connections, as fast as it answers or at a given rate."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

_KEPT = 2.0  # seconds for which an idle connection is used again; servers close theirs after five


@dataclass
class Connection:
    """A connection that is kept open between requests."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> int:
        """Send a request, and return the status of its answer, which is read to its end."""
        self.writer.write(request)
        await self.writer.drain()
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        await self.reader.readexactly(length)
        return int(head[9:12])


def request(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def saturate(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> int:
    """Keep so many requests in progress for so long; return how many were answered with 200."""
    end = time.perf_counter() + seconds
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        async with connected(port) as connection:
            while time.perf_counter() < end:
                status = await connection.ask(requests[number % len(requests)])
                done += status == 200  # apart: `done` may have grown meanwhile
                number += connections

    await asyncio.gather(*(one(number) for number in range(connections)))
    return done


async def paced(port: int, requests: Sequence[bytes], *, rate: float, seconds: float) -> list[float]:
    """Send requests at random moments, `rate` a second on average; return the seconds of each, from its moment on.

    A request that a slow server delays counts from the moment at which it was due. One that a full server refuses
    with 503 counts as endless.
    """
    draws = random.Random(0)
    moments, at = [], 0.0
    while at < seconds:
        at += draws.expovariate(rate)
        moments.append(at)
    idle: list[tuple[float, Connection]] = []
    start = time.perf_counter()

    async def one(number: int, moment: float, stack: contextlib.AsyncExitStack) -> float:
        await asyncio.sleep(moment - (time.perf_counter() - start))
        since, connection = idle.pop() if idle else (-_KEPT, None)
        if connection is None or time.perf_counter() - since > _KEPT:  # a server may be about to close it
            connection = await stack.enter_async_context(connected(port))
        status = await connection.ask(requests[number % len(requests)])
        if status not in (200, 503):
            raise SystemExit(f"The server answered {status}.")
        idle.append((time.perf_counter(), connection))
        return time.perf_counter() - start - moment if status == 200 else math.inf

    async with contextlib.AsyncExitStack() as stack:
        return list(await asyncio.gather(*(one(number, moment, stack) for number, moment in enumerate(moments))))
