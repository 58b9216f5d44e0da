"""Predict parts of a long list of images on Ray Data: on this machine, or on a cluster.

Each worker is an actor that loads the classifier once, and reads, decodes and predicts whole parts as a local job does,
so that images never travel. Ray was seen to wait for ever, without a word, where actors hold all processors of a
cluster (ray-project/ray#44687): workers leave one free on each machine, and a watchdog ends a job that stands still.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from striate.classifier import Classifier, Ensemble, load_classifier, save_classifier
from striate.classifier.predictor import Predictor
from striate.core.allocator import TUNED_ENVIRONMENT
from striate.core.errors import ConfigError, RunError, StriateError
from striate.core.progress import Progress
from striate.core.threads import usable_cores
from striate.predicting.images import ListedImage
from striate.predicting.job import Job, Part
from striate.predicting.local import Answering, predicted

LOCAL = "local"
"""The address of a cluster that is started on this machine for one job."""
_SILENCE, _PATIENCE = 60.0, 600.0  # seconds without a row until it is said, and until the job ends
_ANSWER, _GOODBYE = 10.0, 5.0  # seconds
_OBJECT_STORE = 256 << 20  # bytes on this machine; lists and rows are small, and images do not travel

Files = dict[str, bytes]


@dataclass(frozen=True)
class Cluster:
    """Where a job runs: the `address` of a cluster of Ray, the number of `workers`, and the `device` of each.

    By default there is a worker for each GPU, or for each processor where there is none.
    """

    address: str
    workers: int | None = None
    device: str = "auto"


def check_ray() -> None:
    """Check that Ray Data is installed.

    Raises:
        ConfigError: it is not.
    """
    if not (find_spec("ray") and find_spec("pyarrow")):
        raise ConfigError(
            "A cluster needs Ray, which is not installed. Install it, here and on each machine: "
            "pip install 'striate[cluster]'"
        )


def predicted_on(
    cluster: Cluster, predictor: Predictor, job: Job, how: Answering, progress: Progress
) -> Iterator[Part]:
    """Yield the rows of each part of `job` that is not done, in the order in which they are done.

    Raises:
        ConfigError: the cluster has no such device.
        RunError: the cluster cannot be reached, or gives no row for ten minutes.
        StriateError: a worker raised it.
    """
    with _connected(cluster.address) as ray:
        workers = _workers(ray, cluster)
        files = ray.put([_packed(member) for member in predictor.members])
        items = [{"part": number, "images": _text(images)} for number, images in job.pending()]

        def dataset() -> Any:
            return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Worker,
                fn_constructor_args=[files, asdict(how), workers.device, workers.threads],
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=min(workers.count, len(items))),
                num_cpus=workers.processors,
                num_gpus=workers.gpus,
                runtime_env={"env_vars": TUNED_ENVIRONMENT},  # Ray's own threads have arenas before the worker begins
            )

        with contextlib.closing(_watched(dataset, lambda text: progress(text, job.images_done, job.count))) as rows:
            for row in rows:
                if row["error"]:
                    raise RunError(row["error"])
                yield Part(row["part"], row["failures"], row["rows"])


class _Worker:
    """The actor: it loads the classifier once, and answers a part at each call."""

    def __init__(self, files: Any, how: dict[str, Any], device: str, threads: int) -> None:
        self._failed = ""
        try:
            self._predictor = _unpacked(import_module("ray").get(files), device)
            import_module("torch").set_num_threads(threads)
        except StriateError as error:
            self._failed = str(error)
        self._how, self._threads = Answering(**how), threads

    def __call__(self, table: Any) -> Any:
        arrow = import_module("pyarrow")
        (number,), (text,) = table["part"].to_pylist(), table["images"].to_pylist()
        part, failed = Part(number, 0, b""), self._failed
        if not failed:
            images = [ListedImage.of_line(line) for line in text.splitlines()]
            try:
                (part,) = predicted(self._predictor, [(number, images)], self._how, threads=self._threads)
            except StriateError as error:
                failed = str(error)
        rows = arrow.array([part.rows], arrow.large_binary())
        return arrow.table({"part": [number], "failures": [part.failures], "rows": rows, "error": [failed]})


def _text(images: Sequence[ListedImage]) -> str:
    return "\n".join(image.line() for image in images)


def _packed(classifier: Classifier) -> Files:
    """Return the files of a classifier, which hold no code."""
    with tempfile.TemporaryDirectory(prefix="striate-") as folder:
        save_classifier(classifier, Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _unpacked(members: Sequence[Files], device: str) -> Predictor:
    from striate.core.device import device_named

    found: list[Classifier] = []
    for files in members:
        with tempfile.TemporaryDirectory(prefix="striate-") as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            found.append(load_classifier(folder).to(device_named(device)))
    return found[0] if len(found) == 1 else Ensemble(found)


@dataclass(frozen=True)
class _Workers:
    """The number of workers, and of each the device, the threads, and what it takes of the cluster."""

    count: int
    device: str
    threads: int
    processors: float
    gpus: float | None


def _workers(ray: Any, cluster: Cluster) -> _Workers:
    """Divide the cluster among workers; a processor of each machine stays free.

    Raises:
        ConfigError: the cluster has no GPU, and one is asked for.
    """
    total = ray.cluster_resources()
    machines = sum(bool(node["Alive"]) for node in ray.nodes())
    processors, gpus = int(total.get("CPU", 0)), int(total.get("GPU", 0))
    on_gpus = cluster.device.startswith("cuda") or (cluster.device == "auto" and gpus > 0)
    if on_gpus and not gpus:
        raise ConfigError(f"The cluster has no GPU for the device {cluster.device}. Leave the device out.")
    count = cluster.workers or (gpus if on_gpus else max(1, processors))
    share = max(0.0, round((processors - machines) / count - 5e-5, 4))  # Ray counts in steps of 0.0001
    device = ("cuda" if on_gpus else "cpu") if cluster.device == "auto" else cluster.device
    return _Workers(count, device, max(1, processors // count), share, min(1.0, gpus / count) if on_gpus else None)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to the cluster, or start one on this machine; one that the program has joined before is left as it is.

    Raises:
        RunError: it cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a job that ends early would start another cluster
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray Data's own use of actors is logged as an error
    if address == LOCAL:
        # The name says Windows; what it does is to bind the ports of a cluster of one machine to the loopback address.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = import_module("ray")
    import_module("ray.data")
    joined = ray.is_initialized()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if not joined and address == LOCAL:
            with _without_stderr():  # Ray would report the level of its log
                ray.init(
                    address,
                    num_cpus=usable_cores(),
                    object_store_memory=_OBJECT_STORE,
                    include_dashboard=False,
                    **options,
                )
        elif not joined:
            _check_answers(address)
            ray.init(address, **options)
    except Exception as error:
        raise RunError(
            f"The cluster {address} cannot be reached ({_first_line(error)}). Start one with 'ray start --head', or "
            "use --cluster local."
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors reach the user as one sentence
    try:
        yield ray
    finally:
        if not joined:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT, for which Ray would wait minutes, and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard what this process, and libraries in it, write to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _watched(dataset: Callable[[], Any], say: Callable[[str], None]) -> Generator[dict[str, Any], None, None]:
    """Yield the rows of a dataset; say so when none comes for a minute, and give up after ten.

    Raises:
        RunError: no row has come for ten minutes, or the cluster has failed.
    """
    rows: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()
    ended = threading.Event()

    def follow() -> None:
        try:
            for table in dataset().iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for row in table.to_pylist():
                    rows.put(row)
                if ended.is_set():
                    return
            rows.put(None)
        except Exception as error:
            rows.put(error)

    thread = threading.Thread(target=follow, name="striate-cluster", daemon=True)
    thread.start()
    last = time.monotonic()
    try:
        while True:
            try:
                row = rows.get(timeout=1)
            except queue.Empty:
                silent = time.monotonic() - last
                if silent > _PATIENCE:
                    raise RunError(
                        f"The cluster has given no row for {_PATIENCE / 60:.0f} minutes, although it may be running: "
                        "see 'ray status' for what holds its processors. Give the same command again to continue."
                    ) from None
                if silent > _SILENCE:
                    say(f"no row for {silent:.0f} s: are the cluster's processors free (ray status)? predicting")
                continue
            if row is None:
                return
            if isinstance(row, Exception):
                raise RunError(
                    f"The cluster has failed: {_first_line(row)}. Give the same command again to continue."
                ) from row
            last = time.monotonic()
            yield row
    finally:
        ended.set()
        thread.join(_GOODBYE)


def _first_line(error: BaseException) -> str:
    """Return the reason of an error that Ray has wrapped."""
    cause = getattr(error, "cause", None) or error
    return (str(cause).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
