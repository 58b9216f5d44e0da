"""What a fully connected head costs beside global average pooling, on VGG's sixteen layers.

    python examples/cost_of_a_head.py

VGG-16 ends in 512 maps of 7×7. Laid out in a row they are 25,088 numbers, and the first fully connected layer has 4096
weights for each. Averaged, as Lin, Chen and Yan proposed (Network in Network, ICLR 2014, arXiv:1312.4400, section 3.2),
they are 512 numbers, and an image may have any size. Both networks are written down here, layer by layer.
"""

from __future__ import annotations

from striate.models import create_model, meta_model
from striate.tracing import describe

FEATURES = (
    "(conv3-64 relu)*2 pool2 (conv3-128 relu)*2 pool2 (conv3-256 relu)*3 pool2 "
    "(conv3-512 relu)*3 pool2 (conv3-512 relu)*3 pool2"
)
HEADS = {
    "fully connected": "fc4096 relu dropout.5 fc4096 relu dropout.5 FC-K",
    "global average": "gap FC-K",
}


def main() -> None:
    shape = (3, 224, 224)
    parameters, operations = {}, {}
    print("head              of the head       of all    of the head          of all")
    print("                        parameters                multiply-accumulates")
    for name, head in HEADS.items():
        description = describe(meta_model(f"{FEATURES} {head}", classes=1000, size=shape[1:]), shape)
        rows = [row for row in description.rows if row.kind == "Linear"]
        parameters[name] = sum(row.parameters for row in rows)
        operations[name] = sum(row.macs for row in rows)
        totals = description.totals
        print(f"{name:16} {parameters[name]:>12,} {totals.parameters:>12,} {operations[name]:>14,} {totals.macs:>15,}")

    assert parameters["fully connected"] == 25_088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    assert parameters["global average"] == 512 * 1000 + 1000
    saved = parameters["fully connected"] - parameters["global average"]
    whole = meta_model("vgg16", classes=1000, size=shape[1:]).card.parameters
    assert whole == 138_357_544
    print(f"\nOf VGG-16's {whole:,} parameters averaging saves {saved:,}: {saved / whole:.0%}.")
    fewer = operations["fully connected"] - operations["global average"]
    print(f"Of the operations it saves {fewer / (fewer + operations['global average']):.1%} of the head's alone,")
    print("which are few: a weight of a fully connected layer is used once, one of a convolution at each place.")

    # And the size of the image is free: the averaged network takes what the other, built for 224×224, cannot.
    small = f"conv3-8 relu pool2 {HEADS['global average']}"
    first = create_model(small, classes=10, size=(32, 32), seed=0).state_dict()
    create_model(small, classes=10, size=(64, 48)).load_state_dict(first)
    laid_out = f"conv3-8 relu pool2 {HEADS['fully connected']}"
    heads = [meta_model(laid_out, classes=10, size=size).state_dict()["fc2.weight"] for size in ((32, 32), (64, 48))]
    assert heads[0].shape != heads[1].shape


if __name__ == "__main__":
    main()
