"""The size of the input that a network is made for, where the images allow it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from striate.core.config import difference
from striate.data.audit.index import ImageIndex
from striate.models import MODELS
from striate.runs.folder import Plan
from striate.runs.recipes import RECIPES


def follow_model(plan: Plan, chosen: Collection[str], index: ImageIndex) -> Plan:
    """The plan with the size of the input on the model's card, where the user chose the model and no size.

    An image is not enlarged beyond the larger of the recipe's own size and the median shorter side of the images: that
    would cost work and add nothing. Recipes for named data keep the size of their data. The reason is kept in the plan.
    """
    recipe, base = plan.recipe, RECIPES[plan.base]()
    usual = base.input.height
    free = plan.base == "photos" and not {"input.height", "input.width"} & set(chosen)
    if not free or usual is None or recipe.model == base.model or recipe.model not in MODELS:
        return plan
    height, width = MODELS[recipe.model].card.input[1:]
    shorter = np.minimum(index.heights, index.widths)[index.readable]
    most = max(usual, int(np.median(shorter)) if len(shorter) else 0)
    made_for = f"{recipe.model} is made for {height}×{width}"
    if max(height, width) > most:
        height = width = most
        made_for += f", and the images' median shorter side is {int(np.median(shorter))}"
    times = height * width / usual**2
    cost = f"; {times:.3g} times the pixels of {usual}×{usual}, --size {usual} is faster" if times > 1 else ""
    sized = replace(recipe, input=replace(recipe.input, height=height, width=width))
    reasons = {**plan.reasons, "input": made_for + cost}
    return replace(plan, recipe=sized, difference=difference(sized, base), reasons=reasons)
