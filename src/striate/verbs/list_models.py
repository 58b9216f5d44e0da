"""List the networks of the zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.models import ModelCard


def list_models(pattern: str | None = None, /) -> list[ModelCard]:
    """List the networks that can be trained, with their year, input, parameters and multiply-accumulates.

    Example: striate models 'lenet*'

    Args:
        pattern: only names that match, with * and ? as in file names.
    """
    from striate import models

    return models.list_models(pattern)
