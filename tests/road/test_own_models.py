"""A model of the user's own is trained, resumed, judged, reported and loaded like one of the zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from striate.core.errors import ModelError, RunError
from striate.models import OWN_MODELS
from striate.training import SafePoint

QUICK = ["epochs=2", "stop.metric=loss"]


class Small(nn.Module):
    """A network whose forward pass depends on the values of its input, so that it cannot be traced."""

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 5, stride=3)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.relu(self.conv(x))
        if maps.mean().item() < 0:
            maps = -maps
        return self.last(maps.mean(dim=(2, 3)))


@pytest.fixture(autouse=True)
def own_folder_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield
    OWN_MODELS.clear()


def test_a_registered_class_is_trained_judged_reported_and_loaded() -> None:
    striate.register_model(Small)
    run = striate.train("digits", model="Small", set=QUICK)
    assert "Small" in (run.path / "report.html").read_text("utf-8")
    classifier = striate.load(run.path)
    assert type(classifier.model) is Small
    assert classifier.model.conv.in_channels == 1, "channels are those of the data, not the default"
    assert len(classifier.labels) == 10
    assert striate.evaluate(run.path).scores.count == 359
    before = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    OWN_MODELS.clear()
    with pytest.raises(RunError, match=r"register_model"):
        striate.load(run.path)
    striate.register_model(Small)
    after = striate.load(run.path).model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_stopped_training_of_a_registered_model_resumes_to_the_same_weights() -> None:
    striate.register_model(Small)
    whole = striate.train("digits", model="Small", set=QUICK, name="whole")
    events = striate.train.events("digits", model="Small", set=QUICK, name="parted", execution=whole.path)
    for number, event in enumerate(events):
        if isinstance(event, SafePoint) and number > 30:
            break
    events.close()
    resumed = striate.resume("runs/parted")
    ours, theirs = (striate.load(run.path).model.state_dict() for run in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_module_is_trained_from_the_weights_that_it_has_and_stays_as_it_is() -> None:
    model = Small(10, 1)
    nn.init.constant_(model.last.bias, 7.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    striate.register_model(model, name="mine")
    run = striate.train("digits", model="mine", set=["epochs=1st", "optimizer.lr=0.0001"])
    trained = striate.load(run.path, device="cpu").model.state_dict()
    assert all(torch.equal(before[name], model.state_dict()[name]) for name in before)
    assert np.allclose(trained["last.bias"], 7.0, atol=0.01)
    assert not torch.equal(trained["conv.weight"], before["conv.weight"])


class Placed(Small):
    """A network on a pretended device: it takes images of the CPU only after a move there."""

    place = "a GPU"

    def cpu(self) -> Self:
        self.place = "cpu"
        return super().cpu()

    def forward(self, x: Tensor) -> Tensor:
        assert self.place == "cpu"
        return super().forward(x)


@pytest.mark.parametrize("made", [True, False])
def test_a_model_on_another_device_is_trained_from_a_copy_on_the_cpu(made: bool) -> None:
    model = Placed(10, 1)
    striate.register_model(model if made else Placed, name="placed")
    striate.train("digits", model="placed", set=["epochs=1st"])
    assert model.place == "a GPU"


def two_outputs() -> nn.Module:
    return Small(2, 1)


def a_tuple(classes: int) -> nn.Module:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    return Pair()


def needs_width(classes: int, width: int) -> nn.Module:
    raise AssertionError("it is never called")


def builds_nothing() -> nn.Module:
    return None  # pyright: ignore[reportReturnType]


def too_small(classes: int, size: tuple[int, int]) -> nn.Module:
    raise ValueError(f"{size[0]} pixels are too few.\nUse more.")


def by_place(classes: int, /) -> nn.Module:
    return Small(classes, 1)


class Computed(nn.Linear):
    """It holds a tensor that was computed, as `torch.nn.utils.weight_norm` does."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scaled = 2 * self.weight


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (too_small, r"too_small\(classes=10, size=\(32, 32\)\) cannot be built: 32 pixels are too few$"),
        (by_place, r"by_place takes classes by position only\. Leave the / out"),
        (dict, r"dict has no signature"),
        (Computed(), r"Computed cannot be copied: .* Register the function or class that builds it"),
        (two_outputs, r"two_outputs returns \(2, 2\) for 2 images of 1×32×32; 10 classes need \(2, 10\)"),
        (a_tuple, r"a_tuple returns a tuple; a model returns logits"),
        (needs_width, r"needs_width needs width"),
        (builds_nothing, r"builds_nothing builds a NoneType"),
        (Small(10, 3), r"Small does not run on images of 1×32×32"),
        (lambda classes: Small(classes), r"register_model\(…, name='my_net'\)"),
        ("resnet18", r"received 'resnet18'"),
    ],
)
def test_a_model_that_cannot_be_trained_is_one_sentence_before_anything_is_written(
    source: object, sentence: str, tmp_path: Path
) -> None:

    def registered_and_trained() -> None:
        striate.register_model(source)  # pyright: ignore[reportArgumentType]
        striate.train("digits", model=next(iter(OWN_MODELS)))

    with pytest.raises(ModelError, match=sentence):
        registered_and_trained()
    assert not (tmp_path / "runs").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit.script is deprecated
def test_a_scripted_module_is_refused() -> None:
    with pytest.raises(ModelError, match="A scripted module cannot be copied and trained"):
        striate.register_model(torch.jit.script(nn.Linear(2, 2)))


def test_a_name_of_the_zoo_cannot_be_taken_and_an_own_name_can_be_registered_again() -> None:
    with pytest.raises(ModelError, match="zoo has a model 'resnet18'"):
        striate.register_model(Small, name="resnet18")
    with pytest.raises(ModelError, match="'GAP' is a network of one layer in the notation"):
        striate.register_model(Small, name="GAP")
    striate.register_model(Small)
    striate.register_model(two_outputs, name="Small")  # as a notebook does when its cell is run again
    assert OWN_MODELS["Small"].source is two_outputs


class Tied(Small):
    """A network that runs one layer twice, under two names."""

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__(num_classes, channels)
        self.first = self.second = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.second(torch.relu(self.first(torch.relu(self.conv(x)))))
        return self.last(maps.mean(dim=(2, 3)))


def test_a_layer_used_twice_is_saved_and_stays_one() -> None:
    striate.register_model(Tied)
    model = striate.load(striate.train("digits", model="Tied", set=QUICK)).model
    assert isinstance(model, Tied)
    assert model.first.weight is model.second.weight
    assert not torch.equal(model.first.weight, Tied(10, 1).first.weight)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_module_is_trained_as_it_was_before() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
    run = striate.train("digits", model=torch.compile(module), set=QUICK)
    assert set(striate.load(run).model.state_dict()) == {"1.weight", "1.bias"}


def test_weights_of_an_own_model_are_taken_over_with_the_module() -> None:
    striate.register_model(Small)
    run = striate.train("digits", model="Small", set=QUICK)
    with pytest.raises(ModelError, match=r"train the module itself: model=striate\.load\(RUN\)\.model"):
        striate.train("digits", model="Small", weights=run.path, transfer="full", name="next")
    model = striate.load(run).model
    again = striate.train("digits", model=model, name="again", epochs="1st", lr=1e-9)
    weights = striate.load(again).model.state_dict()
    assert all(torch.allclose(weights[name], tensor, atol=1e-6) for name, tensor in model.state_dict().items())


class Early(Small):
    """A network with an auxiliary head; `tuples`: it returns both outputs in training, as some libraries' do."""

    auxiliary_heads: ClassVar = {"early": "early"}
    tuples = False

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__(num_classes, channels)
        self.early = nn.Linear(8, num_classes)

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        maps = torch.relu(self.conv(x)).mean(dim=(2, 3))
        return self.last(maps), {"early": self.early(maps)}

    def forward(self, x: Tensor) -> Tensor:
        logits, others = self.forward_with_auxiliary(x)
        return (logits, others["early"]) if self.training and self.tuples else logits  # pyright: ignore[reportReturnType]


def test_an_auxiliary_head_learns_by_its_method_and_a_tuple_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    striate.register_model(Early)
    first = Early(10, 1).early.bias.detach().clone()
    options = {"model": "Early", "set": [*QUICK, "loss.auxiliary=0.3"]}
    model = striate.load(striate.train("digits", **options)).model
    assert isinstance(model, Early)
    assert not torch.equal(model.early.bias, first)
    monkeypatch.setattr(Early, "tuples", True)
    with pytest.raises(ModelError, match=r"Early returns a tuple in training; .* forward_with_auxiliary"):
        striate.train("digits", model="Early", set=[*QUICK, "loss.auxiliary=0"], name="tuple")
