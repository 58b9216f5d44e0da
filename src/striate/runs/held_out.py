"""The reference of a network that was trained: features of its training images, and scores of its validation images."""

from __future__ import annotations

import contextlib

import numpy as np
from jaxtyping import Float, Int

from striate.classifier import Classifier
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference, sample
from striate.data.loading.loader import Loader
from striate.metrics.suspects import self_confidence
from striate.runs.prepare import Prepared
from striate.training import Outputs

_BATCH = 64


def held_out_reference(
    classifier: Classifier,
    prepared: Prepared,
    outputs: Outputs,
    similarities: Float[np.ndarray, " n"] | None = None,
) -> Reference:
    """Return the reference of `classifier`, whose `outputs` are those of the validation split.

    Features are the input of the network's last layer. Validation images stand for new ones: the network was not
    trained on them. Where `outputs` are out of fold, `similarities` are those of the networks of the folds.

    Raises:
        DataError: an image cannot be read any more.
    """
    place = str(classifier.model.head)
    train = prepared.splits["train"]
    width = _features(classifier, place, prepared, outputs.index[:1]).shape[1]
    kept = train[sample(prepared.dataset.targets[train], width)]
    known = normalised(_features(classifier, place, prepared, kept)).astype(np.float16)
    if similarities is None:
        similarities = nearest_similarity(normalised(_features(classifier, place, prepared, outputs.index)), known)
    own = self_confidence(outputs.values, outputs.targets, classifier.temperature)
    logits = outputs.values.max(axis=1).astype(np.float32)
    return Reference(place, known, similarities, (1 - own).astype(np.float32), logits)


def _features(
    classifier: Classifier, place: str, prepared: Prepared, index: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n d"]:
    loader = Loader(prepared.dataset, index, classifier.input, batch_size=_BATCH)
    with contextlib.closing(loader.epoch(0)) as batches:
        return np.concatenate([classifier.logits_and_features(batch.images, place)[1].numpy() for batch in batches])
