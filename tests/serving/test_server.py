"""A real server: connections are bounded in time, and its end answers everything that was accepted."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rehearsal.encoded import stored
from rehearsal.served import FILES, FORM, small
from striate.classifier import save_classifier
from striate.serving import Limits, Log, Source, gate, serve
from striate.serving import server as server_module


class Running:
    """A server in a thread of this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
        self.lines = io.StringIO()
        self.log = Log(self.lines)
        servers: list[server_module._Server] = []
        startup = server_module._Server.startup

        async def caught(own: server_module._Server, sockets: list[socket.socket] | None = None) -> None:
            servers.append(own)
            await startup(own, sockets)

        monkeypatch.setattr(server_module._Server, "startup", caught)
        ready = threading.Event()
        address: list[str] = []

        def tell(found: str) -> None:
            address.append(found)
            ready.set()

        options: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "token": None,
            "explain": None,
            "log": self.log,
            "ready": tell,
        }
        self.thread = threading.Thread(
            target=serve, args=([Source("net", small)],), kwargs={**options, "limits": limits}
        )
        self.thread.start()
        assert ready.wait(60)
        self.port = int(address[0].rpartition(":")[2])
        self.server = servers[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def stop(self) -> None:
        """End the server and wait for it."""
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.log.close()


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(**limits: float) -> Running:
        started.append(Running(monkeypatch, Limits(batch=2, **limits)))  # pyright: ignore[reportArgumentType]
        return started[-1]

    yield start
    for each in started:
        each.stop()


def post(file: bytes, *, length: int | None = None) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(file) if length is None else length}\r\n"
    return head.encode() + b"\r\n" + file


def read(connection: socket.socket) -> bytes:
    """Read to the end of the connection."""
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def test_malformed_requests_are_answered_or_closed(running: Callable[..., Running]) -> None:
    server = running()
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02"):
        with server.connect() as connection:
            connection.sendall(sent + b"\r\n" * 4)
            assert read(connection).startswith(b"HTTP/1.1 400 "), sent
    with server.connect() as connection, contextlib.suppress(ConnectionResetError):  # a head that never ends
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert read(connection).startswith(b"HTTP/1.1 4")
    with server.connect() as connection:
        connection.sendall(post(FILES[0]) + b"garbage\r\n\r\n")
        assert read(connection).startswith(b"HTTP/1.1 200 ")
    for route in (b"GET /healthz", b"GET /none"):  # answered without their body
        with server.connect() as connection:
            connection.sendall(route + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n")
            assert read(connection).startswith(b"HTTP/1.1 400 "), route
    while '"/none"' not in server.lines.getvalue():
        time.sleep(0.01)
    assert "traceback" not in server.lines.getvalue()


def test_what_is_written_is_sent_at_once(running: Callable[..., Running]) -> None:
    """Otherwise the body of an answer waits until the client has acknowledged the head."""
    server = running()
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65536)
        (served,) = server.server.server_state.connections
        accepted: Any = served.transport
        assert accepted.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_slow_connections_are_closed_in_time(running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_IDLE", 0.5)
    server = running(seconds=0.5)
    with server.connect() as silent, server.connect() as head, server.connect() as body:
        head.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        body.sendall(post(FILES[0][:20], length=5000))
        answer = b""
        for connection in (silent, head, body):
            try:
                answer = read(connection)
            except ConnectionResetError:
                continue
        assert not answer or b" 408 " in answer


def test_too_many_connections_are_refused(running: Callable[..., Running]) -> None:
    server = running(connections=2)
    with server.connect(), server.connect(), server.connect() as third:
        answer = read(third)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in answer


def test_a_client_refused_for_too_many_connections_receives_the_answer_after_its_body(
    running: Callable[..., Running],
) -> None:
    server = running(connections=2)
    with server.connect(), server.connect():
        for _ in range(5):
            with server.connect() as third:
                third.sendall(post(bytes(3_000_000)))
                assert read(third).startswith(b"HTTP/1.1 503 ")
                assert len(server.server.server_state.connections) == 2  # those refused take no place


def test_at_the_end_waiting_connections_are_answered(running: Callable[..., Running]) -> None:
    server = running()
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    kept.request("POST", "/predict", FILES[0])
    assert kept.getresponse().read()
    waiting = [server.connect() for _ in range(5)]
    server.server.should_exit = True
    while not server.server._service.draining:
        time.sleep(0.01)
    for connection in waiting:
        connection.sendall(post(FILES[0]))
    kept.request("POST", "/predict", FILES[0])
    answer = kept.getresponse()
    kept.close()
    assert (answer.status, answer.getheader("connection")) == (200, "close")
    for connection in waiting:
        assert read(connection).startswith(b"HTTP/1.1 200 ")
        connection.close()
    server.thread.join(60)
    with pytest.raises(OSError, match="refused"):
        server.connect()


def test_connections_that_the_system_has_accepted_are_taken_over() -> None:
    async def take() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
            listener.setblocking(False)
            for _ in range(3):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            taken = server_module._waiting(asyncio.get_running_loop(), listener)
            for each in taken:
                each.close()
            return len(taken)

    assert asyncio.run(take()) == 3


def test_a_process_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "net")
    command = [sys.executable, "-m", "striate", "serve", str(tmp_path / "net"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        host = address.removeprefix("http://")
        statuses: list[int] = []
        refused = threading.Event()
        damaged = bytearray(stored(Image.new("RGB", (4, 4)), "TIFF"))
        damaged[50] = 255  # Pillow warns of it, and python_multipart of the form
        for kind, body in (("image/tiff", bytes(damaged)), (FORM, b"--XX?")):
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request("POST", "/predict", body, {"Content-Type": kind})
            assert connection.getresponse().status == (200 if kind == "image/tiff" else 400)
            connection.close()

        def ask() -> None:
            while not refused.is_set():
                connection = http.client.HTTPConnection(host, timeout=60)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    refused.set()
                    return
                connection.request("POST", "/predict", FILES[0])
                statuses.append(connection.getresponse().status)
                connection.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(statuses) < 20:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert set(statuses) == {200}
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert (events[0], events[1], events[-1]) == ("start", "ready", "end")
    assert events.count("request") == 2 + len(statuses)
    assert events.count("warning") == 1


@pytest.mark.parametrize("path", ["/predict", "/none"])
def test_a_refused_client_that_sends_all_of_its_body_first_receives_the_answer(
    running: Callable[..., Running], path: str
) -> None:
    server = running(body=100_000, memory=100_000)
    for _ in range(5):
        with server.connect() as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 9000000\r\n\r\n"
            connection.sendall(head.encode() + bytes(9_000_000))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413" if path == "/predict" else b"HTTP/1.1 404")
        assert b'{"error": "' in answer


def test_a_refused_client_that_does_not_send_its_body_is_answered_at_once(
    running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_REST", 1e6)
    server = running(body=100_000, memory=100_000)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
    for more in (b"\r\n", b"Expect: 100-continue\r\n\r\n"):
        with server.connect() as connection:
            connection.sendall(head + more)
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")  # and no 100 before
