"""The application: routes, and what happens between a request and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import metadata
from typing import Any, TypeVar

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from striate.classifier import Failure, Prediction, Prepared
from striate.core.threads import usable_cores
from striate.data.images.codecs.refusal import at_most
from striate.serving import open_inference as v2
from striate.serving.answers import explained_by, row, top_of
from striate.serving.batching import Batcher
from striate.serving.bodies import images_in, is_divided, read_body
from striate.serving.hosting import Hosted, Model, Models, explains, input_of
from striate.serving.limits import Admission, Limits, Reservation
from striate.serving.log import Log
from striate.serving.measures import CONTENT_TYPE, Measures
from striate.serving.openapi import openapi
from striate.serving.page import page
from striate.serving.refusal import Refusal

Result = TypeVar("Result")
Explain = Callable[[Model, Prepared, Prediction], bytes]
"""A function that draws where the network looked for a prediction, as a PNG."""

_UNREADABLE = 422


class Service:
    """The models of a server with the threads that decode and classify.

    `explain` draws maps; None where none are offered. `log` and `measures` are those of the server.
    """

    def __init__(self, models: Models, limits: Limits, *, explain: Explain | None, log: Log) -> None:
        self.models, self.limits, self.log = models, limits, log
        self.measures = Measures()
        self.draining = False
        self._explain = explain
        self._decoding = 0
        self._decoders = ThreadPoolExecutor(usable_cores(), "striate-decoder")
        self._batcher = Batcher(
            size=limits.batch, delay=limits.delay, coming=lambda: self._decoding, observe=self.measures.batch
        )
        self._admission = Admission(limits, self._batcher.wait)
        for name, meaning in (("images", "Images in progress"), ("bytes", "Bytes of requests in progress")):
            self.measures.watch(f"{name}_in_progress", meaning, lambda name=name: getattr(self._admission, name))
        for hosted in models.values():
            self.measures.versions.labels(hosted.name).set(float(hosted.current.version))

    @contextlib.asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        """Classify, and watch the files of the models, until the server has answered everything."""
        self._batcher.start()
        watches = [
            asyncio.create_task(hosted.watch(self._loaded), name=f"watch {hosted.name}")
            for hosted in self.models.values()
            if hosted.source.marker is not None
        ]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            await self._batcher.stop()
            self._decoders.shutdown(wait=False, cancel_futures=True)

    def _loaded(self, hosted: Hosted, reason: str | None) -> None:
        outcome = "failed" if reason else "loaded"
        self.measures.loads.labels(hosted.name, outcome).inc()
        self.measures.versions.labels(hosted.name).set(float(hosted.current.version))
        fields = {"reason": reason} if reason else {}
        self.log.write(f"model {outcome}", model=hosted.name, version=hosted.current.version, **fields)

    def routes(self) -> list[Route]:
        """Return the routes; the names of the functions are the routes of the metrics."""
        get, post = ["GET"], ["POST"]
        version = "/v2/models/{model}/versions/{version}"
        return [
            Route("/", self.home, methods=get),
            Route("/openapi.json", self.openapi, methods=get),
            Route("/healthz", self.healthz, methods=get),
            Route("/readyz", self.readyz, methods=get),
            Route("/metrics", self.metrics, methods=get),
            Route("/models", self.list_models, methods=get),
            Route("/predict", self.predict, methods=post),
            Route("/models/{model}/predict", self.predict, methods=post),
            Route("/v2", self.v2_server, methods=get),
            Route("/v2/health/live", self.healthz, methods=get),
            Route("/v2/health/ready", self.readyz, methods=get),
            *(Route(path, self.v2_model, methods=get) for path in ("/v2/models/{model}", version)),
            *(Route(f"{path}/ready", self.v2_ready, methods=get) for path in ("/v2/models/{model}", version)),
            *(Route(f"{path}/infer", self.infer, methods=post) for path in ("/v2/models/{model}", version)),
        ]

    async def home(self, request: Request) -> Response:
        text, policy = page()
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})

    async def openapi(self, request: Request) -> Response:
        return _json(openapi(list(self.models), self.limits))

    async def healthz(self, request: Request) -> Response:
        return _json({"live": True})

    async def readyz(self, request: Request) -> Response:
        return _json({"ready": not self.draining}, status=503 if self.draining else 200)

    async def metrics(self, request: Request) -> Response:
        return Response(self.measures.text(), media_type=CONTENT_TYPE)

    async def list_models(self, request: Request) -> Response:
        return _json({"models": [hosted.about() for hosted in self.models.values()]})

    async def v2_server(self, request: Request) -> Response:
        return _json({"name": "striate", "version": metadata.version("striate"), "extensions": ["binary_tensor_data"]})

    async def v2_model(self, request: Request) -> Response:
        return _json(v2.metadata(self._hosted(request)))

    async def v2_ready(self, request: Request) -> Response:
        return _json({"name": self._hosted(request).name, "ready": True})

    async def predict(self, request: Request) -> Response:
        """Classify the images of a request."""
        hosted, top, explained = self._hosted(request), top_of(request), explained_by(request)
        loaded = hosted.current
        model = loaded.model
        if explained and (self._explain is None or not explains(model)):
            raise Refusal(400, f"The model {hosted.name} draws no explanations. Leave out explain.")

        async def work(body: bytes, reserved: Reservation) -> Response:
            kind = request.headers.get("content-type", "")
            parse = partial(images_in, kind, body, self.limits)
            named = await self._in_thread(reserved, parse) if is_divided(kind) else parse()
            if explained and len(named) > 1:
                raise Refusal(400, f"explain takes one image in a request; received {len(named)}.")
            reserved.add_images(len(named))
            outcomes = await asyncio.gather(
                *(self._classify(model, reserved, name, data, explained) for name, data in named)
            )
            self._count(hosted, [outcome for outcome, _ in outcomes])
            rows = [row(outcome, top, png) for outcome, png in outcomes]
            status = _UNREADABLE if all("error" in each for each in rows) else 200
            return _json({"model": hosted.name, "version": loaded.version, "predictions": rows}, status=status)

        return await self._answered(request, work)

    async def infer(self, request: Request) -> Response:
        """Classify the images of a request of the Open Inference Protocol."""
        hosted = self._hosted(request)
        loaded = hosted.current
        length, channels = request.headers.get(v2.LENGTH_HEADER), len(input_of(loaded.model).channels)

        async def work(body: bytes, reserved: Reservation) -> Response:
            asked = await self._in_thread(reserved, v2.read_inference, body, length, channels, self.limits)
            reserved.add_images(len(asked.images))
            outcomes = await asyncio.gather(
                *(
                    self._classify(loaded.model, reserved, f"image {number}", image)
                    for number, image in enumerate(asked.images, 1)
                )
            )
            self._count(hosted, [outcome for outcome, _ in outcomes])
            predictions = []
            for outcome, _ in outcomes:
                if isinstance(outcome, Failure):
                    raise Refusal(400, f"{outcome.name} cannot be read: {outcome.reason}.")
                predictions.append(outcome)
            content, head = v2.written(hosted.name, loaded, asked, predictions)
            if head is None:
                return Response(content, media_type="application/json")
            return Response(content, media_type="application/octet-stream", headers={v2.LENGTH_HEADER: str(head)})

        return await self._answered(request, work)

    async def _classify(
        self, model: Model, reserved: Reservation, name: str, image: bytes | np.ndarray, explained: bool = False
    ) -> tuple[Prediction | Failure, bytes | None]:
        """Decode an image in a thread, and classify it in a batch; then draw the explanation, if wanted."""
        self._decoding += 1
        try:
            prepared = await self._in_thread(reserved, self._prepare, model, name, image)
        finally:
            self._decoding -= 1
            self._batcher.expect()
        if isinstance(prepared, Failure):
            return prepared, None
        outcome = await self._batcher.result(model.answered, prepared)
        if not explained or isinstance(outcome, Failure) or self._explain is None:
            return outcome, None
        explain = self._explain
        png = await self._batcher.result(lambda batch: [explain(model, *each) for each in batch], (prepared, outcome))
        return outcome, png

    def _prepare(self, model: Model, name: str, image: bytes | np.ndarray) -> Prepared | Failure:
        start = time.perf_counter()
        with at_most(self.limits.pixels):
            prepared = model.prepared(image, name)
        self.measures.stages.labels("decode").observe(time.perf_counter() - start)
        return prepared

    async def _answered(
        self, request: Request, work: Callable[[bytes, Reservation], Coroutine[Any, Any, Response]]
    ) -> Response:
        """Read the body and do the work, within the time, as long as the client is there."""
        end = asyncio.get_running_loop().time() + self.limits.seconds
        with self._admission.reservation() as reserved:
            body = await read_body(request, self.limits, reserved)
            working = asyncio.create_task(work(body, reserved))
            gone = asyncio.create_task(_disconnected(request))
            try:
                rest = end - asyncio.get_running_loop().time()
                await asyncio.wait({working, gone}, timeout=max(0.0, rest), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
            finally:
                gone.cancel()
                working.cancel()
                await asyncio.gather(gone, working, return_exceptions=True)
            if gone.done() and not gone.cancelled():
                raise Refusal(499, "The client has closed the connection.")
            raise Refusal(504, f"An answer takes at most {self.limits.seconds:g} s; this one was not ready.")

    async def _in_thread(self, reserved: Reservation, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call `function` in a thread for decoding. The reservation lasts until the thread has ended."""
        loop = asyncio.get_running_loop()
        reserved.join()
        future = self._decoders.submit(function, *arguments)

        def leave(done: Future[Result]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(reserved.leave)

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def _hosted(self, request: Request) -> Hosted:
        hosted = self.models.named(request.path_params.get("model"))
        version = request.path_params.get("version")
        if version is not None and version != hosted.current.version:
            known = hosted.current.version
            raise Refusal(404, f"The model {hosted.name} has the version {known}; received {version[:20]!r}.")
        return hosted

    def _count(self, hosted: Hosted, outcomes: Sequence[Prediction | Failure]) -> None:
        unreadable = sum(isinstance(outcome, Failure) for outcome in outcomes)
        for outcome, count in (("answered", len(outcomes) - unreadable), ("unreadable", unreadable)):
            if count:
                self.measures.images.labels(hosted.name, outcome).inc(count)


IDENTIFIER = "striate.request"
"""Key of a request's identifier in its scope."""


def failure(scope: Scope) -> str:
    """Return the sentence of the answer to a request at which the server failed."""
    return f"The server failed at this request; its log has it as {scope[IDENTIFIER]}."


def application(service: Service) -> Starlette:
    """Return the application of a service, in which refusals become answers."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return _json({"error": error.sentence}, status=error.status, headers=error.headers)

    def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = ", ".join(dict.fromkeys(route.path for route in service.routes()[:8]))
        sentence = {404: f"There is no such path. There are {known}.", 405: "This path has another method."}
        text = sentence.get(error.status_code, error.detail)
        return _json({"error": text}, status=error.status_code, headers=dict(error.headers or {}))

    def failed(request: Request, error: Exception) -> Response:  # the error itself is in the log
        return _json({"error": failure(request.scope)}, status=500)

    return Starlette(
        routes=service.routes(),
        lifespan=service.running,
        exception_handlers={Refusal: refused, HTTPException: unrouted, Exception: failed},
    )


async def _disconnected(request: Request) -> None:
    receive: Callable[[], Awaitable[Any]] = request.receive
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, media_type="application/json")
