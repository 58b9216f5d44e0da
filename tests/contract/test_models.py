"""What every model of the zoo promises, asked of all that are registered: a new one gets its tests by being so.

Here stands what costs little: what a model says of itself, asked on the meta device. What is asked with real values of
the smallest member of each family is in `test_models_at_work`; `make zoo` asks everything of all.
"""

from __future__ import annotations

import pytest

from promises import declared, published
from promises.subject import Promise, subject
from striate.models import MODELS

# Model by model, so that each is sketched and described once.
pytestmark = pytest.mark.parametrize("name", list(MODELS), scope="module")


@pytest.mark.parametrize(
    "promise", [*declared.PROMISES, published.its_published_figures_are_its_own], ids=lambda promise: promise.__name__
)
def test_every_model_keeps_its_word(name: str, promise: Promise) -> None:
    promise(subject(name))
