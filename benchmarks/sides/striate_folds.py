"""The work of `peer_folds`, by functions of Striate: no audit, no probes of other places, no report.

python -m sides.striate_folds FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import striate
from striate.data.sources.opening import open_data
from striate.metrics import measure_temperature
from striate.models.surgery import HEAD
from striate.models.weights import build_pretrained, pretrained
from striate.runs.features import features_of
from striate.runs.probe import best_strength
from striate.training.linear import fit_linear

FOLDS = 5


def main(folder: Path) -> dict[str, float]:
    """Return how many answers out of fold are correct, of how many, and the temperature."""
    striate.tune_process()
    dataset, found = open_data(folder), pretrained("efficientnet_lite0")
    assert found.input is not None
    targets, classes = dataset.targets, len(dataset.classes)
    features = features_of(build_pretrained(found), found.input, dataset, np.arange(len(dataset)))
    folds = np.empty(len(targets), np.int64)
    for target in range(classes):
        own = np.random.default_rng(target).permutation(np.flatnonzero(targets == target))
        folds[own] = np.arange(len(own)) % FOLDS
    c, outcome = best_strength(features.places[HEAD], targets, folds, classes, "logistic")
    fit_linear(features.places[HEAD], targets, classes, c=c)
    accuracy = outcome.accuracy
    temperature = measure_temperature(outcome.logits, outcome.targets, selected=False)
    return {"correct": accuracy.correct, "count": accuracy.count, "temperature": temperature.value}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
