"""What a server measures, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Measures:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("striate_requests", "Requests, by route and status", ["route", "status"], registry=own)
        self.latency = Histogram(
            "striate_request_seconds", "Seconds from a request to its answer", ["route"], buckets=_SECONDS, registry=own
        )
        self.images = Counter("striate_images", "Images, by model and outcome", ["model", "outcome"], registry=own)
        self.batches = Histogram("striate_batch_images", "Images of a batch", buckets=_SIZES, registry=own)
        self.stages = Histogram(
            "striate_stage_seconds",
            "Seconds of each stage: decode (one image), wait and compute (one batch)",
            ["stage"],
            buckets=_SECONDS,
            registry=own,
        )
        self.loads = Counter("striate_model_loads", "Loads of a model, by outcome", ["model", "outcome"], registry=own)
        self.versions = Gauge("striate_model_version", "How often a model was loaded", ["model"], registry=own)

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a number that is read whenever the metrics are."""
        Gauge(f"striate_{name}", meaning, registry=self._registry).set_function(read)

    def batch(self, size: int, waited: float, took: float) -> None:
        """Record a batch."""
        self.batches.observe(size)
        self.stages.labels("wait").observe(waited)
        self.stages.labels("compute").observe(took)

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)
