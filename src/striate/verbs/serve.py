"""Serve trained classifiers over HTTP."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.arguments import checked
from striate.core.errors import ConfigError
from striate.verbs._trained import in_runtime, predictor_of

if TYPE_CHECKING:
    from striate.classifier import Classifier, Ensemble, Prediction, Prepared
    from striate.exporting import Exported
    from striate.runs.folder import Run
    from striate.serving import Model, Source

Warn = Callable[[str, str], None]

_LIBRARIES = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
_LIBRARIES |= {"prometheus_client": "prometheus-client"}
_MEGA = 1_000_000


@checked
def serve(
    run: str | Path | Run | Classifier | Ensemble | Exported,
    /,
    *more: str | Path | Run | Classifier | Ensemble | Exported,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    batch: int = 16,
    delay: float = 5.0,
    queue: int = 128,
    images: int = 32,
    megapixels: float = 64.0,
    megabytes: float = 20.0,
    seconds: float = 30.0,
    device: str = "auto",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer images over HTTP with one or several classifiers, until Ctrl-C or SIGTERM.

    POST an image to /predict. The page at / takes images by drag and drop and describes the interface, which includes
    the Open Inference Protocol. A model whose files are replaced is loaded again, and no request is lost; of a run,
    these are the files of its training, not of an export. At the end, accepted requests are answered first. Standard
    error has a JSON document for each request.

    Example:
        striate.serve("runs/photos", port=8000)

    Args:
        run: the run's folder, a classifier's folder, a folder that 'striate export' wrote, or the name of a network
            that has pretrained weights. It is served under the name of its folder, an export in a run's folder under
            that of the run; NAME=PATH gives another. A run that 'striate export --for cpu' exported is computed in the
            runtime chosen there.
        more: further ones, each at /models/NAME/predict.
        host: the address to listen on. The default is reached from this machine only; 0.0.0.0 from everywhere.
        port: the port to listen on; 0 for any free one.
        token: what clients have to send as 'Authorization: Bearer TOKEN'; by default the value of STRIATE_TOKEN.
            Without either, no token is needed.
        batch: how many images are classified at once, at most.
        delay: how many milliseconds an image waits for others that are being decoded, at most.
        queue: how many images may be in progress; further requests are refused with status 503 and Retry-After.
        images: how many images a request may have.
        megapixels: how many million pixels an image may have.
        megabytes: how many million bytes a request may have; all requests in progress together have 13 times as many.
        seconds: how long a request may take, from its first byte to the answer.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps. An exported classifier runs on the processor.
        on_ready: called with the address as soon as requests are answered.

    Raises:
        ConfigError: a library is missing, the address is in use, or a limit is out of range.
        RunError: there is no classifier, or it is damaged.
        ModelError: there are no such pretrained weights.
    """
    _check_libraries()
    from striate.serving import Limits, Log
    from striate.serving import serve as serve_sources

    _check_million(megabytes=megabytes, megapixels=megapixels)
    size = int(megabytes * _MEGA)
    limits = Limits(
        batch=batch,
        delay=delay / 1000,
        queue=queue,
        images=images,
        pixels=int(megapixels * _MEGA),
        body=size,
        memory=13 * size,
        seconds=seconds,
    )
    token = _checked_token(os.environ.get("STRIATE_TOKEN") if token is None else token)
    log = Log(sys.stderr)
    try:
        serve_sources(
            _sources((run, *more), device, lambda model, why: log.write("warning", model=model, message=why)),
            host=host,
            port=port,
            token=token,
            limits=limits,
            explain=_explain,
            log=log,
            ready=on_ready or (lambda address: None),
        )
    finally:
        log.close()


def _check_libraries() -> None:
    missing = [name for module, name in _LIBRARIES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(f"Serving needs {' and '.join(missing)}: pip install 'striate[serve]'.")


def _check_million(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < _MEGA:
            raise ConfigError(f"{name} is a positive number; received {value:g}.")


def _checked_token(token: str | None) -> str | None:
    if token is not None and (not token or not token.isascii() or not token.isprintable()):
        raise ConfigError("A token is a word of ASCII characters; received one that no client can send.")
    return token


def _sources(trained: Iterable[Any], device: str, warn: Warn) -> list[Source]:
    """Return the sources of several models, which have different names."""
    sources: dict[str, Source] = {}
    for each in trained:
        source = _source(each, device, warn)
        if source.name in sources:
            raise ConfigError(
                f"Two models are called {source.name!r}. Give one of them another name, as in other={each}."
            )
        sources[source.name] = source
    return list(sources.values())


def _source(trained: Any, device: str, warn: Warn) -> Source:
    """Return the source of a model: an export, a run, a classifier, or weights of the catalogue.

    At each load, `warn` receives its name and why an export for this processor is not used.
    """
    from striate.exporting import Exported, read_exported
    from striate.exporting.artefact import CARD
    from striate.serving import ExportedModel, Source

    name, given = _named(trained)
    if isinstance(given, Exported) or (isinstance(given, (str, Path)) and os.path.isfile(Path(given) / CARD)):
        path = Path(given)
        return Source(name, lambda: ExportedModel(read_exported(path)), path / CARD)
    marker = _description(given)

    def load() -> Model:
        model = in_runtime(predictor_of([given], device), given, "auto")
        for reason in {member.passed_over for member in model.members} - {""}:
            warn(name, reason)
        return model

    return Source(name, load, marker)


def _named(trained: Any) -> tuple[str, Any]:
    """Divide NAME=PATH; otherwise derive the name from the path or the run."""
    from striate.classifier import Classifier, Ensemble
    from striate.exporting import EXPORTERS

    if isinstance(trained, (Classifier, Ensemble)):
        first = trained.members[0]
        return _short(Path(first.provenance.run).name or first.model_name), trained
    path = os.fspath(trained)
    if isinstance(trained, str) and "=" in trained and not os.path.lexists(trained):
        name, _, path = trained.partition("=")
        if not name or _short(name) != name:
            raise ConfigError(f"The name of a model has letters, digits, and . _ -; received {name!r}.")
        return name, path
    folder = Path(path).resolve()
    if folder.parent.name == "exports" and folder.name in EXPORTERS:
        folder = folder.parent.parent
    return _short((folder.parent if folder.name == "classifier" else folder).name), trained


def _short(name: str) -> str:
    """Return a name that an address can hold."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name) or "model"


def _description(trained: Any) -> Path | None:
    """Return the file that is replaced with a classifier, in its folder or its run's; None without one."""
    if not isinstance(trained, (str, os.PathLike)):
        return None
    folder = Path(trained)
    found = [path for path in (folder / "classifier.json", folder / "classifier" / "classifier.json") if path.exists()]
    return found[0] if found else None


def _explain(model: Model, image: Prepared, prediction: Prediction) -> bytes:
    """Draw, over the input of the network, what supports the predicted class."""
    from striate.classifier import Predictor
    from striate.data.images.decoded import DecodedImage, prepared_tag
    from striate.plot import png
    from striate.reporting.sheets.explanation import mistake_maps
    from striate.serving import Refusal

    assert isinstance(model, Predictor)
    classifier: Classifier = model.members[0]
    spec, pixels = classifier.input, image.pixels[classifier.input].transpose(1, 2, 0)
    given = DecodedImage(pixels, spec.channels, spec.size, prepared=prepared_tag(spec))
    drawn = mistake_maps(classifier, [given], [classifier.labels.classes.index(prediction.label)])
    if isinstance(drawn, str):
        raise Refusal(400, drawn)
    return png(drawn.images[0])
