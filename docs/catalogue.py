"""Write the catalogue of pretrained weights from what torchvision and timm publish, and its page of the reference.

    python docs/catalogue.py [--write] [--online]

Without options, the catalogue is compared with the installed libraries. `--write` rewrites it, in
`src/striate/models/weights/catalogue/`, with the page `docs/reference/weights.md`. `--online` requests the
headers of every published file, and compares size and digest.

Listed are weights with ImageNet's 1,000 classes, for networks that a dialect knows. Names of files end in the first
digits of their SHA-256; files on the hub have their whole digest there. A file that torchvision has fetched is
recognised by its digest.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from striate.core.config import to_json
from striate.core.spec import InputSpec
from striate.models import MODELS
from striate.models.weights import DIALECTS, entries, hub
from striate.models.weights.preparation import input_spec_of, input_spec_of_preset

FOLDER = Path(entries.__file__).with_name("catalogue")
PAGE = Path(__file__).parent / "reference" / "weights.md"
_PAGE = """# Pretrained weights

<!-- Written by docs/catalogue.py from the catalogue of weights. -->

{count} sets of weights for networks of [the zoo](zoo.md), all with ImageNet's 1,000 classes. `MODEL.TAG` is usable
wherever a run is; `MODEL` alone stands for its default. The size is that of the published evaluation, and the
accuracies on ImageNet's validation images are the publisher's, in per cent; timm publishes them elsewhere.
Each set keeps the licence of its source. A file that torchvision keeps in its cache is recognised by its digest: pass
its path. The class names are those of torchvision (BSD-3-Clause).

| weights | names and layout | size | top-1 | top-5 | licence |
|---|---|---|---|---|---|
{rows}
"""
# Our names of networks, as patterns, and the libraries' where they differ.
_TORCHVISION = {r"googlenet_bn": "googlenet"}
_TIMM = {
    r"se_resne(.*)": r"legacy_seresne\1",
    r"senet154": "legacy_senet154",
    r"xception": "legacy_xception",
    r"resnet_rs(\d+)": r"resnetrs\1",
    r"resnet(\d+)_v2": r"resnetv2_\1",
    r"mobilenet_v([12])": r"mobilenetv\1_100",
    r"mobilenet_v([12])_(\d+)": r"mobilenetv\1_\2",
    r"efficientnet_v2_(.*)": r"tf_efficientnetv2_\1",
    r"efficientnet_lite(\d)": r"tf_efficientnet_lite\1",
}
# torchvision's own first layer turns its usual scale into this one (`transform_input`).
_SCALED_INSIDE = ("googlenet_bn", "inception_v3")
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


def import_libraries() -> tuple[Any, Any]:
    """Import torchvision and timm, also with a torch for which torchvision's extension was not built."""
    try:
        import torchvision
    except RuntimeError:
        operators = torch.library.Library("torchvision", "DEF")
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    import timm

    return torchvision, timm


def named(model: str, names: dict[str, str]) -> str:
    """Return a library's name of a model of the zoo."""
    found = next((pattern for pattern in names if re.fullmatch(pattern, model)), None)
    return model if found is None else re.sub(found, names[found], model)


def of_torchvision(torchvision: Any) -> Iterator[dict[str, Any]]:
    """Yield an entry for each of torchvision's weights for a network of the zoo."""
    known = set(torchvision.models.list_models())
    for model in MODELS:
        name = named(model, _TORCHVISION)
        if name not in known or DIALECTS["torchvision"].rules(model) is None:
            continue
        kind = torchvision.models.get_model_weights(name)
        for weights in kind:
            scores = weights.meta["_metrics"].get("ImageNet-1K", {})
            if len(weights.meta["categories"] or ()) != 1000 or not scores:
                continue
            spec = input_spec_of_preset(weights.transforms())
            if model in _SCALED_INSIDE:
                spec = replace(spec, mean=(0.5,) * 3, std=(0.5,) * 3)
            file = weights.url.rpartition("/")[2]
            digits = _DIGITS.search(file)
            yield {
                "name": f"{model}.{weights.name.lower()}",
                "model": model,
                "dialect": "torchvision",
                "input": spec,
                "classes": entries.IMAGENET,
                "licence": "BSD-3-Clause",
                "addresses": [weights.url],
                "file": file,
                "digest": f"sha256-prefix:{digits[1]}" if digits else None,
                "top1": scores["acc@1"],
                "top5": scores["acc@5"],
                "default": weights is kind.DEFAULT,
                "notes": f"torchvision.models.{weights}",
            }


def of_timm(timm: Any) -> Iterator[dict[str, Any]]:
    """Yield an entry for each of timm's weights for a network of the zoo, with 1,000 classes."""
    for model in MODELS:
        for dialect in ("timm", "tensorflow"):
            rules = DIALECTS[dialect].rules(model)
            prefix = "tf_" if dialect == "tensorflow" else ""
            name = prefix + named(model, _TIMM).removeprefix(prefix)
            if rules is None or not timm.is_model(name):
                continue
            usual = timm.get_pretrained_cfg(name).tag
            for full in timm.list_pretrained(f"{name}.*"):
                config = timm.get_pretrained_cfg(full)
                file = "model.safetensors" if config.hf_hub_id else config.url.rpartition("/")[2]
                digits = _DIGITS.search(file)
                if config.num_classes != 1000 or not (config.hf_hub_id or digits):
                    continue
                yield {
                    "name": f"{model}.{prefix}{config.tag}",
                    "model": model,
                    "dialect": dialect,
                    "input": input_spec_of(config.to_dict(), test_size=True),
                    "classes": entries.IMAGENET,
                    "licence": config.license or "",
                    "file": file,
                    "hub": config.hf_hub_id,
                    "addresses": None if config.hf_hub_id else [config.url],
                    "digest": f"sha256-prefix:{digits[1]}" if digits else None,
                    "default": config.tag == usual,
                }


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each library as JSON; a model has one default, timm's, which can be fetched, if it can."""
    torchvision, timm = import_libraries()
    taken = {raw["model"] for raw in json.loads((FOLDER / "packages.json").read_text()) if raw.get("default")}
    files: dict[str, list[dict[str, Any]]] = {"torchvision": [], "timm": []}
    for library, found in (("timm", of_timm(timm)), ("torchvision", of_torchvision(torchvision))):
        for entry in found:
            entry["input"] = differing(entry["input"])
            entry["default"] = entry["default"] and entry["model"] not in taken
            if entry["default"]:
                taken.add(entry["model"])
            files[library].append({key: value for key, value in entry.items() if value not in (None, False, "")})
    return files


def differing(spec: InputSpec) -> dict[str, Any]:
    """Return a preparation as JSON, without the fields that have their defaults."""
    stored = to_json(spec)
    usual = to_json(InputSpec(channels=spec.channels, height=1, width=1, mean=spec.mean, std=spec.std))
    always = ("channels", "height", "width", "mean", "std")
    return {key: value for key, value in stored.items() if key in always or value != usual[key]}


def class_names() -> str:
    """Return the file of ImageNet's class names, which torchvision has under its licence, BSD-3-Clause."""
    torchvision, _ = import_libraries()
    names = torchvision.models.get_model_weights("resnet50").DEFAULT.meta["categories"]
    return text(names)


def text(items: Iterable[object]) -> str:
    """Return a file of the catalogue: an item on each line."""
    return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n"


def page(listed: list[entries.Entry]) -> str:
    """Return the page of the reference: a row for each entry."""
    rows = [
        f"| `{entry.name}`{' (default)' if entry.default else ''} | {DIALECTS[entry.dialect].title} | "
        f"{entry.input.height}×{entry.input.width} | {entry.top1 or '–'} | {entry.top5 or '–'} | {entry.licence} |"
        for entry in listed
    ]
    return _PAGE.format(count=len(rows), rows="\n".join(rows))


def wrong_online(entry: entries.Entry) -> str:
    """Return what is wrong with the published file of an entry; empty where nothing is, or nothing is published."""
    address = hub.Repository(entry.hub).address(entry.file) if entry.hub else next(iter(entry.addresses), "")
    if not address:
        return ""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            size = int(answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or 0)
            digest = (answer.headers.get("X-Linked-Etag") or "").strip('"')
    except OSError as error:
        return f"{entry.name}: {address} cannot be read: {error}."
    known = (entry.digest or "").rpartition(":")[2]
    if entry.size not in (None, size) or (known and digest and not digest.startswith(known)):
        return f"{entry.name}: {address} has {size:,} bytes and the digest {digest or 'unknown'}, not those listed."
    return ""


def main() -> None:
    """Compare, write or check the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the catalogue")
    parser.add_argument("--online", action="store_true", help="check every published file")
    options = parser.parse_args()
    wrong = []
    files = {f"{library}.json": text(found) for library, found in catalogue().items()}
    for name, content in (files | {f"classes/{entries.IMAGENET}.json": class_names()}).items():
        path = FOLDER / name
        if options.write:
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            wrong.append(f"{name} is not what the installed libraries publish: run with --write.")
    if options.write:
        entries._raw.cache_clear()
        PAGE.write_text(page(entries.entries()), encoding="utf-8")
    if options.online:
        wrong += filter(None, map(wrong_online, entries.entries()))
    print("\n".join(wrong) or "The catalogue is in order.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
