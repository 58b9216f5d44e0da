"""Frozen dataclasses as settings: JSON and back, strict overrides, differences, digests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.core.config import digest, from_json, override, parse_overrides, to_json, written
from striate.core.difference import difference
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.registry import Registered, Registry
from striate.core.settings_types import setting_keys


@dataclass(frozen=True)
class Optimizer:
    name: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.1
    momentum: float | None = None

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"lr is positive; received {self.lr:g}.")


@dataclass(frozen=True)
class Recipe:
    model: str
    epochs: Duration = field(default_factory=lambda: Duration.parse("30ep"))
    batch_size: int = 64
    flip: bool = False
    milestones: tuple[int, ...] = ()
    optimizer: Optimizer = field(default_factory=Optimizer)


PLAIN = {
    "model": "lenet5",
    "epochs": "30ep",
    "batch_size": 64,
    "flip": False,
    "milestones": [],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": None},
}


def _recipe() -> Recipe:
    return Recipe("lenet5")


def test_settings_go_to_plain_json_and_come_back_equal() -> None:
    recipe = Recipe("mlp", Duration.parse("1.5ep"), 8, True, (3, 5), Optimizer("adam", 0.25, 0.5))
    assert to_json(_recipe()) == PLAIN
    assert from_json(Recipe, json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), ([], "none"), (True, "true"), (["flip", "shift"], "flip,shift"), (0.1, "0.1"), (1e-05, "1e-05")],
)
def test_values_are_written_as_they_are_typed(value: object, text: str) -> None:
    assert written(value) == text


def test_missing_fields_have_their_defaults() -> None:
    assert from_json(Recipe, {"model": "lenet5", "optimizer": {}}) == _recipe()


@given(
    st.builds(
        Recipe,
        st.text(max_size=5),
        st.sampled_from(["3ep", "5st", "2min"]).map(Duration.parse),
        st.integers(),
        st.booleans(),
        st.lists(st.integers(), max_size=3).map(tuple),
        st.builds(
            Optimizer,
            st.sampled_from(["sgd", "adam"]),
            st.floats(1e-300, 1e300),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
    )
)
def test_any_settings_survive_json(recipe: Recipe) -> None:
    assert from_json(Recipe, json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"modle": "x"}, r"There is no setting 'modle'\. Did you mean 'model'\?"),
        ({"optimizer": {"learning": 1}}, r"There is no setting 'optimizer.learning'\."),
        ({"optimizer": 3}, r"optimizer is a group of settings; received 3\."),
        ({"batch_size": "many"}, r"batch_size is a whole number; received 'many'\."),
        ({"batch_size": 1.5}, r"batch_size is a whole number; received 1\.5\."),
        ({"batch_size": True}, r"batch_size is a whole number; received True\."),
        ({"batch_size": None}, r"batch_size is a whole number; received None\."),
        ({"flip": 1}, r"flip is true or false; received 1\."),
        ({"flip": "maybe"}, r"flip is true or false; received 'maybe'\."),
        ({"model": 5}, r"model is a text; received 5\."),
        ({"epochs": "soon"}, r"epochs: A duration is a number and a unit"),
        ({"epochs": "-1ep"}, r"epochs: A duration must be above 0"),
        ({"milestones": 3}, r"milestones is a list; received 3\."),
        ({"milestones": [1, "x"]}, r"milestones is a whole number; received 'x'\."),
        ({"optimizer": {"name": "sdg"}}, r"optimizer\.name is one of sgd, adam; received 'sdg'\."),
        ({"optimizer": {"lr": "fast"}}, r"optimizer\.lr is a number; received 'fast'\."),
        ({"optimizer": {"lr": float("nan")}}, r"optimizer\.lr is a number; received nan\."),
        ({"optimizer": {"lr": True}}, r"optimizer\.lr is a number; received True\."),
        ({"optimizer": {"lr": None}}, r"optimizer\.lr is a number; received None\."),
        ({"optimizer": {"lr": -1}}, r"lr is positive; received -1\."),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it_in_full(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_json(Recipe, PLAIN | change)
    with pytest.raises(ConfigError, match=sentence):
        override(_recipe(), change)


def test_a_missing_setting_without_a_default_is_named() -> None:
    with pytest.raises(ConfigError, match="The setting 'model' is missing"):
        from_json(Recipe, {})


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("batch_size=128", "batch_size", 128),
        ("flip=yes", "flip", True),
        ("flip=False", "flip", False),
        ("epochs=5", "epochs", Duration(5.0, "ep")),
        ("epochs=10min", "epochs", Duration(10.0, "min")),
        ("milestones=3,5", "milestones", (3, 5)),
        ("milestones=3", "milestones", (3,)),
        ("milestones=", "milestones", ()),
        ("optimizer.lr=1e-3", "optimizer.lr", 0.001),
        ("optimizer.momentum=0.9", "optimizer.momentum", 0.9),
        ("optimizer.momentum=none", "optimizer.momentum", None),
        ("optimizer.name=adam", "optimizer.name", "adam"),
        (" model = a=b ", "model", "a=b"),
    ],
)
def test_an_override_from_the_command_line_changes_that_setting_and_no_other(
    text: str, path: str, value: object
) -> None:
    changed = override(_recipe(), [text])
    group, _, last = path.rpartition(".")
    holder = getattr(changed, group) if group else changed
    assert getattr(holder, last) == value
    assert type(getattr(holder, last)) is type(value)
    assert set(difference(changed, _recipe())) <= {path}


def test_overrides_are_made_in_order_and_the_original_stays() -> None:
    recipe = _recipe()
    changed = override(recipe, ["batch_size=1", "optimizer.lr=0.5", "batch_size=2"])
    assert (changed.batch_size, changed.optimizer.lr) == (2, 0.5)
    assert recipe == _recipe()
    assert override(recipe, {"optimizer.lr": 0.5, "optimizer": Optimizer("adam")}).optimizer == Optimizer("adam")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["batchsize=1"], r"There is no setting 'batchsize'\. Did you mean 'batch_size'\?"),
        (["lr=1"], r"There is no setting 'lr'\. Did you mean 'optimizer\.lr'\?"),
        (["optimizer.lrr=1"], r"There is no setting 'optimizer\.lrr'\. Did you mean 'optimizer\.lr'\?"),
        (["optimzer.lr=1"], r"There is no setting 'optimzer\.lr'\. Did you mean 'optimizer\.lr'\?"),
        (["batch_size.x=1"], r"There is no setting 'batch_size\.x': 'batch_size' is a single value\."),
        (["batch_size.x.y=1"], r"There is no setting 'batch_size\.x\.y': 'batch_size' is a single value\."),
        (["epochs.amount=1"], r"There is no setting 'epochs\.amount': 'epochs' is a single value\."),
        (["optimizer.lr.x=1"], r"There is no setting 'optimizer\.lr\.x': 'optimizer\.lr' is a single value\."),
        (["batch_size"], r"key=value.*received 'batch_size'"),
        (["=3"], r"key=value.*received '=3'"),
        (["optimizer=fast"], r"optimizer is a group of settings; received 'fast'\."),
        (["batch_size=none"], r"batch_size is a whole number; received 'none'\."),
        (["optimizer.lr=inf"], r"optimizer\.lr is a number; received 'inf'\."),
    ],
)
def test_an_impossible_override_is_one_sentence(changes: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        override(_recipe(), changes)


def test_the_difference_names_what_changed_from_what_to_what() -> None:
    changed = override(_recipe(), ["epochs=5", "optimizer.lr=0.5", "milestones=1,2", "batch_size=64"])
    assert difference(changed, _recipe()) == {
        "epochs": ("30ep", "5ep"),
        "optimizer.lr": (0.1, 0.5),
        "milestones": ([], [1, 2]),
    }
    assert difference(_recipe(), _recipe()) == {}


def test_the_digest_is_that_of_the_sorted_json() -> None:
    text = json.dumps(PLAIN, sort_keys=True, separators=(",", ":"))
    assert digest(_recipe()) == hashlib.sha256(text.encode()).hexdigest()
    assert digest(override(_recipe(), ["optimizer.lr=0.5"])) != digest(_recipe())


def test_a_setting_of_another_type_is_a_defect_of_the_dataclass() -> None:
    kind = dataclasses.make_dataclass("Odd", [("things", Mapping[str, int])], frozen=True)
    with pytest.raises(TypeError, match="things: settings cannot be of type"):
        from_json(kind, {"things": {}})


SHAPES: Registry[type[Shape]] = Registry("shape")


class Shape(Registered):
    registry = SHAPES


@dataclass(frozen=True)
class Circle(Shape):
    radius: float = 1.0


@dataclass(frozen=True)
class Box(Shape):
    width: float
    radius: float = 0.0


SHAPES.add("circle", Circle)
SHAPES.add("box", Box)


@dataclass(frozen=True)
class Drawing:
    frame: Shape | None = None
    shapes: tuple[Shape, ...] = ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["frame=circle"], Drawing(Circle())),
        (["frame.name=circle", "frame.radius=2"], Drawing(Circle(2.0))),
        (["frame.radius=2", "frame.name=box", "frame.width=3"], Drawing(Box(3.0, 2.0))),
        (["frame=circle", "frame=none"], Drawing()),
        (["shapes=circle"], Drawing(shapes=(Circle(),))),
        (["shapes.box=3", "shapes.circle=yes"], Drawing(shapes=(Box(3.0), Circle()))),
    ],
)
def test_a_registered_thing_is_chosen_by_name_also_where_there_was_none(changes: list[str], expected: Drawing) -> None:
    changed = override(Drawing(), changes)
    assert changed == expected
    assert from_json(Drawing, json.loads(json.dumps(to_json(changed)))) == expected


def test_keys_are_those_of_everything_registered() -> None:
    assert list(setting_keys(Drawing)) == ["frame.name", "frame.width", "frame.radius", "shapes.box", "shapes.circle"]


def test_options_without_a_name_and_an_option_called_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"frame is none, .* Set frame\.name too, to one of: box, circle\."):
        override(Drawing(), ["frame.radius=2"])
    with pytest.raises(TypeError, match="no option can be called 'name'"):
        type("Bad", (Shape,), {"__annotations__": {"name": "str"}})


def test_a_key_that_is_no_text_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"A setting has a name, as in {'optimizer.lr': 0.05}; received 1\."):
        parse_overrides({1: 2})  # pyright: ignore[reportArgumentType]
