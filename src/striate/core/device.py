"""Devices, and the execution plan of a run: device, memory layout, precision and threads."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.scalars import check_range

Layout = Literal["contiguous", "channels_last"]
Precision = Literal["float32", "bf16"]
Module = TypeVar("Module", bound=nn.Module)

_LAYOUT_WORDS = {"contiguous": "channels first", "channels_last": "channels last"}
# Of torch's allocators, of CUDA, and of its libraries (CUBLAS_STATUS_ALLOC_FAILED), which allocate by themselves.
_SHORT = ("DefaultCPUAllocator", "out of memory", "STATUS_ALLOC_FAILED")


@dataclass(frozen=True, kw_only=True)
class ExecutionPlan:
    """Execution of a run: device, layout, precision and threads. A resumed run repeats it.

    Args:
        device: torch's name of the device (`cpu`, `cuda`, `cuda:1`, `mps`).
        layout: memory layout of images and kernels.
        precision: type of matrix products and convolutions; weights, losses and updates are float32 in either case.
        threads: number of torch's threads that share one operation. Sums are divided among them, so their number can
            change the last bits of a result.
        parts: number of parts into which a batch is divided, each computed by its own threads (`training.backward`).
        micro_batch: most images of a batch that are computed at once; the gradients of several such pieces are added.
            None computes each batch as a whole.
        recompute: the backward pass computes activations within blocks of the network again, instead of keeping them
            from the forward pass (`training.recompute`). This changes no result.
        captured: the kernels of a batch are captured once on a GPU and replayed (`training.captured`).
    """

    device: str = "cpu"
    layout: Layout = "contiguous"
    precision: Precision = "float32"
    threads: int = 1
    parts: int = 1
    micro_batch: int | None = None
    recompute: bool = False
    captured: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1 or self.parts < 1:
            raise ConfigError(
                f"An execution plan has at least 1 thread and 1 part; received {self.threads} and {self.parts}."
            )
        check_range(self, "micro_batch", at_least=1)

    @property
    def kind(self) -> str:
        """Type of the device, without its number."""
        return self.device.partition(":")[0]

    @property
    def number(self) -> int:
        """Number of the device among those of its type; `cuda` alone is the GPU that this thread has selected."""
        number = self.device.partition(":")[2]
        if not number and self.kind == "cuda":
            return torch.cuda.current_device()
        return int(number or 0)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def adopt(self, model: Module) -> Module:
        """Move `model` (in place) to the plan's device, in its memory layout.

        Raises:
            ConfigError: this machine does not have the plan's device.
        """
        device_named(self.device)
        # torch documents this call for modules; its type stubs lack it
        return model.to(device=self.device, memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    @contextlib.contextmanager
    def in_effect(self) -> Iterator[None]:
        """Configure this process for the plan; restore everything on exit, including torch's random state.

        This sets the number of torch's threads and, on a GPU, cuDNN's `deterministic`, without which the same step may
        differ in its last bits, and `float32_convolutions`.
        """
        threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
        generators = self._generators()
        states = [generator.get_state() for generator in generators]
        try:
            if threads != self.threads:
                torch.set_num_threads(self.threads)
            if self.kind == "cuda":
                torch.backends.cudnn.deterministic = True
            with float32_convolutions(self.kind):
                yield
        finally:
            if threads != self.threads:
                torch.set_num_threads(threads)
            torch.backends.cudnn.deterministic = deterministic
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)

    def _generators(self) -> list[torch.Generator]:
        """Return the global generators that layers use; `torch.random.fork_rng` is too slow for each step."""
        if self.device == "cpu":
            return [torch.default_generator]
        if self.kind == "cuda":
            torch.cuda.init()
            return [torch.default_generator, torch.cuda.default_generators[self.number]]
        return [torch.default_generator, torch.mps._get_default_mps_generator()]

    def place(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return `images` on the plan's device in its layout; the same tensor if it is there already."""
        return images.to(device=self.device, memory_format=self.memory_format, non_blocking=True)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the autocast context for the forward pass."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.kind, dtype=torch.bfloat16)

    def seed(self, seed: int) -> None:
        """Seed the global generators that layers use under this plan: the device's, and that of the CPU.

        `torch.manual_seed` seeds every supported kind of device and records a stack trace for each absent one, which
        costs more than half a millisecond at each step.
        """
        torch.default_generator.manual_seed(seed)
        if self.kind == "cuda":
            with torch.cuda.device(self.number):
                torch.cuda.manual_seed(seed)
        elif self.kind != "cpu":
            getattr(torch, self.kind).manual_seed(seed)

    def sentence(self) -> str:
        """Describe the plan: `cpu, channels last, float32, 2 threads`."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        parts = "" if self.parts == 1 else f", batches in {self.parts} parts side by side"
        pieces = "" if self.micro_batch is None else f", at most {self.micro_batch} images at a time"
        again = ", blocks computed again in the backward pass" if self.recompute else ""
        replayed = ", kernels captured and replayed" if self.captured else ""
        shape = f"{self.device}, {_LAYOUT_WORDS[self.layout]}, {self.precision}, {threads}"
        return f"{shape}{parts}{pieces}{again}{replayed}"

    @property
    def cores(self) -> int:
        """Number of processor cores that a step uses."""
        return self.threads * self.parts


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means that the memory of the device, or of this process, is not enough."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SHORT)


_EXACT = threading.Lock()
_exact = 0
_rounded: tuple[Any, str, Any] = (None, "", None)


def float32_convolutions(kind: str) -> contextlib.AbstractContextManager[None]:
    """Compute convolutions of float32 in float32 on a GPU, where torch rounds their inputs to 10 bits (TF32).

    `kind` is the type of the device; on others this does nothing. The setting is that of the process. It is restored
    when the last of several threads leaves the context.
    """
    return _unrounded() if kind == "cuda" else contextlib.nullcontext()


@contextlib.contextmanager
def _unrounded() -> Iterator[None]:
    global _exact, _rounded
    cudnn: Any = torch.backends.cudnn
    with _EXACT:
        if not _exact:
            try:
                _rounded = cudnn, "allow_tf32", cudnn.allow_tf32
                cudnn.allow_tf32 = False
            except RuntimeError:  # the caller has used the newer setting, which torch does not mix with the older one
                _rounded = cudnn.conv, "fp32_precision", cudnn.conv.fp32_precision
                cudnn.conv.fp32_precision = "ieee"
        _exact += 1
    try:
        yield
    finally:
        with _EXACT:
            _exact -= 1
            if not _exact:
                setattr(*_rounded)


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context without autocast on `device`; outside of autocast its cost is negligible."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def devices() -> tuple[str, ...]:
    """Return the device types of this machine that torch can use, the fastest first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def device_named(name: str) -> str:
    """Return torch's name of a device; `auto` is the fastest device of this machine.

    Raises:
        ConfigError: there is no such kind of device, or this machine does not have it.
    """
    available = devices()
    if name == "auto":
        return available[0]
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not number.isdecimal()):
        raise ConfigError(f"A device is auto, cpu, cuda, cuda:1 (the second GPU) or mps; received {name!r}.")
    if kind not in available:
        raise ConfigError(f"This machine has no {name!r} that torch can use; it has {', '.join(available)}.")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= count:
        raise ConfigError(f"This machine has no {name!r}: its devices of this kind are numbered from 0 to {count - 1}.")
    return name if kind == "cuda" else kind


def computes_in_bf16(device: str) -> bool:
    """Return whether a device of this type has native bf16 instructions for convolutional networks.

    On other devices torch emulates bf16. (Apple's GPUs have it, but torch's autocast for them lacks operations.)
    """
    kind = device.partition(":")[0]
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    if platform.machine() in ("x86_64", "AMD64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def plain_plan(device: str | None = None) -> ExecutionPlan:
    """Return the plan without autotuning: float32, channels first, torch's present number of threads."""
    return ExecutionPlan(device=device or devices()[0], threads=torch.get_num_threads())


def has_device(name: str) -> bool:
    """Return whether this machine has the device of this name."""
    try:
        device_named(name)
    except ConfigError:
        return False
    return True


def device_here(name: str) -> str:
    """Return torch's name of a device, or of the fastest device of this machine if it does not have that one."""
    return device_named(name if has_device(name) else "auto")


def on_this_machine(plan: ExecutionPlan) -> ExecutionPlan:
    """Return `plan`, or a plan without autotuning if this machine does not have its device."""
    return plan if has_device(plan.device) else plain_plan()


def machine(device: str = "cpu") -> dict[str, str]:
    """Describe the properties of this machine that can change the last bits of a result."""
    facts = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if device.startswith("cuda"):
        facts["accelerator"] = torch.cuda.get_device_name(device)
    return facts


def _processor() -> str:
    """Return the processor's name; on Linux, where Python leaves it empty, from the kernel."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
