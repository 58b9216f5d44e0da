"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.core import files
from striate.core.errors import RunError
from striate.core.files import (
    cache_folder,
    file_digest,
    locked,
    open_regular,
    read_json,
    storage_error,
    sweep,
    write_atomically,
    write_json,
)

LARGE = bytes(range(256)) * (5 << 12)  # 5 MiB: five pieces


@pytest.mark.parametrize("content", [b"", b"x", LARGE, "Grüße\n"])
def test_a_written_file_is_read_back_and_no_other_file_remains(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_json_is_indented_readable_and_in_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": ["ü", None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"b": 1, "a": ["ü", None]}
    assert text.index('"b"') < text.index('"a"')
    assert "ü" in text
    assert text.endswith("}\n")


def test_file_is_synced_before_the_rename_and_folder_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        fsync(handle)

    def rename(source: Path, target: Path) -> None:
        assert source.parent == target.parent  # a rename across file systems would not be atomic
        assert source.read_bytes() == LARGE
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    write_atomically(tmp_path / "a", LARGE)
    assert done == ["file", "rename", "folder"]


def _fail(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("place", ["write_chunk", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: .*a.bin could not be written. Free some space"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EACCES, r"cannot be written to \(Permission denied\)\. Choose another folder\."),
        (errno.EROFS, "Choose another folder"),
        (errno.EIO, r"a\.bin could not be written: Input/output error\."),
    ],
)
def test_a_failed_write_is_one_sentence_and_the_old_file_is_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int, sentence: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(files if place == "write_chunk" else os, place, _fail(number))
    with pytest.raises(RunError, match=sentence):
        write_atomically(path, LARGE)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_disk_that_fills_half_way_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, sizes = tmp_path / "a.bin", files.write_chunk, []

    def fill(file, chunk) -> None:
        sizes.append(len(chunk))
        if len(sizes) == 3:
            raise OSError(errno.ENOSPC, "full")
        write(file, chunk)

    path.write_bytes(b"old")
    monkeypatch.setattr(files, "write_chunk", fill)
    with pytest.raises(RunError, match="disk is full"):
        write_atomically(path, LARGE)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]
    assert sizes == [1 << 20] * 3


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.bin could not be written: No such file or directory\."):
        write_atomically(tmp_path / "nowhere" / "a.bin", b"x")


def test_an_error_without_a_text_still_makes_a_sentence(tmp_path: Path) -> None:
    assert str(storage_error(tmp_path, OSError("odd"))).endswith("could not be written: odd.")


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LARGE)
    assert file_digest(tmp_path / "a") == hashlib.sha256(LARGE).hexdigest()


def test_the_cache_is_in_the_folder_of_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("STRIATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "striate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "striate"


def test_a_lock_is_held_once_and_given_back_even_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def fail_while_holding() -> None:
        with locked(path, busy="taken"):
            with pytest.raises(RunError, match=r"^taken$"), locked(path, busy="taken"):
                pytest.fail("held twice")
            raise KeyError

    with pytest.raises(KeyError):
        fail_while_holding()
    with locked(path, busy="taken"):
        pass


# The holder runs in an interpreter of its own, because only there can it be killed.
_HOLD = """
import sys, time
from pathlib import Path
from striate.core.files import locked
with locked(Path(sys.argv[1]), busy="taken"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_goes_with_the_process_that_held_it_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", _HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="taken"), locked(path, busy="taken"):
            pytest.fail("held twice")
        holder.kill()
    with locked(path, busy="taken"):
        pass


def test_a_lock_in_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="could not be written"), locked(tmp_path / "nowhere" / "lock", busy="taken"):
        pytest.fail("held")


def _ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_partial_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    gone, alive = _ended(), os.getppid()
    swept = [f".report.html.{gone}.tmp", f"sub/.val.csv.{gone}.tmp", f".a.b.{os.getpid()}.tmp", f".x.{10**30}.tmp"]
    stays = [f".report.html.{alive}.tmp", "report.html", ".lock", ".report.html.tmp", f"report.html.{gone}.tmp"]
    for name in (*swept, *stays):
        (tmp_path / name).write_text("half")
    folder = tmp_path / f".inspection.{gone}.tmp"
    (folder / "maps").mkdir(parents=True)
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*stays, "sub"])
    assert os.listdir(tmp_path / "sub") == []


def test_a_former_folder_comes_back_where_a_kill_left_none(tmp_path: Path) -> None:
    gone = _ended()
    for name in ("one", "two"):
        (tmp_path / f".{name}.{gone}.former").mkdir()
        (tmp_path / f".{name}.{gone}.former" / "page").write_text("old")
    (tmp_path / "two").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "one" / "page").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def test_a_file_that_this_process_is_writing_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write_chunk

    def sweeping(file, chunk) -> None:
        sweep(tmp_path)
        write(file, chunk)

    monkeypatch.setattr(files, "write_chunk", sweeping)
    write_atomically(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "a").write_bytes(b"a")
    for name in ("pipe", "link", ".", "absent"):
        with pytest.raises(OSError, match=r"regular|No such"):
            open_regular(tmp_path / name)
    with open_regular(tmp_path / "a") as file:
        assert file.read() == b"a"


def test_json_keeps_the_bytes_of_names_that_are_not_utf8(tmp_path: Path) -> None:
    value = {"data": "caf\udce9/é", "name": "\ud800"}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("content", [b'{"a": 1', b"\xff", b"[" * 100_000, None])
def test_json_that_cannot_be_read_is_a_sentence_with_the_remedy(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError):
        read_json(path, "Write it again.")
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(RunError, match=r"x\.json cannot be read \(.*\)\. Write it again\."):
        read_json(path, "Write it again.")


def test_without_a_home_the_error_names_the_variable_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("STRIATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunError, match="Set STRIATE_CACHE to one"):
        cache_folder()
    monkeypatch.setenv("STRIATE_CACHE", "~/cache")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/cache")
