"""Dialects: the names, layouts and conventions of weights from other libraries, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from striate.core.errors import ModelError
from striate.core.registry import Registry
from striate.models._zoo import Network
from striate.models.weights.dialects.caffe import CAFFE
from striate.models.weights.dialects.dialect import Dialect as Dialect
from striate.models.weights.dialects.dialect import Rules
from striate.models.weights.dialects.idelbayev import IDELBAYEV
from striate.models.weights.dialects.keras import KERAS
from striate.models.weights.dialects.lukemelas import LUKEMELAS
from striate.models.weights.dialects.tflite import TFLITE
from striate.models.weights.dialects.timm import TENSORFLOW, TIMM
from striate.models.weights.dialects.torchvision import TORCHVISION

STRIATE = Dialect("striate", "Striate", {".*": Rules()})

# Of dialects with the same names for a network, the first is the older one.
_DIALECTS = (STRIATE, TORCHVISION, TIMM, TENSORFLOW, KERAS, CAFFE, TFLITE, LUKEMELAS, IDELBAYEV)
DIALECTS: Registry[Dialect] = Registry("dialect", ModelError)
for _dialect in _DIALECTS:
    DIALECTS.add(_dialect.name, _dialect)


def recognise(tensors: Mapping[str, Tensor], network: Network, *, source: str = "") -> Dialect:
    """Return the dialect in which every tensor of a file has its place in `network`.

    `source` is the name of the file or of the architecture in the library. It decides between dialects with the same
    names for networks that compute different functions.

    Raises:
        ModelError: no dialect fits (the error is that of the nearest one), or several do.
    """
    known = [(dialect, rules) for dialect in _DIALECTS if (rules := dialect.rules(network)) is not None]
    fits = [dialect.fit(tensors, network) for dialect, _ in known]
    complete = [pair for pair, fit in zip(known, fits, strict=True) if fit.complete]
    if not complete:
        _, (nearest, _) = max(zip(fits, known, strict=True), key=lambda pair: len(pair[0].placed))
        nearest.convert(tensors, network)  # raises the error that says what does not fit
    if len({(rules.epsilon, rules.padding) for _, rules in complete}) > 1:
        named = [pair for pair in complete if pair[1].source and re.search(pair[1].source, source)]
        complete = named or [pair for pair in complete if not pair[1].source]
    return complete[0][0]
