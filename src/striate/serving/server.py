"""The server process: connections with limits of time, and an end that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from striate.core.errors import ConfigError
from striate.serving.application import Explain, Service, application
from striate.serving.gate import HEAD, Gate, loopback_hosts
from striate.serving.hosting import Hosted, Models, Source
from striate.serving.limits import Limits
from striate.serving.log import Log

_IDLE = 10.0  # seconds for the head of a request, and for the rest of a body that is not read
_KEEP_ALIVE = 5
_GRACE = 1.0  # seconds, at the end, for requests on open connections
_AFTER = 5.0  # seconds beyond the time of a request
_LINGER = 1.0  # seconds for what a client still sends on a connection that is refused
_BACKLOG = 512
_SWITCH = 0.001  # seconds for which the event loop waits for the interpreter lock, at most


def serve(
    sources: Sequence[Source],
    *,
    host: str,
    port: int,
    token: str | None,
    limits: Limits,
    explain: Explain | None,
    log: Log,
    ready: Callable[[str], None],
) -> None:
    """Serve models until the process receives SIGTERM or SIGINT; then answer what was accepted, and return.

    `ready` receives the address once requests are answered.

    Raises:
        ConfigError: the address cannot be used.
        StriateError: a model cannot be loaded.
    """
    with contextlib.closing(_listening(host, port)) as listener:
        models = Models([Hosted(source, batch=limits.batch) for source in sources])
        service = Service(models, limits, explain=explain, log=log)
        app = Gate(application(service), service, token=token, hosts=loopback_hosts(host))
        address = _address(host, listener)

        def started() -> None:
            log.write("ready", address=address, models=list(models))
            ready(address)

        server = _Server(_config(app, limits), service, started)
        log.capture()
        log.write("start", models={name: hosted.about()["network"] for name, hosted in models.items()})
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            server.run(sockets=[listener])
        finally:
            sys.setswitchinterval(interval)
        log.write("end")


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigError(f"A port is a number from 0 to 65535; received {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        created = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"The address {host}, port {port}, cannot be used: {reason}. Choose another with --host and --port; port 0 "
            "is any free one."
        ) from error
    # Of a socket that names its protocol, asyncio sends what is written at once. Otherwise the body of an answer waits
    # until the client has acknowledged the head, which takes 40 ms.
    listener = socket.socket(created.family, created.type, socket.IPPROTO_TCP, fileno=created.detach())
    listener.setblocking(False)
    return listener


def _address(host: str, listener: socket.socket) -> str:
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"


def _config(app: Gate, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_connection(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(limits.seconds + _AFTER),
        h11_max_incomplete_event_size=HEAD,
    )


class _Connection(H11Protocol):
    """A connection that is closed when it makes no progress, and refused when there are too many.

    uvicorn waits for the head of a request, and for a client that does not read, as long as they take.
    """

    limits: Limits
    _progress: tuple[object, bool] = (None, False)
    _since = 0.0
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            # Closed with unread data, the connection would be reset, and the answer lost. So what comes is left out.
            self._refused = True
            self.connections.discard(self)
            transport.write_eof()
            self.loop.call_later(_LINGER, transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP; if another answer has begun, close the connection instead."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()
        if self.cycle is not None:  # of a request whose body is malformed: the protocol has no place for its own answer
            self.cycle.disconnected = True

    def sweep(self, now: float) -> None:
        """Close the connection if it has made no progress for too long."""
        busy = self.cycle is not None and not self.cycle.response_complete
        progress = (self.cycle, busy)
        if progress != self._progress:
            self._progress, self._since = progress, now
        if now - self._since > (self.limits.seconds + _AFTER if busy else _IDLE):
            self.transport.abort()


def _connection(limits: Limits) -> type[_Connection]:
    return type("_LimitedConnection", (_Connection,), {"limits": limits})


class _Server(uvicorn.Server):
    """uvicorn's server; at its end it first accepts the connections that wait, and answers on open ones."""

    def __init__(self, config: uvicorn.Config, service: Service, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._started()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Connection):
                    connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.draining = True
        self._service.log.write("draining", connections=len(self.server_state.connections))
        loop = asyncio.get_running_loop()
        waiting = [connection for listener in sockets or [] for connection in _waiting(loop, listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        end = loop.time() + _GRACE
        while self.server_state.connections and loop.time() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM. uvicorn raises them again at the end, and the process would end by them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _waiting(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> list[socket.socket]:
    """Stop listening, and return the connections that the system has accepted for the server."""
    with contextlib.suppress(NotImplementedError):  # no readers in the event loop of Windows
        loop.remove_reader(listener.fileno())
    listener.listen(0)  # no more connections than those that wait
    found = []
    with contextlib.suppress(OSError):  # none is left
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            found.append(connection)
    return found
