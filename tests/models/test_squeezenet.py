"""SqueezeNet against table 1 of its paper: the size of each map, the parameters of each layer."""

from __future__ import annotations

from torch import nn

from striate.models import meta_model
from striate.tracing import describe

_TABLE_1 = {
    "conv1": (111, 96, 14_208),
    "fire2": (55, 128, 11_920),
    "fire3": (55, 128, 12_432),
    "fire4": (55, 256, 45_344),
    "fire5": (27, 256, 49_440),
    "fire6": (27, 384, 104_880),
    "fire7": (27, 384, 111_024),
    "fire8": (27, 512, 188_992),
    "fire9": (13, 512, 197_184),
    "conv10": (13, 1000, 513_000),
}


def test_its_layers_are_those_of_table_1_on_227_pixels() -> None:
    network = meta_model("squeezenet1_0", classes=1000, size=(227, 227))
    description = describe(network, (3, 227, 227))
    for name, (side, channels, parameters) in _TABLE_1.items():
        path = name if name == "conv10" else f"features.{name}"
        shape = description.row(f"{path}.join" if "fire" in name else path).output_shape
        assert shape == (channels, side, side), name
        assert _count(network.get_submodule(path)) == parameters, name
    assert _count(network) == 1_248_424


def test_version_1_1_computes_2_4_times_less() -> None:
    first, second = (
        describe(meta_model(name, classes=1000, size=(224, 224)), (3, 224, 224)).totals
        for name in ("squeezenet1_0", "squeezenet1_1")
    )
    assert 2.3 < first.macs / second.macs < 2.5
    assert second.parameters < first.parameters


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
