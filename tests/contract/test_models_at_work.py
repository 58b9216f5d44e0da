"""The contract of models, checked with real values on the smallest member of each family at small sizes."""

from __future__ import annotations

import pytest

from promises import at_work, recorded
from promises.subject import Promise, blocks, subject

pytestmark = pytest.mark.parametrize("name", blocks(), scope="module")

# Exporting takes a hundredth of a second for each layer. Where there are more, `make zoo` has exported the network, and
# here its record, which must be of these sources, is read.
_MOST_EXPORTED_HERE = 125


@pytest.mark.parametrize("promise", at_work.PROMISES, ids=lambda promise: promise.__name__)
def test_every_family_keeps_its_word(name: str, promise: Promise) -> None:
    asked = subject(name)
    exports = promise is at_work.it_exports_with_any_number_of_pictures
    if exports and len(asked.description.rows) > _MOST_EXPORTED_HERE:
        recorded.kept_every_promise(name)
    else:
        promise(asked)
