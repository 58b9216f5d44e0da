"""One paper, one file: each module registers the models of one family when it is imported.

A model's module is imported when the model is first used: `cards/FAMILY.json` lists the models of `FAMILY.py`.
"""

import json
from pathlib import Path

from striate.models._zoo import MODELS

for _table in sorted(Path(__file__).parents[1].joinpath("cards").glob("*.json")):
    MODELS.expect(f"{__name__}.{_table.stem}", json.loads(_table.read_text(encoding="utf-8"))["models"])
