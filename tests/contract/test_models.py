"""What every model of the zoo declares, checked on the meta device for the smallest member of each family.

`make zoo` asks all members, and everything with real values besides; `test_zoo_results` asks of each whether it, its
card included, is still what `make zoo` has asked. `test_models_at_work` asks with real values here.
"""

from __future__ import annotations

import pytest

from promises import declared, published
from promises.subject import Promise, subject, zoo

# Model by model, so that each is sketched and described once.
pytestmark = pytest.mark.parametrize("name", zoo(), scope="module")


@pytest.mark.parametrize(
    "promise", [*declared.PROMISES, published.its_published_figures_are_its_own], ids=lambda promise: promise.__name__
)
def test_every_model_keeps_its_word(name: str, promise: Promise) -> None:
    promise(subject(name))
