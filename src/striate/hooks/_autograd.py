"""Read autograd's graph: which operation made a node, and what it does to the gradient.

Autograd records each operation as it ran, whoever called it and however it was spelled: `nn.ReLU`, `F.relu_`,
`torch.relu` and the ReLU inside a recurrent cell all leave a `ReluBackward0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from striate.hooks._rules import RewriteError, Rule

Node = Any  # torch.autograd.graph.Node, which not all nodes inherit from
COPY_SLICES = "torch::autograd::CopySlices"

_LEAF = "torch::autograd::AccumulateGrad"

_KIND = re.compile(r"(\w+)Backward\d*")
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLUMBING = {_LEAF: "AccumulateGrad", "torch::autograd::CopyBackwards": "Copy"}

# Rectifiers whose own gradient is g where the unit is active, and 0 elsewhere.
_HINGED = {"Relu": "relu", "Hardtanh": "hardtanh", "Threshold": "threshold"}
# Those that pass a part of g elsewhere too, so that their input must be read.
_SMOOTH = {"LeakyRelu": "leaky_relu", "Elu": "elu", "Silu": "silu", "Gelu": "gelu"}
POOLS = {
    "MaxPool2DWithIndices": "max_pool2d",
    "MaxPool3DWithIndices": "max_pool3d",
    "AdaptiveMaxPool2D": "adaptive_max_pool2d",
    "AdaptiveMaxPool3D": "adaptive_max_pool3d",
}
_LINEAR = re.compile(
    r"AccumulateGrad|Copy|ToCopy|Clone|Alias"
    r"|Add|Sub|Rsub|Neg|Sum|Mean|Cumsum"
    r"|View|UnsafeView|Reshape|ReshapeAlias|AsStrided|Squeeze|Unsqueeze|Expand|Repeat|Permute|Transpose|T|Flip|Roll"
    r"|Cat|Stack|Split|SplitWithSizes|UnsafeSplit|Unbind|Select|Slice|Index|IndexSelect|Gather|Diagonal"
    r"|Im2Col|Col2Im|Unfold|PixelShuffle|PixelUnshuffle|ConstantPadNd|(Reflection|Replication)Pad[123]D"
    r"|(Adaptive)?AvgPool[23]D|Upsample(Nearest|NearestExact|Linear|Bilinear|Bicubic|Trilinear)[123]D"
)
# Linear in each factor: which of a node's inputs are factors.
_PRODUCTS = {
    "Mul": (0, 1),
    "Mm": (0, 1),
    "Bmm": (0, 1),
    "Mv": (0, 1),
    "Dot": (0, 1),
    "Addmm": (1, 2),
    "Baddbmm": (1, 2),
    "Linear": (0, 1),
    "MkldnnLinear": (0, 1),
    "Convolution": (0, 1),
    "CudnnConvolution": (0, 1),
    "MiopenConvolution": (0, 1),
}
_BATCH_NORMS = ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm")


@dataclass(frozen=True)
class Rectified:
    """A rectifier as it ran: its name, the node's input that it rectified, and that input's value, if read."""

    name: str
    edge: int = 0
    given: Tensor | None = None
    ceiling: Tensor | float | int | None = None

    def gradient(self, rule: Rule, arrived: Tensor, plain: Tensor) -> Tensor:
        """Apply the rule: return the gradient for the rectified input.

        `arrived` is the gradient of the output, `plain` the operation's own gradient of the input.
        """
        if not rule.gated:
            passed = rule.backward(arrived, None)
        elif self.given is None:  # hinged: the plain gradient is gated already
            passed = rule.backward(plain, None)
        else:
            active = self.given > 0
            passed = rule.backward(arrived, active if self.ceiling is None else active & (self.given < self.ceiling))
        return passed.sum_to_size(plain.shape).to(plain)


def kind(node: Node) -> str:
    """Return the operation of a node in autograd's spelling, for example "MaxPool2DWithIndices".

    Raises:
        RewriteError: the node's operations are hidden: its backward is custom, scripted or compiled.
    """
    name = node.name()
    if name == "BackwardHookFunctionBackward":  # torch's node for a module's backward hooks: it passes all
        return "Alias"
    if isinstance(node, BackwardCFunction):
        raise RewriteError(_custom(name.removesuffix("Backward")))
    if name in _PLUMBING:
        return _PLUMBING[name]
    match = _KIND.fullmatch(name)
    if match is None:
        what = "a scripted region" if "DifferentiableGraph" in name else f"{name}, an operation from outside torch"
        raise RewriteError(f"The network runs {what}, whose backward cannot be rewritten: use it unscripted.")
    return match[1]


def _custom(name: str) -> str:
    if name == "CompiledFunction":
        return "The network ran as a compiled region, whose backward cannot be rewritten: call it within the block."
    if name == "CheckpointFunction":
        return (
            "The network is checkpointed in the reentrant way, which hides its operations: "
            "call torch.utils.checkpoint with use_reentrant=False."
        )
    return (
        f"The network runs {name}, a custom autograd function, whose backward cannot be rewritten: "
        f"use a network that computes it with operations of torch."
    )


def plain_name(kind: str) -> str:
    """Return the name under which an operation is listed: "NativeGroupNorm" is "group_norm"."""
    return _WORD_BORDER.sub("_", kind.removeprefix("Native").removesuffix("Kernel")).lower()


def rectified(node: Node, kind: str, gated: bool) -> Rectified | None:
    """Return the rectifier that a node is, or None; its input is read only where a gated rule needs it.

    clamp and maximum rectify where their bound is 0. The papers' rules do not cover celu, prelu, rrelu, softplus, mish,
    hardswish and the like, and a ReLU built from other operations cannot be recognised: these are not rectifiers here.
    """
    if kind in _HINGED:
        six = kind == "Hardtanh" and (node._saved_min_val, node._saved_max_val) == (0, 6)
        return Rectified("relu6" if six else _HINGED[kind])
    if kind in _SMOOTH:
        field = "_saved_self" if hasattr(node, "_saved_self") else "_saved_result"  # of the same sign
        return Rectified(_SMOOTH[kind], given=_read(node, field, kind) if gated else None)
    if kind in ("Clamp", "ClampMin"):
        ceiling = _bound(node, "_saved_max", kind) if kind == "Clamp" else None
        if not _zero(_bound(node, "_saved_min", kind)):
            return None
        return Rectified("clamp", given=_read(node, "_saved_self", kind) if gated else None, ceiling=ceiling)
    if kind == "Maximum":
        for edge, given, other in ((0, "_saved_self", "_saved_other"), (1, "_saved_other", "_saved_self")):
            if node.next_functions[1 - edge][0] is None and _zero(_read(node, other, kind)):
                return Rectified("maximum", edge, _read(node, given, kind) if gated else None)
    return None


def linear(node: Node, kind: str, varies: tuple[bool, ...], weights: Set[int]) -> bool:
    """Whether an operation is known to be linear in the image; `varies` marks the inputs that depend on it.

    `weights` are the addresses of the model's parameters and buffers: a map multiplied by any other map does not count
    as linear, because that may be a mask computed from the image.
    """
    if _LINEAR.fullmatch(kind):
        return True
    if kind in _BATCH_NORMS:
        return not node._saved_training
    if kind == "Div" and varies[1:] == (True,):
        return False
    if kind in ("Mul", "Div") and sum(varies) == 1:
        return _scaling(node, varies.index(True), kind, weights)
    return kind in _PRODUCTS and sum(varies[edge] for edge in _PRODUCTS[kind] if edge < len(varies)) < 2


def _scaling(node: Node, edge: int, kind: str, weights: Set[int]) -> bool:
    """Whether the other factor is a number or computed from the model's own weights."""
    others = node.next_functions
    if len(others) > 1 and others[1 - edge][0] is not None:
        return True
    field = "_saved_self" if edge else "_saved_other"
    raw = getattr(node, f"_raw{field}", None)
    if raw is None:
        return True  # a number
    if _packed(raw):
        return False
    factor = getattr(node, field)
    return factor is None or factor.numel() == 1 or factor.untyped_storage().data_ptr() in weights


def _bound(node: Node, field: str, kind: str) -> Any:
    """Return a bound of clamp: a number, a tensor, or None."""
    return _read(node, field, kind) if hasattr(node, f"_raw{field}") else getattr(node, field)


def _zero(bound: Any) -> bool:
    return bound is not None and not (torch.count_nonzero(bound) if isinstance(bound, Tensor) else bound)


def _read(node: Node, field: str, kind: str) -> Tensor | None:
    """Return a tensor that an operation saved for its backward.

    Raises:
        RewriteError: hooks on saved tensors have packed it (checkpointing does), and it can be unpacked only once.
    """
    if _packed(getattr(node, f"_raw{field}")):
        raise RewriteError(
            f"The input of {plain_name(kind)} is needed, and hooks on saved tensors have packed it, as in a "
            f"checkpointed region: switch checkpointing off."
        )
    saved = getattr(node, field)
    return None if saved is None else saved.detach()


def _packed(raw: Any) -> bool:
    return getattr(raw, "unpack_hook", None) is not None


@dataclass(frozen=True)
class Visit:
    """A node, its number in autograd, and which of its inputs depend on a leaf other than a parameter."""

    node: Node
    number: int
    varies: tuple[bool, ...]


def visits(outputs: Iterable[Tensor], parameters: Set[int]) -> list[Visit]:
    """List the nodes that lead to `outputs` and depend on the image, or on any other leaf, oldest first.

    `parameters` are the ids of the leaf tensors that do not count.
    """
    met = _behind(outputs)
    depends = {node: id(node.variable) not in parameters for node in met if node.name() == _LEAF}
    walked: list[Visit] = []
    # Autograd numbers nodes as they are made, so every node comes after those whose results it was given.
    for node in sorted((node for node in met if node not in depends), key=lambda node: node._sequence_nr()):
        varies = tuple(depends.get(before, False) for before, _ in node.next_functions)
        depends[node] = any(varies)
        if depends[node]:
            walked.append(Visit(node, node._sequence_nr(), varies))
    return walked


def _behind(outputs: Iterable[Tensor]) -> set[Node]:
    """Return every node that a backward pass from `outputs` may reach."""
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None]
    met: set[Node] = set(waiting)
    while waiting:
        for before, _ in waiting.pop().next_functions:
            if before is not None and before not in met:
                met.add(before)
                waiting.append(before)
    return met
