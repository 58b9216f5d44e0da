"""The list of the zoo, the list of pretrained weights, and one model layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json, table

if TYPE_CHECKING:
    from striate.models import ModelCard
    from striate.models.weights import Pretrained
    from striate.models.weights.entries import Entry
    from striate.verbs.summary import Summary


def show_models(
    work: Callable[..., list[ModelCard] | list[Entry]],
    *,
    json: Annotated[bool, Parameter(help="print JSON: exact counts, and what the papers print.")] = False,
) -> None:
    """Print a line per model, at the input of its card, within 80 columns: counts to three digits."""
    found = work()

    from striate.models.weights.entries import Entry

    published = [each for each in found if isinstance(each, Entry)]
    if published:
        _show_weights(published, json=json)
        return
    cards = [each for each in found if not isinstance(each, Entry)]
    if json:
        print_json([asdict(card) for card in cards])
        return
    if not cards:
        print("No model matches. All of them: striate list-models")
        return
    rows = [
        [card.name, card.family, card.year, by(card.input), about(card.parameters), about(card.macs)] for card in cards
    ]
    console().print(table(["name", "family", "year", "input", "parameters", "MACs"], rows, left=2, gap=1))


def _show_weights(entries: list[Entry], *, json: bool) -> None:
    """Print a line per set of weights within 80 columns: a star at the default of its model, one side of the input."""
    if json:
        from striate.core.config import to_json

        print_json([to_json(entry) | {"here": entry.find() is not None} for entry in entries])
        return
    rows = [
        [
            entry.name + (" *" if entry.default else ""),
            "" if entry.top1 is None else f"{entry.top1:.1f}",
            by(entry.input.size[: 1 + (entry.input.height != entry.input.width)]),
            entry.licence,
            "yes" if entry.find() else "",
        ]
        for entry in entries
    ]
    columns = ["weights", "top-1", "size", "licence", "here"]
    console().print(table(columns, rows, left=1, gap=1))
    console().print(
        "\nUse one of them by its name, or by that of its network where it has a star:\n"
        "striate predict NAME IMAGES. 'here': it is on this machine."
    )


def show_summary(work: Callable[..., Summary], *, json: Annotated[bool, Parameter(help="print JSON.")] = False) -> None:
    """Print the table of layers with its totals, and notes on what does not fit."""
    summary = work()
    if json:
        print_json(asdict(summary))
        return
    description = summary.description
    rows = [
        [
            row.path or "(network)",
            f"{row.kind} {row.detail}".strip(),
            by(row.output_shape),
            f"{row.parameters:,}",
            f"{row.macs:,}",
            f"{'≤' if row.bound else ''}{by(row.receptive_field)}" if row.receptive_field else "–",
            by(row.stride) if row.stride else "–",
            memory(row.parameter_bytes + row.activation_bytes),
        ]
        for row in description.rows
    ]
    totals = description.totals
    last = ["total", "", "", f"{totals.parameters:,}", f"{totals.macs:,}", "", ""]
    total = [*last, memory(totals.parameter_bytes + totals.activation_bytes)]
    columns = ["layer", "kind", "output", "parameters", "MACs", "sees", "stride", "memory"]
    screen = console()
    screen.print(f"{summary.model} on images of {by(description.input_shape)} (channels × height × width)\n")
    screen.print(table(columns, rows, left=2, total=total, gap=1))
    screen.print(
        "\nMACs are multiply-accumulates for one image; memory is that of parameters and\n"
        "outputs for one image, in float32. 'sees' is the receptive field and 'stride'\n"
        "the step between neighbours, in pixels of the input. With ≤ it may see less."
    )
    if summary.pretrained is not None:
        screen.print("\n" + "\n".join(_facts(summary.pretrained)))
    for note in description.notes:
        screen.print(note)
    if summary.unshared:
        _show_unshared(summary)


def _facts(found: Pretrained) -> list[str]:
    """Return the lines about pretrained weights."""
    from striate.models.weights import DIALECTS

    lines = [f"weights     {found.name}, named as by {DIALECTS[found.dialect].title}", f"source      {found.source}"]
    lines += [f"digest      {found.digest}"]
    if found.input is not None:
        spec = found.input
        lines += [
            f"input       {', '.join(spec.channels)}, {spec.height}×{spec.width}, mean {_list(spec.mean)}, "
            f"std {_list(spec.std)}"
        ]
    if found.top1 is not None:
        lines += [f"accuracy    {found.top1:.1f} % as published"]
    if found.licence:
        lines += [f"licence     {found.licence}"]
    return lines + [f"note        {note}" for note in found.notes]


def _list(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers)


def _show_unshared(summary: Summary) -> None:
    rows = [
        [layer.path, f"{layer.shared:,}", f"{layer.locally_connected:,}", f"{layer.fully_connected:,}"]
        for layer in summary.unshared
    ]
    console().print("\nParameters with weights shared as they are, and of the same layers without sharing them:\n")
    console().print(table(["layer", "shared", "locally connected", "fully connected"], rows))


def by(shape: tuple[float, ...]) -> str:
    """Return a shape as people write it: 3×64×64."""
    return "×".join(f"{size:g}" for size in shape)


def about(count: int) -> str:
    """Return a large number to three digits, as papers print it: 60.0 K, 25.6 M, 4.09 G."""
    for unit, name in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "K")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {name}"
    return str(count)


def memory(count: int) -> str:
    """Return bytes as people read them: 61.7 kB, 2.4 MB."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
