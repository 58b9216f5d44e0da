"""Features of images: the means of a network's feature maps, computed once and cached by content.

The key of the cache holds the bytes of the images' files, the weights of the network, the preparation and the program,
so an edit of any of them computes them again. Labels and splits are not part of it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import importlib.resources
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from striate.core import config
from striate.core.batch import Batch
from striate.core.device import float32_convolutions, plain_plan
from striate.core.files import cache_folder
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.core.threads import in_order
from striate.data.dataset import Dataset, EncodedStore
from striate.data.loading.cache import find, keep, reserve
from striate.data.loading.loader import Loader
from striate.data.program import tensor_program_digest
from striate.models import Network
from striate.models.surgery import HEAD
from striate.tracing import fold

_BATCH, _BATCH_OF_A_THREAD = 32, 8
_SOURCES = ("striate.models", "striate.layers", "striate.tracing", "striate.hooks", "striate.explaining")


@dataclass(frozen=True, eq=False)
class Features:
    """Features of images by place: a feature map's name, or `head` for the input of the network's last layer.

    `index` are the indices of the images in the data set, in the order of the rows.
    """

    places: Mapping[str, Float[np.ndarray, "n d"]]
    index: Int[np.ndarray, " n"]

    def rows(self, place: str, index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        """Return the features of the images `index`, in that order."""
        where = np.full(int(self.index.max()) + 1, -1, np.int64)
        where[self.index] = np.arange(len(self.index))
        return self.places[place][where[index]]


def places_of(network: Network) -> dict[str, str]:
    """Return the paths of the modules whose outputs or, for `head`, whose input are features, in forward order.

    A head that is not a linear layer has no vector as its input; then the last feature map is the last place.
    """
    head = network.get_submodule(network.head)
    return dict(network.feature_maps) | ({HEAD: network.head} if isinstance(head, nn.Linear) else {})


def features_of(
    network: Network,
    spec: InputSpec,
    dataset: Dataset,
    index: Int[np.ndarray, " n"],
    *,
    digests: UInt8[np.ndarray, "m 32"] | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Features:
    """Compute the features of the images `index` at every place of `network`, prepared by `spec`, or read them.

    `digests` are the content digests of all images of the data set; without them nothing is
    cached. The network runs in evaluation mode, on the device and with channels last.

    Raises:
        DataError: an image cannot be read; the message names it.
    """
    index = np.unique(index)
    widths = _widths(network, spec)
    shape = (len(index), sum(widths.values()))

    def path_now() -> Path | None:
        return None if digests is None else FeatureCache(network, spec).path(dataset, index, digests)

    path = path_now()
    values = None if path is None else find(path, shape, np.dtype(np.float32))
    if values is None:
        buffer, values = reserve(shape, np.dtype(np.float32))
        done = 0
        for rows in _computed(network, spec, dataset, index, device, progress):
            values[done : done + len(rows)] = rows
            done += len(rows)
        if path is not None and path == path_now():
            values = keep(path, buffer, values)
    ends = np.cumsum(list(widths.values()))
    parts = zip(widths, np.split(values, ends[:-1], axis=1), strict=True)
    return Features(dict(parts), index)


def _computed(
    network: Network, spec: InputSpec, dataset: Dataset, index: np.ndarray, device: str | None, progress: Progress
) -> Iterator[np.ndarray]:
    """Yield the features of one batch after the other, of all places side by side.

    On the CPU, each thread computes whole batches: operations on few images are too short to be divided. So the
    features are the same to the bit for any number of threads.
    """
    plan = plain_plan(device)
    workers, size = (plan.threads, _BATCH_OF_A_THREAD) if plan.kind == "cpu" else (1, _BATCH)
    idle: SimpleQueue[tuple[nn.Module, dict[str, Tensor]]] = SimpleQueue()

    def work(batch: Batch) -> np.ndarray:
        running, seen = idle.get()
        with torch.inference_mode(), float32_convolutions(plan.kind):
            running(plan.place(batch.images).contiguous(memory_format=torch.channels_last))
            rows = torch.cat([seen[name] for name in places_of(network)], dim=1).float().cpu().numpy()
        idle.put((running, seen))
        return rows

    with contextlib.ExitStack() as stack:
        if plan.kind == "cpu":
            stack.enter_context(replace(plan, threads=1).in_effect())
        stack.enter_context(_prepared(network, device))
        running = fold(network, spec.shape)
        tensors: dict[int, Any] = {id(one): one for one in (*running.parameters(), *running.buffers())}
        for _ in range(workers):  # a forward pass may write into its modules
            own = copy.deepcopy(running, tensors.copy()) if workers > 1 else running
            idle.put((own, stack.enter_context(_watched(own, places_of(network)))))
        batches = stack.enter_context(contextlib.closing(Loader(dataset, index, spec, batch_size=size).epoch(0)))
        threads = workers if workers > 1 else 0
        done = 0
        for rows in stack.enter_context(
            contextlib.closing(in_order(work, batches, threads=threads, ahead=2 * threads))
        ):
            yield rows
            done += len(rows)
            progress("computing features", done, len(index))


@contextlib.contextmanager
def _prepared(network: Network, device: str | None) -> Iterator[None]:
    """Put `network` into evaluation mode, on the device, with channels last."""
    modes = {module: module.training for module in network.modules()}
    try:
        plain_plan(device).adopt(network.eval())
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def _watched(network: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """Collect the features of each forward pass by place."""
    seen: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = arguments[0].clone() if name == HEAD else output.mean(dim=(2, 3))

    hooks = [
        network.get_submodule(path).register_forward_hook(functools.partial(note, name))
        for name, path in places.items()
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _widths(network: Network, spec: InputSpec) -> dict[str, int]:
    """Return the number of features at each place, from one forward pass on a blank image."""
    with (
        replace(plain_plan("cpu"), threads=1).in_effect(),
        _prepared(network, "cpu"),
        _watched(network, places_of(network)) as seen,
        torch.inference_mode(),
    ):
        network(torch.zeros(1, *spec.shape))
    return {name: seen[name].shape[1] for name in places_of(network)}


class FeatureCache:
    """Paths of cached features of one network, by everything that the features depend on.

    `place` tells features of one kind from others of the same network. Features that the last layer does not influence
    outlive a change of it (`with_head`).
    """

    def __init__(self, network: Network, spec: InputSpec, place: str = "", *, with_head: bool = False) -> None:
        origin = network_digest(network, spec, "" if with_head else network.head)
        self._digest = hashlib.sha256(f"{tensor_program_digest()} {_models_digest()} {origin} {place}".encode())

    def path(self, dataset: Dataset, index: Int[np.ndarray, " n"], digests: UInt8[np.ndarray, "m 32"]) -> Path:
        """Return the path of the features of the images `index`; `digests` are those of all images of the data set."""
        digest = self._digest.copy()
        if isinstance(dataset.store, EncodedStore):  # of two with equal pixels, one may be decoded at reduced size
            for one in dataset.store.digests(index):
                digest.update(f"\n{one}".encode())
        digest.update(np.ascontiguousarray(digests[index]).data)
        return cache_folder() / "features" / digest.hexdigest()


def network_digest(network: nn.Module, spec: InputSpec, but: str = "") -> str:
    """Return SHA-256 of the preparation, the modules and the weights of a network, without those of the module `but`.

    Options such as padding are in no tensor, so what modules print is part of it.
    """
    digest = hashlib.sha256(config.digest(spec).encode())
    for name, module in network.named_modules():
        if not but or name != but:
            digest.update(f"\n{name} {type(module).__name__} {module.extra_repr()}".encode())
    for name, tensor in network.state_dict().items():
        if not but or not name.startswith(f"{but}."):
            digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@functools.cache
def _models_digest() -> str:
    """Return SHA-256 of the source of the packages that compute features."""
    digest = hashlib.sha256()
    for package in _SOURCES:
        folder = Path(str(importlib.resources.files(package)))
        for module in sorted(folder.rglob("*.py")):
            digest.update(module.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()
