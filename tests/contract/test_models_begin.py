"""Every family of the zoo begins its training well: sensible sizes, and a loss that falls."""

from __future__ import annotations

import pytest

from promises import beginning
from promises.subject import blocks, subject

pytestmark = pytest.mark.parametrize("name", blocks(), scope="module")

# Of those that need many updates or much work for one, `make zoo` checks it; here they only begin.
_LONG = {
    *("alexnet", "alexnet_2012", "all_cnn", "convnext", "densenet", "efficientnet", "efficientnet_v2", "highway"),
    *("identity_mappings", "inception_resnet", "inception_v3", "inception_v4", "nasnet", "nin", "plain", "resnext"),
    *("se_inception", "stochastic_depth", "vgg", "wide_resnet", "zfnet"),
}


def test_at_the_first_weights_logits_and_maps_have_sensible_sizes(name: str) -> None:
    beginning.it_starts_with_sensible_sizes(subject(name), work=1e9)


def test_it_memorises_32_images_or_where_that_is_long_begins_to_learn(name: str) -> None:
    asked = subject(name)
    question = beginning.it_begins_to_learn if asked.card.family in _LONG else beginning.it_memorises_32_pictures
    question(asked)
