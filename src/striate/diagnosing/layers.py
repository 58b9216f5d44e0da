"""The health of layers: what is measured of each, and the rules that name a fault."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from striate.diagnosing import thresholds
from striate.diagnosing.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class LayerHealth:
    """Health of one layer with weights on one batch.

    `name` is the path of the layer, `units` the number of its channels. `mean` and `std` are those of its outputs,
    before `activation`, the function that follows (None where there is none). `dead` is the share of units through
    which no image of the batch passes a gradient, `saturated` the share of outputs at the flat ends of a bounded
    function; None where they do not apply.
    `signal` is the norm of the gradient of the loss with respect to the outputs; None where none can reach them: if
    the layer runs under `torch.no_grad`, its output is detached, or the loss does not use it. `gradient` is the norm of
    that with respect to the weights, `weight` the norm of the weights, and `update` the norm of their last change
    relative to `weight`.
    """

    name: str
    units: int
    mean: float
    std: float
    activation: str | None = None
    dead: float | None = None
    saturated: float | None = None
    signal: float | None
    gradient: float
    weight: float
    update: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement of the layers after `step` steps, at `epoch`; `rate` is the learning rate of the last step.

    `diverged` is true where the training ended because its loss was not finite; there are no layers then. `failure` is
    the reason why the layers could not be measured.
    """

    step: int
    epoch: float
    rate: float
    layers: tuple[LayerHealth, ...] = ()
    diverged: bool = False
    failure: str | None = None

    @property
    def update(self) -> float | None:
        """Median of the layers' update-to-weight ratios; None where no update was observed."""
        known = [layer.update for layer in self.layers if layer.update is not None and math.isfinite(layer.update)]
        return statistics.median(known) if known else None

    @property
    def signals(self) -> tuple[tuple[str, float], ...]:
        """Name of each layer that a gradient can reach, and the gradient there."""
        return tuple((layer.name, layer.signal) for layer in self.layers if layer.signal is not None)

    @property
    def decay(self) -> float | None:
        """Gradient at the first layer that it can reach relative to that at the last; None if nothing is left."""
        signals = [signal for _, signal in self.signals]
        return signals[0] / signals[-1] if len(signals) > 1 and signals[-1] else None


def judge_activations(layers: Sequence[LayerHealth], *, sound_at_start: bool | None = None) -> Verdict:
    """Name dead units and saturated functions; `sound_at_start` is true if there were none before the training."""
    dead, saturated, stuck = (
        f"{100 * share:g} %" for share in (thresholds.DEAD, thresholds.SATURATED, thresholds.STUCK)
    )
    rule = (
        f"dead: at least {dead} of the units of a layer pass no gradient for any image of the batch; saturated: at "
        f"least {saturated} of the outputs of half of the layers with a bounded function, or {stuck} of one, are at "
        "its flat ends"
    )
    if not any(layer.activation for layer in layers):
        return Verdict("activations", "not measured", rule, "the network has no activation function that is known")
    bounded = [(layer.saturated, layer) for layer in layers if layer.saturated is not None]
    shares = sorted(share for share, _ in bounded)
    if shares and (statistics.median_high(shares) >= thresholds.SATURATED or shares[-1] >= thresholds.STUCK):
        worst = max(bounded, key=lambda pair: pair[0])[1]
        evidence = (
            f"{100 * shares[-1]:.0f} % of the outputs of {worst.name} are at the flat ends of its {worst.activation}"
        )
        remedy = f"Replace {worst.activation} by relu, or normalize its input: batch norm, or smaller weights."
        return Verdict("activations", "saturated", rule, evidence, remedy)
    known = [(layer.dead, layer) for layer in layers if layer.dead is not None]
    dying = [(dead, layer) for dead, layer in known if dead >= thresholds.DEAD and dead * layer.units >= _FEWEST]
    if dying:
        share, worst = max(dying, key=lambda pair: pair[0])
        others = f" and of {len(dying) - 1} more" if len(dying) > 1 else ""
        evidence = f"{100 * share:.0f} % of the {worst.units} units of {worst.name}{others} pass no gradient"
        remedy = _STILLBORN if sound_at_start is False else _DIED
        return Verdict("activations", "dead", rule, evidence, remedy)
    said = [_at_most(max(dead for dead, _ in known), "units", "dead")] if known else []
    said += [_at_most(shares[-1], "outputs", "saturated")] if shares else []
    return Verdict("activations", "healthy", rule, " and ".join(said))


def _at_most(share: float, of_a_layer: str, state: str) -> str:
    if not share:
        return f"no {of_a_layer.removesuffix('s')} is {state}"
    return f"at most {100 * share:.0f} % of a layer's {of_a_layer} are {state}"


def judge_gradients(measurement: Measurement) -> Verdict:
    """Name gradients that vanish or explode on their way to the first layer."""
    low, high = thresholds.VANISHING, thresholds.EXPLODING
    rule = (
        f"vanishing: the gradient at the first layer is below {low:g} of that at the last; exploding: it is above "
        f"{high:g} times"
    )
    layers, signals, decay = measurement.layers, measurement.signals, measurement.decay
    broken = next((each for each in layers if not all(map(math.isfinite, (each.std, each.signal or 0.0)))), None)
    if broken is not None:
        evidence = f"the outputs of {broken.name} or their gradient are not finite"
        return Verdict("gradients", "exploding", rule, evidence, _EXPLODING)
    frozen = len(layers) - len(signals)
    aside = f"; no gradient can reach {frozen} of {len(layers)} layers, which are left out" if frozen else ""
    if decay is None:
        why = (
            "a gradient has no way to go in a single layer" if len(signals) < 2 else "the loss has no gradient any more"
        )
        return Verdict("gradients", "not measured", rule, why + aside)
    evidence = f"the gradient at {signals[0][0]} is {decay:.2g} times that at {signals[-1][0]}{aside}"
    if decay < low:
        return Verdict("gradients", "vanishing", rule, evidence, _VANISHING)
    if decay > high:
        return Verdict("gradients", "exploding", rule, evidence, _EXPLODING)
    return Verdict("gradients", "healthy", rule, evidence)


_FEWEST = 4  # dead units: in a layer of a few, one may be half of them
_STILLBORN = (
    "Initialize the biases with 0 and the weights for the activation function (He for relu), or use a leaky ReLU "
    "(leakyrelu)."
)
_DIED = (
    "Lower the learning rate, or warm it up: steps that are too large kill units. A leaky ReLU (leakyrelu) cannot die."
)
_VANISHING = (
    "Initialize the weights for the activation function (He for relu, Glorot for tanh), or add batch norms or residual "
    "connections; sigmoid and tanh shrink a gradient at each layer."
)
_EXPLODING = "Initialize with smaller weights (He for relu), add batch norms, or set optimizer.clip_norm=1."
