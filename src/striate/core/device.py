"""Where and how a network is executed: device, memory layout, precision, threads, written down as one plan."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError

Layout = Literal["contiguous", "channels_last"]
Precision = Literal["float32", "bf16"]
Module = TypeVar("Module", bound=nn.Module)

_LAYOUT_WORDS = {"contiguous": "channels first", "channels_last": "channels last"}


@dataclass(frozen=True, kw_only=True)
class ExecutionPlan:
    """How a run is executed. It belongs to the run: resuming repeats it.

    `device` is torch's name of the device (`cpu`, `cuda`, `cuda:1`, `mps`), `layout` how pictures and kernels lie in
    memory, `precision` the type in which matrix products and convolutions are computed (weights, losses and updates
    are float32 in either case), `threads` how many of torch's threads share one operation; sums are divided among
    them, so their number can change the last bits of a result. `parts` is into how many parts a batch is divided, each
    of them computed by threads of its own (see `training.backward`).
    """

    device: str = "cpu"
    layout: Layout = "contiguous"
    precision: Precision = "float32"
    threads: int = 1
    parts: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1 or self.parts < 1:
            raise ConfigError(
                f"An execution plan has at least 1 thread and 1 part; received {self.threads} and {self.parts}."
            )

    @property
    def kind(self) -> str:
        """The device's type, without its number."""
        return self.device.partition(":")[0]

    @property
    def number(self) -> int:
        """Which of the devices of its type."""
        return int(self.device.partition(":")[2] or 0)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def adopt(self, model: Module) -> Module:
        """Bring `model` (in place) and this process into the plan; `settings_kept` gives the process back as it was.

        Raises:
            ConfigError: this machine does not have the plan's device.
        """
        device_named(self.device)
        torch.set_num_threads(self.threads)
        if self.kind == "cuda":
            torch.backends.cudnn.deterministic = True  # or the same step twice may differ in its last bits
        # torch documents this call for modules; its type stubs lack it
        return model.to(device=self.device, memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    def place(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """`images` on the plan's device in its layout; the same tensor if it is there already."""
        return images.to(device=self.device, memory_format=self.memory_format, non_blocking=True)

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context in which the forward pass runs."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.kind, dtype=torch.bfloat16)

    def seed(self, seed: int) -> None:
        """Set the global generator from which dropout and the like draw under this plan.

        `torch.manual_seed` would do it for every kind of device that torch knows, present or not, and notes a stack
        trace for each absent one: more than half a millisecond, at each step.
        """
        if self.device == "cpu":
            torch.default_generator.manual_seed(seed)
        elif self.kind == "cuda":
            with torch.cuda.device(self.number):
                torch.cuda.manual_seed(seed)
        else:
            getattr(torch, self.kind).manual_seed(seed)

    def sentence(self) -> str:
        """The plan in words: `cpu, channels last, float32, 2 threads`."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        parts = "" if self.parts == 1 else f", batches in {self.parts} parts side by side"
        return f"{self.device}, {_LAYOUT_WORDS[self.layout]}, {self.precision}, {threads}{parts}"

    @property
    def cores(self) -> int:
        """How many of the processor's cores a step keeps busy."""
        return self.threads * self.parts


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context without autocast on `device`; outside of autocast it costs next to nothing."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Inside, plans may be adopted; afterwards torch's settings of this process are as they were found.

    They are the number of threads and cuDNN's `deterministic`, all that `ExecutionPlan.adopt` sets.
    """
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic


def devices() -> tuple[str, ...]:
    """The device types of this machine that torch can use, the fastest kind first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return (*found, "cpu")


def device_named(name: str) -> str:
    """Torch's name of the device that is meant: `auto` is the fastest that this machine has.

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
    """Whether a device of this type has instructions for bf16, and autocast to it what a convolutional network needs.

    Elsewhere torch emulates it. (Apple's GPUs have it; torch's autocast for them leaves out operations.)
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
    """The plan that needs no trial: float32, channels first, torch's own number of threads."""
    return ExecutionPlan(device=device or devices()[0], threads=torch.get_num_threads())


def machine(device: str = "cpu") -> dict[str, str]:
    """What kind of machine this is, as far as it can change the last bits of a result."""
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
    """The processor's name; Python leaves it empty on Linux, where the kernel tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
