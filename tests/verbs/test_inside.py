"""explain, inspect and fool as a user has them: on a small classifier in a folder, with images in files."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import striate
from rehearsal.classifiers import untrained
from striate import plot
from striate.classifier import Classifier, Failure, Prediction, load_classifier, save_classifier
from striate.cli.main import main
from striate.core.errors import ConfigError, DataError, StriateError
from striate.core.spec import RGB, InputSpec
from striate.data.images.decode import decode
from striate.data.sources.opening import open_data
from striate.explaining import Attribution
from striate.explaining.checks import Check
from striate.reporting.inspection.folder import write_inspection
from striate.reporting.inspection.inspect import Inspection, InspectionBudget, inspect_classifier
from striate.reporting.inspection.page import inspection_page
from striate.reporting.sheets.masks import mask_on_input
from striate.verbs.explain import Explanation
from striate.verbs.fool import Attack

CLASSES = ("ant", "bee", "cat")
SPEC = InputSpec(channels=RGB, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), crop=0.875)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A classifier that was copied out of its run."""
    save_classifier(untrained("tiny_vgg", SPEC, CLASSES, at=2.0), tmp_path / "net")
    return tmp_path / "net"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of blobs, wider than high."""
    folder = tmp_path / "photos" / "ant"
    folder.mkdir(parents=True)
    (tmp_path / "photos" / "bee").mkdir()
    Image.new("RGB", (40, 40), "orange").save(tmp_path / "photos" / "bee" / "6.png")
    y, x = np.mgrid[:60, :90] / 12
    for number in range(6):
        soft = [np.sin(y + shift + number) * np.cos(x - shift) for shift in (0.0, 1.0, 2.0)]
        Image.fromarray((128 + 80 * np.stack(soft, -1)).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def explain(*given: Any, **options: Any) -> list[Explanation]:
    return [result for result in striate.explain(*given, **options) if not isinstance(result, Failure)]


def fool(*given: Any, **options: Any) -> list[Attack]:
    return [result for result in striate.fool(*given, **options) if not isinstance(result, Failure)]


def test_a_sheet_for_each_image_says_where_and_the_check_is_a_verdict(run: Path, photos: Path) -> None:
    found = explain(run, photos / "0.png", photos / "1.png", check="1s")
    assert [result.sheet for result in found] == [run / "explanations" / f"{n}-grad_cam.png" for n in (0, 1)]
    answers = load_classifier(run).predict([photos / "0.png", photos / "1.png"])
    for result, answer in zip(found, answers, strict=True):
        told = result.explained.subject.prediction
        assert (told.name, told.label) == (answer.name, answer.label)
        assert told.probability == pytest.approx(answer.probability, abs=1e-5)
        assert result.explained.target == answer.label
        assert result.explained.check is not None
        assert str(result.explained.check).split(":")[0] in ("trust", "do not trust", "cannot tell", "no verdict")
        assert result.sheet is not None
        with Image.open(result.sheet) as sheet:
            assert sheet.width > sheet.height


@pytest.mark.usefixtures("few_orders")
def test_a_map_is_checked_only_on_request(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Check] = []

    def check(attribution: Attribution, budget: str) -> Check:
        """Check the map once, and show the same check in both forms."""
        checked.append(checked[0] if checked else checks(attribution, budget))
        return checked[0]

    checks = Attribution.check
    monkeypatch.setattr(Attribution, "check", check)
    assert explain(run, photos / "0.png")[0].explained.check is None
    with pytest.raises(SystemExit):
        main(["explain", str(run), str(photos / "0.png"), "--check", "2min"])
    said = capsys.readouterr().out
    assert any(f"check   {verdict}" in said for verdict in ("trust", "do not trust", "cannot tell"))
    for row in ("randomisation", "deletion", "insertion", "ROAD", "edges"):
        assert row in said
    with pytest.raises(SystemExit):
        main(["explain", str(run), str(photos / "0.png"), "--check", "2min", "--json"])
    (document,) = json.loads(capsys.readouterr().out)
    assert {"randomisation", "ROAD"} <= {row["name"] for row in document["check"]["rows"]}
    assert document["check"]["trust"] in (True, False, None)
    assert len(checked) == 2


def test_an_explanation_can_be_looked_at_saved_and_put_into_a_notebook(run: Path, photos: Path, tmp_path: Path) -> None:
    found = striate.explain(run, photos / "0.png")
    (one,) = found
    assert not isinstance(one, Failure)
    assert len(repr(found)) < 100
    assert "0.png" in repr(found)
    assert "grad_cam" in repr(found)
    assert one._repr_png_().startswith(b"\x89PNG")
    assert "<img" in found._repr_html_()
    assert found.save(tmp_path / "new" / "o.png") == [tmp_path / "new" / "o.png"]
    assert one.save(tmp_path / "o.svg").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match=r"saved as \.png or \.svg"):
        found.save(tmp_path / "o.gif")
    both = striate.explain(run, photos / "0.png", photos / "1.png")
    assert sorted(path.name for path in both.save(tmp_path / "both")) == ["0.png", "1.png"]
    with pytest.raises(DataError, match="2 results"):
        _ = both.target


@pytest.mark.parametrize(("side", "drawn"), [(31, False), (32, False), (33, True)])
def test_a_map_is_drawn_over_an_original_that_is_larger_than_the_input(
    run: Path, tmp_path: Path, side: int, drawn: bool
) -> None:
    Image.new("RGB", (side, side), "orange").save(tmp_path / "one.png")
    sheet = explain(run, tmp_path / "one.png")[0].save(tmp_path / "one.svg").read_text()
    assert "input of the network" in sheet
    assert ("on the original image" in sheet) == drawn


def test_every_kind_of_image_gives_the_same_map(run: Path, photos: Path) -> None:
    """A path, a PIL image, an array, and the tensor that preparation makes of it."""
    classifier = load_classifier(run)
    with Image.open(photos / "0.png") as opened:
        image = opened.copy()
    by_path = explain(run, photos / "0.png")[0]
    prepared = by_path.explained.subject.images
    for given in (image, np.asarray(image)):
        np.testing.assert_allclose(explain(run, given)[0].map, by_path.map, atol=1e-5)
        np.testing.assert_allclose(
            explain(classifier.model, given, preparation=classifier.input)[0].map, by_path.map, atol=1e-5
        )
    for tensor in (prepared[0], prepared, torch.cat([prepared, prepared])):
        found = explain(classifier.model, tensor)
        assert len(found) == (len(tensor) if tensor.ndim == 4 else 1)
        np.testing.assert_allclose(found[-1].map, by_path.map, atol=1e-5)
        assert found[0].sheet is None


def test_a_bare_module_is_explained_in_one_call_and_returned_as_found(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).train()
    found = striate.explain(net, photos / "0.png", preparation=SPEC, out=tmp_path / "sheets")
    assert net.training
    assert found.target == found.label
    assert found.label in {f"class {number}" for number in range(5)}
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["0-grad_cam.png"]
    assert striate.explain(net, photos / "0.png", preparation=SPEC, target=3).target == "class 3"
    assert striate.explain(net, photos / "0.png", preparation=lambda image: to_tensor(image)).map.shape == (60, 90)


def test_missing_facts_about_a_module_are_requested_in_one_sentence(photos: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ConfigError, match="How are images prepared for Sequential") as told:
        striate.explain(net, photos / "0.png")
    assert "weights=" in str(told.value)
    with pytest.raises(ConfigError, match="weights"):
        striate.explain(net, photos / "0.png", weights="imagenet")
    with pytest.raises(ConfigError, match="preparation"):
        striate.explain(net, photos / "0.png", preparation="224")
    with pytest.raises(StriateError, match="row of logits"):
        striate.explain(net, photos / "0.png", preparation=SPEC)
    for given, reason in (({"an": "image"}, "An image is"), (np.full((8, 8, 3), 200.5), "from 0 to 1")):
        (refused,) = striate.explain(net, given, preparation=SPEC)
        assert isinstance(refused, Failure)
        assert reason in refused.reason


@pytest.mark.parametrize("form", ["1", "L", "LA", "RGB", "RGBA", "P", "cut out", "I;16"])
def test_a_mask_marks_what_is_neither_black_nor_transparent_in_a_file_and_in_memory(
    form: str, run: Path, photos: Path, tmp_path: Path
) -> None:
    marked = np.zeros((60, 90), bool)
    marked[10:50, 30:70] = True
    grey = Image.fromarray(marked.astype(np.uint8) * 255)
    if form == "P":  # number 0 is black, number 1 almost
        mask = Image.fromarray(marked.astype(np.uint8), "P")
        mask.putpalette([0, 0, 0, 0, 0, 1])
    elif form == "cut out":  # the photo, transparent outside the object
        mask = Image.open(photos / "0.png").convert("RGBA")
        mask.putalpha(grey)
    elif form == "I;16":
        mask = Image.fromarray(marked.astype(np.uint16))
    else:
        mask = grey.convert(form)
    mask.save(tmp_path / "mask.png")
    (found,) = explain(run, photos / "0.png")
    expected = mask_on_input(marked, found.subject)
    assert 0 < expected.mean() < 1
    for given in (mask, tmp_path / "mask.png", *([] if form == "P" else [np.asarray(mask)])):
        np.testing.assert_array_equal(mask_on_input(given, found.subject), expected)


def test_the_pointing_game_is_played_with_masks_of_the_photo_or_of_the_input(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    found = striate.explain(run, photos / "0.png", photos / "1.png")
    on_input = [one.map >= np.quantile(one.map, 0.9) for one in found if not isinstance(one, Failure)]
    game = found.pointing_game(*on_input)
    assert (game.hits.correct, game.hits.count) == (2, 2)
    half = np.zeros((60, 90), bool)
    half[:, 45:] = True  # the right half of the photo is the right half of the crop from its middle
    mask = tmp_path / "half.png"
    Image.fromarray(half.astype(np.uint8) * 255).save(mask)
    right = np.zeros((32, 32), bool)
    right[:, 16:] = True
    assert found.pointing_game(mask, half) == found.pointing_game(right, right)
    assert found.pointing_game(half, half).chance == 0.5
    with pytest.raises(DataError, match="2 explained images"):
        found.pointing_game(half)
    with pytest.raises(DataError, match="A mask has the size"):
        found.pointing_game(half, half[:10])


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255


def test_a_class_is_named_or_numbered_and_its_logit_is_what_is_explained(run: Path, photos: Path) -> None:
    classifier = load_classifier(run)
    found = [
        explain(run, photos / "0.png", target=target, method="input-x-gradient", check="none")[0].explained
        for target in ("cat", "2", 2)
    ]
    logit = classifier.logits(found[0].subject.images)[0, 2]
    for explained in found:
        assert explained.target == "cat"
        assert explained.check is None
        assert explained.attributions[0].score[0] == pytest.approx(float(logit), abs=1e-4)
    with pytest.raises(ConfigError, match="Did you mean 'bee'"):
        explain(run, photos / "0.png", target="bea")
    with pytest.raises(ConfigError, match="0 to 2"):
        explain(run, photos / "0.png", target=3)


def test_all_methods_are_compared_on_one_sheet_and_those_that_do_not_fit_are_named(run: Path, photos: Path) -> None:
    from striate.explaining import METHODS

    (result,) = explain(run, photos / "0.png", compare=True)
    explained = result.explained
    named = [attribution.method.title for attribution in explained.attributions] + [t for t, _ in explained.unsuited]
    assert sorted(named) == sorted(method.title for method in METHODS.values())
    assert result.sheet is not None
    assert result.sheet.name == "0-compared.png"


def test_methods_that_torch_refuses_are_named_among_those_that_do_not_fit(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate.explaining import METHODS

    def refused(*given: Any, **settings: Any) -> Attribution:
        raise RuntimeError("one of the variables has been modified by an inplace operation\nat line 3")

    usual, saliency = METHODS["grad_cam"], METHODS["saliency"]
    broken = {"grad_cam": usual, "saliency": replace(saliency, function=refused)}
    monkeypatch.setattr("striate.explaining.METHODS", broken)
    (result,) = explain(run, photos / "0.png", compare=True)
    assert [attribution.method for attribution in result.explained.attributions] == [usual]
    reason = "one of the variables has been modified by an inplace operation"
    assert result.explained.unsuited == ((saliency.title, reason),)


class _OfTwo(nn.Module):
    """A network of an image and its age."""

    def forward(self, images: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) + age


def test_a_module_that_needs_a_second_input_is_refused_in_a_sentence() -> None:
    with pytest.raises(StriateError, match="wrap it in a module that takes the images and adds the rest"):
        striate.explain(_OfTwo(), torch.rand(3, 16, 16))


def test_a_place_is_read_on_request(run: Path, photos: Path) -> None:
    (result,) = explain(run, photos / "0.png", at="stage1", check="none")
    assert result.explained.attributions[0].at == "stage1"
    with pytest.raises(ConfigError, match="reads no place"):
        explain(run, photos / "0.png", at="stage1", method="saliency")
    with pytest.raises(StriateError, match="stage9"):
        explain(run, photos / "0.png", at="stage9")


def test_images_of_one_name_do_not_overwrite_each_other_and_unreadable_ones_are_named(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "0.png").write_bytes((photos / "1.png").read_bytes())
    found = striate.explain(run, photos / "0.png", tmp_path / "none.png", other, check="none", out=tmp_path / "out")
    assert isinstance(found[1], Failure)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0-grad_cam-2.png", "0-grad_cam.png"]
    with pytest.raises(DataError, match="at least one image"):
        explain(run)


@pytest.mark.parametrize("through", [False, True])
def test_the_file_of_a_fooling_image_still_fools_and_the_sheet_says_so(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], through: bool
) -> None:
    classifier = load_classifier(run)
    before = classifier.predict(photos / "0.png")
    target = next(label for label in CLASSES if label != before.label)
    flag = ["--through-preparation"] * through
    with pytest.raises(SystemExit) as ended:
        main(["fool", str(run), str(photos / "0.png"), "--target", target, "--epsilon", "60", *flag])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert f"→ {target}" in said
    assert "; fooled within 60" in said
    stem = f"0-pgd-60-as {target}" + "-whole" * through
    picture = run / "fooled" / f"{stem}.png"
    assert decode(picture).original == ((60, 90) if through else SPEC.size)
    assert classifier.predict(picture).label == target
    assert {path.name for path in picture.parent.iterdir()} == {f"{stem}.png", f"{stem}-sheet.png"}


def test_pixels_that_preparation_crops_away_are_left_as_they_are(run: Path, photos: Path) -> None:
    (found,) = fool(run, photos / "0.png", epsilon=60, through_preparation=True)
    changed = found.fooled.adversarial.change[0].any(axis=-1)
    # The photo of 60×90 is resized until it covers 32 / 0.875; of the width a square remains, and a filter's reach.
    assert changed[:, 45].any()
    assert not changed[:, :13].any()
    assert not changed[:, -13:].any()


def test_no_attack_or_explanation_overwrites_one_with_other_settings(run: Path, photos: Path) -> None:
    photo, sheets = photos / "0.png", set()
    labels = [label for label in CLASSES if label != load_classifier(run).predict(photo).label]
    wishes: list[dict[str, Any]] = [
        {"epsilon": 2}, {"epsilon": 3}, {"epsilon": 3, "norm": "l2"}, {"epsilon": 3, "through_preparation": True},
        {"epsilon": 3, "target": labels[0]}, {"epsilon": 3, "target": labels[1]}, {"epsilon": 3, "method": "fgsm"},
        {"epsilon": 3, "dark": True},
    ]  # fmt: skip
    for wish in wishes:
        sheets.add(fool(run, photo, **wish)[0].sheet)
    assert len(sheets) == len(wishes)
    shown = [
        explain(run, photo, check="none", **wish)[0].sheet
        for wish in ({}, {"target": labels[0]}, {"target": labels[1]}, {"at": "stage1"}, {"method": "saliency"})
    ]
    assert len(set(shown)) == len(shown)
    assert all(sheet and sheet.exists() for sheet in [*sheets, *shown])


@pytest.mark.parametrize("name", ["a" * 250, "ü" * 120, "two  words 'quoted'"])
def test_a_long_or_odd_name_of_a_photo_makes_a_name_of_a_sheet(run: Path, photos: Path, name: str) -> None:
    (photos / "0.png").rename(photos / f"{name}.png")
    (found,) = explain(run, photos / f"{name}.png", method="saliency", check="none")
    assert found.sheet is not None
    assert found.sheet.exists()


def test_without_an_epsilon_the_smallest_that_suffices_is_found(run: Path, photos: Path) -> None:
    (found,) = fool(run, photos / "0.png")
    fooled = found.fooled
    assert fooled.fooled
    assert fooled.epsilon is not None
    assert fooled.adversarial.linf[0] <= fooled.epsilon
    smaller = {2: 1, 3: 2, 4: 3, 6: 4, 8: 6, 12: 8, 16: 12}.get(int(fooled.epsilon))
    if smaller is not None:
        assert not fool(run, photos / "0.png", epsilon=smaller)[0].fooled.fooled


def test_an_attack_is_displayed_and_saved_like_an_explanation(run: Path, photos: Path, tmp_path: Path) -> None:
    found = striate.fool(run, photos / "0.png", tmp_path / "none.png", epsilon=60)
    (one,) = (each for each in found if not isinstance(each, Failure))
    assert repr(one).startswith("Attack('0.png': ")
    assert one.sheet is not None
    with Image.open(one.sheet) as written, Image.open(io.BytesIO(one._repr_png_())) as displayed:
        np.testing.assert_array_equal(np.asarray(written), np.asarray(displayed))
    assert found._repr_html_().count("<img") == 1
    assert found.save(tmp_path / "attack.svg") == [tmp_path / "attack.svg"]
    assert "grey levels" in (tmp_path / "attack.svg").read_text()


def test_an_image_with_the_target_answer_is_left_as_it_is(run: Path, photos: Path) -> None:
    label = load_classifier(run).predict(photos / "0.png").label
    (found,) = fool(run, photos / "0.png", target=label)
    assert (found.fooled.already, found.fooled.fooled) == (True, False)
    assert not found.fooled.adversarial.change.any()
    assert (found.sheet, found.image) == (None, None)
    assert not (run / "fooled").exists()


def test_an_image_that_is_recognized_as_none_of_the_classes_has_not_fooled_the_classifier(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, predict = load_classifier(run), Classifier.predict
    before: Any = classifier.predict(photos / "0.png")
    alien = [False, True, False, True, True, True]  # before and after each of three attacks

    def predicted(self: Classifier, image: Any) -> Prediction:
        found: Any = predict(self, image)
        return replace(found, none_of_these=alien.pop(0))

    monkeypatch.setattr(Classifier, "predict", predicted)
    (found,) = fool(classifier, photos / "0.png", epsilon=60)
    assert found.fooled.after.label != before.label
    assert not found.fooled.fooled
    assert "Recognized as none of these" in [text.get_text() for text in found.figure().texts]
    with pytest.raises(SystemExit):
        main(["fool", str(run), str(photos / "0.png"), "--epsilon", "60"])
    label, probability = found.fooled.after.label, found.fooled.after.probability
    expected = f"→ none of these; nearest: {label}, {100 * probability:.1f} %; not fooled within 60"
    assert expected in capsys.readouterr().out
    (found,) = fool(classifier, photos / "0.png", epsilon=60)  # one that was none of them before
    assert found.fooled.fooled


def test_an_explanation_says_that_an_image_is_of_none_of_the_classes(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Classifier.predict
    known: Any = load_classifier(run).predict(photos / "0.png")
    monkeypatch.setattr(Classifier, "predict", lambda self, image: replace(predict(self, image), none_of_these=True))
    with pytest.raises(SystemExit):
        main(["explain", str(run), str(photos / "0.png"), "--method", "saliency"])
    nearest = f"{known.label}, {100 * known.probability:.1f} %"
    assert f"0.png: none of these; nearest: {nearest}; explained: {nearest}" in capsys.readouterr().out
    (found,) = explain(run, photos / "0.png", method="saliency")
    captions = [text.get_text().replace("\u202f", " ") for text in found.figure().texts]
    assert f"none of these; nearest: {nearest}" in " ".join(captions)


def test_the_sheet_of_an_attack_states_the_change_of_16_bit_pixels_exactly(tmp_path: Path) -> None:
    classifier = untrained("tiny_vgg", replace(SPEC, crop=1.0, maximum=65535.0), CLASSES, at=2.0)
    pixels = np.random.default_rng(0).integers(20000, 40000, (32, 32, 3)).astype(np.uint16)
    (found,) = fool(classifier, pixels, epsilon=64 / 257, method="fgsm", out=tmp_path)
    assert np.abs(found.fooled.adversarial.change).max() == 64  # of 65535; a grey level of 8 bits has 257
    captions = " ".join(text.get_text() for text in found.figure().texts)
    assert "×449" in captions  # 112 / (64 / 257)
    assert "at most 0.249 of 255" in captions


def test_an_inspection_is_a_folder_with_a_page_that_asks_for_nothing_outside(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = striate.inspect(run, photos.parent, units=2, time="0.2s")
    assert page == run / "inspection" / "index.html"
    text = page.read_text("utf-8")
    assert not {"http:", "https:", "<script"} & set(text.split('"'))
    for place in ("features.relu1_1", "features.relu2_2"):
        assert sorted(p.name for p in (page.parent / place).iterdir()), place
        assert f'id="{place}"' in text
    assert (page.parent / "filters").is_dir()
    _draw_no_page(monkeypatch)
    again = striate.inspect(run, photos.parent, units=1, time="0.1s")
    assert len(list((again.parent / "features.relu1_1").iterdir())) == 1, "the former inspection is replaced"
    assert not [name for name in os.listdir(run) if name.startswith(".inspection")]


def _draw_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a page without its charts, which take seconds: the test reads others of the files."""
    monkeypatch.setattr("striate.reporting.inspection.folder.inspection_page", lambda inspection: "<title>New</title>")


def test_an_inspection_that_fails_leaves_the_former_one(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run / "inspection" / "index.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text("<title>Inside an earlier run · Striate</title>", "utf-8")
    before = page.read_bytes()
    monkeypatch.setattr("striate.reporting.inspection.folder.inspection_page", lambda inspection: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        striate.inspect(run, photos.parent, units=1, time="0.1s")
    assert page.read_bytes() == before
    _draw_no_page(monkeypatch)
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(StriateError, match="ermission"):
        striate.inspect(run, photos.parent, units=1, time="0.1s")
    assert page.read_bytes() == before
    assert not [name for name in os.listdir(run) if name.startswith(".inspection")]


def _page(classifier: Classifier, photos: Path) -> tuple[Inspection, str]:
    """Inspect `classifier`, and return the text of the page."""
    budget = InspectionBudget(images=4, units=2, time="0.1s")
    inspection = inspect_classifier(classifier, open_data(photos.parent), np.arange(4), "t", budget)
    return inspection, re.sub(r"<[^>]+>", "", inspection_page(inspection))


def test_a_dead_layer_is_named_and_dead_channels_are_not_counted_among_those_shown(photos: Path) -> None:
    classifier = untrained("tiny_vgg", SPEC, CLASSES)
    modules = dict(classifier.model.named_modules())
    convolutions = [modules[f"features.{name}"] for name in ("conv1_1", "conv2_2")]
    for conv, dead in zip(convolutions, (3, 10), strict=True):
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        conv.weight.data[:dead], conv.bias.data[:dead] = 0.0, -1.0
    inspection, text = _page(classifier, photos)
    assert inspection.chosen["features.relu1_1"] == [3, 4]
    assert "The first 2 of 7 channels of features.relu1_1 that are not dead; each value" in text
    assert "Dead channels, which are constant: 3 (0, 1, 2)." in text
    assert inspection.chosen["features.relu2_2"] == []
    assert "Every channel of features.relu2_2 is dead, so none is shown; each value" in text


def test_of_many_layers_twelve_are_drawn_with_the_first_and_the_last(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = [layer for k in range(14) for layer in (nn.Conv2d(2 if k else 3, 2, 3, padding=1), nn.ReLU())]
    own = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, len(CLASSES))).eval()
    drawn: list[list[str]] = []

    def lines(shown: dict[str, Any], **options: Any) -> Figure:
        drawn.append(list(shown))
        return plot.lines(shown, **options)

    monkeypatch.setattr("striate.reporting.inspection.page.lines", lines)
    inspection, text = _page(replace(untrained("linear", SPEC, CLASSES), model=own), photos)
    places = inspection.moved[0].places
    assert len(places) == 15
    assert "the features of 12 of 15 places, evenly spaced, move" in text
    assert drawn[0] == [places[k] for k in (0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14)]


def test_the_page_says_of_how_many_classes_it_has_an_image(photos: Path) -> None:
    inspection, _ = _page(untrained("tiny_vgg", SPEC, CLASSES), photos)
    for names, said in ((tuple(map(str, range(1014))), "12 of 1,014 classes"), (tuple("abcdefghijkl"), "each class")):
        images = {("", number): np.zeros((8, 8, 3), np.uint8) for number in range(12)}
        page = inspection_page(replace(inspection, classes=names, synthesised=images))
        assert f"Images synthesised to maximise the score of {said}." in page


def test_classes_whose_names_differ_in_signs_have_an_image_each(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = untrained("tiny_vgg", SPEC, ("c+", "c#", "C#"))
    budget = InspectionBudget(images=2, units=1, time="20s")
    inspection = inspect_classifier(classifier, open_data(photos.parent), np.arange(2), "t", budget)
    assert {number for place, number in inspection.synthesised if place == ""} == {0, 1, 2}
    write_inspection(inspection, tmp_path / "inside")
    assert len(list((tmp_path / "inside" / "classes").iterdir())) == 3
    monkeypatch.chdir(tmp_path / "inside")
    assert write_inspection(inspection, Path()) == tmp_path / "inside" / "index.html", "it has no name"


def test_a_folder_that_is_no_inspection_is_not_replaced(run: Path, photos: Path) -> None:
    (photos / "index.html").write_text("<title>Our holidays</title>")
    with pytest.raises(ConfigError, match="is not an inspection"):
        striate.inspect(run, photos.parent, out=photos)
    assert len(list(photos.iterdir())) == 7
