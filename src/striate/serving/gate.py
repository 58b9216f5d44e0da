"""What every request passes: its identifier, the allowed hosts, the token, metrics, the log, and unexpected errors."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Collection
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from striate.serving.application import IDENTIFIER, Service, failure

HEAD = 16 << 10
"""The most bytes of the head of a request."""
_REST = 5.0  # seconds for the rest of the body of a request that is refused
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_OPEN = {"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
"""Paths without a token: they say nothing about the models."""
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Gate:
    """The application around the routes.

    `token`: what the header Authorization must hold; None where anyone may ask. `hosts`: the names under which the
    server may be addressed, which keeps other web pages from reaching a server on this machine by a name of their own
    (DNS rebinding); None where any may.
    """

    def __init__(
        self, app: ASGIApp, service: Service, *, token: str | None = None, hosts: Collection[str] | None = None
    ) -> None:
        self._app, self._service = app, service
        self._token = token.encode() if token is not None else None
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Exchange(self._service, scope, receive, send).run(self._app, self._refusal(scope))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        size = len(scope["raw_path"]) + sum(len(name) + len(value) for name, value in scope["headers"])
        if size > HEAD:
            return 431, f"The head of a request has at most {HEAD:,} bytes."
        headers = dict(scope["headers"])
        host = re.sub(r":\d+$", "", headers.get(b"host", b"").decode("latin-1").lower())
        if self._hosts is not None and host not in self._hosts:
            return 421, "This server answers on this machine only, as localhost or 127.0.0.1."
        if self._token is None or scope["path"] in _OPEN:
            return None
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            return 401, "This server needs a token: the header Authorization: Bearer TOKEN."
        return None


class _Exchange:
    """A request and its answer."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service, self._scope, self._receive, self._send = service, scope, receive, send
        self._waits = b"expect" in dict(scope["headers"])  # for leave to send its body
        self._read = False
        self._start = time.perf_counter()
        self._status = 0
        self._bytes = 0
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        self._identifier = given if _IDENTIFIER.fullmatch(given) else secrets.token_hex(8)
        scope[IDENTIFIER] = self._identifier

    async def run(self, app: ASGIApp, refusal: tuple[int, str] | None) -> None:
        error: Exception | None = None
        try:
            if refusal is None:
                await app(self._scope, self._received, self._answer)
            else:
                await self._refuse(*refusal)
        except Exception as raised:
            error = raised
            if not self._status:
                await self._refuse(500, failure(self._scope))
        finally:
            self._record(error)

    async def _received(self) -> Message:
        self._waits = False
        message = await self._receive()
        self._read = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        """Read the rest of the body, between an answer that refuses the request and the end of the connection.

        The system resets a connection that is closed with unread data. A client that sends all of its body before it
        reads would lose the answer.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REST):
                while not self._read and not self._waits:
                    await self._received()

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            added = [(b"x-request-id", self._identifier.encode()), (b"x-content-type-options", b"nosniff")]
            if self._service.draining:
                added.append((b"connection", b"close"))
            message = {**message, "headers": [*message["headers"], *added]}
        else:
            self._bytes += len(message.get("body", b""))
            if self._status >= 400 and not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._discard()
                message = {"type": "http.response.body"}
        await self._send(message)

    async def _refuse(self, status: int, sentence: str) -> None:
        body = json.dumps({"error": sentence}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self._answer({"type": "http.response.start", "status": status, "headers": headers})
        await self._answer({"type": "http.response.body", "body": body})

    def _record(self, error: Exception | None) -> None:
        scope, took = self._scope, time.perf_counter() - self._start
        route = getattr(scope.get("endpoint"), "__name__", "none")
        self._service.measures.requests.labels(route, str(self._status)).inc()
        self._service.measures.latency.labels(route).observe(took)
        fields: dict[str, Any] = {
            "request": self._identifier,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": self._status,
            "milliseconds": round(1000 * took, 1),
            "bytes": self._bytes,
            "client": (scope.get("client") or ("",))[0],
        }
        if error is None:
            self._service.log.write("request", **fields)
        else:
            self._service.log.error("request", error, **fields)


def loopback_hosts(host: str) -> Collection[str] | None:
    """Return the names under which a server at `host` is addressed, where that is an address of this machine only."""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return {*_LOOPBACK, host, f"[{host}]"}
    return None
