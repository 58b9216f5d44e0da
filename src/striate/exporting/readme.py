"""The card of an exported classifier as a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.classifier.pretrained import PRETRAINED
from striate.exporting.exporter import EXPORTERS

_MANY = 20  # classes that are listed
_SCORES = {
    "mean_average_precision": "mean average precision",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "exact": "all labels right",
}


def readme(card: Mapping[str, Any], programs: Mapping[str, str]) -> str:
    """Return README.md for the `card` of an export, with the `programs` in its folder and their requirements."""
    files: Mapping[str, Any] = card["files"]
    parts = [
        f"# {card['network']}, {len(card['classes'])} classes",
        "A classifier of images, exported by Striate. `card.json` holds the same for programs.",
        "## Use",
        *_use(programs),
        "## Data and accuracy",
        f"{'Published weights' if card['provenance']['recipe'] == PRETRAINED else 'Trained on'}: {card['data']}.",
        _accuracy(card["accuracy"]),
        "## Classes",
        *_classes(card),
        "## Preparation",
        _preparation(card),
        *(["## Speed", *_trial(card["trial"])] if card.get("trial") else []),
        "## Comparison with torch",
        *_parity(card),
        "## Weights",
        f"Licence: {card['licence'] or 'not recorded'}. {card['parameters']:,} parameters.",
        "## Files",
        "\n".join(f"- `{name}`: {each['bytes']:,} bytes, SHA-256 `{each['sha256']}`" for name, each in files.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _use(programs: Mapping[str, str]) -> list[str]:
    if not programs:
        return ["Open the files in their runtime, with arrays that are prepared as described below."]
    used = [f"- `{name}` needs {needs}." for name, needs in programs.items()]
    python = "```\npython predict.py photo.jpg\n```" if "predict.py" in programs else ""
    return [part for part in (python, "\n".join(used)) if part]


def _accuracy(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "Accuracy: not measured."
    if "exact" in found:
        scores = ", ".join(f"{words} {_percent(found[name])}" for name, words in _SCORES.items() if name in found)
        return f"On {found['images']:,} images {_source(found)}: {scores}."
    if "interval" not in found:
        return f"Accuracy: {_percent(found['value'])} ({found['split']})."
    low, high = map(_percent, found["interval"])
    shown = f"{_percent(found['value'])} of {found['images']:,} images {_source(found)}"
    return f"Accuracy: {shown} (95 % interval {low} to {high})."


def _source(found: Mapping[str, Any]) -> str:
    return "in a cross-validation" if found["split"] == "folds" else f"of the {found['split']} split"


def _classes(card: Mapping[str, Any]) -> list[str]:
    classes: list[str] = card["classes"]
    more = f" … ({len(classes):,} in all)" if len(classes) > _MANY else ""
    parts = [", ".join(classes[:_MANY]) + more]
    if card.get("none_of_these"):
        parts.append(
            "An image that resembles none of the training images is answered with *none of these*: `none_of_these` is "
            "true, and `p_value`, a conformal p-value of the hypothesis that it is of one of the classes, is small."
        )
    if card.get("sets"):
        shares = ", ".join(card["sets"])
        parts.append(
            f"`among` of the programs names, for a coverage of {shares}, the classes among which the true one is with "
            "that probability, over images like the held-out ones of the training: those whose 1 - p is at most the "
            "number in `sets` of the card."
        )
    return parts


def _preparation(card: Mapping[str, Any]) -> str:
    spec = card["input"]
    decoded = f"Images are decoded completely and turned upright, with the channels {', '.join(spec['channels'])}"
    resized = f"({spec['resize']}, {spec['filter']}) to {spec['height']}×{spec['width']}"
    rest = f"temperature {card['temperature']:.3g}"
    if EXPORTERS[card["form"]["name"]].resizes:
        return f"{decoded}. The file does the rest: resize {resized}, scale, and {rest}."
    return (
        f"{decoded}, and resized {resized}; `input` of the card has all settings. The file takes these pixels as "
        f"float32, from 0 to {spec['maximum']:g}, as (n, c, height, width), and does the rest: scale, and {rest}."
    )


def _trial(trial: Mapping[str, Any]) -> list[str]:
    """Return the table of the ways to run the network that were tried."""
    rows = ["| runtime | ms an image | rounds | difference | accuracy | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for each in trial["tried"]:
        accuracy = "" if each["right"] is None else f"{_percent(each['right'] / each['count'])} of {each['count']:,}"
        if each["loss"]:
            accuracy += f", loses {' to '.join(f'{100 * end:.1f}' for end in each['loss'])} points"
        rounds = f"{each['fastest']:.2f} to {each['slowest']:.2f}"
        rows.append(
            f"| {each['runtime'].replace('_', ' ')}, {each['precision']} | {each['milliseconds']:.2f} | {rounds} | "
            f"{each['difference']:.0e} | {accuracy} | {each['verdict']} |"
        )
    threads = "1 thread" if trial["threads"] == 1 else f"{trial['threads']:,} threads"
    return [
        f"Measured on {trial['machine']['processor'] or 'an unnamed processor'} with {threads}, "
        f"{trial['batch']:,} images at once, in turns; medians of rounds. *Difference* is the largest of a probability "
        "from torch's. Accuracy is that on images of the validation split.",
        "\n".join(rows),
    ]


def _parity(card: Mapping[str, Any]) -> list[str]:
    none = card.get("none_of_these")
    lines = [f"Both classified the same images: {card['parity']['images']}."]
    lines += [
        f"- {each['runtime']}: the largest difference of a probability is {each['largest_difference']:.1e}; the first "
        f"class changed for {each['changed']:,} of {each['images']:,} images, {each['tied']:,} of them ties"
        + (f"; *none of these* for {each['none_changed']:,}, {each['none_tied']:,} of them ties." if none else ".")
        for each in card["parity"]["runtimes"]
    ]
    lines += [decoding_sentence(card["decoding"])]
    if card["allowed"]:
        lines.append(f"Exported although not equal: {', '.join(card['allowed'])} were allowed.")
    return lines


def decoding_sentence(decoding: Mapping[str, Any]) -> str:
    """Return what changes because JPEG files are decoded completely."""
    if not decoding["decoded_at_a_fraction"]:
        return "No image is decoded at a fraction of its size by the classifier, so nothing changes in decoding."
    none = f"“none of these” for {decoding['none_changed']:,}, " if "none_changed" in decoding else ""
    text = (
        f"The classifier decodes {decoding['decoded_at_a_fraction']:,} of these {decoding['images']:,} images at a "
        f"fraction of their size; the exported file has them whole. That changes the first class of "
        f"{decoding['changed']:,}, {none}and a probability by {decoding['largest_difference']:.1e} at most"
    )
    if "accuracy_complete" in decoding:
        both = (decoding["accuracy_at_a_fraction"]["value"], decoding["accuracy_complete"]["value"])
        text += f"; accuracy on them is {_percent(both[0])} at a fraction and {_percent(both[1])} whole"
    return text + "."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
