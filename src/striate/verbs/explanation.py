"""Explanations of images: to display, to save, and to compare with masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from striate.core.errors import DataError
from striate.reporting.sheets.results import ImageResult, SheetResults

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.classifier import Failure
    from striate.metrics.pointing import Pointing
    from striate.reporting.sheets.explanation import Explained
    from striate.reporting.sheets.input_image import Answered

Member = TypeVar("Member", bound="Explanation | Failure")


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(ImageResult):
    """The explanation of one image. `sheet` is the file that shows it, None where none was written.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.
    """

    explained: Explained
    sheet: Path | None = None
    dark: bool = False

    @property
    def subject(self) -> Answered:
        """The image, as the network sees it, and the prediction."""
        return self.explained.subject

    @property
    def label(self) -> str:
        """The predicted class."""
        return self.subject.prediction.label

    @property
    def target(self) -> str:
        """The explained class, by default the predicted one; "" if the target is a function."""
        return self.explained.target

    @property
    def probability(self) -> float:
        """The probability of the explained class; of the predicted one if the target is a function."""
        prediction = self.subject.prediction
        return prediction.probabilities.get(self.target, prediction.probability)

    @property
    def map(self) -> np.ndarray:
        """The map (h, w) of the first method, a value for each pixel of the network's input."""
        return self.explained.attributions[0].map()[0]

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.plot import DARK, LIGHT
        from striate.reporting.sheets.explanation import explanation_sheet

        return explanation_sheet(self.explained, theme=DARK if self.dark else LIGHT)

    def __repr__(self) -> str:
        methods = ", ".join(attribution.method.name for attribution in self.explained.attributions)
        name = Path(self.subject.prediction.name).name
        return f"Explanation({name!r}, {self.target or 'a function'}: {self.probability:.1%}, {methods})"


class Results(SheetResults[Member]):
    """Explanations in the order of the images, as a list. A single explanation is also available as attributes."""

    @property
    def label(self) -> str:
        """The predicted class of a single image."""
        return self._one().label

    @property
    def target(self) -> str:
        """The explained class of a single image."""
        return self._one().target

    @property
    def probability(self) -> float:
        """The probability of the explained class of a single image."""
        return self._one().probability

    @property
    def map(self) -> np.ndarray:
        """The map (h, w) of a single image."""
        return self._one().map

    def pointing_game(self, *masks: Any) -> Pointing:
        """Play the pointing game and the energy-based one with a mask for each image, in their order.

        A mask is a boolean array (h, w), or an image (a path, a PIL image, an array) that is 0 (black) or transparent
        outside the object, of the size of the image or of the network's input.

        Raises:
            DataError: the number of masks is not the number of images, or a mask has another size or is empty.
        """
        import numpy as np

        from striate.metrics.pointing import pointing_game
        from striate.reporting.sheets.masks import mask_on_input

        found = self._explanations()
        if len(masks) != len(self) or len(found) != len(self):
            raise DataError(f"Each image needs a mask; received {len(masks)} masks for {len(found)} explained images.")
        laid = [mask_on_input(mask, one.subject) for mask, one in zip(masks, found, strict=True)]
        if len({mask.shape for mask in laid}) > 1:
            raise DataError("All network inputs of a game have the same size: play one game for each size.")
        return pointing_game(np.stack([one.map for one in found]), np.stack(laid))

    def _explanations(self) -> list[Explanation]:
        return [one for one in self if isinstance(one, Explanation)]

    def _one(self) -> Explanation:
        found = self._explanations()
        if len(found) != 1 or len(self) != 1:
            raise DataError(f"There are {len(self)} results: take one of them, as in found[0].")
        return found[0]
