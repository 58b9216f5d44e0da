"""The spellings of splits in names of folders, columns and arrays: `train`, `TrainSet`, `01-training`, `val2017`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from striate.data.dataset import Split

Role = Literal["train", "val", "test", "other"]
"""A split, or `other`: images without labels, or predictions of a classifier."""

_WORDS: dict[Role, str] = {
    "train": "train training trn tr trainval",
    "val": "val valid validation validate validating vali dev devel development eval evaluation",
    "test": "test testing tst te holdout heldout",
    "other": "unlabeled unlabelled unlabel unsupervised unsup prediction predictions predict predicted pred preds "
    "inference infer submission submissions",
}
_ROLES: dict[str, Role] = {word: role for role, words in _WORDS.items() for word in words.split()}
# Words that occur with any split and carry no meaning.
_FILLER_WORDS = (
    "data dataset set sets split splits part image images img imgs picture pictures pic pics photo photos folder dir "
    "sample samples example examples subset all full final the v"
)
_FILLERS = frozenset(_FILLER_WORDS.split())
_FUSED = re.compile(f"({'|'.join(sorted(_ROLES, key=len, reverse=True))})({'|'.join(sorted(_FILLERS))})")
_TOGETHER = (("hold", "out"), ("held", "out"), ("train", "val"))


@dataclass(frozen=True)
class Spelling:
    """The role that a name states, and its words with another meaning (`cats` in `cats_train`)."""

    role: Role | None
    rest: tuple[str, ...]


def split_named(name: str) -> Split | None:
    """Return the split that `name` means by itself, as in a column of splits; None if it means none."""
    found = spelling(name)
    return None if found.rest or found.role is None or found.role == "other" else found.role


def spelling(name: str) -> Spelling:
    """Parse a name: case, numbers, dates and separators do not count.

    A name with two roles (`train_test`) has none.
    """
    words = _words(name)
    roles: list[Role] = [_ROLES[word] for word in words if word in _ROLES]
    rest = tuple(word for word in words if word not in _ROLES and word not in _FILLERS)
    return Spelling(roles[0] if len(set(roles)) == 1 else None, rest)


def is_filler(name: str) -> bool:
    """Return whether a name does not describe its contents, such as `images` or `data`."""
    return all(word in _FILLERS for word in _words(name))


def _words(name: str) -> list[str]:
    """Split a name into words, without its numbers: `TrainSet_2017` is train, set."""
    plain = unicodedata.normalize("NFKC", name)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold()
    words = re.findall(r"[^\W\d_]+", apart)
    for first, second in _TOGETHER:
        for place in range(len(words) - 1, 0, -1):
            if words[place - 1 : place + 1] == [first, second]:
                words[place - 1 : place + 1] = [first + second]
    return [part for word in words for part in _parts(word)]


def _parts(word: str) -> tuple[str, ...]:
    """Split a word that joins two: trainset is train, set."""
    match = _FUSED.fullmatch(word)
    return (match[1], match[2]) if match and word not in _ROLES else (word,)
