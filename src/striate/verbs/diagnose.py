"""Diagnose a training, or the layers of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.arguments import checked
from striate.core.errors import ConfigError, ModelError
from striate.verbs._trained import path_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from striate.diagnosing import History, Judgement, LayerHealth, Measurement, Verdict
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """Verdicts on a training or on a network's layers, each with its rule and its numbers.

    In a notebook the verdicts and a figure of the layers are displayed. `measurements` are those of the layers, made
    during the training; `history` has its curves, and is None for a network.
    """

    name: str
    judgement: Judgement
    measurements: tuple[Measurement, ...]
    history: History | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All verdicts, in the order in which to act on them."""
        return self.judgement.verdicts

    @property
    def faults(self) -> tuple[Verdict, ...]:
        """The verdicts that name a fault."""
        return self.judgement.faults

    @property
    def next(self) -> str:
        """What to try next, in one sentence."""
        return self.judgement.next

    @property
    def layers(self) -> tuple[LayerHealth, ...]:
        """The layers as they were measured last; none where a training was too short to measure them."""
        return next((each.layers for each in reversed(self.measurements) if each.layers), ())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: the verdicts, the next step, and every measurement."""
        return {
            "name": self.name,
            "verdicts": [asdict(verdict) | {"fault": verdict.fault} for verdict in self.verdicts],
            "next": self.next,
            "measurements": [asdict(each) for each in self.measurements],
        }

    def __repr__(self) -> str:
        return f"Diagnosis({self.name}: {self.judgement})"

    def _repr_html_(self) -> str:
        from striate.core.notebook import table
        from striate.reporting.sections.health import layers_figure

        rows = [(each.subject, each.outcome, each.evidence) for each in self.verdicts]
        drawn = layers_figure(self.measurements, self.history)
        return table(("", "verdict", "because"), rows, left=3, title=self.name, note=f"Next: {self.next}") + (
            drawn or ""
        )


@checked
def diagnose(
    run: str | Path | Run | Module,
    /,
    *,
    images: Tensor | None = None,
    targets: Tensor | None = None,
    loss: Callable[..., Any] | None = None,
) -> Diagnosis:
    """Diagnose a training: its fit, its learning rate, its activations and its gradients, and what to try next.

    Each verdict states its rule and the numbers that it rests on. Layers were measured while the run trained, on 32
    images. The run may have failed, or still be training. In Python this also takes any network with a batch, and
    measures its layers; the network is left as found.

    Example:
        striate.diagnose("runs/photos").next

    Args:
        run: the run's folder; in Python also any module.
        images: images for a module, prepared as it takes them.
        targets: their targets, in the form that `loss` takes.
        loss: the loss of the module's outputs and the targets; by default cross-entropy.

    Raises:
        RunError: there is no such run, or it is damaged.
        ConfigError: a module has no images or no targets, or images that are not finite, or a run has some, or fits a
            linear classifier on features.
        ModelError: the module has no layer with weights, or it or its loss fails on the batch.
    """
    from torch import nn

    from striate.runs.diagnosis import diagnose_run
    from striate.runs.folder import open_run

    if isinstance(run, nn.Module):
        return _of_module(run, images, targets, loss)
    if images is not None or targets is not None or loss is not None:
        raise ConfigError("images, targets and loss belong to a module; a run was measured on its own. Leave them out.")
    opened = open_run(path_of(run))
    found = diagnose_run(opened)
    return Diagnosis(opened.name, found.judgement, found.measurements, found.history)


def _of_module(model: Module, images: Any, targets: Any, loss: Callable[..., Any] | None) -> Diagnosis:
    import torch
    import torch.nn.functional as F

    from striate.diagnosing import Measurement, judge_layers, layer_health

    if images is None or targets is None:
        raise ConfigError("A module is measured on a batch: give images and targets.")
    if not len(images) or not torch.isfinite(images).all():
        raise ConfigError("A module is measured on at least one image, all of finite values.")
    criterion = loss or F.cross_entropy
    try:
        layers = layer_health(model, lambda network: criterion(network(images), targets))
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"The module or its loss fails on these images and targets: {error}.") from error
    measured = Measurement(step=0, epoch=0.0, rate=0.0, layers=layers)
    return Diagnosis(type(model).__name__, judge_layers(measured), (measured,))
