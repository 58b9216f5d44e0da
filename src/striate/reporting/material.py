"""The values that a report is rendered from, independent of the run that they were read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from striate.data.audit import Audit
from striate.metrics import ClassificationScores, MultilabelScores, Rows, Scores, Temperature
from striate.models import ModelCard
from striate.reporting.sheets.augmented import AugmentedImage
from striate.runs.cross_validation import CurvePoint
from striate.runs.diagnosis import RunDiagnosis
from striate.runs.mirrored import Mirrored
from striate.runs.plan import Probe
from striate.runs.seen import Seen
from striate.tasks import CLASSIFICATION
from striate.tracing import Description

IMAGES = {"test": "test images", "folds": "images of the folds", "validation": "validation images"}
"""The images that scores were measured on, by the path of the scores."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The model of a run: its `name`, its number of `parameters` and its `input` (channels, height, width).

    `card` is None for a model outside the zoo. `layers` is None where the forward pass cannot be traced; `untraced`
    gives the reason.
    """

    name: str
    input: tuple[int, int, int]
    parameters: int
    card: ModelCard | None = None
    layers: Description | None = None
    untraced: str | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One answer with its image.

    `given` is the true class; `index` is the sample's index in the data set; `why` is the input of the network under
    the map that explains the answer. Where an image may have several classes, an answer is that it has the class
    `label`, or not: "not cat" for the class "cat". Otherwise `label` is `predicted`.
    """

    image: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 1"]
    name: str
    index: int
    given: str
    predicted: str
    confidence: float
    label: str
    why: UInt8[np.ndarray, "rows columns 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class RunMaterial:
    """All content of a run's report. A section whose value is None is left out, or reported as missing.

    `sections` are the names of the sections to show (`render.SECTIONS`).

    Training: `events` are the objects of `events.jsonl`, and `diagnosis` judges them; `kept_epoch` is the one whose
    weights were kept, `reason` why the training ended, and `unfinished` the progress of one that has not ended.
    `selected` is true where validation images chose the epoch.

    Evaluation: `judged` holds the evaluation of each split and of all folds, whatever the task; `train`, `validation`
    and `test` are those of single-label classification. `seen` says how many test images were seen in training,
    `mirrored` how mirrored validation images are answered. `rows` are the answers of the split that is shown,
    `temperature` the fitted temperature. `mistakes` are wrong answers, most confident
    first, with maps made by the method `explained`, or without because of `unexplained`; `surest` are correct answers.

    Cross-validation: `folds` is the evaluation of all folds together, `curve` the accuracy by number of images,
    `suspects` are answers that contradict their labels, `labels` is true where the run has a file of labels to correct,
    and `probes` are the places whose features were compared to choose the kind of transfer. `refused_by` names the
    measures by which the classifier recognises images of none of the classes; empty where it does not.

    Data: `audit` is the audit of the data as they are now; `unread` is the reason why they could not be read again,
    and `changed` is true where they are not those of the training any more.
    `augmented` are training images as the network sees them, `augmentation` their changes, in words.

    Model and settings: `filters` are the weights of the first layer, one filter for each output channel. `settings` are
    those in effect, as (name, value, reason); `recipe` is in JSON form; `difference` maps a dotted key to (the recipe's
    value, the run's value). `provenance` maps labels to short texts.
    """

    title: str
    sections: tuple[str, ...] = CLASSIFICATION.sections
    judged: Mapping[str, Scores] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    diagnosis: RunDiagnosis | None = None
    kept_epoch: float | None = None
    reason: str | None = None
    unfinished: str | None = None
    selected: bool = False
    train: ClassificationScores | None = None
    validation: ClassificationScores | None = None
    test: ClassificationScores | None = None
    seen: Seen | None = None
    mirrored: Mirrored | None = None
    rows: Rows | None = None
    temperature: Temperature | None = None
    mistakes: tuple[Example, ...] | None = None
    surest: tuple[Example, ...] = ()
    explained: str | None = None
    unexplained: str | None = None
    folds: ClassificationScores | None = None
    curve: tuple[CurvePoint, ...] = ()
    suspects: tuple[Example, ...] = ()
    labels: bool = False
    refused_by: str = ""
    probes: tuple[Probe, ...] = ()
    audit: Audit | None = None
    unread: str | None = None
    changed: bool = False
    augmented: tuple[AugmentedImage, ...] = ()
    augmentation: str = ""
    model: ModelFacts | None = None
    filters: Float[np.ndarray, "n c h w"] | None = None
    settings: tuple[tuple[str, str, str], ...] = ()
    recipe: Mapping[str, Any] | None = None
    difference: Mapping[str, Sequence[Any]] | None = None
    provenance: Mapping[str, str] | None = None

    @property
    def unseen(self) -> tuple[str, ClassificationScores] | None:
        """The scores on images that the classifier, or that of a fold, was not trained on, with their path.

        `test`; without a test split `folds`.
        """
        if self.test is not None:
            return "test", self.test
        return None if self.folds is None else ("folds", self.folds)

    @property
    def labelled(self) -> tuple[str, MultilabelScores] | None:
        """The scores to show where an image may have several classes, with their path: `test`, `folds` or `val`."""
        for key in ("test", "folds", "val"):
            if isinstance(scores := self.judged.get(key), MultilabelScores):
                return key, scores
        return None
