"""A hub of our own: what it publishes is fetched and checked, and what it sends instead is refused and not kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from rehearsal.server import Manners, serving
from striate.core.errors import ModelError, StriateError
from striate.models import create_model
from striate.models.weights import hub, is_published, pretrained
from striate.models.weights.hub import Repository, repository_of

REPOSITORY = "timm/tiny_vgg.test"
CONFIG = {
    "architecture": "tiny_vgg",
    "num_classes": 3,
    "label_names": ["cat", "dog", "owl"],
    "pretrained_cfg": {
        "input_size": [3, 32, 32],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "num_classes": 3,
    },
}


def _weights(seed: int = 1) -> bytes:
    return save(create_model("tiny_vgg", classes=3, size=(32, 32), seed=seed).state_dict())


WEIGHTS = _weights()


def _path(file: str, repository: str = REPOSITORY) -> str:
    return f"{repository}/resolve/main/{file}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Manners]:
    """A hub with one model, as `HF_ENDPOINT`; no caches."""
    manners = Manners({_path("config.json"): json.dumps(CONFIG).encode(), _path("model.safetensors"): WEIGHTS})
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    manners.headers[_path("model.safetensors")] = {"ETag": f'"{digest}"'}
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with serving(manners) as address:
        monkeypatch.setenv("HF_ENDPOINT", f"{address}/")
        yield manners


def refused(tmp_path: Path, weights: str = REPOSITORY) -> str:
    with pytest.raises(StriateError) as caught:
        pretrained(weights)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("model.safetensors"))
    return str(caught.value)


def _is_right(found: Any) -> bool:
    state = create_model("tiny_vgg", classes=3, size=(32, 32), seed=1).state_dict()
    return all(torch.equal(found.state[name], tensor) for name, tensor in state.items())


def test_a_model_is_fetched_once_with_its_preparation_and_classes(server: Manners) -> None:
    found = pretrained(REPOSITORY)
    assert _is_right(found)
    assert (found.model, found.labels, found.arguments["size"]) == ("tiny_vgg", ("cat", "dog", "owl"), (32, 32))
    assert found.input is not None
    assert (found.input.mean, found.input.resized, found.input.filter) == ((0.5,) * 3, (32, 32), "bilinear")
    assert found.digest == f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
    assert found.source.endswith(f"/{REPOSITORY}/resolve/main/model.safetensors")
    requests = len(server.asked)
    server.files.clear()
    assert _is_right(pretrained(REPOSITORY))
    assert len(server.asked) == requests


def test_a_large_file_is_on_another_host_and_its_digest_on_the_hub(
    server: Manners, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Manners({"blob": WEIGHTS}, breaks=[1000])
    with serving(elsewhere) as address:
        server.redirects[_path("model.safetensors")] = f"{address}/blob"
        server.headers[_path("model.safetensors")] = {
            "X-Linked-Etag": f'"{hashlib.sha256(WEIGHTS).hexdigest()}"',
            "X-Linked-Size": str(len(WEIGHTS)),
        }
        assert _is_right(pretrained(REPOSITORY))
    assert elsewhere.asked == ["", "bytes=1000-"]  # a broken transfer goes on


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]), "the downloaded file has the sha256 digest"),
        (b"<html>busy</html>".ljust(len(WEIGHTS)), "the downloaded file has the sha256 digest"),
        (WEIGHTS[: len(WEIGHTS) // 2], "the downloaded file has the sha256 digest"),
    ],
)
def test_other_content_than_the_file_is_not_kept(server: Manners, tmp_path: Path, content: bytes, said: str) -> None:
    server.files[_path("model.safetensors")] = content
    assert said in refused(tmp_path)
    server.files[_path("model.safetensors")] = WEIGHTS
    assert _is_right(pretrained(REPOSITORY))
    server.files[_path("model.safetensors")] = content
    assert _is_right(pretrained(REPOSITORY))  # a good file stays


def test_half_a_file_whose_length_is_right_is_an_unfinished_transfer(server: Manners, tmp_path: Path) -> None:
    server.breaks = [10**9, *[len(WEIGHTS) // 2], *[0] * 9]
    server.honest_length = False
    assert "it ended after" in refused(tmp_path)


def test_a_redirection_elsewhere_without_a_digest_is_refused(server: Manners, tmp_path: Path) -> None:
    server.redirects[_path("model.safetensors")] = "http://elsewhere.invalid/model.safetensors"
    server.headers.clear()
    assert "leads to elsewhere.invalid without a digest to check the file by" in refused(tmp_path)
    server.redirects[_path("config.json", "timm/moved")] = "http://elsewhere.invalid/config.json"
    assert "127.0.0.1 cannot be reached (answered 302" in refused(tmp_path, "timm/moved")


def test_a_renamed_repository_is_followed_on_the_same_host(server: Manners) -> None:
    for file in ("config.json", "model.safetensors"):
        server.redirects[_path(file, "timm/old")] = f"/{_path(file)}"
    assert _is_right(pretrained("timm/old"))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (b"<html>sign in</html>", "is no configuration of a model but something else"),
        (b"[1]", "is no configuration of a model: it holds a list"),
        (b'{"architectures": ["ResNet"]}', "is no model of timm"),
        (json.dumps(CONFIG | {"architecture": "vit"}).encode(), "the architecture 'vit', which the zoo does not have"),
        (json.dumps(CONFIG | {"pretrained_cfg": {"crop_mode": "odd"}}).encode(), "crop_mode is center"),
        (json.dumps(CONFIG | {"pretrained_cfg": {"mean": "x"}}).encode(), "its config.json cannot be used"),
    ],
)
def test_a_configuration_that_says_nothing_is_refused(
    server: Manners, tmp_path: Path, config: bytes, said: str
) -> None:
    server.files[_path("config.json")] = config
    assert said in refused(tmp_path)


def test_a_configuration_of_other_bytes_than_its_digest_is_not_kept(server: Manners, tmp_path: Path) -> None:
    server.headers[_path("config.json")] = {"ETag": f'"{"0" * 40}"'}
    assert "sent content that does not match its digest" in refused(tmp_path)
    server.headers[_path("config.json")] = {"ETag": f'"{hub._blob_digest(server.files[_path("config.json")])}"'}
    assert _is_right(pretrained(REPOSITORY))


def test_missing_files_and_servers_are_reported(
    server: Manners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "127.0.0.1 has no public file timm/none/resolve/main/config.json (answered 404" in refused(
        tmp_path, "timm/none"
    )
    server.headers.clear()
    assert "has no SHA-256, so that what it sends cannot be checked" in refused(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert "127.0.0.1 cannot be reached (" in refused(tmp_path, "timm/other")
    assert "hf download timm/other --local-dir other; then here" in refused(tmp_path, "timm/other")


def test_offline_nothing_is_requested_and_local_files_are_used(
    server: Manners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "is not on this machine, and HF_HUB_OFFLINE forbids" in refused(tmp_path)
    theirs = tmp_path / "hf" / "hub" / "models--timm--tiny_vgg.test"
    blobs, snapshot = theirs / "blobs", theirs / "snapshots" / ("c" * 40)
    for folder in (theirs / "refs", blobs, snapshot):
        folder.mkdir(parents=True)
    (theirs / "refs" / "main").write_text("c" * 40)
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    (blobs / digest).write_bytes(WEIGHTS)
    (snapshot / "model.safetensors").symlink_to(blobs / digest)
    assert _is_right(pretrained(REPOSITORY))
    assert _is_right(pretrained(f"{REPOSITORY}@{'c' * 40}"))
    assert server.asked == []
    (blobs / digest).write_bytes(_weights(seed=2))
    with pytest.raises(ModelError, match="is not the expected file: its digest"):
        pretrained(REPOSITORY)


def test_a_snapshot_in_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    assert pretrained(tmp_path).labels == ("cat", "dog", "owl")


def test_names_of_repositories_are_distinguished_from_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert repository_of("timm/resnet50.a1_in1k") == Repository("timm/resnet50.a1_in1k")
    assert repository_of("hf-hub:me/net@v1.0") == Repository("me/net", "v1.0")
    for path in ("runs/photos", "me/net.pth", "a/b/c", "../net", "me/net@../x", "net", "https://host/net"):
        assert repository_of(path) is None
    assert is_published("timm/resnet50.a1_in1k")
    assert not is_published("someone/photos")  # a run that is misspelt is not looked for elsewhere


def test_a_partial_download_of_another_process_is_left_alone(server: Manners, tmp_path: Path) -> None:
    from striate.core.files import locked

    folder = tmp_path / "cache/weights/hub/timm--tiny_vgg.test/main"
    folder.mkdir(parents=True)
    with locked(folder / ".download.lock", busy=""):
        assert "Another process is downloading into" in refused(tmp_path)


def test_an_endpoint_without_a_scheme_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    with pytest.raises(ModelError, match=r"HF_ENDPOINT is the address of a hub, as in https://.*'mirror.example'"):
        Repository("timm/resnet18").address("config.json")
