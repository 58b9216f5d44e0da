"""Classifiers with initial weights, without a training."""

from __future__ import annotations

from striate.classifier import Arguments, Classifier, Provenance
from striate.core.spec import InputSpec, LabelSpec
from striate.models import create_model

PROVENANCE = Provenance(
    run="r", created="now", data="d", data_digest="0", recipe="p", recipe_digest="1", seed=0, epochs=1.0
)


def untrained(name: str, spec: InputSpec, classes: tuple[str, ...], *, seed: int = 1, at: float = 1.0) -> Classifier:
    """Return a classifier of the model `name` for the input `spec`, at the temperature `at`."""
    arguments = Arguments(classes=len(classes), channels=len(spec.channels), size=spec.size)
    model = create_model(name, seed=seed, **arguments).eval()
    return Classifier(model, name, arguments, spec, LabelSpec(classes), PROVENANCE, at)
