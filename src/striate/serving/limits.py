"""What a server accepts: the limits of requests, and the reservations of those in progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import TracebackType

from striate.core.errors import ConfigError
from striate.serving.refusal import Refusal

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server.

    `batch`: images that the network classifies at once. `delay`: seconds that an image waits for others that are being
    decoded. `queue`: images in progress; more are refused with status 503. `images`: images of a request. `pixels`: of
    an image. `body`: bytes of a request. `memory`: bytes of all requests in progress. `seconds`: from the first byte of
    a request to its answer. `connections`: open at once.

    Raises:
        ConfigError: a limit is not positive, or a request may have more images than the queue.
    """

    batch: int = 16
    delay: float = 0.005
    queue: int = 128
    images: int = 32
    pixels: int = 64_000_000
    body: int = 20 * _MEBIBYTE
    memory: int = 256 * _MEBIBYTE
    seconds: float = 30.0
    connections: int = 512

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and (value > 0 or (value == 0 and field.name == "delay"))):
                raise ConfigError(f"The limit {field.name} is a positive number; received {value:g}.")
        if self.images > self.queue:
            raise ConfigError(
                f"A request may have {self.images} images, and the queue holds {self.queue}: raise the queue, or "
                "accept fewer images in a request."
            )
        if self.body > self.memory:
            raise ConfigError(
                f"A request may have {self.body:,} bytes, and all together {self.memory:,}: accept smaller requests."
            )


class Admission:
    """The images and bytes of the requests in progress.

    `wait` returns the seconds after which a refused request should be repeated.
    """

    def __init__(self, limits: Limits, wait: Callable[[int], float]) -> None:
        self.limits = limits
        self.images = 0
        self.bytes = 0
        self._wait = wait

    def reservation(self) -> Reservation:
        """Begin a request.

        Raises:
            Refusal: the queue is full.
        """
        if self.images >= self.limits.queue:
            raise self.full()
        return Reservation(self)

    def full(self) -> Refusal:
        """Return the refusal of a request that does not fit."""
        after = max(1, min(60, math.ceil(self._wait(self.images))))
        return Refusal(503, f"The server is busy. Repeat the request after {after} s.", {"Retry-After": str(after)})


class Reservation:
    """The images and bytes of one request, released when the request and all of its threads have ended.

    A thread that decodes cannot be stopped; what it holds still counts after its request was answered.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._images = self._bytes = self._users = 0

    def add_bytes(self, count: int) -> None:
        """Reserve memory for `count` bytes of the body.

        Raises:
            Refusal: all requests together have too many.
        """
        if self._admission.bytes + count > self._admission.limits.memory:
            raise self._admission.full()
        self._admission.bytes += count
        self._bytes += count

    def add_images(self, count: int) -> None:
        """Reserve places in the queue.

        Raises:
            Refusal: the queue has fewer.
        """
        if self._admission.images + count > self._admission.limits.queue:
            raise self._admission.full()
        self._admission.images += count
        self._images += count

    def __enter__(self) -> Reservation:
        self.join()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()

    def join(self) -> None:
        """Begin one more use."""
        self._users += 1

    def leave(self) -> None:
        """End one use; the last one releases everything."""
        self._users -= 1
        if not self._users:
            self._admission.images -= self._images
            self._admission.bytes -= self._bytes
