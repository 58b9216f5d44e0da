"""Judge a trained run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.errors import DataError
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.metrics import Judgement
    from striate.recipes.stage import Progress


@dataclass(frozen=True)
class Verdict:
    """How a classifier did on one split. `unknown`: classes of the data that the classifier does not know, whose
    pictures were left out; `unreadable`: how many pictures could not be read."""

    data: str
    split: str
    judgement: Judgement
    unknown: tuple[str, ...]
    unreadable: int


@verb
def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    /,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
) -> Generator[Progress, None, Verdict]:
    """Judge a run: on the test part of its own data, or on other data, whose classes are matched by name.

    Example:
        striate.evaluate("runs/photos", "more-photos/").judgement.top1.value

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        data: other data than the run's own, in any form that 'striate train' takes; all of them are judged.
        split: which part: train, val, test or all.

    Raises:
        RunError: there is no classifier, or it is damaged.
        DataError: there are no such data, or none of their classes is known to the classifier.
    """
    import numpy as np

    from striate.classifier import load_classifier
    from striate.data.audit import audit
    from striate.data.opening import open_data
    from striate.recipes.folder import Plan, Run, open_run
    from striate.recipes.judging import answers, evaluation, matched
    from striate.recipes.stage import watched

    classifier = load_classifier(run)
    is_run = Run(Path(run)).recipe_file.exists()
    source = Plan.read(open_run(run)).data if data is None else data
    chosen = split or ("test" if data is None else "all")
    dataset, known, unknown = matched(open_data(source), classifier.labels)
    found = yield from watched("looking through the pictures", lambda progress: audit(dataset, progress=progress))
    readable = found.survey.readable
    wanted = np.flatnonzero(readable) if chosen == "all" else found.parts[chosen]
    indices = np.intersect1d(wanted, known)
    if not len(indices):
        raise DataError(f"{source} has no picture in the part {chosen!r}. Choose another with --split.")
    outputs = yield from watched("judging", lambda progress: answers(classifier, dataset, indices, progress=progress))
    name = chosen if data is None else f"{dataset.name}-{chosen}"
    judged = evaluation(name, str(source), dataset, classifier, outputs)
    if is_run:
        judged.write(Run(Path(run)))
    return Verdict(str(source), chosen, judged.judgement, unknown, int((~readable[known]).sum()))
