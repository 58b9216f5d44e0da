"""Describe a network before any training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.arguments import checked
from striate.core.errors import ModelError
from striate.verbs._size import size_of
from striate.verbs._trained import classifier_of

if TYPE_CHECKING:
    from torch.nn import Module

    from striate.classifier import Classifier
    from striate.models.weights import Pretrained
    from striate.runs.folder import Run
    from striate.tracing import Description, WithoutWeightSharing

    Size = int | tuple[int, int]


@dataclass(frozen=True)
class Summary:
    """The layers of a network; `unshared` lists the parameters of its convolutions without weight sharing, on request.

    `pretrained` describes its weights (without the tensors), if it has those of another training.
    """

    model: str
    description: Description
    unshared: tuple[WithoutWeightSharing, ...]
    pretrained: Pretrained | None = None

    def __repr__(self) -> str:
        return f"Summary({self.model!r}: {self.description!r})"

    def _repr_html_(self) -> str:
        return self.description._repr_html_()


@checked
def summary(
    model: str | Module | Run | Classifier,
    /,
    *,
    weights: str | Path | None = None,
    size: str | Size | None = None,
    channels: int | None = None,
    classes: int | None = None,
    unshared: bool = False,
) -> Summary:
    """Describe a network layer by layer: shapes, parameters, multiply-accumulates, receptive fields, memory.

    Nothing is trained and no image is needed. The default input is that of the model's card; of an architecture,
    224x224 pixels in RGB.

    Example:
        striate.summary("lenet5", size="28x28")

    Args:
        model: the name of a network, as 'striate list-models' lists them, or one written down, as in
            "(conv3-32 relu)*2 pool2 fc512 relu"; or the name of pretrained weights. In Python also a run, a classifier,
            or any module with the size of its images.
        weights: also describe these pretrained weights of the network: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        size: height and width of the input, as in 64 or 48x64.
        channels: channels of the input (1 for grey, 3 for RGB); of a module, 3 if it is not given.
        classes: number of classes.
        unshared: list the parameters of the convolutions without weight sharing, locally and fully connected.

    Raises:
        ModelError: there is no such network, or the input is too small for it; the message names the smallest. The size
            of a module's images is not known, or the module cannot be traced without data.
        ConfigError: a size cannot be read.
    """
    from torch import nn

    from striate import models, tracing
    from striate.classifier import Classifier
    from striate.runs.folder import Run

    if isinstance(model, (Run, Classifier)):
        classifier = classifier_of(model, "cpu")
        model, size = classifier.model, classifier.input.size if size is None else size
        channels = len(classifier.input.channels) if channels is None else channels
    if isinstance(model, nn.Module):
        if weights is not None:
            raise ModelError("A module has its weights already: leave weights out, or name a network.")
        return _of_module(model, size, channels, classes, unshared=unshared)
    if not isinstance(model, str):
        raise ModelError(f"A model is a name or a torch.nn.Module; received {model!r} ({type(model).__name__}).")
    found = _found(model, weights)
    model = model if found is None else found.model
    usual, usual_classes = models.default_input(model)
    if found is not None:
        usual, usual_classes = (found.arguments["channels"], *found.arguments["size"]), found.arguments["classes"]
    shape = (usual[0] if channels is None else channels, *(usual[1:] if size is None else size_of(size)))
    sketch = models.build_sketch(
        model, classes=usual_classes if classes is None else classes, channels=shape[0], size=shape[1:]
    )
    layers = tracing.without_weight_sharing(sketch, shape) if unshared else ()
    return Summary(model, tracing.describe(sketch, shape), layers, found)


def _found(model: str, weights: str | Path | None) -> Pretrained | None:
    """Return the description of pretrained weights, without the tensors; None for a model of the zoo without any."""
    from striate.models import MODELS
    from striate.models.weights import is_published, pretrained

    if weights is None and (model in MODELS or not is_published(model)):
        return None
    found = pretrained(model) if weights is None else pretrained(weights, model)
    return replace(found, state={})


def _of_module(
    module: Module, size: str | Size | None, channels: int | None, classes: int | None, *, unshared: bool
) -> Summary:
    """Summarise a module: its classes are its own, and its input is that of its card, if it has one."""
    from striate import models, tracing

    if classes is not None:
        raise ModelError("The number of classes of a module is fixed: leave classes out.")
    card = getattr(module, "card", None)
    usual = card.input if isinstance(card, models.ModelCard) else None
    if size is None and usual is None:
        raise ModelError("Give the size of the images that the module takes, as in size=224 or size=(48, 64).")
    sides = usual[1:] if size is None and usual is not None else size_of(size)
    shape = ((usual[0] if usual else 3) if channels is None else channels, *sides)
    layers = tracing.without_weight_sharing(module, shape) if unshared else ()
    return Summary(type(module).__name__, tracing.describe(module, shape), layers)
