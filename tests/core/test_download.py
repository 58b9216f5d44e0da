"""Downloads from a server of our own that breaks off, lies, forgets and refuses."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rehearsal.server import Manners, serving
from striate.core import download
from striate.core.download import Remote, fetch
from striate.core.errors import DataError, RunError, StriateError
from striate.core.files import locked

CONTENT = np.random.default_rng(5).bytes(300_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Manners]]:
    """The address of a server on this machine, and its manners."""
    monkeypatch.setenv("no_proxy", "*")
    manners = Manners({"file.bin": CONTENT})
    with serving(manners) as address:
        yield address, manners


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
    """An address without a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_file_is_downloaded_whole_with_progress_and_not_requested_again(
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


def test_a_server_that_cannot_begin_in_the_middle_begins_again(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks, manners.ranges = [100_000], False
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=100000-"]


@pytest.mark.parametrize(
    "answered",
    ["bytes 0-299999/300000", "bytes 100000-299999/300001", "bytes 99999-299999/300000", "300000", "bytes */7"],
)
def test_a_wrong_range_is_not_appended_and_the_whole_file_is_requested(
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


def test_a_partial_file_longer_than_the_whole_is_downloaded_again(server: tuple[str, Manners], tmp_path: Path) -> None:
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


def test_a_redirection_to_itself_is_reported(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.redirects["round"] = "/round"
    assert "127.0.0.1: answered 302" in refused(remote(address, name="round"), tmp_path)
    assert len(manners.asked) <= 11


def test_a_longer_file_under_the_address_is_refused(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.files["file.bin"] = b"x" + CONTENT
    assert "the downloaded file has the sha256 digest" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 1


def test_a_server_that_gives_nothing_more_is_given_up(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks = [100_000, *[0] * 9]
    assert "it ended after 100,000 of 300,000 bytes" in refused(remote(address), tmp_path)
    assert len(manners.asked) == 4


def test_something_else_under_the_address_is_refused_and_not_kept(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.files["file.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    assert "the downloaded file has the sha256 digest" in refused(remote(address), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".download.lock"]


def test_a_spoilt_beginning_from_an_earlier_process_does_not_stay(server: tuple[str, Manners], tmp_path: Path) -> None:
    """The digest finds it, and the file is requested again from its beginning."""
    address, manners = server
    (tmp_path / ".file.bin.part").write_bytes(b"spoilt")
    fetch([remote(address)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["bytes=6-", ""]


def test_the_second_address_is_tried_when_the_first_fails(
    server: tuple[str, Manners], tmp_path: Path, nowhere: str
) -> None:
    address, _ = server
    for number, first in enumerate((nowhere, f"{address}/gone")):
        fetch([remote(first, address)], tmp_path / str(number))
        assert (tmp_path / str(number) / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_of_the_server_is_reported(server: tuple[str, Manners], tmp_path: Path, status: int) -> None:
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


def test_a_full_disk_is_reported_and_the_partial_file_is_kept(
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


def test_a_file_of_unknown_size_is_measured_first(server: tuple[str, Manners], tmp_path: Path) -> None:
    address, manners = server
    manners.breaks = [100_000]
    fetch([replace(remote(address), size=None)], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert manners.asked == ["", "bytes=100000-"]
    assert "answered 404" in refused(replace(remote(address, name="gone"), size=None), tmp_path)


def test_the_first_digits_of_a_digest_suffice(server: tuple[str, Manners], tmp_path: Path) -> None:
    wanted = remote(server[0])
    digits = wanted.digest.removeprefix("sha256:")
    wrong = "0" if digits[7] != "0" else "1"
    told = refused(replace(wanted, digest=f"sha256-prefix:{digits[:7]}{wrong}"), tmp_path)
    assert f"the downloaded file has the sha256 digest {digits}, not {digits[:7]}{wrong}…" in told
    fetch([replace(wanted, digest=f"sha256-prefix:{digits[:8]}")], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
