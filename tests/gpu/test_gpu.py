"""What only a GPU can show: it computes what the CPU computes, captured or not, and resumes to the bit."""

from __future__ import annotations

import gc
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from rehearsal.small import MadeBatches, make_model, make_state, weights
from striate.core.batch import Batch
from striate.core.config import from_json
from striate.core.device import ExecutionPlan, float32_convolutions
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation.augment import mix
from striate.data.augmentation.augmentations import AUGMENTATIONS
from striate.data.augmentation.mixing import Mixing, soft
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.loading.cache import load_cached
from striate.data.loading.loader import Loader
from striate.data.loading.resident import ResidentImages
from striate.models import create_model
from striate.tasks import CLASSIFICATION
from striate.training import step
from striate.training.backward import backward
from striate.training.checkpoint import restore, snapshot
from striate.training.event_log import LogPosition
from striate.training.optimizers import OPTIMIZERS, OptimizerSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU on this machine")

CPU, GPU = ExecutionPlan(threads=1), ExecutionPlan(device="cuda", threads=1)
CAPTURED = replace(GPU, captured=True)


def distance(one: Tensor, other: Tensor) -> float:
    one, other = one.detach().double().cpu(), other.detach().double().cpu()
    return float((one - other).norm() / other.norm())


def gradient(name: str, plan: ExecutionPlan) -> tuple[Tensor, Tensor]:
    """The gradient of two batches of one network, one after the other, and its buffers after them."""
    model = plan.adopt(create_model(name, classes=5, channels=3, size=(32, 32), seed=0).train())
    with plan.in_effect():
        found = []
        for seed in range(2):
            batch = CLASSIFICATION.example((8, 3, 32, 32), torch.Size([5]), torch.Generator().manual_seed(seed))
            plan.seed(seed)
            model.zero_grad()
            backward(model, CLASSIFICATION, batch, plan)
            found += [each.grad.float().reshape(-1).clone() for each in model.parameters() if each.grad is not None]
    buffers = [buffer.double().reshape(-1) for buffer in model.buffers()]
    return torch.cat(found), torch.cat(buffers) if buffers else torch.ones(1)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "mobilenet_v2", "conv3-8 bn relu dropout0.3 fc16 relu"])
def test_a_captured_gradient_is_that_of_the_gpu_and_nearly_that_of_the_cpu(name: str) -> None:
    (plain, buffers), (replayed, replayed_buffers) = gradient(name, GPU), gradient(name, CAPTURED)
    assert distance(replayed, plain) < 1e-5  # dropout drops the same units
    assert distance(replayed_buffers, buffers) < 1e-6
    if "dropout" not in name and name != "mobilenet_v2":
        assert distance(plain, gradient(name, CPU)[0]) < 1e-3


def test_batches_of_two_sizes_share_memory_and_keep_their_gradients() -> None:
    def found(plan: ExecutionPlan) -> list[Tensor]:
        model = plan.adopt(create_model("resnet20", classes=5, channels=3, size=(32, 32), seed=0).train())
        gradients = []
        with plan.in_effect():
            for seed, count in enumerate((8, 5, 8, 5, 8)):
                draws = torch.Generator().manual_seed(seed)
                model.zero_grad()
                backward(
                    model, CLASSIFICATION, CLASSIFICATION.example((count, 3, 32, 32), torch.Size([5]), draws), plan
                )
                parts = [each.grad.reshape(-1) for each in model.parameters() if each.grad is not None]
                gradients.append(torch.cat(parts).clone())
        return gradients

    for replayed, plain in zip(found(CAPTURED), found(GPU), strict=True):
        assert distance(replayed, plain) < 1e-5


def test_bf16_is_captured_too() -> None:
    wanted, _ = gradient("resnet20", replace(GPU, precision="bf16", layout="channels_last"))
    found, _ = gradient("resnet20", replace(CAPTURED, precision="bf16", layout="channels_last"))
    assert distance(found, wanted) < 1e-3


@pytest.mark.parametrize("plan", [GPU, CAPTURED], ids=["plain", "captured"])
def test_a_training_is_resumed_to_the_bit(plan: ExecutionPlan) -> None:
    def begun():
        model = plan.adopt(make_model())
        return make_state(model, plan=plan)

    def advance(state, count: int) -> None:
        batches = itertools.chain.from_iterable(MadeBatches().epoch(epoch) for epoch in itertools.count())
        for batch in itertools.islice(batches, state.clock.step, count):
            with plan.in_effect():
                step(state, batch)
            state.clock = state.clock.tick(0.0)

    whole, first, second = begun(), begun(), begun()
    advance(whole, 12)
    advance(first, 7)
    restore(second, snapshot(first, LogPosition(0, "", 0.0, 0)))
    advance(second, 12)
    assert torch.equal(weights(second.model), weights(whole.model))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_makes_the_steps_of_the_cpu(name: str) -> None:
    found = []
    for plan in (CPU, GPU):
        model = nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        model.load_state_dict(
            {
                key: torch.sin(torch.arange(value.numel()) + 1.0).reshape(value.shape) / 5
                for key, value in model.state_dict().items()
            }
        )
        model = plan.adopt(model)
        optimizer = from_json(OptimizerSettings, name).create(model)
        for seed in range(5):
            images = torch.randn(4, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
            optimizer.zero_grad()
            nn.functional.cross_entropy(
                model(images.to(plan.device)), torch.arange(4, device=plan.device) % 3
            ).backward()
            optimizer.step()
        found.append(weights(model))
    assert distance(found[1], found[0]) < 1e-9


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "from_data"])
def test_every_augmentation_shows_what_it_shows_on_the_cpu(name: str) -> None:
    augmentation = AUGMENTATIONS[name]()
    images = torch.rand(12, 3, 32, 32)
    targets = torch.arange(12) % 4
    targets = soft(targets, 4) if isinstance(augmentation, Mixing) else targets

    def shown(device: str) -> tuple[Tensor, Tensor]:
        options = {"augmentations": (augmentation,), "blank": (0.5, 0.4, 0.3), "channels": RGB}
        return mix(images.to(device), targets.to(device), np.arange(12), epoch=1, seed=3, **options)

    (here, labels), (there, labels_there) = shown("cpu"), shown("cuda")
    assert there.is_cuda
    assert (there.cpu() - here).abs().mean() < 1e-5
    torch.testing.assert_close(labels_there.cpu(), labels)


@pytest.mark.parametrize(("dtype", "maximum"), [("uint8", 255.0), ("uint16", 65535.0), ("float32", 1.0)])
@pytest.mark.parametrize("memory", [True, False], ids=["held", "not held"])
def test_batches_on_a_gpu_are_those_of_the_cpu(dtype: str, maximum: float, memory: bool) -> None:
    pixels = (np.random.default_rng(0).random((40, 12, 10, 3)) * maximum).astype(dtype)
    data = Dataset("array", ArrayStore(pixels, numbered("train", 40), RGB), ("a", "b"), np.arange(40) % 2)
    spec = InputSpec(channels=RGB, height=12, width=10, mean=(0.1,) * 3, std=(0.5,) * 3, maximum=maximum)
    cached = load_cached(data, np.arange(40), spec) if memory else None
    loader = Loader(data, np.arange(40), spec, batch_size=7, cached=cached)
    moved = loader.on("cuda")
    assert isinstance(moved._cached, ResidentImages) is memory
    for here, there in zip(loader.epoch(0), moved.epoch(0), strict=True):
        assert there.images.is_cuda
        torch.testing.assert_close(there.images.cpu(), here.images, rtol=1e-6, atol=1e-6)
        assert torch.equal(there.targets.cpu(), here.targets)


def test_convolutions_of_float32_are_not_rounded() -> None:
    conv, images = nn.Conv2d(64, 64, 3), torch.randn(4, 64, 32, 32)
    with torch.no_grad():
        wanted = conv(images)
        with float32_convolutions("cuda"):
            assert distance(conv.cuda()(images.cuda()), wanted) < 1e-6


def test_short_memory_is_met_by_smaller_pieces() -> None:
    model = CAPTURED.adopt(nn.Sequential(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 62 * 62, 2)))
    state = make_state(model, plan=CAPTURED)
    images = torch.randn(512, 1, 64, 64)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.2e9 / torch.cuda.mem_get_info()[1]))
    try:
        with state.plan.in_effect():
            loss, _ = step(state, Batch(images, torch.arange(512) % 2, torch.arange(512)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.isfinite(loss)
    assert state.plan.micro_batch is not None
    assert not state.plan.captured


def test_a_run_is_trained_resumed_and_judged(tmp_path: Path) -> None:
    run = striate.train("digits", runs=tmp_path, device="cuda", epochs="2ep")
    striate.resume(run, epochs="3ep")
    assert (striate.evaluate(run, device="cuda").scores.top1.value or 0) > 0.8


def test_captures_leave_no_memory_behind() -> None:
    def captured() -> int:
        model = CAPTURED.adopt(create_model("resnet20", classes=5, channels=3, size=(32, 32), seed=0).train())
        batch = CLASSIFICATION.example((8, 3, 32, 32), torch.Size([5]), torch.Generator().manual_seed(0))
        with CAPTURED.in_effect():
            backward(model, CLASSIFICATION, batch, CAPTURED)
        del model
        gc.collect()
        return torch.cuda.memory_allocated()

    assert captured() == captured() == captured()
