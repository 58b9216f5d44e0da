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
    ("changed", "added", "noticed"),
    [
        ("models/_zoo.py", "NUMBER = 1", True),
        ("models/families/resnet.py", "def more():\n    return 1", True),
        ("layers/norm.py", "def more(): ...", True),
        ("models/cards/vgg.json", " ", True),
        ("layers/norm.py", "# What a comment says is not computed.", False),
    ],
)
def test_a_change_of_a_source_is_noticed_unless_it_is_a_comment(
    changed: str, added: str, noticed: bool, tmp_path: Path
) -> None:
    source = _copied(tmp_path) / changed
    source.write_text(source.read_text("utf-8") + added + "\n", "utf-8")
    assert (recorded.sources(tmp_path) != recorded.sources()) is noticed


def test_a_docstring_is_no_change_and_another_number_is(tmp_path: Path) -> None:
    source = _copied(tmp_path) / "layers/more.py"
    digests = []
    for text in ('"""One."""\nX = 1\n', '"""Two."""\nX = 1\n', '"""Two."""\nX = 2\n'):
        source.write_text(text, "utf-8")
        digests.append(recorded.sources(tmp_path))
    assert digests[0] == digests[1] != digests[2]


def _copied(folder: Path) -> Path:
    """Copy the sources of networks into a repository of their own; return its package."""
    here, no_bytecode = Path(__file__).resolve().parents[2], shutil.ignore_patterns("__pycache__")
    for part in ("models", "layers", "core"):
        shutil.copytree(here / "src/striate" / part, folder / "src/striate" / part, ignore=no_bytecode)
    (folder / "tests/promises").mkdir(parents=True)
    shutil.copy(here / "tests/promises/behaviour.py", folder / "tests/promises")
    return folder / "src/striate"


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
