"""The choice of the execution plan: fair, careful, without traces, and made once."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rehearsal.small import make_model, weights
from striate.core.batch import Batch
from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan, computes_in_bf16, devices, machine, plain_plan
from striate.core.errors import ConfigError
from striate.tasks import CLASSIFICATION
from striate.training import autotune

FIRST, SECOND, THIRD = (
    ExecutionPlan(),
    ExecutionPlan(layout="channels_last"),
    ExecutionPlan(layout="channels_last", precision="bf16"),
)
SHAPE = (4, 2, 6, 6)
DIVISIBLE = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(autotune, "_SECONDS", 0.01)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("seconds", "winner"),
    [
        ((1.0, 1.0, 1.0), FIRST),
        ((1.0, 0.95, 0.92), FIRST),  # less than 10 % faster is noise
        ((1.0, 0.9, 0.85), SECOND),  # and so is the third's lead over the second
        ((1.0, 0.9, 0.5), THIRD),
        ((1.0, 2.0, 0.9), THIRD),
    ],
)
def test_a_faster_plan_must_win_by_a_tenth(seconds: tuple[float, ...], winner: ExecutionPlan) -> None:
    measured = dict(zip((FIRST, SECOND, THIRD), seconds, strict=True))
    assert autotune.choose(measured, lambda plan: True) == winner


@pytest.mark.parametrize(
    ("seconds", "winner"),
    [((0.85, 0.85), "one"), ((0.75, 0.75), "parts"), ((0.75, 0.70), "parts"), ((0.75, 0.65), "threads")],
)
def test_more_cores_must_win_by_more(seconds: tuple[float, float], winner: str) -> None:
    plans = {"one": ExecutionPlan(), "parts": ExecutionPlan(parts=8), "threads": ExecutionPlan(threads=8)}
    measured = dict(zip(plans.values(), (1.0, *seconds), strict=True))
    assert autotune.choose(measured, lambda plan: True) == plans[winner]


def test_a_plan_that_computes_something_else_does_not_win_however_fast() -> None:
    measured = {FIRST: 1.0, SECOND: 0.8, THIRD: 0.1}
    assert autotune.choose(measured, lambda plan: plan is not THIRD) == SECOND


class Blurred(nn.Module):
    """A network that is wrong under autocast: its products lose all but the sign."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        answer = self.linear(x.flatten(1))
        return answer + 10 * answer.sign() if answer.dtype == torch.bfloat16 else answer


def test_gradients_are_compared_with_those_of_the_plain_plan() -> None:
    generator = torch.Generator().manual_seed(0)
    sample = Batch(torch.randn(SHAPE, generator=generator), torch.tensor([0, 1, 2, 0]), torch.arange(4))
    assert autotune.agrees(make_model(), CLASSIFICATION, sample, THIRD, FIRST)
    assert not autotune.agrees(Blurred(), CLASSIFICATION, sample, THIRD, FIRST)


class Dropping(nn.Module):
    """A network of whose dropout its modules say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.linear(x.flatten(1)), 0.5, self.training)


def test_parts_are_refused_where_a_network_draws_random_numbers_in_training() -> None:
    sample = CLASSIFICATION.example(SHAPE, torch.Size([3]), torch.Generator().manual_seed(0))
    dropping, plain = Dropping(), make_model(0.0)
    state = torch.get_rng_state()
    assert not autotune.agrees(dropping, CLASSIFICATION, sample, ExecutionPlan(parts=2), FIRST)
    assert autotune.agrees(dropping, CLASSIFICATION, sample, ExecutionPlan(threads=2), FIRST)
    assert autotune.agrees(plain, CLASSIFICATION, sample, ExecutionPlan(parts=2), FIRST)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_trial_leaves_no_trace_in_network_randomness_or_threads() -> None:
    model = make_model().train()
    before, random, threads = weights(model), torch.get_rng_state(), torch.get_num_threads()
    autotune.choose_plan(model, SHAPE)
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_the_choice_is_remembered_for_this_network_and_shape(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    measure = autotune.seconds_per_step
    monkeypatch.setattr(autotune, "seconds_per_step", lambda *a: tried.append(a[2].images.shape) or measure(*a))
    first = autotune.choose_plan(make_model(), SHAPE)
    assert autotune.choose_plan(make_model(), SHAPE) == first
    autotune.choose_plan(make_model(), (8, 2, 6, 6))
    assert tried == [SHAPE, (8, 2, 6, 6)]
    for file in (cache / "plans").iterdir():
        file.write_text("damaged")
    autotune.choose_plan(make_model(), SHAPE)
    assert len(tried) == 3


@pytest.mark.parametrize(("seconds", "steps"), [(2.0, 2), (0.4, 6)])
def test_a_long_step_is_timed_twice_and_a_short_one_more_often(
    monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int
) -> None:
    timed: list[int] = []
    monkeypatch.setattr(autotune, "_SECONDS", -1.0)  # the least number of rounds
    monkeypatch.setattr(autotune, "_step_seconds", lambda *_: timed.append(0) or seconds)
    generator = torch.Generator().manual_seed(0)
    batch = CLASSIFICATION.example(SHAPE, torch.Size((3,)), generator)
    assert autotune.seconds_per_step(make_model(), CLASSIFICATION, batch, [FIRST]) == {FIRST: seconds}
    assert len(timed) == steps


def test_float32_can_be_forced_and_a_network_without_kernels_has_no_layout() -> None:
    plain = ExecutionPlan(threads=4)
    kernels, matrices = make_model(), nn.Linear(3, 3)
    assert {plan.precision for plan in autotune.candidates(kernels, plain, "float32")} == {"float32"}
    assert [(plan.threads, plan.layout) for plan in autotune.candidates(kernels, plain, "float32")] == [
        (1, "contiguous"),
        (1, "channels_last"),
        (4, "contiguous"),
        (4, "channels_last"),
    ]
    whole, divided = autotune.candidates(kernels, plain, "float32"), autotune.candidates(DIVISIBLE, plain, "float32")
    assert [(plan.threads, plan.parts) for plan in divided if plan.layout == "contiguous"] == [(1, 1), (1, 4), (4, 1)]
    assert {plan.parts for plan in whole} == {1}  # it has batch normalization
    assert {plan.layout for plan in autotune.candidates(matrices, plain, "auto")} == {"contiguous"}
    assert autotune.choose_plan(make_model(), SHAPE, precision="float32").precision == "float32"


@pytest.mark.parametrize(("able", "precisions"), [(True, {"float32", "bf16"}), (False, {"float32"})])
def test_bf16_is_tried_only_where_the_processor_computes_in_it(
    able: bool, precisions: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    tried = autotune.candidates(make_model(), ExecutionPlan(threads=1), "auto")
    assert {plan.precision for plan in tried} == precisions
    assert not computes_in_bf16("mps")


def test_a_trial_says_how_far_it_is_and_a_remembered_one_nothing() -> None:
    told: list[tuple[str, int, int]] = []
    for _ in range(2):
        autotune.choose_plan(make_model(), SHAPE, precision="float32", progress=lambda *done: told.append(done))
    plans = autotune.candidates(make_model(), plain_plan(), "float32")
    assert told == [("trying ways to compute a step", number, len(plans)) for number in range(len(plans) + 1)]


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert autotune.choose_plan(make_model(), SHAPE).device == plain_plan().device


def test_a_plan_is_plain_data_and_says_what_it_is() -> None:
    assert from_json(ExecutionPlan, to_json(THIRD)) == THIRD
    assert THIRD.sentence() == "cpu, channels last, bf16, 1 thread"
    assert machine()["processor"]
    assert devices()[-1] == "cpu"


def test_a_device_that_is_not_here_and_a_plan_without_threads_are_sentences() -> None:
    absent = next(device for device in ("mps", "cuda") if device not in devices())
    with pytest.raises(ConfigError, match=f"This machine has no '{absent}'"):
        ExecutionPlan(device=absent).adopt(make_model())
    with pytest.raises(ConfigError, match="at least 1 thread"):
        ExecutionPlan(threads=0)
