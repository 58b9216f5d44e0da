"""Write the page about the zoo from the models' cards, with a drawing of each family's block and a chart of accuracy.

    python docs/zoo_page.py [--count]

With `--count`, the parameters, MACs and depth of every model are counted first and written to its card, in
`src/striate/models/cards/`; all other fields stay. A new model is registered in its family's file and gets a card with
the title and authors of its paper, its input and classes; the counts are then added by this command.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from drawings import drawing
from tradeoff import Point, tradeoff

from striate.models import MODELS, ModelCard, Published, list_models, meta_model
from striate.models._zoo import card_table
from striate.plot import figure_svg
from striate.tracing import describe, graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path(__file__).parent / "reference" / "zoo.md"
IMAGES = Path(__file__).parent / "images" / "zoo"

# The fields of a card, as they are written.
_ORDER = ("title", "authors", "year", "paper", "input", "classes", "parameters", "macs", "depth")
_ORDER += ("notes", "initial", "published")

# What is drawn of each family: a model, and the path of a block in it; an empty path is the whole network.
BLOCKS = {
    "alexnet": ("alexnet", ""),
    "alexnet_2012": ("alexnet_2012", ""),
    "all_cnn": ("all_cnn_c", ""),
    "cifar10_maxnorm": ("cifar10_maxnorm", ""),
    "convnext": ("convnext_tiny", "stages.stage1.block1"),
    "deep_mnist": ("deep_mnist", ""),
    "densenet": ("densenet121", "blocks.block1.layer2"),
    "digit_net": ("digit_net", ""),
    "dogs_and_cats": ("dogs_and_cats", ""),
    "mnist_cnn": ("mnist_cnn", ""),
    "efficientnet": ("efficientnet_b0", "stages.stage2.block2"),
    "efficientnet_lite": ("efficientnet_lite0", "stages.stage2.block2"),
    "efficientnet_v2": ("efficientnet_v2_b0", "stages.stage2.block2"),
    "googlenet": ("googlenet", "features.inception3a"),
    "highway": ("highway11", "features.highway2"),
    "identity_mappings": ("resnet110_exclusive_gates", "stage1.block1"),
    "inception_resnet": ("inception_resnet_v2", "stage3.0"),
    "inception_v2": ("inception_v2", "features.inception3a"),
    "inception_v3": ("inception_v3", "early.a1"),
    "inception_v4": ("inception_v4", "stage4.0"),
    "lenet5": ("lenet5", ""),
    "lenet5_1998": ("lenet5_1998", ""),
    "linear": ("linear", ""),
    "mlp": ("mlp", ""),
    "mobilenet_v1": ("mobilenet_v1", "stages.stage2.block2"),
    "mobilenet_v2": ("mobilenet_v2", "stages.stage2.block2"),
    "nasnet": ("nasnet_mobile", "cells.cell2"),
    "nin": ("nin", ""),
    "plain": ("plain20", "stage1.block1"),
    "resnet": ("resnet50", "stage2.block2"),
    "resnet_cifar": ("resnet20", "stage2.block1"),
    "resnet_d": ("resnet50d", "stage2.block1"),
    "resnet_rs": ("resnet_rs50", "stage2.block1"),
    "resnet_v2": ("resnet50_v2", "stage2.block2"),
    "resnext": ("resnext50_32x4d", "stage2.block2"),
    "se_inception": ("se_inception", "inception.inception3a"),
    "senet": ("se_resnet50", "stages.stage2.block2"),
    "squeezenet": ("squeezenet1_0", "features.fire2"),
    "stochastic_depth": ("resnet110_stochastic_depth", "stage1.block2"),
    "tiny_vgg": ("tiny_vgg", ""),
    "vgg": ("vgg11", ""),
    "wide_resnet": ("wide_resnet28_10", "stage1.block2"),
    "xception": ("xception", "entry.block2"),
    "zfnet": ("zfnet", ""),
}

_HEAD = """\
# The zoo

Written by `python docs/zoo_page.py` from the models' cards. Parameters, multiply-accumulates (MACs) and depth are
counted on the built network for the input that is named, and compared with these cards in the tests; accuracies are
as their sources print them, with the way in which they were measured. The same from the command line: `striate
list-models`, `striate summary NAME`. The checks of each model, and the libraries that it is compared with:
[the table of `make zoo`](../../results/zoo.md).

![Accuracy on ImageNet against multiply-accumulates](../images/zoo/tradeoff.svg)

Each point is a published accuracy of a single network, one crop of each image of ImageNet's validation set; its
multiply-accumulates are counted for the size of that crop, and the area of its disc is the number of parameters. Sizes
and training differ (see each section): a newer point may be higher because it was trained longer.
"""


def families() -> dict[str, list[ModelCard]]:
    """The cards of each family, oldest family first."""
    found = defaultdict(list)
    for card in list_models():
        found[card.family].append(card)
    return dict(sorted(found.items(), key=lambda item: (min(card.year for card in item[1]), item[0])))


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *(_section(family, cards) for family, cards in families().items())])


def _section(family: str, cards: list[ModelCard]) -> str:
    papers = {(card.authors, card.title, card.year, card.paper): None for card in cards}
    told = [f"{authors}, [{title}]({address}), {year}." for authors, title, year, address in papers]
    model, block = BLOCKS[family]
    part = f"`{block}` of `{model}`" if block else f"`{model}`"
    lines = [
        f"## {family}\n",
        _about(cards[0]) + "\n",
        *(line + "\n" for line in told),
        f"![{part.replace('`', '')}](../images/zoo/{family}.svg)\n",
        f"*{part}*\n",
        *_table(cards),
        "",
        *(f"- `{card.name}`: {note}" for card in cards for note in (card.notes, card.initial) if note),
    ]
    return "\n".join(lines) + "\n"


def _about(card: ModelCard) -> str:
    """Return the first line of the family's file."""
    module = importlib.import_module(f"striate.models.families.{card.family}")
    return (inspect.getdoc(module) or "").splitlines()[0]


def _table(cards: list[ModelCard]) -> Iterator[str]:
    yield "| model | input | parameters | MACs | depth | top-1 | top-5 | as published |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for card in cards:
        size = "×".join(map(str, card.input))
        counted = f"| `{card.name}` | {size} | {card.parameters:,} | {card.macs:,} | {card.depth} |"
        rows = [row for row in card.published if row.top1 is not None or row.top5 is not None]
        for number, row in enumerate(rows or [None]):
            yield (counted if number == 0 else "| | | | | |") + _published(row)


def _published(row: Published | None) -> str:
    if row is None:
        return " – | – | – |"
    top1, top5 = (f"{value:.2f} %" if value is not None else "–" for value in (row.top1, row.top5))
    source = f"[source]({row.source})" if row.source.startswith("https://") else row.source
    return f" {top1} | {top5} | {'; '.join(filter(None, (row.data, row.protocol, source)))} |"


def chart() -> Figure:
    """Published accuracy against multiply-accumulates and parameters, the members of a family joined."""
    points = []
    for family, cards in families().items():
        for card in cards:
            row = next(filter(_comparable, card.published), None)
            if row is not None and row.top1 is not None:
                points.append(Point(card.name, family, _macs(card, _side(card, row)), row.top1, card.parameters))
    return tradeoff(points)


def _comparable(row: Published) -> bool:
    """Whether the accuracy is of one network and one crop: several crops cost as many forward passes."""
    single = re.search(r"ensemble|[1-9]\d+ crops|dense", row.protocol) is None
    return row.top1 is not None and row.data.startswith("ImageNet") and "validation" in row.data and single


def _side(card: ModelCard, row: Published) -> int:
    """The side of the crop that the source used: the card's, where its protocol names no other."""
    named = re.search(r"(\d+)×\1|crop of (\d+)", row.protocol)
    return int(named[1] or named[2]) if named else card.input[1]


def _macs(card: ModelCard, side: int) -> int:
    if side == card.input[1]:
        return card.macs
    network = meta_model(card.name, classes=card.classes, channels=card.input[0], size=(side, side))
    return describe(network, (card.input[0], side, side)).totals.macs


def _drawn(family: str) -> Figure:
    name, block = BLOCKS[family]
    card = MODELS[name].card
    network = meta_model(name, classes=card.classes, channels=card.input[0], size=card.input[1:])
    return drawing(graph(network, card.input, within=block))


def write() -> None:
    """The page and its images."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for family in families():
        (IMAGES / f"{family}.svg").write_bytes(figure_svg(_drawn(family)))
    (IMAGES / "tradeoff.svg").write_bytes(figure_svg(chart()))
    PAGE.write_text(page(), encoding="utf-8")


def count(names: Iterable[str]) -> None:
    """Count every model of the families `names` and write the counts to its card."""
    for family in names:
        table = json.loads(card_table(family).read_text(encoding="utf-8"))
        for name, card in table["models"].items():
            card |= counted(name, table["common"] | card)
        card_table(family).write_text(card_text(table), encoding="utf-8")


def counted(name: str, card: Mapping[str, Any]) -> dict[str, int]:
    """Return the parameters, MACs and depth of the model `name` for the card's input and classes."""
    entry, (channels, *size) = MODELS[name], card["input"]
    with torch.device("meta"):
        network = entry.assemble(channels=channels, size=tuple(size), classes=card["classes"])
    totals = describe(network, (channels, *size)).totals
    return {"parameters": totals.parameters, "macs": totals.macs, "depth": totals.depth}


def card_text(table: Mapping[str, Any]) -> str:
    """Return a family's cards as JSON, with a line for each field and each published row."""
    models = [f"    {_json(name)}: {{\n{_fields(card, ' ' * 6)}\n    }}" for name, card in table["models"].items()]
    common = _fields(table["common"], " " * 4)
    return '{\n  "common": {\n' + common + '\n  },\n  "models": {\n' + ",\n".join(models) + "\n  }\n}\n"


def _fields(card: Mapping[str, Any], indent: str) -> str:
    ordered = sorted(card.items(), key=lambda item: _ORDER.index(item[0]))
    return ",\n".join(f"{indent}{_json(name)}: {_value(name, value, indent)}" for name, value in ordered)


def _value(name: str, value: Any, indent: str) -> str:
    if name != "published":
        return _json(value)
    rows = ",\n".join(f"{indent}  {_json(row)}" for row in value)
    return f"[\n{rows}\n{indent}]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="count the models first, and write their cards")
    if parser.parse_args().count:
        count({entry.family for entry in MODELS.values()})
    write()
