"""How often does a check trust maps that are true, and maps that are false?

    python benchmarks/checks.py [--quick] [--images 6] [--only NETWORK] [--write]

`results/checks.md` is from three of the four networks:

    python benchmarks/checks.py --images 4 --only digits --only shapes --only "dogs and cats" --write

Each map of one image is checked alone, as `striate explain PHOTO --check` does, without a limit of time. True ones are
those of seven methods. False ones are made from them: the map of another class (each class has that of the next one, as
by an index that is off by one, or of the class with the next highest score), of another image, transposed or mirrored,
of a network with random weights; and maps that use no network: constant, random, a blob in the centre, edges.

The networks of `digits` and `shapes`, which Striate contains, and of the photos of dogs and cats are trained first and
kept under `--runs`. SqueezeNet has published ImageNet weights. Dogs and cats and SqueezeNet need the real data.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from _measure import Figures, write_result
from _sides import REPOSITORY, real_data
from striate.classifier import Classifier, load_classifier
from striate.data.images.decode import decode
from striate.data.preparation.arrays import prepare, prepare_many, scale
from striate.data.sources.digits import digits
from striate.data.synthetic.shapes import ShapesOptions, make
from striate.explaining import METHODS, Attribution
from striate.explaining.checks import Check
from striate.explaining.checks.reference_maps import edges
from striate.explaining.checks.weights import Cascade
from striate.explaining.invocation import Invocation
from striate.verbs._trained import classifier_of

TRUE = ("grad_cam", "layer_cam", "saliency", "input_x_gradient", "integrated_gradients", "occlusion", "smoothgrad")
SPOILT = ("grad_cam", "saliency", "input_x_gradient")
"""Methods whose maps are made false."""

Draw = Callable[[nn.Module, Tensor, list[int]], np.ndarray]


def drawn(name: str) -> Draw:
    def draw(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        side = images.shape[2]
        settings: dict[str, Any] = {"patch": side // 4, "stride": side // 8} if name == "occlusion" else {}
        return METHODS[name].function(model, images, classes, **settings).map()

    return draw


def false(method: str, other: Tensor) -> dict[str, Draw]:
    """The ways in which the maps of a method are made false; `other` is another image."""
    true = drawn(method)

    def runner_up(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        """The two best classes have each other's map."""
        with torch.no_grad():
            best = model(images).topk(2).indices.tolist()
        return true(model, images, [_swapped(one, two) for one, two in zip(classes, best, strict=True)])

    def off_by_one(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        with torch.no_grad():
            count = model(images[:1]).shape[1]
        return true(model, images, [(each + 1) % count for each in classes])

    def random_weights(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        cascade = Cascade(model, images, seed=7)
        return true(cascade.down_to(len(cascade)), images, classes)

    return {
        "of the runner-up": runner_up,
        "of the next class": off_by_one,
        "of another image": lambda model, images, classes: true(model, other, classes),
        "transposed": lambda *call: true(*call).swapaxes(1, 2),
        "mirrored": lambda *call: true(*call)[:, :, ::-1],
        "random weights": random_weights,
    }


def _swapped(one: int, best: list[int]) -> int:
    return best[1 - best.index(one)] if one in best else one


def _blob(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    down, across = (np.linspace(-1, 1, side) for side in images.shape[2:])
    return np.exp(-2 * (down[:, None] ** 2 + across**2))[None].repeat(len(images), 0)


def _random(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).random((len(images), *images.shape[2:]))


WITHOUT_NETWORK: dict[str, Draw] = {
    "constant": lambda model, images, classes: np.ones((len(images), *images.shape[2:])),
    "random": _random,
    "a blob in the centre": _blob,
    "edges": lambda model, images, classes: edges(images),
}


def checked(draw: Draw, model: nn.Module, image: Tensor) -> Check:
    """The check of a drawn map, as of a method of a user's own."""

    def function(model: nn.Module, images: Tensor, target: Any = None, *, task: Any = None) -> Attribution:
        with torch.no_grad():
            logits = model(images)
        classes = logits.argmax(1).tolist() if target is None else list(target)
        values = np.ascontiguousarray(draw(model, images, classes), dtype=np.float32)
        call = Invocation.of(function, model, images, target, {})
        scores = logits[range(len(images)), classes].numpy()
        method = replace(METHODS["saliency"], name="drawn")
        size = (images.shape[2], images.shape[3])
        return Attribution(method, values, tuple(classes), scores, size, None, (), None, call)

    return function(model, image).check("24h")


def trained(name: str, data: str, *arguments: str, runs: Path) -> Classifier:
    folder = runs / name
    if not (folder / "classifier").is_dir():
        command = [sys.executable, "-m", "striate", "train", data, "--name", name, "--runs", str(runs), *arguments]
        subprocess.run([*command, "--quiet"], check=True)
    return load_classifier(folder / "classifier")


def of_digits(count: int, runs: Path) -> tuple[nn.Module, Tensor]:
    classifier, data = trained("digits", "digits", "--epochs", "12", runs=runs), digits()
    decoded = [data.store.read(int(number)) for number in data.splits["test"][:count]]
    pixels = np.stack([each.pixels for each in decoded])
    images = prepare_many(pixels, decoded[0].channels, pixels.shape[1:3], classifier.input)
    return classifier.model, scale(torch.from_numpy(images), classifier.input)


def of_shapes(count: int, runs: Path) -> tuple[nn.Module, Tensor]:
    """The network of `pointing.py`, from the same folder where it is there."""
    from pointing import MODEL, RECIPE, RGB

    settings = [part for key, value in RECIPE.items() for part in ("--set", f"{key}={value}")]
    arguments = ("--recipe", "photos", "--model", MODEL, "--epochs", "13", "--seed", "0", *settings)
    classifier = trained("shapes", "shapes:count=20000", *arguments, runs=runs)
    pixels = make(np.arange(count), ShapesOptions(count=count, seed=1)).pixels
    images = prepare_many(pixels, RGB, pixels.shape[1:3], classifier.input)
    return classifier.model, scale(torch.from_numpy(images), classifier.input)


def of_dogs_and_cats(count: int, runs: Path) -> tuple[nn.Module, Tensor]:
    folder = real_data("photos-dog-cat")
    classifier = trained("dogs-and-cats", str(folder), "--recipe", "photos", runs=runs)
    each = [sorted((folder / name).iterdir())[: (count + 1) // 2] for name in ("cat", "dog")]
    return classifier.model, _prepared(classifier, [path for pair in zip(*each, strict=True) for path in pair][:count])


def of_squeezenet(count: int, runs: Path) -> tuple[nn.Module, Tensor]:
    (weights,) = (real_data("weights") / "squeezenet1_1").glob("*.h5")
    classifier = classifier_of("squeezenet1_1", "cpu", weights=str(weights))
    files = sorted(real_data("imagenet-samples").glob("*.[jJ][pP]*"))
    return classifier.model, _prepared(classifier, files[:: len(files) // count][:count])


def _prepared(classifier: Classifier, files: list[Path]) -> Tensor:
    images = [
        scale(torch.from_numpy(prepare(decode(path), classifier.input)[None]), classifier.input) for path in files
    ]
    return torch.cat(images)


NETWORKS = {"digits": of_digits, "shapes": of_shapes, "dogs and cats": of_dogs_and_cats, "SqueezeNet": of_squeezenet}


def maps(other: Tensor) -> Iterator[tuple[str, Draw]]:
    for name in TRUE:
        yield METHODS[name].title, drawn(name)
    for name in SPOILT:
        for spoilt, draw in false(name, other).items():
            yield f"{METHODS[name].title}, {spoilt}", draw
    yield from WITHOUT_NETWORK.items()


def judged(name: str, count: int, runs: Path) -> dict[str, list[bool | None]]:
    """The verdicts on each kind of map, image by image."""
    model, images = NETWORKS[name](count, runs)
    model.eval()
    found: dict[str, list[bool | None]] = {}
    for number in range(count):
        image, other = images[number : number + 1], images[(number + 1) % count][None]
        for kind, draw in maps(other):
            verdict = checked(draw, model, image).verdict
            found.setdefault(kind, []).append(verdict.trust)
            print(name, number, kind, verdict.sentence, sep=" | ", flush=True)
    return found


def cell(verdicts: list[bool | None] | None) -> str:
    if not verdicts:
        return "–"
    return " / ".join(str(sum(verdict is kind for verdict in verdicts)) for kind in (True, None, False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6, help="how many images of each network")
    parser.add_argument("--only", choices=list(NETWORKS), action="append", help="only this network; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one image of the digits: to see that it works")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "pointing")
    parser.add_argument("--write", action="store_true", help="write results/checks.md and .json")
    arguments = parser.parse_args()
    networks = ["digits"] if arguments.quick else arguments.only or list(NETWORKS)
    count = 1 if arguments.quick else arguments.images
    found = {name: judged(name, count, arguments.runs) for name in networks}
    kinds = list(next(iter(found.values())))
    rows = tuple((kind, *(cell(found[name].get(kind)) for name in networks)) for kind in kinds)
    method = f"{count} images of each network, each map checked alone: trusted / cannot tell / not trusted."
    table = Figures(("map", *networks), rows, method)
    print(table.markdown())
    if arguments.write:
        write_result("checks", "Which maps a check trusts", {"Verdicts": table}, [])


if __name__ == "__main__":
    main()
