"""A borrowed model comes back as found."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from striate.hooks import borrow


class Net(nn.Module):
    """Everything that can be found: mixed modes, frozen parts, gradients, statistics, hooks, randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()
        self.register_buffer("count", torch.zeros(3))
        self.register_buffer("absent", None)
        self.norm.eval()
        self.conv.bias.requires_grad_(False)  # pyright: ignore[reportOptionalMemberAccess]
        self.conv.weight.grad = torch.ones_like(self.conv.weight)
        self.conv.register_forward_hook(lambda module, given, output: None)
        self.conv.register_forward_pre_hook(lambda module, given: None)

    def train(self, mode: bool = True) -> Net:
        raise AssertionError("a network may give train() effects of its own")

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(x))).mean((2, 3))


def state(net: Net) -> list[object]:
    """All that must be the same, as values that can be compared."""
    weight = net.conv.weight
    return [
        [module.training for module in net.modules()],
        [parameter.requires_grad for parameter in net.parameters()],
        [
            None if parameter.grad is None else (id(parameter.grad), parameter.grad.tolist())
            for parameter in net.parameters()
        ],
        [(name, id(buffer), buffer.tolist()) for name, buffer in net.named_buffers()],
        [list(module._forward_hooks.items()) for module in net.modules()],
        [list(module._forward_pre_hooks.items()) for module in net.modules()],
        [list(module._backward_hooks.items()) for module in net.modules()],
        [module._is_full_backward_hook for module in net.modules()],
        list(net._buffers),
        weight._version,
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    ]


def spoil(net: Net) -> None:
    """Everything that an explanation might do, and some that it should not."""
    net.conv.weight.requires_grad_()
    for module in net.modules():
        module.training = True
    images = torch.randn(5, 3, 7, 7, requires_grad=True)
    net.conv.register_forward_hook(lambda module, given, output: None)
    net.norm.register_full_backward_hook(lambda module, given, output: None)
    net(images).sum().backward()
    net.get_buffer("count").add_(1)
    net.register_buffer("new", torch.ones(1))
    net.norm.running_mean = torch.ones(4)


class Spoiled(Exception):  # noqa: N818 (what the test throws is no error of anything)
    pass


def spoil_and_fail(net: Net) -> None:
    spoil(net)
    raise Spoiled


def spoil_and_interrupt(net: Net) -> None:
    spoil(net)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores the signal
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    raise AssertionError("the interrupt came too late")


@pytest.mark.parametrize(
    ("work", "thrown"),
    [(lambda net: None, None), (spoil, None), (spoil_and_fail, Spoiled), (spoil_and_interrupt, KeyboardInterrupt)],
    ids=["nothing done", "success", "error", "Ctrl-C"],
)
@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_model_comes_back_as_found(
    work: Callable[[Net], None], thrown: type[BaseException] | None, around: Callable[[], torch.no_grad]
) -> None:
    net = Net()
    with around():
        before = state(net)
        if thrown is None:
            with borrow(net):
                work(net)
        else:
            with pytest.raises(thrown), borrow(net):
                work(net)
        assert state(net) == before


def test_in_the_block_it_is_in_eval_mode_and_only_the_image_needs_a_gradient() -> None:
    net = Net()
    with torch.inference_mode(), borrow(net) as lent:
        assert lent is net
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        images = torch.randn(5, 3, 7, 7, requires_grad=True)
        net(images).sum().backward()
        assert images.grad is not None
        assert all(parameter.grad is None for parameter in net.parameters())


def test_a_graph_that_the_caller_holds_remains_good() -> None:
    net, images = Net(), torch.randn(5, 3, 7, 7, requires_grad=True)
    score = net(images).sum()
    with borrow(net):
        spoil(net)
    score.backward()
    assert images.grad is not None


def test_buffers_that_cannot_be_written_are_no_hindrance() -> None:
    net = nn.Linear(2, 2)
    net.register_buffer("grid", torch.arange(3).expand(2, 3))
    with borrow(net):
        pass


def test_a_second_ctrl_c_amid_the_bringing_back_still_brings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    before, copy, interrupts = state(net), Tensor.copy_, iter([True])

    def impatient(tensor: Tensor, *given: Tensor) -> Tensor:
        if next(interrupts, False):
            raise KeyboardInterrupt
        return copy(tensor, given[0])

    def spoil_and_be_impatient() -> None:
        with borrow(net):
            spoil(net)
            monkeypatch.setattr(Tensor, "copy_", impatient)

    with pytest.raises(KeyboardInterrupt):
        spoil_and_be_impatient()
    monkeypatch.undo()
    assert state(net) == before


def test_a_model_of_inference_tensors_can_be_borrowed() -> None:
    with torch.inference_mode():
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval().requires_grad_(False)
    with borrow(net), torch.inference_mode():
        net(torch.ones(3, 2))


def _in_another_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_threads_borrow_one_model_one_after_another() -> None:
    """Each notes what it finds before and in the block; the first stays in it until all others have entered."""
    net, told, asked = Net(), [], threading.Semaphore(0)
    before = state(net)

    def work() -> None:
        asked.release()
        with borrow(net):
            told.append("in")
            spoil(net)
            told.append("out")

    with borrow(net):
        threads = [_in_another_thread(work) for _ in range(3)]
        for _ in threads:
            asked.acquire()
        with borrow(net):  # again, by the thread that has it
            pass
        assert not told
    for thread in threads:
        thread.join()
    assert told == ["in", "out"] * 3
    assert state(net) == before


def test_models_that_share_a_part_wait_for_each_other_and_others_do_not() -> None:
    shared = nn.Linear(2, 2)
    one, other, stranger = nn.Sequential(shared), nn.Sequential(nn.ReLU(), shared), nn.Sequential(nn.Linear(2, 2))
    done = threading.Event()

    def work(model: nn.Module) -> None:
        with borrow(model):
            done.set()

    with borrow(one):
        _in_another_thread(lambda: work(stranger)).join()
        assert done.is_set()
        done.clear()
        waiting = _in_another_thread(lambda: work(other))
        assert not done.is_set()
    waiting.join()
    assert done.is_set()


def test_the_lock_is_given_back_after_an_error_and_hinders_no_copy_of_the_model() -> None:
    net = Net()

    def fail() -> None:
        with borrow(net):
            raise Spoiled

    with pytest.raises(Spoiled):
        fail()
    entered = []

    def work() -> None:
        with borrow(net):
            entered.append(copy.deepcopy(net.drop))

    _in_another_thread(work).join()
    assert len(entered) == 1
