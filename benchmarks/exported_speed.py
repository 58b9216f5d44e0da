"""An exported network in every runtime: speed, accuracy in int8, equality with torch, and the time of an export.

    python benchmarks/exported_speed.py [--quick] [--write] [--compiled]

It takes some minutes on an idle machine. Its timings mean little on a busy one.

Networks with published weights: `efficientnet_lite0` on `imagenet-samples`, calibrated on `photos-dog-cat`, and
`resnet20` on CIFAR-10. `mobilenet_v2` and `resnet50` have random weights. The first row of each table of speeds is the
way that `striate export --for cpu` chooses in float32, from a trial of its own; the others are measured afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import striate
from _measure import Figures, Table, interleave, write_result
from _sides import real_data
from striate.classifier import Arguments, Classifier, Provenance
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.exporting.int8 import saturates, write_int8
from striate.exporting.onnx_files import MODEL, NETWORK, Onnx, OnnxRuntime
from striate.exporting.parity import answers
from striate.exporting.samples import HeldOut
from striate.exporting.trial import choose, correct, measure
from striate.exporting.ways import Run, Way, open_way, version, ways
from striate.metrics.paired import Paired
from striate.models import create_model

INT8 = Way("onnxruntime", "int8")
NOWHERE = Provenance(
    run="", created="", data="", data_digest="", recipe="", recipe_digest="", seed=0, epochs=0.0, scores={}
)


@dataclass(frozen=True)
class Subject:
    """A network, images to calibrate it, and images with their classes where its weights are published ones."""

    name: str
    classifier: Classifier
    calibration: Sequence[np.ndarray]
    held_out: HeldOut | None


def photos(folder: str, step: int) -> list[Path]:
    return [path for path in sorted(real_data(folder).rglob("*.jp*g"))[::step] if decode(path).channels == RGB]


def prepared(paths: Sequence[Path], spec: InputSpec) -> list[np.ndarray]:
    return [prepare(decode(path), spec) for path in paths]


def random_weights(name: str) -> Classifier:
    spec = InputSpec(channels=RGB, height=224, width=224, mean=(0.5,) * 3, std=(0.25,) * 3, decode_scale=0.0)
    arguments = Arguments(classes=1000, channels=3, size=(224, 224))
    model = create_model(name, seed=1, **arguments)
    images = torch.from_numpy(np.stack(prepared(photos("photos-dog-cat", 50), spec)))
    with torch.no_grad():  # statistics of batch norms like those of a training
        for _ in range(10):
            model.train()(scale(images, spec))
    return Classifier(model.eval(), name, arguments, spec, LabelSpec(tuple(map(str, range(1000)))), NOWHERE)


def cifar10(part: str, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    folder = real_data("cifar10")
    strips = [np.asarray(Image.open(path)) for path in sorted(folder.glob(f"{part}-*.webp"))[: -(-count // 500)]]
    pixels = np.concatenate(strips).reshape(-1, 32, 32, 3)[:count].transpose(0, 3, 1, 2)
    return list(np.ascontiguousarray(pixels)), np.fromfile(folder / f"{part}.labels", np.uint8)[:count].astype(np.int64)


def subjects(quick: bool) -> Iterator[Subject]:
    weights = real_data("weights") / "cifar10" / "resnet20-12fca82f.th"
    calibration, _ = cifar10("data_batch_1", 100)
    images, targets = cifar10("test_batch", 500 if quick else 10_000)
    resnet20 = striate.load("resnet20", weights=weights, device="cpu")
    assert isinstance(resnet20, Classifier)
    yield Subject("resnet20", resnet20, calibration, HeldOut(images=images, targets=targets))
    if quick:
        return
    lite = striate.load("efficientnet_lite0", device="cpu")
    assert isinstance(lite, Classifier)
    paths = photos("imagenet-samples", 1)
    held_out = HeldOut(
        images=prepared(paths, lite.input), targets=np.array([int(path.name.partition("_")[0]) for path in paths])
    )
    calibration = photos("photos-dog-cat", 4)
    yield Subject("efficientnet_lite0", lite, prepared(calibration, lite.input), held_out)
    for name in ("mobilenet_v2", "resnet50"):
        network = random_weights(name)
        yield Subject(name, network, prepared(calibration[::5], network.input), None)


def speed(subject: Subject, runs: Mapping[Way, Run], batch: int, rounds: int) -> Table:
    """Time all ways; the chosen one in float32 first, and last the network as it is, without Striate."""
    images = np.stack(subject.calibration[:batch])
    exact = {way: run for way, run in runs.items() if way.precision == "float32"}
    chosen, _ = choose(measure(exact, images, batch), 0.0, None)
    scaled = scale(torch.from_numpy(images), subject.classifier.input)

    def of(run: Run) -> Callable[[], float]:
        def work() -> float:
            run(images)
            return batch

        return work

    def plain() -> float:
        with torch.inference_mode():
            subject.classifier.model(scaled)
        return batch

    named = {version(way) + (" (chosen)" if way == chosen else ""): of(runs[way]) for way in (chosen, *runs)}
    return interleave({**named, "torch, not folded, float32": plain}, rounds, unit="images/s")


def kept(subject: Subject, runs: Mapping[Way, Run], folder: Path) -> tuple[str, ...] | None:
    if subject.held_out is None:
        return None
    reference, found = (correct(runs[way], subject.held_out) for way in (Way("onnxruntime"), INT8))
    low, high = Paired.of(found, reference).interval
    sizes = [(folder / name).stat().st_size / 1e6 for name in (NETWORK, "int8.onnx")]
    return (
        subject.name, f"{len(found):,}", f"{100 * reference.mean():.2f}", f"{100 * found.mean():.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}", "yes" if high <= 0.005 else "no", *(f"{size:.1f}" for size in sizes),
    )  # fmt: skip


def equality(subject: Subject, folder: Path, quick: bool) -> tuple[str, ...]:
    """Compare the whole file with torch on photos, decoded completely, and on their mirror images."""
    paths = [*photos("imagenet-samples", 50 if quick else 1), *photos("photos-dog-cat", 200 if quick else 1)]

    def pairs() -> Iterator[tuple[DecodedImage, DecodedImage]]:
        for path in paths:
            image = decode(path)
            for pixels in (image.pixels, np.ascontiguousarray(image.pixels[:, ::-1])):
                each = replace(image, pixels=pixels)
                yield each, each

    (found,) = answers(subject.classifier, [OnnxRuntime(folder / MODEL)], pairs(), 2 * len(paths)).parities
    return subject.name, found.runtime, str(found.images), f"{found.largest_difference:.1e}", str(found.changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only ResNet-20, on few images")
    parser.add_argument("--write", action="store_true", help="write results/exported_speed.md and .json")
    parser.add_argument("--compiled", action="store_true", help="also torch's compiler, a minute and more each")
    arguments = parser.parse_args()
    striate.tune_process()  # as the command line does
    torch.set_num_threads(1)
    tables: dict[str, Table | Figures] = {}
    lost, equal, export = [], [], []
    for subject in subjects(arguments.quick):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            started = time.process_time()
            Onnx().write(subject.classifier, folder)
            written = time.process_time()
            write_int8(folder / NETWORK, folder / "int8.onnx", subject.calibration)
            quantised = time.process_time()
            export.append((subject.name, f"{written - started:.1f}", f"{quantised - written:.1f}"))
            files = {"float32": NETWORK, "bf16": NETWORK, "int8": "int8.onnx"}
            runs = {
                way: open_way(way, folder / files[way.precision], subject.classifier)
                for way in ways(compiled=arguments.compiled)
            }
            batch = 4 if subject.name == "resnet50" else 8
            heading = f"{subject.name}, {batch} images at once"
            tables[heading] = speed(subject, runs, batch, 3 if arguments.quick else 7)
            print(f"\n{heading}\n{tables[heading].markdown()}", flush=True)
            lost += [row] if (row := kept(subject, runs, folder)) else []
            if subject.classifier.input.size != (32, 32):
                equal.append(equality(subject, folder, arguments.quick))
            print(*lost[-1:], *equal[-1:], *export[-1:], sep="\n", flush=True)
    bits = "7-bit weights (no VNNI here)" if saturates() else "8-bit weights"
    tables["int8"] = Figures(
        ("", "images", "float32, %", "int8, %", "points lost, 95 % interval", "kept", "MB, float32", "MB, int8"),
        tuple(lost),
        f"{bits}, per channel; ranges of activations from 100 images. Kept: the interval ends below 0.5 points.",
    )
    if equal:
        tables["Equality with torch"] = Figures(
            ("", "runtime", "images", "largest difference of a probability", "changed first classes"),
            tuple(equal),
            "model.onnx, with the preparation in the graph; photos decoded completely, and their mirror images.",
        )
    tables["Export"] = Figures(
        ("", "s, ONNX", "s, int8"), tuple(export), "Processor time: model.onnx and network.onnx; calibration and int8."
    )
    for heading in ("int8", "Equality with torch", "Export"):
        if heading in tables:
            print(f"\n{heading}\n{tables[heading].markdown()}", flush=True)
    if arguments.write:
        write_result("exported_speed", "Exported networks in every runtime, one thread", tables)


if __name__ == "__main__":
    main()
