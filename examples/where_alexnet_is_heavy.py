"""Where AlexNet is heavy: its fully connected layers hold the parameters, its convolutions do the work.

    python examples/where_alexnet_is_heavy.py

Krizhevsky, Sutskever and Hinton 2012, the two-column network on 227×227 images. Each layer's share is worked out by
hand from its shape and compared with what `describe` counts. Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", 2014, arXiv:1404.5997, builds on it: convolutions have about 90 to 95 % of the work and
about 5 % of the parameters, so that the first are best shared out by images, the second by units.
"""

from __future__ import annotations

from striate.models import meta_model
from striate.tracing import describe

# Each layer as: the inputs of one output (kernel area × channels of its column), outputs at one place, places.
LAYERS = {
    "conv1": (11 * 11 * 3, 96, 55 * 55),
    "conv2": (5 * 5 * 48, 256, 27 * 27),
    "conv3": (3 * 3 * 256, 384, 13 * 13),
    "conv4": (3 * 3 * 192, 384, 13 * 13),
    "conv5": (3 * 3 * 192, 256, 13 * 13),
    "fc6": (6 * 6 * 256, 4096, 1),
    "fc7": (4096, 4096, 1),
    "fc8": (4096, 1000, 1),
}


def main() -> None:
    description = describe(meta_model("alexnet_2012", classes=1000, size=(227, 227)), (3, 227, 227))
    counted = {row.path.rpartition(".")[2]: (row.parameters, row.macs) for row in description.rows if row.parameters}
    totals = description.totals
    print("layer   parameters            multiply-accumulates")
    for name, (inputs, outputs, places) in LAYERS.items():
        parameters, macs = (inputs + 1) * outputs, inputs * outputs * places
        assert counted[name] == (parameters, macs), name
        print(
            f"{name:6} {parameters:>11,} {parameters / totals.parameters:>6.1%}   "
            f"{macs:>12,} {macs / totals.macs:>6.1%}"
        )
    assert set(counted) == set(LAYERS)

    most_parameters = max(counted, key=lambda name: counted[name][0])
    most_work = max(counted, key=lambda name: counted[name][1])
    assert (most_parameters, most_work) == ("fc6", "conv2")
    convolutions = [counted[name] for name in LAYERS if name.startswith("conv")]
    held = sum(parameters for parameters, _ in convolutions) / totals.parameters
    done = sum(macs for _, macs in convolutions) / totals.macs
    assert held < 0.05
    assert done > 0.9
    print(f"\n{most_parameters} holds most parameters, {most_work} has most operations.")
    print(f"The convolutions do {done:.0%} of the work with {held:.0%} of the parameters.")


if __name__ == "__main__":
    main()
