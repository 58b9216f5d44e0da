"""Downloads from a server of our own that breaks off, lies, forgets and refuses, and the unpacking that follows."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from striate.core import download
from striate.core.download import Remote, fetch
from striate.core.errors import DataError, RunError, StriateError
from striate.core.files import locked
from striate.data.sources import named, named_registry
from striate.data.sources.cifar import CIFAR100
from striate.data.sources.opening import open_data

CONTENT = np.random.default_rng(5).bytes(300_000)


@dataclass
class Manners:
    """How the server behaves: after how many bytes each of the next answers breaks off, and what it cannot do."""

    files: dict[str, bytes]
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    honest_length: bool = True
    status: int = 0
    answered_range: str = ""
    asked: list[str] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    manners: Manners

    def do_GET(self) -> None:
        manners = self.manners
        wanted = self.headers.get("Range", "")
        manners.asked.append(wanted)
        content = manners.files.get(self.path.lstrip("/"))
        if content is None or manners.status:
            self.send_error(manners.status or 404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and manners.ranges else 0
        if wanted and manners.ranges and start >= len(content):
            self.send_error(416)
            return
        rest = content[start:]
        sent = rest[: manners.breaks.pop(0)] if manners.breaks else rest
        if self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
            return
        ranged = bool(wanted) and manners.ranges
        self.send_response(206 if ranged else 200)
        if ranged:
            honest = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", manners.answered_range or honest)
        self.send_header("Content-Length", str(len(rest if manners.honest_length else sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Manners]]:
    """The address of a server on this machine, and its manners."""
    monkeypatch.setenv("no_proxy", "*")
    manners = Manners({"file.bin": CONTENT})
    handler = type("Mannered", (Handler,), {"manners": manners})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", manners
        running.shutdown()
        thread.join()


def remote(*addresses: str, name: str = "file.bin", content: bytes = CONTENT) -> Remote:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Remote(name, tuple(f"{address}/{name}" for address in addresses), len(content), digest)


def refused(wanted: Remote, folder: Path, kind: type[StriateError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        fetch([wanted], folder)
    assert "\n" not in str(caught.value)
    assert not (folder / wanted.name).exists()
    return str(caught.value)


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_file_is_fetched_whole_with_progress_and_not_asked_for_again(
    server: tuple[str, Manners], tmp_path: Path
) -> None:
    address, manners = server
    told: list[tuple[str, int, int]] = []
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        fetch([remote(address)], folder, progress=lambda *news: told.append(news))
    assert (folder / "file.bin").read_bytes() == CONTENT
    assert manners.asked == [""]
    assert told[-1] == ("downloading file.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert {path.name for path in folder.iterdir()} == {"file.bin", ".download.lock"}


def test_a_broken_transfer_goes_on_where_it_stopped(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks = [100_000, 1, 50_000]
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=100000-", "bytes=100001-", "bytes=150001-"]


def test_a_body_shorter_than_the_file_with_a_length_that_fits_it_is_noticed(
    server: tuple[str, Manners], tmp_path: Path
) -> None:
    address, manners = server
    manners.breaks, manners.honest_length = [120_000], False
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=120000-"]


def test_a_later_process_goes_on_with_what_an_earlier_one_left(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    (tmp_path / ".file.bin.part").write_bytes(CONTENT[:200_000])
    told: list[int] = []
    fetch([remote(address)], tmp_path, progress=lambda _, done, __: told.append(done))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["bytes=200000-"]
    assert min(told) > 200_000


def test_a_server_that_cannot_begin_in_the_middle_begins_anew(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks, manners.ranges = [100_000], False
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=100000-"]


@pytest.mark.parametrize(
    "answered",
    ["bytes 0-299999/300000", "bytes 100000-299999/300001", "bytes 99999-299999/300000", "300000", "bytes */7"],
)
def test_a_wrong_range_is_not_put_behind_the_beginning_and_the_whole_is_asked_for(
    server: tuple[str, Manners], tmp_path: Path, answered: str
) -> None:
    address, manners = server
    manners.breaks, manners.answered_range = [100_000], answered
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=100000-", ""]


def test_wrong_ranges_and_broken_transfers_together_end_after_a_few_requests(
    server: tuple[str, Manners], tmp_path: Path
) -> None:
    address, manners = server
    manners.breaks, manners.answered_range = [100_000] * 99, "bytes 7-9/10"
    assert "it ended after 100,000 of 300,000 bytes" in refused(remote(address), tmp_path)
    assert len(manners.asked) < 10


def test_a_beginning_longer_than_what_lies_there_is_begun_anew(server: tuple[str, Manners], tmp_path: Path) -> None:
    """The server answers 416: the file there is shorter than what an earlier process left of another one."""
    address, manners = server
    manners.files["file.bin"] = CONTENT[:1000]
    (tmp_path / ".file.bin.part").write_bytes(bytes(2000))
    assert "it ended after 1,000 of 300,000 bytes" in refused(remote(address), tmp_path)
    assert manners.asked[:2] == ["bytes=2000-", ""]


def test_an_address_that_gives_a_byte_at_a_time_is_given_up(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks = [1] * 100
    assert "30 requests brought 30 of 300,000 bytes" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 30


def test_a_sender_that_is_too_slow_is_given_up_and_what_came_is_kept(
    server: tuple[str, Manners], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, manners = server
    minutes = iter(range(1000))
    monkeypatch.setattr(download, "_now", lambda: next(minutes) * 100.0)  # each piece takes 100 s
    assert "it sends less than 1,024 bytes a second" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 1
    left = (tmp_path / ".file.bin.part").read_bytes()
    assert left == CONTENT[: len(left)]


def test_a_redirection_to_itself_is_told(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.files["round"] = CONTENT
    assert "127.0.0.1: answered 302" in refused(remote(address, name="round"), tmp_path)
    assert len(manners.asked) <= 11


def test_a_longer_file_under_the_address_is_refused(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.files["file.bin"] = b"x" + CONTENT
    assert "what came has the sha256 digest" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 1


def test_a_server_that_gives_nothing_more_is_given_up(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks = [100_000, *[0] * 9]
    assert "it ended after 100,000 of 300,000 bytes" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 4


def test_something_else_under_the_address_is_refused_and_not_kept(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.files["file.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    assert "what came has the sha256 digest" in refused(remote(address), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".download.lock"]


def test_a_spoilt_beginning_from_an_earlier_process_does_not_stay(server: tuple[str, Manners], tmp_path: Path) -> None:
    """The digest finds it, and the file is asked for again from its beginning."""
    address, manners = server
    (tmp_path / ".file.bin.part").write_bytes(b"spoilt")
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["bytes=6-", ""]


def test_the_second_address_is_asked_when_the_first_fails(
    server: tuple[str, Manners], tmp_path: Path, nowhere: str
) -> None:
    address, _ = server
    for number, first in enumerate((nowhere, f"{address}/gone")):
        fetch([remote(first, address)], tmp_path / str(number))
        assert (tmp_path / str(number) / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_of_the_server_is_told(server: tuple[str, Manners], tmp_path: Path, status: int) -> None:
    address, manners = server
    manners.status = status
    assert f"127.0.0.1: answered {status}" in refused(remote(address), tmp_path)


def test_offline_it_says_which_files_to_put_where(tmp_path: Path, nowhere: str) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / "a.gz").write_bytes(b"here already")
    remotes = [remote(nowhere, name=name) for name in ("a.gz", "b.gz", "c.gz")]
    with pytest.raises(DataError) as caught:
        fetch(remotes, folder)
    text = str(caught.value)
    assert text.startswith("b.gz could not be downloaded (127.0.0.1: ")
    assert text.endswith(f"Get b.gz, c.gz by other means, from {nowhere}, and put them into {folder}.")


def test_two_processes_do_not_download_into_one_folder(server: tuple[str, Manners], tmp_path: Path) -> None:
    with locked(tmp_path / ".download.lock", busy=""):
        assert "Another process is downloading into" in refused(remote(server[0]), tmp_path, RunError)


def test_a_full_disk_is_told_and_what_came_is_kept(
    server: tuple[str, Manners], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "The disk is full" in refused(remote(server[0]), tmp_path, RunError)
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")
    fetch([remote(server[0])], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server[1].asked == [""]  # nothing was missing any more


# the named sets, from the address to the pictures


def archive(folder: str, files: dict[str, bytes], extra: str = "../escaped.txt") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in [*((f"{folder}/{name}", data) for name, data in files.items()), (extra, b"x")]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def small_cifar100(server: tuple[str, Manners], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manners:
    """A `cifar100` of five pictures on the local server, and a cache that is empty."""
    address, manners = server
    records = np.random.default_rng(0).integers(0, 2, (5, 3074), dtype=np.uint8)
    files = {
        "train.bin": records[:3].tobytes(),
        "test.bin": records[3:].tobytes(),
        "fine_label_names.txt": b"cat\ndog\n",
    }
    content = archive("cifar-100-binary", files)
    manners.files = {"cifar-100-binary.tar.gz": content}
    wanted = remote(address, name="cifar-100-binary.tar.gz", content=content)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    registry = type(named_registry.DATASETS)("data set", DataError)
    monkeypatch.setattr(named_registry, "DATASETS", registry)
    monkeypatch.setattr(named, "DATASETS", registry)
    named._add_cifar("cifar100", "five pictures", CIFAR100, wanted)
    return manners


def test_an_archive_is_fetched_once_unpacked_and_opened(small_cifar100: Manners, tmp_path: Path) -> None:
    for _ in range(2):
        dataset = open_data("cifar100")
        assert (dataset.name, dataset.source, dataset.classes) == ("cifar100", "cifar100", ("cat", "dog"))
        assert {split: len(indices) for split, indices in dataset.splits.items()} == {"train": 3, "test": 2}
    assert len(small_cifar100.asked) == 1
    folder = tmp_path / "cache" / "data" / "cifar100"
    assert {path.name for path in folder.iterdir()} == {"cifar-100-binary", ".download.lock"}
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize("place", [".", "cifar100", "cifar100/cifar-100-binary", "cifar-100-binary"])
def test_files_under_the_data_folder_go_before_the_network(
    small_cifar100: Manners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = tmp_path / "data" / place
    folder.mkdir(parents=True)
    for name in ("train.bin", "test.bin"):
        (folder / name).write_bytes(bytes(3074))
    (folder / "fine_label_names.txt").write_text("cat\ndog\n")
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    assert len(open_data("cifar100")) == 2
    assert not small_cifar100.asked


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(archive("inner", {"x": b"1"})[:-40])
    with pytest.raises(DataError, match="cannot be unpacked"):
        named.unpack(tmp_path / "a.tar.gz", tmp_path / "inner", ["x", "y"])


def test_offline_a_named_set_says_where_its_files_belong(
    tmp_path: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: (_ for _ in ()).throw(TimeoutError()))
    with pytest.raises(DataError) as caught:
        open_data("mnist")
    assert "Get train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images" in str(caught.value)
    assert str(tmp_path / "data" / "mnist") in str(caught.value)
    assert str(caught.value).endswith("export STRIATE_DATA=/the/folder/that/holds/mnist")
