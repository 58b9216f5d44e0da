"""What explaining gives: an explanation can be looked at, saved, shown, and put into a notebook."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from striate.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from striate.classifier import Failure
    from striate.metrics.pointing import Pointing
    from striate.reporting.sheets.explanation import Explained

Member = TypeVar("Member", bound="Explanation | Failure")


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found about one image. `sheet` is the file that shows it, None where none was written.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.
    """

    explained: Explained
    sheet: Path | None = None
    dark: bool = False

    @property
    def label(self) -> str:
        """The predicted class."""
        return self.explained.subject.prediction.label

    @property
    def target(self) -> str:
        """The class that is explained: the predicted one, unless another was asked for."""
        return self.explained.target

    @property
    def probability(self) -> float:
        """The probability of the class that is explained; of the predicted one, where the target is a function."""
        prediction = self.explained.subject.prediction
        return prediction.probabilities.get(self.target, prediction.probability)

    @property
    def map(self) -> np.ndarray:
        """The map (h, w) of the first method, a value for each pixel of the network's input."""
        return self.explained.attributions[0].map()[0]

    def figure(self) -> Figure:
        """The sheet as a figure of Matplotlib."""
        from striate.plot import DARK, LIGHT
        from striate.reporting.sheets.explanation import explanation_sheet

        return explanation_sheet(self.explained, theme=DARK if self.dark else LIGHT)

    def save(self, path: str | Path) -> Path:
        """Write the sheet as a PNG or an SVG, by the ending of `path`.

        Raises:
            ConfigError: the ending is another.
            StriateError: the file cannot be written.
        """
        from striate.core.files import make_folder, write_atomically
        from striate.plot import figure_svg

        path = Path(path)
        kind = path.suffix.lower()
        if kind not in (".png", ".svg"):
            raise ConfigError(f"A sheet is saved as .png or .svg; received {path.name!r}.")
        make_folder(path.parent)
        write_atomically(path, self._png if kind == ".png" else figure_svg(self.figure()))
        return path

    def show(self) -> None:
        """Display the sheet in a notebook; elsewhere, open it in the system's image viewer."""
        from striate.core.notebook import show_png

        show_png(self._png)

    def _repr_png_(self) -> bytes:
        return self._png

    def __repr__(self) -> str:
        methods = ", ".join(attribution.method.name for attribution in self.explained.attributions)
        name = Path(self.explained.subject.prediction.name).name
        return f"Explanation({name!r}, {self.target or 'a function'}: {self.probability:.1%}, {methods})"

    @functools.cached_property
    def _png(self) -> bytes:
        from striate.plot import figure_png

        return figure_png(self.figure())


class Results(list[Member]):
    """What a verb found, in the order of the images, as a list. Where there is one result, it answers for the list."""

    def save(self, path: str | Path) -> list[Path]:
        """Write the sheet to the file `path`; of several images, a sheet for each into the folder `path`.

        Raises:
            ConfigError: the ending is neither .png nor .svg.
            StriateError: a file cannot be written.
        """
        from striate.reporting.sheets.output_folder import Folder

        found = self._explanations()
        if len(found) == 1:
            return [found[0].save(path)]
        folder = Folder(Path(path))
        return [
            folder.write(Path(one.explained.subject.prediction.name).stem, ".png", one._repr_png_()) for one in found
        ]

    def show(self) -> None:
        """Display every sheet."""
        for one in self._explanations():
            one.show()

    @property
    def label(self) -> str:
        """The predicted class of the one image."""
        return self._one().label

    @property
    def target(self) -> str:
        """The class that is explained, of the one image."""
        return self._one().target

    @property
    def probability(self) -> float:
        """The probability of the class that is explained, of the one image."""
        return self._one().probability

    @property
    def map(self) -> np.ndarray:
        """The map (h, w) of the one image."""
        return self._one().map

    def pointing_game(self, *masks: Any) -> Pointing:
        """Play the pointing game and the energy-based one: a mask for each image, in their order.

        A mask is a boolean array (h, w), or an image (a path, a PIL image, an array) that is 0 outside of the object,
        of the size of the image or of the network's input.

        Raises:
            DataError: there are more or fewer masks than images, or one has another size or is empty.
        """
        import numpy as np

        from striate.metrics.pointing import pointing_game
        from striate.reporting.sheets.masks import mask_on_input

        found = self._explanations()
        if len(masks) != len(self) or len(found) != len(self):
            raise DataError(f"Each image needs a mask; received {len(masks)} masks for {len(found)} explained images.")
        subjects = [one.explained.subject for one in found]
        laid = [mask_on_input(mask, subject) for mask, subject in zip(masks, subjects, strict=True)]
        if len({mask.shape for mask in laid}) > 1:
            raise DataError("All inputs of one game have one size: give the images of each size on their own.")
        return pointing_game(np.stack([one.map for one in found]), np.stack(laid))

    def _repr_html_(self) -> str:
        import base64

        images = (base64.b64encode(one._repr_png_()).decode() for one in self._explanations())
        return "".join(f'<img src="data:image/png;base64,{image}" style="max-width: 100%">' for image in images)

    def _explanations(self) -> list[Explanation]:
        return [one for one in self if isinstance(one, Explanation)]

    def _one(self) -> Explanation:
        found = self._explanations()
        if len(found) != 1 or len(self) != 1:
            raise DataError(f"There are {len(self)} results: take one of them, as in found[0].")
        return found[0]
