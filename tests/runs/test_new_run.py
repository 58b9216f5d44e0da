"""The folder of a new run."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.core.errors import RunError
from striate.runs.folder import new_run


@pytest.mark.parametrize("name", [None, "x"])
def test_a_file_in_place_of_the_folder_of_runs_is_one_sentence(tmp_path: Path, name: str | None) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(RunError, match=r"runs cannot be a folder"), new_run(tmp_path / "runs", name, "stem"):
        pass
