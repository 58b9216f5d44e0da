"""Retrieval: mean average precision of similar images, and the exact search next to the approximate one.

    python benchmarks/retrieval.py [--quick] [--write] [--cifar10 FOLDER]

Features are those of EfficientNet-Lite0, trained on ImageNet, and of a ResNet-20 trained on CIFAR-10, both with
published weights. An image found is relevant if it is of the class of the query. The approximate search needs usearch.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from _measure import Figures, write_result
from _sides import real_data
from striate.classifier import Classifier, pretrained_classifier
from striate.core.spec import RGB, InputSpec
from striate.data.audit.digests import content_digests
from striate.data.audit.index import index_images
from striate.data.dataset import ArrayStore, Dataset
from striate.data.sources.opening import open_data
from striate.metrics.average_precision import average_precision
from striate.models.weights import pretrained
from striate.runs.feature_file import FeatureOrigin, read_features, write_features
from striate.runs.gallery import Gallery, gallery_of, search
from striate.runs.place_features import PlaceFeatures, place_features

PER_CLASS, QUERIES = 100, 20  # images of each class of CIFAR-10
MOST = 10_000  # images searched exactly and approximately
NOISE = 0.5  # of the length of a feature
COUNT = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images")
    parser.add_argument("--write", action="store_true", help="write results/retrieval.md and .json")
    parser.add_argument("--cifar10", type=Path, help="by default that of the real data")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cifar10 = arguments.cifar10 or real_data("photos-dog-cat").parent / "cifar10" / "cifar-10-batches-bin"
    colours, photos = open_data(cifar10), open_data(real_data("photos-dog-cat"))
    share = 10 if arguments.quick else 1
    networks = {"EfficientNet-Lite0": pretrained_classifier(pretrained("efficientnet_lite0")), "ResNet-20": _resnet20()}
    searched = _first(colours, "train", PER_CLASS // share), _first(colours, "test", QUERIES // share)
    all_photos = np.arange(len(photos))[::share], None
    rows = [
        _precision(name, title, network, dataset, *images)
        for name, dataset, images in (("CIFAR-10", colours, searched), ("dogs and cats", photos, all_photos))
        for title, network in networks.items()
    ]
    tables = {
        "Mean average precision": Figures(
            ("images", "features of", "searched", "queries", "mAP", f"precision of the first {COUNT}", "by chance"),
            tuple(rows),
            "Cosine similarity of the inputs of the last layer. Queries on CIFAR-10 are of its test split, and the "
            "images searched of the training split, on which ResNet-20 was trained; each photo is a query among the "
            "others. EfficientNet-Lite0 is given images of 224 × 224, ResNet-20 of 32 × 32.",
        )
    }
    if importlib.util.find_spec("usearch") is not None:
        tables["Exact and approximate search"] = _searches(networks, colours, MOST // share)
    for heading, table in tables.items():
        print(f"\n{heading}\n{table.markdown()}")
    if arguments.write:
        write_result("retrieval", "Retrieval: similar images", tables)


def _resnet20() -> Classifier:
    """ResNet-20 trained on CIFAR-10 (Y. Idelbayev), 91.7 % on its test split."""
    found = pretrained(str(real_data("weights") / "cifar10" / "resnet20-12fca82f.th"), "resnet20")
    spec = InputSpec(channels=RGB, height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return pretrained_classifier(replace(found, input=spec))


def _first(dataset: Dataset, split: str, count: int) -> np.ndarray:
    """The first images of each class of a split."""
    index = dataset.splits[split]  # pyright: ignore[reportArgumentType]
    each = range(len(dataset.classes))
    return np.sort(np.concatenate([index[dataset.targets[index] == number][:count] for number in each]))


def _digests(dataset: Dataset) -> np.ndarray:
    if isinstance(dataset.store, ArrayStore):
        return content_digests(dataset.store.pixels, dataset.store.channels)
    return index_images(dataset).digests


def _features(classifier: Classifier, dataset: Dataset, index: np.ndarray) -> np.ndarray:
    """Features of unit length."""
    with place_features(classifier) as read:
        rows = np.concatenate([np.array(block) for _, block in read.blocks(dataset, index, _digests(dataset))])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _precision(
    name: str, title: str, classifier: Classifier, dataset: Dataset, searched: np.ndarray, queries: np.ndarray | None
) -> tuple[str, ...]:
    """A row of the table; without queries, each image is searched among the others."""
    rows, targets = _features(classifier, dataset, searched), dataset.targets
    wanted = rows if queries is None else _features(classifier, dataset, queries)
    whose = searched if queries is None else queries
    means, firsts, chances = [], [], []
    for number, similarity in enumerate(wanted @ rows.T):
        others = np.arange(len(rows)) != number if queries is None else np.ones(len(rows), bool)
        relevant = (targets[searched] == targets[whose[number]])[others]
        means.append(average_precision(similarity[others], relevant))
        firsts.append(relevant[np.argsort(-similarity[others], kind="stable")[:COUNT]].mean())
        chances.append(relevant.mean())
    cells = [f"{np.mean(values):.3f}" for values in (means, firsts, chances)]
    return name, title, f"{len(rows):,}", f"{len(wanted):,}", *cells


def _searches(networks: dict[str, Classifier], colours: Dataset, most: int) -> Figures:
    """Recall and time of both searches."""
    digests, train, queries = _digests(colours), colours.splits["train"][:most], colours.splits["test"][:100]
    with place_features(networks["ResNet-20"]) as read, tempfile.TemporaryDirectory() as folder:
        wanted = np.concatenate([np.array(block) for _, block in read.blocks(colours, queries, digests)])
        rows = [_compared("ResNet-20", Gallery(colours, train, digests), read, wanted)]
        rows.append(
            _compared("ResNet-20, from a file", _filed(Path(folder), colours, train, digests, read), read, wanted)
        )
    with place_features(networks["EfficientNet-Lite0"]) as read, tempfile.TemporaryDirectory() as folder:
        index = _first(colours, "train", PER_CLASS)[: most // 10]
        seeds = np.concatenate([np.array(block) for _, block in read.blocks(colours, index, digests)])
        draw = np.random.default_rng(0)
        scale = NOISE * np.linalg.norm(seeds) / np.sqrt(seeds.size)

        def noisy(count: int) -> np.ndarray:
            chosen = seeds[draw.integers(0, len(seeds), count)]
            return (chosen + draw.normal(0, scale, chosen.shape)).astype(np.float32)

        path, names = Path(folder) / "noisy.npz", [str(number) for number in range(most)]
        origin = FeatureOrigin(read.place, None, "mean", read.network_digest, "noise", folder)
        blocks = (noisy(min(1000, most - start)) for start in range(0, most, 1000))
        write_features(path, origin, (names, None, np.arange(most)), blocks, read.width, "float32")
        gallery = gallery_of(read_features(path))
        rows.append(_compared("EfficientNet-Lite0, with noise, from a file", gallery, read, noisy(100)))
    columns = (
        "features of",
        "images",
        "width",
        "exact, 1 query",
        "exact, 100",
        "index built",
        "index, 1",
        "index, 100",
    )
    return Figures(
        (*columns, f"recall of the first {COUNT}"),
        tuple(rows),
        "Processor time of one core, features computed before. Recall is the fraction of the exact result that the "
        "approximate search finds. Features with noise are those of 1,000 images of CIFAR-10, each several times with "
        f"normal noise of {NOISE} of its length.",
    )


def _filed(folder: Path, dataset: Dataset, index: np.ndarray, digests: np.ndarray, read: PlaceFeatures) -> Gallery:
    """The same images, their features in a file."""
    names = [dataset.store.name(number) for number in index.tolist()]
    origin = FeatureOrigin(read.place, None, "mean", read.network_digest, dataset.source, "")
    blocks = (rows for _, rows in read.blocks(dataset, index, digests))
    write_features(folder / "images.npz", origin, (names, None, index), blocks, read.width, "float32")
    return gallery_of(read_features(folder / "images.npz"))


def _compared(name: str, gallery: Gallery, read: PlaceFeatures, wanted: np.ndarray) -> tuple[str, ...]:
    timed = partial(_timed, gallery, read)
    timed(wanted[:1])  # which computes the features
    one, _ = timed(wanted[:1])
    exact, index = timed(wanted)
    built, _ = timed(wanted[:1], approximate=True)
    first, _ = timed(wanted[:1], approximate=True)
    short, found = timed(wanted, approximate=True)
    recall = np.mean([len(set(some) & set(truth)) / COUNT for some, truth in zip(found, index, strict=True)])
    times = [f"{1000 * seconds:,.0f} ms" for seconds in (one, exact, built, first, short)]
    return name, f"{len(gallery.index):,}", f"{read.width:,}", *times, f"{recall:.3f}"


def _timed(
    gallery: Gallery, read: PlaceFeatures, wanted: np.ndarray, *, approximate: bool = False
) -> tuple[float, np.ndarray]:
    """Processor time of a search, and what was found."""
    start = time.process_time()
    index, _ = search(gallery, read, wanted, COUNT, approximate=approximate)
    return time.process_time() - start, index


if __name__ == "__main__":
    main()
