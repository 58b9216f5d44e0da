"""The settings of a run, and the environment that it was made in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.page import Section, facts, folded, table


def recipe(material: RunMaterial) -> Section | None:
    """Show the settings in effect, the differences from the named recipe, then all settings."""
    if material.recipe is None and material.difference is None:
        return None
    changed = material.difference or {}
    content: list[Child] = []
    if material.settings:
        shown = [[label, h("code", name(value)), why] for label, value, why in material.settings]
        content.append(table(["in effect", "value", "reason"], shown, numeric_from=9))
    if changed:
        rows = [[h("code", key), _value(old), h("b", _value(new))] for key, (old, new) in changed.items()]
        content.append(table(["setting", "recipe", "this run"], rows, numeric_from=9))
    if material.recipe is not None:
        flat = _flatten(material.recipe)
        pairs: list[tuple[str, Child]] = [(key, _value(value)) for key, value in flat.items()]
        content.append(folded(f"All {len(flat)} settings", facts(pairs)))
    number = len(changed)
    said = f"{number} setting{'s differ' if number != 1 else ' differs'} from the recipe." if number else None
    return Section("recipe", "Recipe", h("p", said or "The settings are those of the recipe."), content)


def provenance(material: RunMaterial) -> Section | None:
    """Show seed, versions, hardware, digests and duration."""
    if not material.provenance:
        return None
    pairs: list[tuple[str, Child]] = [(label, name(text)) for label, text in material.provenance.items()]
    lead = h("p", "What is needed to repeat this run and to verify the result.")
    return Section("provenance", "Provenance", lead, h("div", facts(pairs), class_="provenance"))


def _value(value: Any) -> Html:
    text = {None: "none", True: "yes", False: "no"}.get(value) if value is None or isinstance(value, bool) else None
    if isinstance(value, (list, tuple)):
        text = ", ".join(map(str, value)) or "none"
    return h("code", name(text or str(value)))


def _flatten(settings: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        dotted = f"{where}.{key}" if where else key
        flat |= _flatten(value, dotted) if isinstance(value, Mapping) else {dotted: value}
    return flat
