"""Digests of three short runs: a change of the code that intends no change of behaviour leaves them as they are.

    python benchmarks/golden.py [--write] [--only RUN …] [--cifar10 FOLDER]

The runs are `demo` (the training of `make demo`, 6 epochs), `photos` (400 JPEG photos with augmentation, 2 epochs) and
`cifar10` (ResNet-20 on the first 1,000 images of each batch, 100 steps). Recorded of each run are the execution plan,
what Striate found in the data (`start`), and digests of the files to train on (`data`), of events.jsonl after its first
line and without `wall` (`events`), of the tensors in model.safetensors (`weights`), of the calibrated probabilities of
ten images (`predictions`), and of the maps of two of them by each of four methods.

With `--write` the record goes to results/golden.json. Without it the record is computed again and compared: the command
names what differs and exits 1. The script imports the striate on PYTHONPATH and uses only its public functions and the
files of a run, so that it runs unchanged on the code before and after a change.

Seeds, one thread, float32 and the CPU are fixed, and caches start empty. A measured trial usually chooses the memory
layout. Here the runs repeat the plan of a network without convolutions, for which there is one layout (`execution=`),
so digests cover neither the trial nor channels last. Last bits also depend on the processor and on library versions:
where these are not those of the record, a difference proves nothing, and the command says so and exits 0.

$STRIATE_DATA holds `photos-dog-cat/{cat,dog}/`. `--cifar10` is the folder of the official binary batches; the default
is `cifar10/cifar-10-batches-bin` in $STRIATE_DATA.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch is imported

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

import striate

RECORD = Path(__file__).resolve().parent.parent / "results" / "golden.json"
DIGITS = RECORD.parent.parent / "examples" / "digits"
DATA = Path(os.environ.get("STRIATE_DATA", "data"))
PHOTOS = DATA / "photos-dog-cat"
CIFAR10_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt")
IMAGE_BYTES, TAKEN = 3073, 1000  # with its label; how many of each batch
SETTINGS: dict[str, dict[str, Any]] = {
    "demo": {"model": "lenet5", "epochs": 6},
    "photos": {"recipe": "photos", "epochs": 2},
    "cifar10": {"recipe": "cifar", "model": "resnet20", "batch_size": 32, "epochs": "100st"},
}


def sha256(parts: Iterable[bytes]) -> str:
    """Digest the parts with their lengths, so that different divisions of the same bytes differ."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()


def array_parts(name: str, array: np.ndarray) -> tuple[bytes, bytes]:
    """Return what is digested of an array."""
    return f"{name} {array.dtype} {array.shape}".encode(), array.tobytes()


def environment() -> dict[str, str]:
    """Return what can change the last bits of a result without any change of Striate."""
    cpuinfo = Path("/proc/cpuinfo")  # where Linux names the processor
    named = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "processor": named[1] if named else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "Python": platform.python_version(),
        **{library: version(library) for library in ("torch", "numpy", "Pillow", "simplejpeg")},
    }


def commit() -> str:
    """Return the commit of the imported source tree, with `-dirty` where it has uncommitted changes."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, cwd=Path(striate.__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def prepare(name: str, cifar10: Path, folder: Path) -> tuple[str | Path, list[Path]]:
    """Return what the run trains on, and ten images to predict; those of CIFAR-10 are written into `folder`."""
    if name == "demo":
        return "digits", sorted(DIGITS.glob("*.png"))
    if name == "photos":
        return PHOTOS, [path for label in ("cat", "dog") for path in sorted((PHOTOS / label).iterdir())[:5]]
    part = folder / "cifar10-part"
    part.mkdir()
    for file in CIFAR10_FILES:
        (part / file).write_bytes((cifar10 / file).read_bytes()[: IMAGE_BYTES * TAKEN])
    images = [folder / f"cifar10-{number}.png" for number in range(10)]
    records = np.fromfile(cifar10 / "test_batch.bin", np.uint8).reshape(-1, IMAGE_BYTES)[TAKEN:]
    for path, record in zip(images, records, strict=False):
        Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(path)
    return part, images


def measure(data: str | Path, images: list[Path], **settings: Any) -> dict[str, Any]:
    """Train, predict and explain, and return the record of the run."""
    run = striate.train(data, **settings, seed=0, device="cpu", precision="float32", workers=1)
    started, *events = [json.loads(line) for line in (Path(run) / "events.jsonl").read_text().splitlines()]
    files = sorted(path for path in Path(data).rglob("*") if path.is_file()) if isinstance(data, Path) else []
    weights = sorted(load_file(run.classifier_folder / "model.safetensors").items())
    predictions: Any = striate.predict(run, *images, device="cpu")
    record = {
        "data": sha256(path.read_bytes() for path in files),
        "plan": started["execution"],
        "start": {key: started[key] for key in ("classes", "counts", "input", "data_sha256")},
        "events": sha256(json.dumps(event | {"wall": None}, sort_keys=True).encode() for event in events),
        "weights": sha256(part for name, value in weights for part in array_parts(name, value)),
        "predictions": sha256(json.dumps(one.probabilities, sort_keys=True).encode() for one in predictions),
    }
    for method in ("saliency", "grad_cam", "integrated_gradients", "occlusion"):
        explanations: Any = striate.explain(run, *images[:2], method=method, device="cpu")
        record[method] = sha256(part for one in explanations for part in array_parts(method, one.map))
    return record


def differences(before: dict[str, Any], after: dict[str, Any], name: str = "") -> list[str]:
    """Return a line for each value of `after` that `before` does not hold, and the other way round."""
    lines = []
    for key in before | after:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{name}{key}: ")
        elif old != new:
            lines.append(f"{name}{key}: {new}, in the record {old}")
    return lines


def main() -> None:
    """Compute the record, and write or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write results/golden.json")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="compare only these runs")
    parser.add_argument("--cifar10", type=Path, default=DATA / "cifar10" / "cifar-10-batches-bin", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.write and set(arguments.only) != set(SETTINGS):
        parser.error("--write needs all runs: leave out --only.")
    for folder in (DIGITS, PHOTOS, arguments.cifar10):
        if not folder.is_dir():
            parser.error(f"{folder} is no folder. Set STRIATE_DATA, or give --cifar10.")
    torch.set_num_threads(1)
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["STRIATE_CACHE"] = str(folder / "cache")
        plain = striate.train("digits", model="mlp", epochs="1st", device="cpu", precision="float32", runs=folder)
        for name in arguments.only:
            start = time.perf_counter()
            data, images = prepare(name, arguments.cifar10, folder)
            runs[name] = measure(data, images, **SETTINGS[name], runs=folder, execution=plain)
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if arguments.write:
        found = {"commit": commit(), "environment": environment(), "runs": runs}
        RECORD.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    record = json.loads(RECORD.read_text())
    changed = differences({name: record["runs"][name] for name in runs}, runs)
    elsewhere = differences(record["environment"], environment())
    print("\n".join(changed) or f"Bit-identical to the record of {record['commit']}.")
    if changed and elsewhere:
        print("This proves nothing, for the record is from another environment:", *elsewhere, sep="\n")
    elif changed:
        sys.exit(1)


if __name__ == "__main__":
    main()
