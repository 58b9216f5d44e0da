"""Several classifiers that answer together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from striate.classifier.classifier import Classifier
from striate.classifier.predictor import Predictor
from striate.classifier.reference import KEPT, Limits
from striate.classifier.seen import SeenImages
from striate.core.errors import ConfigError
from striate.core.notebook import table
from striate.core.spec import InputSpec, LabelSpec
from striate.data.views import View
from striate.tasks import Task


class Ensemble(Predictor):
    """Several classifiers of the same classes. The answer is the arithmetic mean of their probabilities.

    Each classifier prepares images for itself, so that their networks may differ in everything, and calibrates its
    probabilities by its own temperature before they are averaged. B. Lakshminarayanan et al., "Simple and scalable
    predictive uncertainty estimation using deep ensembles", NIPS 2017, arXiv:1612.01474, section 2.4; the seven
    networks of Krizhevsky et al. 2012 were averaged in the same way.

    If every classifier recognizes images of none of the classes, so does the ensemble: the p-value is twice the
    mean of theirs, which holds however they depend on each other (V. Vovk and R. Wang, "Combining p-values via
    averaging", Biometrika 2020, arXiv:1212.4966), and an image is of none of the classes below 5 %.

    The classes are those of the first classifier, in its order.

    Raises:
        ConfigError: there are fewer than two classifiers, or two differ in their classes or their task.
    """

    def __init__(self, classifiers: Iterable[Classifier]) -> None:
        self._members = tuple(classifiers)
        if len(self._members) < 2:
            raise ConfigError(f"An ensemble has at least two classifiers; received {len(self._members)}.")
        first, *others = self._members
        self.labels: LabelSpec = first.labels
        for other in others:
            _check_alike(first, other)
        self.task: Task = first.task.averaged([(member.task, self.order(member)) for member in self._members])

    def __repr__(self) -> str:
        names = ", ".join(repr(member.provenance.run) for member in self._members)
        return f"Ensemble({len(self._members)} classifiers of {len(self.labels)} classes: {names})"

    def _repr_html_(self) -> str:
        rows = [
            (member.provenance.run, member.model_name, "×".join(map(str, member.input.shape)))
            for member in self._members
        ]
        return table(("run", "network", "input"), rows, title=f"Ensemble of {len(rows)} classifiers")

    @property
    def members(self) -> tuple[Classifier, ...]:
        """The classifiers whose probabilities are averaged."""
        return self._members

    @property
    def seen(self) -> SeenImages | None:
        """The images that any of the classifiers has seen in its training; None where one of them has no record."""
        return SeenImages.together([member.seen for member in self._members])

    def to(self, device: str | torch.device) -> Ensemble:
        """Return this ensemble on another device; the models are moved in place, as by `torch.nn.Module.to`."""
        return Ensemble(member.to(device) for member in self._members)

    def copied(self) -> Ensemble | None:
        """Return one for another thread, as `Classifier.copied`; None if a member has none."""
        members = [copied for member in self._members if (copied := member.copied()) is not None]
        return Ensemble(members) if len(members) == len(self._members) else None

    def order(self, member: Classifier) -> list[int]:
        """Return, for each class, the number of that class in `member`."""
        return [member.labels.classes.index(name) for name in self.labels.classes]

    def preparations(self, views: Sequence[View] = ()) -> tuple[InputSpec, ...]:
        """Return every way of preparing an image that one of the classifiers needs.

        Raises:
            ConfigError: a network or its input has no such views.
        """
        return tuple(dict.fromkeys(spec for member in self._members for spec in member.preparations(views)))

    def answers(
        self, images: Mapping[InputSpec, Float[Tensor, "n c h w"]], views: Sequence[View] = ()
    ) -> tuple[Float[Tensor, "n k"], list[Limits]]:
        """Return the mean probabilities of prepared and scaled images, and whether they are of one of the classes."""
        found, limits = [], []
        for member in self._members:
            answers, limit = member.answers(images, views)
            found.append(answers.double()[:, self.order(member)])
            limits.append(limit)
        return torch.stack(found).mean(dim=0), [_together(each) for each in zip(*limits, strict=True)]

    def set_threshold(self, coverage: float) -> float:
        """Refuse: the scores of held-out images are those of each classifier alone.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Sets with a coverage follow from scores of held-out images, which an ensemble does not have. Predict with "
            "one of its runs, or leave the coverage out."
        )


def _check_alike(first: Classifier, other: Classifier) -> None:
    """Raise ConfigError if two classifiers differ in their classes or their task."""
    names = f"{first.provenance.run} and {other.provenance.run}"
    if set(first.labels.classes) != set(other.labels.classes):
        mine, theirs = set(first.labels.classes), set(other.labels.classes)
        only = [
            f"only {each.provenance.run} has {', '.join(sorted(own)[:5])}"
            for each, own in ((first, mine - theirs), (other, theirs - mine))
            if own
        ]
        raise ConfigError(
            f"The classifiers of an ensemble have the same classes; {names} differ: {'; '.join(only)}. Leave one out."
        )
    if first.task.unfitted != other.task.unfitted:
        raise ConfigError(f"The classifiers of an ensemble have the same task; {names} differ. Leave one out.")


def _together(limits: Sequence[Limits]) -> Limits:
    values = [limit.p_value for limit in limits if limit.p_value is not None]
    if len(values) < len(limits):
        return Limits()
    value = min(1.0, 2 * sum(values) / len(values))
    return Limits(None, value, value < 1 - KEPT)
