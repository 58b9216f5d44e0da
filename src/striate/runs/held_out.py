"""The reference of a network that was trained: features of its training images, and scores of its validation images."""

from __future__ import annotations

import contextlib

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from striate.classifier import Classifier
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference, inputs_of, sample
from striate.core.device import out_of_memory
from striate.data.loading.loader import Loader
from striate.metrics.suspects import self_confidence
from striate.models.surgery import heads_of
from striate.runs.evaluate import BATCH_SIZE
from striate.runs.prepare import Prepared
from striate.training import Outputs


def held_out_reference(
    classifier: Classifier,
    prepared: Prepared,
    outputs: Outputs,
    similarities: Float[np.ndarray, " n"] | None = None,
    known: Int[np.ndarray, " m"] | None = None,
) -> Reference:
    """Return the reference of `classifier`, whose `outputs` are those of the validation split.

    Features are the input of the network's last layer. Validation images stand for new ones: the network was not
    trained on them. Where `outputs` are out of fold, `similarities` are those of the networks of the folds. `known` are
    the training images whose features are compared, by default all of them; a sample is stored of many.

    Raises:
        DataError: an image cannot be read any more.
        ModelError: the network has no last layer (`heads_of`).
    """
    place = heads_of(classifier.model, classifier.input.size)[0]
    known = prepared.splits["train"] if known is None else known
    width = _features(classifier, place, prepared, outputs.index[:1]).shape[1]
    kept = known[sample(prepared.dataset.targets[known], width)]
    features = normalised(_features(classifier, place, prepared, kept)).astype(np.float16)
    if similarities is None:
        similarities = nearest_similarity(normalised(_features(classifier, place, prepared, outputs.index)), features)
    own = self_confidence(outputs.values, outputs.targets, classifier.temperature)
    logits = outputs.values.max(axis=1).astype(np.float32)
    return Reference(place, features, similarities, (1 - own).astype(np.float32), logits)


def _features(
    classifier: Classifier, place: str, prepared: Prepared, index: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n d"]:
    loader = Loader(prepared.dataset, index, classifier.input, batch_size=BATCH_SIZE)

    def computed(images: Float[Tensor, "n c h w"]) -> list[Float[np.ndarray, "_ d"]]:
        try:
            classifier.logits(images)
            return [features().numpy()]
        except (RuntimeError, MemoryError) as error:
            if len(images) == 1 or not out_of_memory(error):
                raise
        return [rows for half in images.tensor_split(2) for rows in computed(half)]

    # The hook keeps the network as it is: to fold its norms would take longer than a few batches.
    with inputs_of(classifier.model, place) as features, contextlib.closing(loader.epoch(0)) as batches:
        return np.concatenate([rows for batch in batches for rows in computed(batch.images)])
