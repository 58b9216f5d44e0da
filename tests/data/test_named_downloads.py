"""The named sets, from the address on a server of our own to the images."""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rehearsal.server import Manners, serving
from striate.core.download import Remote
from striate.core.errors import DataError
from striate.data.sources import named, named_registry
from striate.data.sources.cifar import CIFAR100
from striate.data.sources.opening import open_data


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Manners]]:
    """The address of a server on this machine, and its manners."""
    monkeypatch.setenv("no_proxy", "*")
    manners = Manners({})
    with serving(manners) as address:
        yield address, manners


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
    """A `cifar100` of five images on the local server, and a cache that is empty."""
    address, manners = server
    records = np.random.default_rng(0).integers(0, 2, (5, 3074), dtype=np.uint8)
    files = {
        "train.bin": records[:3].tobytes(),
        "test.bin": records[3:].tobytes(),
        "fine_label_names.txt": b"cat\ndog\n",
    }
    content = archive("cifar-100-binary", files)
    manners.files = {"cifar-100-binary.tar.gz": content}
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    wanted = Remote("cifar-100-binary.tar.gz", (f"{address}/cifar-100-binary.tar.gz",), len(content), digest)
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


def test_offline_a_named_set_says_where_its_files_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: (_ for _ in ()).throw(TimeoutError()))
    with pytest.raises(DataError) as caught:
        open_data("mnist")
    assert "Get train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images" in str(caught.value)
    assert str(tmp_path / "data" / "mnist") in str(caught.value)
    assert str(caught.value).endswith("export STRIATE_DATA=/the/folder/that/holds/mnist")
