"""What class names say about mirror images, in many spellings; the decision always comes with its reason."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from striate.core.spec import GREY, RGB, InputSpec
from striate.data.augmentation.augment import augmentations_in_effect
from striate.data.augmentation.augmentations import Flip, FromData
from striate.data.augmentation.mirroring import mirroring
from striate.data.sources.named_registry import DATASETS
from striate.data.sources.opening import open_data

Form = Literal["NFC", "NFD"]


def spec(channels: tuple[str, ...] = RGB) -> InputSpec:
    count = len(channels)
    return InputSpec(channels=channels, height=8, width=8, mean=(0.5,) * count, std=(0.5,) * count)


SIDED = """
turn_left turn_right; TurnLeft TurnRight; turnLeft turnRight; TURNLEFT TURNRIGHT; LEFT RIGHT; left1 left2 up;
keepleft stop; KeepRight stop; noleftturn stop; keep-right.ahead stop; hand_l hand_r; HandL HandR; lhand rhand; L R;
lh rh; east west; wind_east wind_west; arrow_ne arrow_nw; clockwise anticlockwise; ccw still; Links_Abbieger Halt;
links rechts; linksabbieger gerade; Rechtskurve Gerade; tourner_à_gauche tout_droit; à_droite stop; izquierda derecha;
sinistra destra; esquerda direita; Vänster Höger; venstre høyre; vasen oikea; влево вправо; левый правый; 左 右;
左折 直進; 왼쪽 오른쪽; 오른쪽으로 정지; يسار يمين; बाएं दाएं; αριστερά δεξιά; sağ sol; port starboard; ← →;
arrow→ cross; mirrored original; turnl turnr; eye_OS eye_OD; dextral sinistral; slash backslash;
less_than greater_than; b_tail d_tail
"""
WRITING = """
0 1 2; 1 2 10; 00 01 42; 0001 0002; digit_0 digit_1; Digit0 Digit1; digit-0 other; letter_a letter_b; A B C; b d p q;
a_lower A_upper; number1 number2; char_а char_б; handwritten printed; I II III IV; one two three; null eins zwei;
hiragana_ka hiragana_ki; １ ２ １０
"""
UNKNOWN = "c0 c1 c2; class_1 class_2; Class7 Class8; label-0 label-1; speed_20 speed_30 speed_50; type_a type_b"
PLAIN = """
cat dog; bright dark; brightness contrast; copyright logo; upright lying; wright smith; leftover fresh; cleft whole;
blinks winks; port wine; sol luna; up down; northbound southbound; boeing_737 boeing_747 a320_neo; Sunlight Lighting;
n01440764 n01443537; daisy rose tulip; eastern_towhee western_towhee; mirror window; кошка собака; 子猫 子犬
"""


def groups(text: str) -> list[list[str]]:
    return [group.split() for group in text.split(";")]


@pytest.mark.parametrize("classes", [*groups(SIDED), *groups(WRITING), *groups(UNKNOWN)], ids=" ".join)
def test_classes_that_a_mirror_may_exchange_are_not_mirrored(classes: list[str]) -> None:
    found = mirroring(spec(), classes)
    assert not found.allowed
    assert any(repr(name) in found.reason for name in classes) or "numbers" in found.reason
    assert Flip() not in augmentations_in_effect((FromData(),), spec(), classes)


@pytest.mark.parametrize("classes", groups(PLAIN), ids=" ".join)
def test_words_that_only_resemble_sides_are_mirrored(classes: list[str]) -> None:
    assert mirroring(spec(), classes).allowed
    assert Flip() in augmentations_in_effect((FromData(),), spec(), classes)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("classes", [*groups(SIDED), *groups(PLAIN)], ids=" ".join)
def test_the_unicode_form_of_names_does_not_matter(classes: list[str], form: Form) -> None:
    assert (
        mirroring(spec(), [unicodedata.normalize(form, name) for name in classes]).allowed
        == mirroring(spec(), classes).allowed
    )


@pytest.mark.parametrize("classes", groups(SIDED), ids=" ".join)
def test_the_order_of_classes_does_not_matter(classes: list[str]) -> None:
    assert not mirroring(spec(), classes[::-1]).allowed


@pytest.mark.parametrize("channels", [GREY, ("channel1", "channel2"), (*RGB, "infrared")])
def test_images_of_other_channels_are_never_mirrored(channels: tuple[str, ...]) -> None:
    assert mirroring(spec(channels), ["cat", "dog"]).reason.startswith("images that are not RGB")


def test_numbers_among_names_do_not_stop_mirroring_and_half_of_them_do() -> None:
    assert mirroring(spec(), ["cat", "dog", "7"]).allowed
    assert not mirroring(spec(), ["cat", "7"]).allowed
    assert "set augmentation.flip=true" in mirroring(spec(), ["cat", "7"]).reason


def test_the_shapes_are_mirrored() -> None:
    assert "shapes" in DATASETS
    assert mirroring(spec(), open_data("shapes:count=10").classes).allowed
