"""A classifier from pretrained weights, without a run."""

from __future__ import annotations

from striate.classifier.classifier import Classifier
from striate.classifier.provenance import Provenance
from striate.core.errors import ModelError
from striate.core.rng import torch_random_state_kept
from striate.core.spec import LabelSpec
from striate.models.weights import Pretrained, build_pretrained

PRETRAINED = "pretrained"


def pretrained_classifier(found: Pretrained) -> Classifier:
    """Return the classifier of pretrained weights; the name of a class without one is its number.

    Raises:
        ModelError: it is not known how images are prepared for these weights.
    """
    if found.input is None:
        raise ModelError(
            f"Nothing says how images are prepared for {found.name}, so it cannot classify any. Take weights of the "
            "catalogue (striate list-models --weights) or of the Hugging Face hub, or train from these."
        )
    with torch_random_state_kept():  # the model draws initial weights, which are replaced
        network = build_pretrained(found)
    scores = {"accuracy": found.top1, "top5": found.top5}
    published = {name: score / 100 for name, score in scores.items() if score is not None}
    provenance = Provenance(
        run=found.name,
        created="",
        data=found.source,
        data_digest=found.digest,
        recipe=PRETRAINED,
        recipe_digest="",
        seed=0,
        epochs=0.0,
        circumstances={"dialect": found.dialect, "licence": found.licence},
        scores={"published": published} if published else {},
    )
    labels = found.labels or tuple(map(str, range(found.arguments["classes"])))
    return Classifier(network.eval(), found.model, found.arguments, found.input, LabelSpec(labels), provenance)
