"""One network of the zoo or of torchvision, at one task: python -m sides.zoo_step JOB

Says "ready" after a warm-up, then answers every line that it is sent with the seconds that one piece of work took. When
its input ends it tells the most memory that it ever had, and how many parameters the network has.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from _peak import peak_bytes
from striate.core.allocator import tune_process

from .standing import stand

Task = Literal["training", "forward", "classifier"]
_WARM_UP = 2
_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Job:
    """`ours` or torchvision's `network`; batches of `batch` images of `side` pixels, channels last in memory.

    `tuned`: glibc's allocator is told to keep freed buffers. `training` is a step of SGD with momentum, `forward` the
    network in eval mode as built, `classifier` the same as a `Classifier` runs it.
    """

    network: str
    ours: bool
    task: Task
    tuned: bool
    batch: int
    side: int
    threads: int

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


def build(job: Job) -> Any:
    """The network, with any initial weights."""
    if job.ours:
        from striate.models import create_model

        return create_model(job.network, classes=_CLASSES, size=(job.side, job.side), seed=0)
    from _torchvision import torchvision

    return torchvision.models.get_model(job.network, weights=None)


def piece_of_work(job: Job, network: Any) -> Callable[[], None]:
    """What is timed."""
    import torch

    images = torch.randn(job.batch, 3, job.side, job.side).to(memory_format=torch.channels_last)
    if job.task == "training":
        targets = torch.arange(job.batch) % _CLASSES
        optimizer = torch.optim.SGD(network.train().parameters(), lr=1e-4, momentum=0.9)

        def work() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images), targets).backward()
            optimizer.step()

    elif job.task == "forward":
        network.eval()

        def work() -> None:
            with torch.inference_mode():
                network(images)

    else:
        classifier = as_classifier(job, network)

        def work() -> None:
            classifier.logits(images)

    return work


def as_classifier(job: Job, network: Any) -> Any:
    from striate.classifier import Arguments, Classifier, Provenance
    from striate.core.spec import RGB, InputSpec, LabelSpec

    spec = InputSpec(channels=RGB, height=job.side, width=job.side, mean=(0.5,) * 3, std=(0.5,) * 3)
    nowhere = Provenance(run="", created="", data="", data_digest="", recipe="", recipe_digest="", seed=0, epochs=0.0)
    arguments = Arguments(classes=_CLASSES, channels=3, size=(job.side, job.side))
    labels = LabelSpec(tuple(map(str, range(_CLASSES))))
    return Classifier(network, job.network, arguments, spec, labels, nowhere)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    if job.tuned:
        tune_process()
    import torch

    torch.set_num_threads(job.threads)
    with contextlib.redirect_stdout(sys.stderr):
        network = build(job).to(memory_format=torch.channels_last)
        work = piece_of_work(job, network)
        for _ in range(_WARM_UP):
            work()
    parameters = sum(p.numel() for p in network.parameters())
    stand(work, lambda: {"peak_bytes": peak_bytes(), "parameters": parameters})


if __name__ == "__main__":
    main()
