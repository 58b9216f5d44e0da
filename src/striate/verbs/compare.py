"""Compare runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.arguments import checked
from striate.core.errors import ConfigError, RunError
from striate.reporting.sheets.results import SheetResult
from striate.verbs._trained import path_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.reporting.comparison.material import Compared, Material, Pair
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(SheetResult):
    """Runs next to each other.

    In a notebook the tables and the figure are displayed. `save` writes the figure as .png or .svg or everything as
    .html, `show` opens the figure.
    """

    material: Material

    @property
    def runs(self) -> tuple[Compared, ...]:
        """The runs, each with its history and its evaluations."""
        return self.material.runs

    @property
    def settings(self) -> dict[str, tuple[Any, ...]]:
        """The settings that differ: the value of each run by dotted key, None where a run has no such option."""
        return dict(self.material.settings)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two runs that were judged on the same images: their difference, and whether it is significant."""
        return self.material.pairs

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the comparison cannot show."""
        return self.material.notes

    @property
    def verdict(self) -> str:
        """The outcome of the tests in one sentence."""
        from striate.reporting.comparison.page import verdict

        return verdict(self.material)

    def figure(self) -> Figure:
        """Draw curves and scores as a figure of Matplotlib.

        Raises:
            RunError: none of the runs has begun.
        """
        from striate.reporting.comparison.figure import comparison_figure

        figure = comparison_figure(self.material)
        if figure is None:
            raise RunError(
                "None of these runs has trained a step yet, so there is nothing to draw. Resume one of them."
            )
        return figure

    def save(self, path: str | Path) -> Path:
        """Write the page as .html, or the figure as .png or .svg, by the suffix of `path`.

        Raises:
            ConfigError: the suffix is another.
            StriateError: the file cannot be written.
        """
        from striate.core.files import make_folder, write_atomically
        from striate.reporting.comparison.page import comparison_page

        path = Path(path)
        if path.suffix.lower() not in (".html", ".png", ".svg"):
            raise ConfigError(f"A comparison is saved as .html, .png or .svg; received {path.name!r}.")
        if path.suffix.lower() != ".html":
            return super().save(path)
        make_folder(path.parent)
        write_atomically(path, comparison_page(self.material))
        return path

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: the runs with their scores and curves, the settings that differ, and the pairs."""
        return {
            "runs": [
                {
                    "name": each.name,
                    "path": str(each.run.path),
                    "state": each.state,
                    "seconds": each.seconds,
                    "scores": {name: found.scores.to_json() for name, found in each.evaluations.items()},
                    "curves": {
                        field: getattr(each.history, field)
                        for field in ("training_loss", "validation_loss", "validation_accuracy", "learning_rate")
                    },
                }
                for each in self.runs
            ],
            "settings": {key: list(values) for key, values in self.settings.items()},
            "judged": self.material.judged,
            "pairs": [
                {
                    "first": pair.first,
                    "second": pair.second,
                    "difference": pair.paired.difference,
                    "interval": list(pair.paired.interval),
                    "only_first_right": pair.paired.first,
                    "only_second_right": pair.paired.second,
                    "images": pair.paired.count,
                    "p": pair.paired.p,
                    "adjusted_p": pair.p,
                }
                for pair in self.pairs
            ],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"Comparison({', '.join(each.name for each in self.runs)}: {self.verdict})"

    def _repr_html_(self) -> str:
        import base64

        from striate.core.config import written
        from striate.core.notebook import table
        from striate.reporting.comparison.figure import comparison_figure
        from striate.reporting.comparison.page import PAIR_HEADS, pair_row, score_rows

        names = [each.name for each in self.runs]
        parts = [table(("", *names), score_rows(self.material), title=self.verdict, note=" ".join(self.notes))]
        if self.pairs:
            parts.append(table(PAIR_HEADS, map(pair_row, self.pairs)))
        if self.settings:
            rows = [(key, *map(written, values)) for key, values in self.settings.items()]
            parts.append(table(("setting", *names), rows))
        if comparison_figure(self.material) is not None:
            image = base64.b64encode(self._repr_png_()).decode()
            parts.append(f'<img src="data:image/png;base64,{image}" style="max-width: 100%">')
        return "\n".join(parts)


@checked
def compare(*runs: str | Path | Run, out: str | Path | None = None) -> Comparison:
    """Compare runs: the settings that differ, curves in one figure, scores with intervals, and time.

    Runs that were judged on the same images are compared image by image: the difference of their accuracies has a 95 %
    interval, and McNemar's exact test says whether chance explains it. Runs whose images have several classes are
    compared by their scores alone, and runs that were stopped by what they have.

    Example:
        striate.compare("runs/photos", "runs/photos-2").verdict

    Args:
        runs: the folders of 2 to 8 runs.
        out: also write the page as .html, or the figure as .png or .svg.

    Raises:
        ConfigError: there are too few or too many runs, one is named twice, or they learn different things.
        RunError: there is no such run, or it is damaged.
    """
    from striate.reporting.comparison.material import read_comparison
    from striate.runs.folder import open_run

    found = Comparison(read_comparison([open_run(path_of(run)) for run in runs]))
    if out is not None:
        found.save(out)
    return found
