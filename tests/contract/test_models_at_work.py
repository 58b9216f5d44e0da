"""What every family of the zoo promises, asked with real values of its smallest member at small sizes."""

from __future__ import annotations

import pytest

from promises import at_work
from promises.subject import Promise, smallest_of_each_family, subject

pytestmark = pytest.mark.parametrize("name", smallest_of_each_family(), scope="module")


@pytest.mark.parametrize("promise", at_work.PROMISES, ids=lambda promise: promise.__name__)
def test_every_family_keeps_its_word(name: str, promise: Promise) -> None:
    promise(subject(name))
