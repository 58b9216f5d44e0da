"""A service with a small network, and a client of it in the same process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from rehearsal.classifiers import untrained
from rehearsal.encoded import stored
from striate.classifier import Classifier
from striate.core.spec import RGB, InputSpec
from striate.serving import Limits, Log, Model, Source
from striate.serving.application import Explain, Service, application
from striate.serving.gate import Gate
from striate.serving.hosting import Hosted, Models

SPEC = InputSpec(channels=RGB, height=20, width=16, mean=(0.5,) * 3, std=(0.25,) * 3)
CLASSES = ("green", "red", "naïve")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 33, 21, 3), dtype=np.uint8)
FILES = [stored(Image.fromarray(pixels), "PNG") for pixels in PIXELS]
FORM = "multipart/form-data; boundary=XX"


def small(seed: int = 1) -> Classifier:
    return untrained("mlp", SPEC, CLASSES, seed=seed, at=1.5)


def form(*files: bytes) -> bytes:
    """Return the body of a form with files a.png, b.png …"""
    parts = [
        f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}.png"\r\n\r\n'.encode() + file + b"\r\n"
        for name, file in zip("abcdefgh", files, strict=False)
    ]
    return b"".join(parts) + b"--XX--\r\n"


@dataclass(frozen=True)
class Talk:
    """A client, the service that it talks to, and the lines of its log."""

    client: TestClient
    service: Service
    lines: io.StringIO

    def post(self, path: str, content: bytes = b"", kind: str = "image/png", **headers: str) -> Any:
        """Send a body and return the response."""
        return self.client.post(path, content=content, headers={"content-type": kind, **headers})


@contextlib.contextmanager
def talking(
    models: Sequence[Model | Source] = (),
    limits: Limits | None = None,
    *,
    explain: Explain | None = None,
    token: str | None = None,
) -> Iterator[Talk]:
    """Serve `models`, by default one small network called net, while the block runs."""
    limits = limits or Limits(batch=4)
    given = models or [small()]
    sources = [one if isinstance(one, Source) else Source("net", lambda one=one: one) for one in given]
    lines = io.StringIO()
    log = Log(lines)
    service = Service(
        Models([Hosted(source, batch=limits.batch) for source in sources]), limits, explain=explain, log=log
    )
    app = Gate(application(service), service, token=token, hosts={"localhost"})
    try:
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            yield Talk(client, service, lines)
    finally:
        log.close()
