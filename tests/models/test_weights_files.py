"""Files of weights: what they hold is read as the libraries wrote it, and what they should not hold is refused."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.core import archives
from striate.core.errors import ModelError
from striate.models.weights.files import convert_torch, keras, read_file, torch_file
from striate.models.weights.files.formats import format_of

STATE = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "a.bias": torch.tensor([1.0, -2.0])}


def same(found: dict[str, Tensor], expected: dict[str, Tensor] = STATE) -> bool:
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the converter in this process, which has torch already; its bounds are tested with a process of its own."""
    real = subprocess.run

    def run(line: list[str], *, input: bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
        if str(torch_file._CONVERTER) not in line:
            return real(line, input=input, **options)
        *_, out, memory, _ = line
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            try:
                convert_torch.convert(input, out, int(memory))
            except SystemExit as error:
                return subprocess.CompletedProcess(line, int(error.code or 0), told.getvalue().encode(), b"")
        return subprocess.CompletedProcess(line, 0, b"", b"")

    monkeypatch.setattr(torch_file.subprocess, "run", run)


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth", "model"])
def test_the_bytes_say_what_a_file_is_not_its_name(tmp_path: Path, name: str) -> None:
    save_file(STATE, tmp_path / name, metadata={"model": "mine"})
    file = read_file(tmp_path / name)
    assert (file.format, file.metadata, file.digest[:7]) == ("safetensors", {"model": "mine"}, "sha256:")
    assert same({key: file.tensors[key] for key in STATE})
    arrays: dict[str, Any] = {key: tensor.numpy() for key, tensor in STATE.items()}
    np.savez(tmp_path / "arrays", **arrays)
    (tmp_path / "arrays.npz").rename(tmp_path / name)
    assert read_file(tmp_path / name).format == "npz"
    assert same(read_file(tmp_path / name).tensors)


def test_a_pinned_digest_refuses_other_bytes_before_they_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a")
    digest = read_file(tmp_path / "a").digest
    assert read_file(tmp_path / "a", digest=digest).digest == digest
    (tmp_path / "a").write_bytes(b"\x80\x02" + (tmp_path / "a").read_bytes())
    with pytest.raises(ModelError, match="is not the expected file: its digest is"):
        read_file(tmp_path / "a", digest=digest)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.usefixtures("here")
def test_weights_in_a_checkpoint_are_converted_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    path, shared = tmp_path / "model.pt", torch.ones(3)
    checkpoint = {"state_dict": {**STATE, "one": shared, "two": shared}, "epoch": 3, "optimizer": {0: {"step": 1}}}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    expected = {**STATE, "one": shared, "two": shared}
    assert same(read_file(path).tensors, expected)
    monkeypatch.setattr(torch_file, "_convert", None)  # not again
    assert same(read_file(path).tensors, expected)
    assert len(list((cache / "weights/converted").iterdir())) == 1


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.usefixtures("here")
def test_plain_tensors_are_read_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    state = {
        "view": whole[1:, ::2].T,
        "expanded": whole[:1].expand(3, 6),
        "number": torch.tensor(7),
        "none": torch.empty(0, 3),
        "half": whole.half(),
        "flags": whole > 5,
        "parameter": nn.Parameter(torch.ones(2)),
    }
    path = tmp_path / "model.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    monkeypatch.setattr(convert_torch, "_convert_others", None)
    found = read_file(path).tensors
    assert same(found, {name: value.detach() for name, value in state.items()})
    assert [found[name].dtype for name in state] == [value.dtype for value in state.values()]


@pytest.mark.usefixtures("here")
def test_tensors_of_other_types_are_left_to_torch(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "model.pt")
    assert read_file(tmp_path / "model.pt").tensors["weight"].dtype == torch.bfloat16


class Bomb:
    """An object whose unpickling runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_torch_file_is_read_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(STATE, tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", None)  # not here
    assert same(read_file(tmp_path / "model.pt").tensors)


@pytest.mark.usefixtures("here")
def test_objects_in_a_torch_file_are_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "extra": Bomb(tmp_path / "ran")}, tmp_path / "model.pt")
    assert "holds Python objects (posix.mkdir), which are never loaded" in refused(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("here")
def test_a_view_that_declares_more_numbers_than_it_has_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1).expand(1 << 20, 1 << 20)}, tmp_path / "model.pt")
    assert "takes more memory or time than its" in refused(tmp_path / "model.pt")


def test_a_torch_file_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(STATE, tmp_path / "model.pt")
    monkeypatch.setattr(torch_file, "_SECONDS", 0.01)
    assert "was not read within 0.01 s" in refused(tmp_path / "model.pt")


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _scripted() -> bytes:
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    names = zipfile.ZipFile(buffer)
    return _zip({name: names.read(name) for name in names.namelist()} | {"archive/constants.pkl": b""})


def _safetensors() -> bytes:
    buffer = Path(os.environ["STRIATE_CACHE"]).with_name("whole")
    save_file(STATE, buffer)
    return buffer.read_bytes()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: b"", "is empty"),
        (lambda: pickle.dumps({"conv.weight": [1.0]}), "holds Python objects (a pickle), which are never loaded"),
        (lambda: b"\n<!DOCTYPE html><html>Not found</html>", "is a web page, not weights"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (lambda: b"\x93NUMPY\x01\x00v\x00", "is a single array"),
        (lambda: b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
        (lambda: b"\x1f\x8b\x08" + bytes(64), "gunzip"),
        (lambda: bytes(range(64)) * 4, "is no file of weights that is known here"),
        (lambda: _safetensors()[:-1], "is cut off or damaged"),
        (lambda: _safetensors()[:40], "is cut off or damaged"),
        (lambda: _zip({"a.npy": b"x" * 99})[:-30], "is cut off or damaged"),
        (lambda: _zip({"a.txt": b"x"}), "is an archive without weights"),
        (lambda: _zip({"a.npy": b"not an array"}), "is cut off or damaged"),
        (_scripted, "is a program of TorchScript, which is never run"),
        (lambda: _zip({"model/data.pkl": b"\x80\x02."}), "is cut off or damaged"),
        (lambda: b"\x89HDF\r\n\x1a\n" + bytes(64), "is cut off or damaged"),
        (lambda: _zip({"model.weights.h5": b"x", "config.json": b"{}"}), "is cut off or damaged"),
    ],
)
def test_files_without_weights_are_named(tmp_path: Path, content: Callable[[], bytes], said: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content())
    assert said in refused(tmp_path / "model.safetensors")


def test_a_folder_a_pipe_and_nothing_are_no_files_of_weights(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")
    assert "There is no file of weights at" in refused(tmp_path / "gone")


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weight=np.array([Bomb(tmp_path / "ran")], dtype=object))
    assert "holds Python objects, which are never loaded" in refused(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_UNSUSPICIOUS", 1 << 20)
    data = _zip({"weight.npy": bytes(2 << 20)})
    with pytest.raises(ModelError, match=r"unpacks to 2,097,152 bytes, \d+ times its size, as zip bombs do"):
        format_of(tmp_path, data)


@pytest.mark.parametrize(("limit", "said"), [(1000, "more than the memory that is free"), (10, "has")])
def test_a_file_larger_than_the_free_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, said: str
) -> None:
    (tmp_path / "a.npz").write_bytes(_zip({"weight.npy": bytes(2000)}))
    for module in ("striate.core.archives", "striate.models.weights.files.reading"):
        monkeypatch.setattr(f"{module}.available_memory", lambda: limit)
    assert said in refused(tmp_path / "a.npz")


# Keras


def _layers(group: h5py.Group, layers: dict[str, dict[str, np.ndarray]]) -> None:
    """Write the layout of Keras 1 and 2."""
    group.attrs["layer_names"] = np.array(list(layers), dtype="S")
    for layer, arrays in layers.items():
        inner = group.create_group(layer)
        inner.attrs["weight_names"] = np.array(list(arrays), dtype="S")
        for name, array in arrays.items():
            inner[name] = array


LAYERS = {
    "z_first": {"z_first/kernel:0": np.ones((3, 3, 3, 4), np.float32), "z_first/bias:0": np.zeros(4, np.float32)},
    "act": {},
    "a_last": {"a_last_W:0": np.full((4, 2), 2.0, np.float32)},
}
NAMES = ["z_first/z_first/kernel:0", "z_first/z_first/bias:0", "a_last/a_last_W:0"]


@pytest.mark.parametrize("whole", [False, True])
def test_keras_layers_come_in_the_order_of_the_model(tmp_path: Path, whole: bool) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if whole:
            file.create_group("optimizer_weights")["moment"] = np.zeros(5)
            file.attrs["model_config"] = '{"config": {"name": "mine", "layers": [{"config": {"name": "z_first"}}]}}'
        _layers(file.create_group("model_weights") if whole else file, LAYERS)
        (file["model_weights"] if whole else file).attrs["backend"] = "tensorflow"
    file = read_file(tmp_path / "a.h5")
    assert list(file.tensors) == NAMES
    assert torch.equal(file.tensors[NAMES[2]], torch.full((4, 2), 2.0))
    expected = {"backend": "tensorflow"} | ({"model": "mine", "layers": '["z_first"]'} if whole else {})
    assert file.metadata == expected


def test_keras_files_that_lead_out_of_themselves_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(3)
    for number, link in enumerate((h5py.ExternalLink("other.h5", "secret"), h5py.SoftLink("/layers"))):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_group("layers")["vars"] = link
        assert "vars is missing, or a link to elsewhere" in refused(tmp_path / f"{number}.h5")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("a", (3,), "f8", external=[(str(tmp_path / "other.h5"), 0, 24)])
    assert "is no array of this file" in refused(tmp_path / "external.h5")
    with h5py.File(tmp_path / "endless.h5", "w") as file:
        inner = file.create_group("a")
        inner["a"] = inner
    assert "nested without end" in refused(tmp_path / "endless.h5")


def test_a_keras_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
    assert "unpacks to 4,398,046,511,104 bytes, which is more than weights of" in refused(tmp_path / "a.h5")


def test_without_h5py_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        _layers(file, LAYERS)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "pip install 'striate[weights]'" in refused(tmp_path / "a.h5")


@pytest.mark.usefixtures("here")
def test_real_files_of_four_formats_are_read(real_data: Callable[[str], Path]) -> None:
    folder = real_data("weights")
    found = {
        path: len(read_file(folder / path).tensors)
        for path in ("squeezenet1_0/squeezenet1_0.npz", "cifar10/lenet-rgb.pt")
    }
    (keras,) = (folder / "squeezenet1_1").glob("*.h5")
    assert (*found.values(), len(read_file(keras).tensors)) == (52, 10, 52)


@pytest.mark.usefixtures("here")
def test_a_module_pickled_whole_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    assert "torch.nn.modules.linear.Linear" in refused(tmp_path / "model.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce a limit on memory")
def test_a_converter_has_so_much_memory_and_no_more() -> None:
    """The function alone runs, without torch, which takes seconds to import."""
    source = Path(convert_torch.__file__).read_text()
    code = source[source.index("def bound(") : source.index("def _fail")]
    used = "bound(1 << 28, 9)\nbytearray(1 << 27)\nprint('half')\nbytearray(1 << 29)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{used}"], capture_output=True, text=True)
    assert (done.stdout, "MemoryError" in done.stderr) == ("half\n", True)


def test_arrays_of_the_other_byte_order_are_the_same_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "big.npz", weight=np.array([1.0, 2.5], ">f4"))
    assert read_file(tmp_path / "big.npz").tensors["weight"].tolist() == [1.0, 2.5]


def test_the_beginning_of_a_digest_is_enough(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a")
    digits = read_file(tmp_path / "a").digest.removeprefix("sha256:")
    assert read_file(tmp_path / "a", digest=f"sha256-prefix:{digits[:8]}").digest.endswith(digits)
    with pytest.raises(ModelError, match="is not the expected file"):
        read_file(tmp_path / "a", digest="sha256-prefix:00000000")


def test_a_header_of_npz_that_is_cut_off_is_a_sentence(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", array)
    with pytest.raises(ModelError, match="is cut off or damaged"):
        read_file(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 100_000,
        b'{"config": {"layers": [{"class_name": "Dense", "config": {}}]}}',
        b'{"config": {"layers": [[]]}}',
    ],
)
def test_a_configuration_of_another_form_names_no_layers(tmp_path: Path, config: bytes) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), np.float32)
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    assert [*read_file(tmp_path / "a.keras").tensors] == ["layers/dense/vars/0"]


def test_a_keras_file_on_which_the_library_crashes_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["dense/kernel"] = np.zeros((2, 3), np.float32)
    assert read_file(tmp_path / "w.h5").tensors
    (tmp_path / "crash.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr(keras, "_TRIAL", tmp_path / "crash.py")
    assert "is cut off or damaged (HDF5 crashes on it)" in refused(tmp_path / "w.h5")
