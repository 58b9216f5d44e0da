"""Pretrained weights: found by name, file or folder, fitted to the network, and adapted to other classes and images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

import striate
from rehearsal.catalogue import CLASSES, SPEC, WriteCatalogue, rehearsed_catalogue
from rehearsal.classifiers import untrained
from rehearsal.server import Manners, serving
from striate.classifier import Classifier, save_classifier
from striate.core.errors import ModelError, StriateError
from striate.core.spec import GREY, RGB, InputSpec
from striate.models import create_model
from striate.models.weights import build_pretrained, entries, pretrained


def _state(seed: int = 1, classes: int = 3, channels: int = 3) -> dict[str, torch.Tensor]:
    return create_model("tiny_vgg", classes=classes, channels=channels, size=(32, 32), seed=seed).state_dict()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    save_file(_state(), path)
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[WriteCatalogue]:
    """A catalogue of one entry, `tiny_vgg.test`, and an empty cache."""
    with rehearsed_catalogue(tmp_path) as write:
        yield write


def test_weights_of_another_number_of_classes_and_channels_say_so_themselves(tmp_path: Path) -> None:
    save_file(_state(classes=7, channels=2), tmp_path / "a.safetensors")
    found = pretrained(tmp_path / "a.safetensors", "tiny_vgg", size=(32, 32))
    assert (found.arguments["classes"], found.arguments["channels"]) == (7, 2)
    network = build_pretrained(found)
    assert all(torch.equal(tensor, found.state[path]) for path, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: {n: t for n, t in state.items() if n != "fc.bias"}, "have no 'fc.bias'"),
        (lambda state: state | {"extra": torch.zeros(1)}, "The network has no place for 'extra'"),
        (
            lambda state: state | {"fc.weight": torch.zeros(3, 9)},
            "'fc.weight' is 3×9, and the network has 10×250. Perhaps they are for another size",
        ),
        (lambda state: state | {"fc.bias": torch.full((3,), torch.nan)}, "'fc.bias' of these weights is not finite"),
    ],
)
def test_weights_that_do_not_fit_name_the_tensor_and_its_shape(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], said: str
) -> None:
    save_file(change(_state()), tmp_path / "a.safetensors")
    with pytest.raises(ModelError) as caught:
        striate.create("tiny_vgg", weights=tmp_path / "a.safetensors", size=32)
    assert said in str(caught.value)


def test_a_file_alone_does_not_say_what_it_is_for(file: Path) -> None:
    with pytest.raises(ModelError, match=r"does not say which model its weights are for. Name it"):
        pretrained(file)
    with pytest.raises(ModelError, match="does not fit resnet18"):
        pretrained(file, "resnet18")
    with pytest.raises(ModelError, match="There are no weights 'gone'"):
        pretrained("gone", "tiny_vgg")


def test_other_classes_give_a_new_last_layer_of_the_seed(file: Path) -> None:
    made = [striate.create("tiny_vgg", weights=file, classes=5, size=32, seed=seed) for seed in (3, 3, 4)]
    states = [network.state_dict() for network in made]
    first = create_model("tiny_vgg", classes=5, size=(32, 32), seed=3).state_dict()
    assert torch.equal(states[0]["fc.weight"], first["fc.weight"])
    assert torch.equal(states[0]["fc.weight"], states[1]["fc.weight"])
    assert not torch.equal(states[0]["fc.weight"], states[2]["fc.weight"])
    kept = [path for path in _state() if not path.startswith("fc.")]
    assert all(torch.equal(states[0][path], _state()[path]) for path in kept)
    assert made[0].pretrained is not None
    assert made[0].pretrained.labels is None
    assert made[0].pretrained.notes[-1] == "The last layer is new: 5 classes in place of 3."


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_an_image_of_equal_channels_has_the_same_response_after_the_adaptation(file: Path, channels: int) -> None:
    grey = torch.randn(2, 1, 32, 32)
    adapted = striate.create("tiny_vgg", weights=file, channels=channels, size=32).eval()
    own = striate.create("tiny_vgg", weights=file, size=32).eval()
    with torch.no_grad():
        expected = own(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(adapted(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-4, atol=1e-5)


def test_weights_of_grey_images_adapted_to_three_channels_take_rgb(tmp_path: Path) -> None:
    save_file(_state(channels=1), tmp_path / "a.safetensors")
    grey = replace(SPEC, channels=GREY, mean=(0.5,), std=(0.25,))
    found = replace(pretrained(tmp_path / "a.safetensors", "tiny_vgg", size=(32, 32)), input=grey)
    described = build_pretrained(found, channels=3, seed=0).pretrained
    assert described is not None
    assert described.input == replace(grey, channels=RGB, mean=(0.5,) * 3, std=(0.25,) * 3)


def test_a_size_that_changes_a_tensor_is_refused(tmp_path: Path) -> None:
    network = create_model("lenet5", seed=1)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    found = pretrained(tmp_path / "a.safetensors", "lenet5")
    with pytest.raises(ModelError, match=r"fits images of 32×32 pixels only: '.+' is .+, and for 64×64 lenet5 has"):
        build_pretrained(found, size=64)


def test_the_catalogue_finds_a_file_by_its_digest(file: Path, catalogue: WriteCatalogue) -> None:
    digest = pretrained(file, "tiny_vgg", size=(32, 32)).digest
    for known in (digest, f"sha256-prefix:{digest[7:15]}"):
        catalogue(digest=known)
        found = pretrained(file)
        assert (found.name, found.input, found.labels) == ("tiny_vgg.test", SPEC, CLASSES)
        assert (found.licence, found.top1) == ("MIT", 91.5)
    catalogue(digest="sha256:" + "0" * 64)
    with pytest.raises(ModelError, match="does not say which model"):
        pretrained(file)


def test_an_entry_is_fetched_checked_and_used_by_the_name_of_its_model(
    catalogue: WriteCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    content = save(_state())
    with serving(Manners({"a.safetensors": content})) as address:
        catalogue(digest="sha256-prefix:00000000", addresses=[f"{address}/a.safetensors"])
        with pytest.raises(StriateError, match="the downloaded file has the sha256 digest"):
            pretrained("tiny_vgg.test")
        assert not list((tmp_path / "cache").rglob("a.safetensors"))
        catalogue(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", addresses=[f"{address}/a.safetensors"])
        network = striate.create("tiny_vgg", weights="tiny_vgg")
    assert all(torch.equal(tensor, _state()[path]) for path, tensor in network.state_dict().items())
    classifier = striate.load("tiny_vgg")  # from the cache
    assert (classifier.labels.classes, classifier.input) == (CLASSES, SPEC)
    assert classifier.provenance.scores == {"published": {"accuracy": 0.915}}
    assert [entry.name for entry in striate.list_models("tiny", weights=True)] == ["tiny_vgg.test"]
    with pytest.raises(ModelError, match="are weights of tiny_vgg, not of lenet5"):
        pretrained("tiny_vgg.test", "lenet5")
    with pytest.raises(ModelError, match=r"are weights of tiny_vgg, not of tiny_vgg\+symmetric"):
        pretrained("tiny_vgg.test", "tiny_vgg+symmetric")


def test_offline_an_entry_says_which_commands_help(
    catalogue: WriteCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    catalogue(digest="sha256-prefix:00000000", addresses=["http://127.0.0.1:1/there/a.safetensors"])
    with pytest.raises(ModelError) as caught:
        pretrained("tiny_vgg")
    assert "\n" not in str(caught.value)
    assert "curl" in str(caught.value)
    assert "http://127.0.0.1:1/there/a.safetensors" in str(caught.value)
    assert "--weights" in str(caught.value)


def test_weights_of_a_package_that_is_not_installed_name_it(catalogue: WriteCatalogue) -> None:
    catalogue(package="no-such-package")
    with pytest.raises(ModelError, match=r"which is not installed\. Install it: pip install no-such-package"):
        pretrained("tiny_vgg")


def test_a_classifier_is_a_source_of_weights(catalogue: WriteCatalogue, file: Path, tmp_path: Path) -> None:
    from striate.classifier import pretrained_classifier, save_classifier

    catalogue(digest=pretrained(file, "tiny_vgg", size=(32, 32)).digest)
    save_classifier(pretrained_classifier(pretrained(file)), tmp_path / "run" / "classifier")
    found = pretrained(tmp_path / "run")
    assert (found.model, found.input, found.labels, found.dialect) == ("tiny_vgg", SPEC, CLASSES, "striate")
    assert striate.create("tiny_vgg", weights=tmp_path / "run", classes=4).pretrained is not None
    with pytest.raises(ModelError, match="holds weights of tiny_vgg, not of lenet5"):
        pretrained(tmp_path / "run", "lenet5")
    with pytest.raises(ModelError, match="is a folder without weights that are known here"):
        pretrained(tmp_path)


def test_an_extra_first_output_is_the_background(file: Path, catalogue: WriteCatalogue) -> None:
    save_file(_state(classes=4), file)
    catalogue(digest=pretrained(file, "tiny_vgg", size=(32, 32)).digest)
    found = pretrained(file)
    assert found.arguments["classes"] == 3
    assert torch.equal(found.state["fc.bias"], _state(classes=4)["fc.bias"][1:])


def test_weights_without_a_preparation_classify_nothing(tmp_path: Path) -> None:
    save_file(create_model("lenet5", seed=1).state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(ModelError, match=r"Nothing says how images are prepared for mine\.safetensors"):
        striate.load("lenet5", weights=tmp_path / "mine.safetensors")


def test_the_package_of_weights_is_there_and_pinned() -> None:
    entry = entries.entry("efficientnet_lite0")
    assert entry.find() is not None
    assert pretrained("efficientnet_lite0").digest == entry.digest
    assert len(entry.labels) == 1000


def test_every_entry_of_the_catalogue_can_be_used() -> None:
    """The model exists, its input is read, its classes are known, and there is a way to get the file."""
    from striate.models import MODELS
    from striate.models.weights import DIALECTS

    found = entries.entries()
    assert found
    for entry in found:
        assert entry.model in MODELS
        assert entry.name.startswith(f"{entry.model}.")
        assert entry.dialect in DIALECTS
        assert len(entry.labels) > 1
        assert entry.licence
        assert entry.hub or entry.package or (entry.addresses and entry.digest)
    defaults = [entry.model for entry in found if entry.default]
    assert sorted(set(defaults)) == sorted({entry.model for entry in found})
    assert len(defaults) == len(set(defaults))


@pytest.mark.parametrize("name", [3, None, b"x", "", ["resnet50"]], ids=str)
def test_what_is_no_name_of_weights_is_a_sentence(name: object) -> None:
    with pytest.raises(ModelError, match="Weights are named by a text or a path"):
        pretrained(name)  # pyright: ignore[reportArgumentType]


def test_a_home_folder_of_no_user_is_a_name_without_weights() -> None:
    with pytest.raises(ModelError, match=r"'~nosuch/w\.pt': .* List the names: striate list-models --weights\.$"):
        pretrained("~nosuch/w.pt", "lenet5")


def _same(state: Mapping[str, torch.Tensor], classifier: Classifier) -> bool:
    own = classifier.model.state_dict()
    return state.keys() == own.keys() and all(torch.equal(value, own[name]) for name, value in state.items())


def test_the_weights_of_a_classifier_are_those_that_it_describes(tmp_path: Path) -> None:
    later = untrained("tiny_vgg", SPEC, CLASSES)
    save_classifier(later, tmp_path / "classifier")
    weights = tmp_path / "classifier" / "model.safetensors"
    weights.rename(weights.with_name("next.safetensors"))  # as a kill leaves both, between description and weights
    save_file(_state(seed=5), weights)
    assert _same(pretrained(tmp_path).state, later)
    weights.with_name("next.safetensors").unlink()
    with pytest.raises(ModelError, match=r"is not the file that classifier\.json describes"):
        pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match="There is no file of weights at"):
        pretrained(tmp_path)


def test_packed_weights_are_refused_with_a_remedy(tmp_path: Path) -> None:
    save_classifier(untrained("tiny_vgg", SPEC, CLASSES), tmp_path / "classifier", packed=True)
    with pytest.raises(ModelError, match=r"its weights are packed\. Start from the run that was compressed"):
        pretrained(tmp_path)


def test_a_network_without_convolutions_keeps_its_channels(tmp_path: Path) -> None:
    spec = InputSpec(channels=GREY, height=8, width=8, mean=(0.5,), std=(0.5,))
    save_classifier(untrained("fc4 relu fc3", spec, CLASSES), tmp_path / "classifier")
    assert pretrained(tmp_path).arguments["channels"] == 1


@pytest.mark.parametrize(
    ("model", "channels", "size"),
    [
        ("mlp", 1, 28),
        ("mlp", 3, 28),
        ("linear", 1, 28),
        ("inception_v2", 3, 64),
        ("fc9 relu fcK", 1, 28),
        ("lenet5", 2, 32),
    ],
)
def test_own_weights_say_how_many_channels_they_read(tmp_path: Path, model: str, channels: int, size: int) -> None:
    own = create_model(model, classes=10, channels=channels, size=size, seed=0)
    save_file(own.state_dict(), tmp_path / "own.safetensors")
    for classes in (10, 7):
        network = striate.create(model, weights=tmp_path / "own.safetensors", size=size, classes=classes).eval()
        images = torch.rand(2, channels, size, size)
        assert network(images).shape == (2, classes)
        assert classes != 10 or torch.equal(network(images), own.eval()(images))


def test_auxiliary_heads_have_the_classes_of_the_weights(tmp_path: Path) -> None:
    network = create_model("googlenet", classes=5, seed=0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    assert pretrained(tmp_path / "w.safetensors", "googlenet").arguments["classes"] == 5
