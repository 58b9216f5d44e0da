"""The parameters of a request for predictions, and the entries of its answer."""

from __future__ import annotations

import base64
from typing import Any

from starlette.requests import Request

from striate.classifier import Failure, Prediction
from striate.serving.refusal import Refusal

_TOP = 5  # classes of an answer


def top_of(request: Request) -> int:
    """Return the number of classes in an answer.

    Raises:
        Refusal: it is no number, or out of range.
    """
    text = request.query_params.get("top", str(_TOP))
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or not int(text):
        raise Refusal(400, f"top is the number of classes in an answer, at least 1; received {text[:20]!r}.")
    return int(text)


def explained_by(request: Request) -> bool:
    """Return whether an explanation is wanted.

    Raises:
        Refusal: the parameter is neither true nor false.
    """
    text = request.query_params.get("explain", "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise Refusal(400, f"explain is true or false; received {text[:20]!r}.")
    return text in ("true", "1")


def row(outcome: Prediction | Failure, top: int, png: bytes | None) -> dict[str, Any]:
    """Return the entry of an image in an answer."""
    if isinstance(outcome, Failure):
        return {"name": outcome.name, "error": f"The image cannot be read: {outcome.reason}."}
    found: dict[str, Any] = {
        "name": outcome.name,
        "label": outcome.label,
        "probability": outcome.probability,
        "probabilities": dict(list(outcome.probabilities.items())[:top]),
    }
    for name in ("labels", "none_of_these", "similarity", "p_value"):
        if getattr(outcome, name) is not None:
            found[name] = getattr(outcome, name)
    if png is not None:
        found["explanation"] = base64.b64encode(png).decode()
    return found
