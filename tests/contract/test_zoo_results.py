"""The table in `results/` that `make zoo` wrote is of the zoo as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from torch import Tensor, nn

from promises import recorded
from promises.behaviour import digest, digest_of
from promises.subject import families
from striate.models import MODELS


def test_every_model_as_it_is_kept_all_promises() -> None:
    """`make zoo` takes hours; the suite compares digests of what it ran on."""
    assert list(recorded.models()) == list(MODELS)
    for name in MODELS:
        recorded.kept_every_promise(name)
    summary = recorded.study()["notes"][0]
    assert summary.startswith(f"{len(MODELS)} models, ")
    assert summary.endswith(" 0 problems.")


@pytest.mark.parametrize("name", families())
def test_the_study_is_of_the_representatives_whatever_it_says_of_its_sources(name: str) -> None:
    assert recorded.models()[name]["code"] == digest_of(name)


@pytest.mark.parametrize(
    "changed", ["models/_zoo.py", "models/families/resnet.py", "models/cards/vgg.json", "layers/norm.py"]
)
def test_a_change_of_a_source_is_noticed(changed: str, tmp_path: Path) -> None:
    here, no_bytecode = Path(__file__).resolve().parents[2], shutil.ignore_patterns("__pycache__")
    for part in ("models", "layers", "core"):
        shutil.copytree(here / "src/striate" / part, tmp_path / "src/striate" / part, ignore=no_bytecode)
    (tmp_path / "tests/promises").mkdir(parents=True)
    shutil.copy(here / "tests/promises/behaviour.py", tmp_path / "tests/promises")
    assert recorded.sources(tmp_path) == recorded.sources()
    source = tmp_path / "src/striate" / changed
    source.write_bytes(source.read_bytes() + b" ")
    assert recorded.sources(tmp_path) != recorded.sources()


class Small(nn.Module):
    """A network whose parts can be chosen."""

    def __init__(
        self, *, kernel: int = 3, stride: int = 1, drop: float = 0.5, std: float = 0.1, name: str = "conv"
    ) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Conv2d(3, 4, kernel, stride, padding=1))
        nn.init.normal_(self.get_submodule(name).get_parameter("weight"), std=std)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(drop)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.activated(self.norm(self.get_submodule(self.name)(x))).mean((2, 3))))

    def activated(self, x: Tensor) -> Tensor:
        return self.relu(x)


class Renamed(Small):
    pass


class WithoutReLU(Small):
    def activated(self, x: Tensor) -> Tensor:
        return x


class FunctionalReLU(Small):
    def activated(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x)


class Wired(Small):
    def activated(self, x: Tensor) -> Tensor:
        self.relu(x)
        return x


def _digest(kind: type[Small], side: int = 16, **options: object) -> str:
    return digest(lambda channels, size, classes: kind(**options), (3, side, side), 5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Small, {"kernel": 5}),
        (Small, {"stride": 2}),
        (Small, {"drop": 0.4}),
        (Small, {"std": 0.2}),
        (Small, {"name": "convolution"}),
        (Small, {"side": 17}),
        (WithoutReLU, {}),
        (FunctionalReLU, {}),
        (Wired, {}),
    ],
)
def test_other_computations_have_other_digests(kind: type[Small], options: dict[str, object]) -> None:
    assert _digest(kind, **options) != _digest(Small)  # pyright: ignore[reportArgumentType]


def test_names_of_classes_and_files_do_not_count() -> None:
    assert _digest(Renamed) == _digest(Small)
    moved = type("Elsewhere", (Small,), {"__module__": "another.file"})
    assert _digest(moved) == _digest(Small)
