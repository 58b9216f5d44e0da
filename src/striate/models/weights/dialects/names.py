"""Rename tensors by ordered rules, given as data.

A rule is a regular expression and its replacement, applied to each name in turn. In a replacement `<1>` is the first
group, `<1-1>` that number less one, `<#>` the number of the match among all different matches, from 0, and `<i>` the
position of the matched module among its siblings:

    (r"^stage(\\d+)\\.block(\\d+)", "layer<1>.<2-1>")     stage2.block1.conv1 → layer2.0.conv1
    (r"^stages\\.\\w+\\.\\w+", "block<#>")                  stages.stage2.block1 → block1 (the second block of all)
    (r"^features\\.\\w+", "features.<i>")                  features.conv1_2 → features.2
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from striate.core.registry import natural_key

Rule = tuple[str, str]

_TOKEN = re.compile(r"<(\d|#|i)([+-]\d+)?>")


def rename(names: Mapping[str, str], rules: Iterable[Rule], network: nn.Module | None = None) -> dict[str, str]:
    """Apply the rules to the values of `names`.

    Those of a `network` are numbered in its order, those of a file in natural order: many files sort them.
    """
    renamed = dict(names)
    for pattern, replacement in rules:
        numbers: dict[str, int] = {}
        compiled = re.compile(pattern)

        def replaced(match: re.Match[str], numbers: dict[str, int] = numbers, template: str = replacement) -> str:
            def filled(token: re.Match[str]) -> str:
                kind, offset = token[1], int(token[2] or 0)
                if kind == "#":
                    return str(numbers.setdefault(match[0], len(numbers)) + offset)
                if kind == "i":
                    return str(_position(network, match[0]) + offset)
                return str(int(match[int(kind)]) + offset) if token[2] else match[int(kind)] or ""

            return _TOKEN.sub(filled, template)

        if network is None:
            renamed = dict(sorted(renamed.items(), key=lambda item: natural_key(item[1])))
        renamed = {name: compiled.sub(replaced, current) for name, current in renamed.items()}
    return renamed


def _position(network: nn.Module | None, path: str) -> int:
    parent, _, name = path.rpartition(".")
    siblings = {} if network is None else network.get_submodule(parent)._modules
    return list(siblings).index(name)
