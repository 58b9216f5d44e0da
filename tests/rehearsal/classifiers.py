"""Classifiers with initial weights, without a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from striate.classifier import Arguments, Classifier, Provenance
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference
from striate.core.spec import InputSpec, LabelSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.models import create_model

PROVENANCE = Provenance(
    run="r", created="now", data="d", data_digest="0", recipe="p", recipe_digest="1", seed=0, epochs=1.0
)


def untrained(name: str, spec: InputSpec, classes: tuple[str, ...], *, seed: int = 1, at: float = 1.0) -> Classifier:
    """Return a classifier of the model `name` for the input `spec`, at the temperature `at`."""
    arguments = Arguments(classes=len(classes), channels=len(spec.channels), size=spec.size)
    model = create_model(name, seed=seed, **arguments).eval()
    return Classifier(model, name, arguments, spec, LabelSpec(classes), PROVENANCE, at)


def recognizing(classifier: Classifier, images: Sequence[DecodedImage]) -> Classifier:
    """Return `classifier` with a reference: half of `images` are of none of its classes."""
    spec = classifier.input
    batch = scale(torch.from_numpy(np.stack([prepare(replace(image, prepared=""), spec) for image in images])), spec)
    named = classifier.model.named_modules()
    *_, place = (name for name, module in named if isinstance(module, (nn.Linear, nn.Conv2d)))
    logits, features = classifier.logits_and_features(batch, place)
    known = normalised(features.numpy()[:3]).astype(np.float16)
    similarities, largest = nearest_similarity(normalised(features.numpy()), known), logits.numpy().max(axis=1)
    blank = np.zeros(len(images), np.float32)
    order = np.argsort(Reference(place, known, similarities, blank, largest).held_out)
    kept = np.resize(order[len(images) // 2 :], 30)
    scores = np.linspace(0, 1, len(kept), dtype=np.float32)
    reference = Reference(place, known, similarities[kept], scores, largest[kept])
    familiarity = np.sort(reference.familiarity(similarities, largest))
    gap = reference.threshold - familiarity[familiarity < reference.threshold - 1e-6].max()
    shift = (gap / 2 * similarities[kept].std()).astype(np.float32)  # the threshold is between two images
    return replace(classifier, reference=replace(reference, similarities=similarities[kept] - shift))
