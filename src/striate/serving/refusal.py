"""The answer to a request that cannot be served: a status and one sentence, without any path of the server."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 – a result, which the application turns into an answer
    """A request is refused with `status`, a `sentence` with the rule and the remedy, and `headers`."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})
