"""SE-Inception, which no other library has, compared with its table worked through by plain functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.models import create_model, meta_model
from striate.tracing import describe

# Ioffe and Szegedy's figure 5, as the authors' SE-BN-Inception.prototxt has it: 1×1, 3×3 reduce, 3×3, double 3×3
# reduce, double 3×3, pool and its projection. Without a 1×1 the module halves the size.
TABLE = {
    "3a": (64, 64, 64, 64, 96, "mean", 32),
    "3b": (64, 64, 96, 64, 96, "mean", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "mean", 128),
    "4b": (192, 96, 128, 96, 128, "mean", 128),
    "4c": (160, 128, 160, 128, 160, "mean", 128),
    "4d": (96, 128, 192, 160, 192, "mean", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "mean", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


def _counted() -> int:
    """Every convolution without a bias and with a norm's two numbers a channel; gates and classifier with biases."""

    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + 2 * outputs

    total, inputs = conv(3, 64, 7) + conv(64, 64, 1) + conv(64, 192, 3), 192
    for direct, reduce3, three, reduce_double, double, _, pooled in TABLE.values():
        total += conv(inputs, reduce3, 1) + conv(reduce3, three, 3)
        total += conv(inputs, reduce_double, 1) + conv(reduce_double, double, 3) + conv(double, double, 3)
        total += conv(inputs, direct, 1) + conv(inputs, pooled, 1) if direct else 0
        inputs = direct + three + double + (pooled or inputs)
        total += inputs * (inputs // 16) * 2 + inputs // 16 + inputs
    return total + inputs * 1000 + 1000


def test_se_inceptions_parameters_are_those_of_its_table() -> None:
    network = meta_model("se_inception", classes=1000, size=(224, 224))
    totals = describe(network, (3, 224, 224)).totals
    assert totals.parameters == _counted()
    # The authors' file has 46 M bytes: with the running statistics, four bytes each.
    assert round(4 * sum(value.numel() for value in network.state_dict().values()) / 2**20) == 46


def test_se_inception_computes_what_its_table_says() -> None:
    network = create_model("se_inception", classes=4, size=(64, 64), seed=0).double().eval()
    weights = dict(network.named_parameters())

    def conv(x: Tensor, path: str, number: int, stride: int = 1) -> Tensor:
        weight = weights[f"{path}.conv{number}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return F.relu(x / (1 + 1e-5) ** 0.5)  # an untrained norm

    def gated(x: Tensor, path: str) -> Tensor:
        squeezed = x.mean((2, 3))
        for layer in ("reduce", "expand"):
            weight, bias = weights[f"{path}.{layer}.weight"], weights[f"{path}.{layer}.bias"]
            squeezed = squeezed @ weight.flatten(1).T + bias
            squeezed = F.relu(squeezed) if layer == "reduce" else torch.sigmoid(squeezed)
        return x * squeezed[:, :, None, None]

    def module(x: Tensor, name: str) -> Tensor:
        direct, pool = TABLE[name][0], TABLE[name][5]
        path = f"inception.{'inception' if direct else 'reduction'}{name}"
        stride = 1 if direct else 2
        branches = [conv(x, f"{path}.direct", 1)] if direct else []
        branches.append(conv(conv(x, f"{path}.three", 1), f"{path}.three", 2, stride))
        double = conv(conv(x, f"{path}.twice", 1), f"{path}.twice", 2)
        branches.append(conv(double, f"{path}.twice", 3, stride))
        if not direct:  # Caffe's pooling: not padded, the last window may hang over the border
            branches.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        else:
            pooled = F.avg_pool2d(x, 3, 1, 1) if pool == "mean" else F.max_pool2d(x, 3, 1, 1)
            branches.append(conv(pooled, f"{path}.pooled", 1))
        return gated(torch.cat(branches, 1), f"{path}.excitation")

    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = F.max_pool2d(conv(pictures, "stem", 1, 2), 3, 2, ceil_mode=True)
    x = F.max_pool2d(conv(conv(x, "stage1", 1), "stage1", 2), 3, 2, ceil_mode=True)
    for name in TABLE:
        x = module(x, name)
    expected = x.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    torch.testing.assert_close(network(pictures), expected, rtol=1e-10, atol=1e-10)


def test_se_inception_takes_maps_of_odd_size() -> None:
    network = meta_model("se_inception", classes=4, size=(75, 75))  # 10×10, 5×5 and 3×3 behind the reductions
    assert network(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 4)
