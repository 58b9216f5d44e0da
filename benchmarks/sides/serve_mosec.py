"""mosec with the same classifier: python -m sides.serve_mosec CLASSIFIER --port PORT --address 127.0.0.1

One process for each core decodes and prepares, one classifies in dynamic batches, as mosec's examples do. The path of
the classifier is in the environment, because mosec reads the command line itself.
"""

from __future__ import annotations

import os
from typing import Any

from mosec import Server, ValidationError, Worker  # pyright: ignore[reportMissingImports]

from striate.classifier import Failure, load_classifier
from striate.core.threads import usable_cores

FOLDER = "STRIATE_SERVED"
BATCH, WAIT = 16, 5  # images, milliseconds: those of `striate serve`


class Prepare(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = load_classifier(os.environ[FOLDER])

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> Any:
        prepared = self.classifier.prepared(data, "image")
        if isinstance(prepared, Failure):
            raise ValidationError(prepared.reason)
        return prepared


class Classify(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = load_classifier(os.environ[FOLDER])

    def forward(self, data: list[Any]) -> list[dict[str, float]]:
        found = self.classifier.answered(data)
        return [dict(list(getattr(each, "probabilities", {}).items())[:5]) for each in found]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Prepare, num=usable_cores())
    server.append_worker(Classify, num=1, max_batch_size=BATCH, max_wait_time=WAIT)
    server.run()
