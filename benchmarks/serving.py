"""Serving: throughput and latency beside mosec and FastAPI, overhead, hostile requests, the end under load, memory.

    python benchmarks/serving.py [--quick] [--write] [--hostile 2000] [--kills 5] [--soak 60] [--rounds 5]

Every server classifies the same photos with the same MobileNet v2 (random weights, 10 classes, 224×224). A round loads
each server in turn; the others wait. The client is a process of its own on the same machine. Striate serves it in
torch, and once more after `striate export --for cpu`, in the runtime that was the fastest there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import _hostile
import striate
from _load import connected, paced, request, saturate
from _measure import RESULTS, Figures, Row, Table, in_turn, tabulate, write_result
from _sides import real_data
from striate.classifier import Arguments, Classifier, Prepared, Provenance, load_classifier, save_classifier
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.models import create_model

SPEC = InputSpec(channels=RGB, height=224, width=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CLASSES = tuple(f"class {number}" for number in range(10))
BATCH, CONNECTIONS = 16, 16
Found = Iterator[tuple[str, Table | Figures]]
OURS, MOSEC, PLAIN, THREADED = "striate serve", "mosec", "FastAPI, async", "FastAPI, threads"
EXPORTED = "striate serve, after export --for cpu"
_READY = 600.0  # seconds for a server to start
_PROBE = 20.0
_MOSEC_TIMEOUT = "60000"  # milliseconds of a request; its default of three seconds is short for a busy machine


def classifier() -> Classifier:
    provenance = Provenance(
        run="net", created="", data="", data_digest="", recipe="", recipe_digest="", seed=0, epochs=0.0
    )
    arguments = Arguments(classes=len(CLASSES), channels=3, size=SPEC.size)
    model = create_model("mobilenet_v2", seed=0, **arguments).eval()
    return Classifier(model, "mobilenet_v2", arguments, SPEC, LabelSpec(CLASSES), provenance)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def server(*words: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and end it after the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=Path(__file__).parent,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_for(process: subprocess.Popen[bytes], port: int, path: str = "/predict") -> None:
    """Wait until a server answers an image."""
    end = time.perf_counter() + _READY
    probe = request(path, _hostile.GOOD)
    while True:
        if process.poll() is not None or time.perf_counter() > end:
            raise SystemExit(f"{process.args} does not start.")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            if asyncio.run(_first(port, probe)) == 200:
                return
        time.sleep(0.2)


async def _first(port: int, probe: bytes) -> int:
    async with asyncio.timeout(_PROBE), connected(port) as connection:
        return await connection.ask(probe)


@contextlib.contextmanager
def ours(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    with server("striate", "serve", f"net={folder}", "--port", str(port), *options) as process:
        wait_for(process, port)
        yield process


def photos() -> list[bytes]:
    return [path.read_bytes() for path in sorted(real_data("imagenet-samples").glob("*.jp*g"))[:64]]


def beside_peers(folder: Path, rounds: int, seconds: float) -> Found:
    """Throughput with many connections, then latency at one rate that all of them stand."""
    requests = [request("/predict", photo) for photo in photos()]
    threaded = [request("/threaded", photo) for photo in photos()]
    ports = [free_port() for _ in range(4)]
    exported = folder.with_name("exported")
    shutil.copytree(folder, exported)
    striate.export(exported, to="cpu", out=exported / "exports" / "cpu")
    mosec = ("sides.serve_mosec", "--port", str(ports[1]), "--address", "127.0.0.1", "--timeout", _MOSEC_TIMEOUT)
    with (
        server("striate", "serve", f"net={folder}", "--port", str(ports[0])) as first,
        server(*mosec, environment={"STRIATE_SERVED": str(folder)}) as second,
        server("sides.serve_fastapi", str(folder), str(ports[2])) as third,
        server("striate", "serve", f"net={exported}", "--port", str(ports[3])) as fourth,
    ):
        wait_for(first, ports[0])
        wait_for(second, ports[1], "/inference")
        wait_for(third, ports[2])
        wait_for(fourth, ports[3])
        contestants = {
            MOSEC: (ports[1], [request("/inference", photo) for photo in photos()]),
            OURS: (ports[0], requests),
            EXPORTED: (ports[3], requests),
            PLAIN: (ports[2], requests),
            THREADED: (ports[2], threaded),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for port, sent in contestants.values():  # not counted: warms up
            asyncio.run(saturate(port, sent, connections=CONNECTIONS, seconds=min(2.0, seconds)))
        for name in in_turn(list(contestants), rounds):
            port, sent = contestants[name]
            start = time.perf_counter()
            done = asyncio.run(saturate(port, sent, connections=CONNECTIONS, seconds=seconds))
            rates[name].append(done / (time.perf_counter() - start))
            print(f"{name}: {rates[name][-1]:.1f} a second", file=sys.stderr, flush=True)
        table = tabulate(rates, unit="images/s")
        yield "Throughput", table
        best = max((PLAIN, THREADED), key=lambda name: table[name].rate)
        rate = 0.8 * table[best].rate
        latencies: dict[str, list[float]] = {name: [] for name in (best, OURS, EXPORTED, MOSEC)}
        for name in in_turn(list(latencies), rounds):
            port, sent = contestants[name]
            latencies[name] += asyncio.run(paced(port, sent, rate=rate, seconds=2 * seconds))
        yield "Latency at equal load", _latencies(latencies, rate)


def _latencies(found: Mapping[str, Sequence[float]], rate: float) -> Figures:
    base = float(np.quantile(next(iter(found.values())), 0.99))
    rows = []
    for name, seconds in found.items():
        half, most = (1000 * float(np.quantile(seconds, share)) for share in (0.5, 0.99))
        rows.append((name, f"{half:.0f} ms", f"{most:.0f} ms", f"{most / 1000 / base:.2f}"))
    count = len(next(iter(found.values())))
    method = (
        f"Requests at random moments, {rate:.1f} a second on average (80 % of the throughput of the faster FastAPI "
        f"endpoint), some {count:,} to each server in turn."
    )
    return Figures(("", "median", "p99", "p99, ratio"), tuple(rows), method)


def overhead(folder: Path, rounds: int, seconds: float) -> Found:
    """Full batches of prepared images: the classifier in this process, and through the server."""
    own, port = load_classifier(folder), free_port()
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), dtype=np.uint8)
    prepared = [own.prepared(each, "image") for each in pixels]
    assert all(isinstance(each, Prepared) for each in prepared)
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(pixels.shape)}
    tensor["parameters"] = {"binary_data_size": pixels.nbytes}
    head = json.dumps({"inputs": [tensor]}).encode()
    sent = request("/v2/models/net/infer", head + pixels.tobytes(), f"Inference-Header-Content-Length: {len(head)}")

    def bare() -> int:
        end, done = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            done += len(own.answered([each for each in prepared if isinstance(each, Prepared)]))
        return done

    with ours(folder, port):
        work: dict[str, Callable[[], int]] = {
            "the classifier alone": bare,
            "through the server": lambda: BATCH * asyncio.run(saturate(port, [sent], connections=3, seconds=seconds)),
        }
        rates: dict[str, list[float]] = {name: [] for name in work}
        for each in work.values():
            each()
        for name in in_turn(list(work), rounds):
            start = time.perf_counter()
            rates[name].append(work[name]() / (time.perf_counter() - start))
    yield "Overhead at full batches", tabulate(rates, unit="images/s")


def hostile(folder: Path, count: int, slow: int) -> Found:
    """Hostile requests of all kinds, and then an ordinary one."""
    port = free_port()
    with ours(folder, port) as process:
        start = time.perf_counter()
        found = asyncio.run(_hostile.attack(port, count))
        took = time.perf_counter() - start
        found["slow sender"] = asyncio.run(_hostile.slow(port, slow))
        alive = process.poll() is None and asyncio.run(_first(port, request("/predict", _hostile.GOOD))) == 200
    rows = []
    for kind, outcomes in found.items():
        words = ", ".join(f"{number:,} × {outcome}" for outcome, number in sorted(outcomes.items()))
        rows.append((kind, f"{sum(outcomes.values()):,}", words))
    hangs = sum(number for each in found.values() for outcome, number in each.items() if "hang" in outcome)
    every = sum(sum(each.values()) for each in found.values())
    state = "answers" if alive else "DOES NOT ANSWER"
    method = (
        f"{every:,} requests ({count / took:.0f} a second), 32 at once: {hangs} hangs; afterwards the server {state} "
        "an ordinary request. Closed: by the server, after its limit or because the client's bytes are no HTTP."
    )
    yield "Hostile requests", Figures(("kind", "requests", "ended"), tuple(rows), method)


def kills(folder: Path, count: int, seconds: float) -> Found:
    """SIGTERM while 16 clients ask without a pause, half of them over open connections."""
    rows = []
    for number in range(count):
        port = free_port()
        with ours(folder, port) as process:
            counts = asyncio.run(_until_closed(port, process, seconds * (0.5 + number / count)))
            process.wait(60)
        rows.append((str(number + 1), f"{counts['answered']:,}", f"{counts['lost']:,}", str(process.returncode)))
    method = (
        "Lost: sent over a connection that was accepted, and not answered. A request over an open connection that the "
        "server has announced to close is not sent."
    )
    yield "SIGTERM under load", Figures(("end", "answered", "lost", "exit status"), tuple(rows), method)


async def _until_closed(port: int, process: subprocess.Popen[bytes], seconds: float) -> dict[str, int]:
    counts = {"answered": 0, "lost": 0}
    sent = request("/predict", _hostile.GOOD)
    closing = request("/predict", _hostile.GOOD, "Connection: close")

    async def one(keeps: bool) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            announced = not keeps
            try:
                while True:
                    writer.write(sent if keeps else closing)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    counts["answered"] += head[9:12] == b"200"
                    announced = announced or b"connection: close" in head.lower()
                    if announced:
                        break
            except (OSError, asyncio.IncompleteReadError):
                counts["lost"] += 1
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def end() -> None:
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGTERM)

    await asyncio.gather(end(), *(one(number % 2 == 0) for number in range(16)))
    return counts


def soak(folder: Path, seconds: float, share: float = 0.8) -> Found:
    """Memory at 80 % of the throughput: the slope of the second half, by least squares."""
    port = free_port()
    requests = [request("/predict", photo) for photo in photos()]
    with ours(folder, port) as process:
        most = asyncio.run(saturate(port, requests, connections=CONNECTIONS, seconds=8)) / 8
        samples: list[tuple[float, float]] = []
        ended = threading.Event()

        def look() -> None:
            start = time.perf_counter()
            while not ended.wait(0.5):
                pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                samples.append((time.perf_counter() - start, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))

        looking = threading.Thread(target=look)
        looking.start()
        latencies = asyncio.run(paced(port, requests, rate=share * most, seconds=seconds))
        ended.set()
        looking.join()
    half = [sample for sample in samples if sample[0] > seconds / 2]
    slope = 60 * statistics.linear_regression(*zip(*half, strict=True)).slope
    first, last = (statistics.median(value for _, value in part) for part in (half[:20], half[-20:]))
    row = (
        f"{seconds:.0f} s",
        f"{share * most:.1f} a second",
        f"{len(latencies):,}",
        f"{latencies.count(math.inf):,}",
        f"{first:.1f} → {last:.1f} MiB",
        f"{slope:+.2f} MiB a minute",
    )
    method = f"p99 {1000 * float(np.quantile(latencies, 0.99)):.0f} ms. Memory: resident, second half."
    yield "Memory", Figures(("length", "load", "requests", "refused", "memory", "slope"), (row,), method)


def refusal(folder: Path) -> Found:
    """How fast a full queue refuses, while the network works."""
    port = free_port()
    body = b"".join(_hostile.PART + photo + b"\r\n" for photo in photos()[:16]) + b"--XX--\r\n"
    large = request("/predict", body, _hostile.FORM)

    async def ask() -> list[float]:
        found: list[float] = []
        end = time.perf_counter() + 6

        async def fill() -> None:
            async with connected(port) as connection:
                while time.perf_counter() < end:
                    await connection.ask(large)

        async def look() -> None:
            small = request("/predict", _hostile.GOOD)
            async with connected(port) as connection:
                while time.perf_counter() < end:
                    start = time.perf_counter()
                    if await connection.ask(small) == 503:
                        found.append(time.perf_counter() - start)
                    await asyncio.sleep(0.02)

        await asyncio.gather(fill(), fill(), look())
        return found

    async def idle() -> list[float]:
        found = []
        live = request("/healthz", b"", method="GET")
        async with connected(port) as connection:
            for _ in range(100):
                start = time.perf_counter()
                await connection.ask(live)
                found.append(time.perf_counter() - start)
                await asyncio.sleep(0.02)
        return found

    with ours(folder, port, "--queue", "32", "--images", "16"):
        found = {"/healthz of an idle server": asyncio.run(idle()), "503 of a full one": asyncio.run(ask())}
    rows = []
    for name, seconds in found.items():
        half, most = (1000 * float(np.quantile(seconds or [0], share)) for share in (0.5, 0.99))
        rows.append((name, f"{len(seconds)}", f"{half:.1f} ms", f"{most:.1f} ms"))
    method = "One request at a time, over an open connection. The full server classifies two requests of 16 photos."
    yield "A full queue", Figures(("", "requests", "median", "p99"), tuple(rows), method)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="as short as it can be")
    parser.add_argument("--write", action="store_true", help="write results/serving.md and .json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hostile", type=int, default=2000, metavar="REQUESTS")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--soak", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts as they were measured")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.hostile, arguments.kills, arguments.soak = 1, 100, 1, 5.0
    seconds = 1.0 if arguments.quick else 4.0
    striate.tune_process()  # as the server does
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "net"
        save_classifier(classifier(), folder)
        tables: dict[str, Table | Figures] = {}
        note = f"MobileNet v2, 224×224; threads of torch in every server: {torch.get_num_threads()}."
        for part in arguments.only or PARTS:
            for heading, table in PARTS[part](folder, arguments, seconds):
                tables[heading] = table
                print(f"{heading}\n{table.markdown()}\n{table.method}\n", flush=True)
                if arguments.write:
                    write_result("serving", "Serving", {**(_measured() if arguments.only else {}), **tables}, [note])


def _measured() -> dict[str, Table | Figures]:
    """Return the tables of the last run, so that some of them can be measured again."""
    path = RESULTS / "serving.json"
    found: dict[str, Table | Figures] = {}
    for heading, stored in (json.loads(path.read_text("utf-8"))["tables"] if path.exists() else {}).items():
        if "unit" in stored:
            rows = tuple(Row(row["name"], tuple(row["rates"]), tuple(row["ratios"])) for row in stored["rows"])
            found[heading] = Table(stored["unit"], rows)
        else:
            rows = tuple(map(tuple, stored["rows"]))
            found[heading] = Figures(tuple(stored["columns"]), rows, stored["method"])
    return found


PARTS: dict[str, Callable[[Path, argparse.Namespace, float], Found]] = {
    "peers": lambda folder, given, seconds: beside_peers(folder, given.rounds, seconds),
    "overhead": lambda folder, given, seconds: overhead(folder, given.rounds, seconds),
    "refusal": lambda folder, given, seconds: refusal(folder),
    "hostile": lambda folder, given, seconds: hostile(folder, given.hostile, max(4, given.hostile // 100)),
    "kills": lambda folder, given, seconds: kills(folder, given.kills, seconds),
    "soak": lambda folder, given, seconds: soak(folder, given.soak),
}


if __name__ == "__main__":
    main()
