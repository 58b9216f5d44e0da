"""Code and pages use the field's words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# The word that is not used, as a pattern, and the one that is.
_KEPT = (
    'h("picture"',  # the element of HTML
    '"index", "picture"',  # a column of files that runs have written
    'COUNT = "pictures"',  # a key of files that runs have written
    'part.split or "picture"',  # the names of images in files that have none, by which runs know them
    "imgs picture pictures",  # spellings of other people's folders
)
WORDS = {
    r"pictures?": "image",
    r"anew": "again",
    r"by lot": "at random",
    r"(?:tell|tells|told) (?:\w+ )?apart": "distinguish",
    r"(?:is|are|was|were|be|been) (?:told|lent)": "receives, borrows",
    r"(?:has|have) not heard of": "does not import",
    r"(?:wants?|wanted) to (?:know|hear|be fed|be told)": "needs",
    r"amid": "during",
    r"thereof|therein|whereof": "of it",
    r"passed over": "skipped",
    r"called like": "named like",
    r"heed(?:s|ed)?": "depends on",
    r"nobody": "no user, or: not",
    r"but for": "except for",
}
TEXTS = (".py", ".md")


def texts() -> list[Path]:
    listed = ["git", "ls-files", "-z", "src", "docs", "examples", "README.md"]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    paths = [REPOSITORY / name for name in names.split("\0") if name.endswith(TEXTS)]
    return [path for path in paths if path.is_file() and path.name != "_former.py"]  # which holds former names


@pytest.mark.parametrize("word", WORDS)
def test_the_fields_word_is_used(word: str) -> None:
    pattern = re.compile(rf"(?<![\w/]){word}(?![\w/])", re.IGNORECASE)
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line) and not any(kept in line for kept in _KEPT)
    ]
    assert not found, f"write {WORDS[word]!r}:\n" + "\n".join(found)
