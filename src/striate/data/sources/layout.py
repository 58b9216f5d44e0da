"""Interpret the folders of a data set as classes or splits, and describe doubtful cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from striate.core.errors import DataError
from striate.core.names import canonical
from striate.data.dataset import SPLITS, Split
from striate.data.sources.registry import listed
from striate.data.sources.splits import Role, is_filler, spelling
from striate.data.sources.tree import Folder


@dataclass(frozen=True)
class Member:
    """A folder whose images all belong to one class, and to one split or to none."""

    folder: Folder
    label: str
    split: Split | None


@dataclass
class Layout:
    """The members of a data set.

    `outside`: images in no class; `others`: files that are no images; `empty`: class folders without images;
    `cautions`: sentences on decisions that may be wrong.
    """

    members: list[Member] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)


def lay_out(root: Folder, at: Path) -> Layout:
    """Decide which folders in `root`, which is at `at`, are classes and which are splits.

    Folders named like splits are splits if they contain class folders; else they are classes like any other, with a
    caution. Splits may also be inside the class folders (`cat/train`), or in a folder that holds nothing else.

    Raises:
        DataError: splits and classes are side by side, so that either reading would be wrong.
    """
    found = Layout()
    top = _unwrapped(root, at)
    if top is not root:
        found.outside += root.own
        found.others += root.others
    roles = _roles_of(top, at)
    if roles:
        _add_splits(found, top, roles, at)
    else:
        _refuse_unlabelled(top, at)
        _add_classes(found, top, None)
        found.cautions += _doubts(top, at)
        _split_by_class(found)
    return found


def _unwrapped(root: Folder, at: Path) -> Folder:
    """Return the folder that holds the split folders, if each folder above it holds only the next; else `root`."""
    inner = root
    while len(inner.holding) == 1 and spelling(inner.holding[0].name).role is None:
        inner = inner.holding[0]
        if _roles_of(inner, at):
            return inner
    return root


def _roles_of(top: Folder, at: Path) -> dict[Folder, Role]:
    """Return the role of each folder in `top`, `other` for those to skip; empty if the folders are not splits.

    Raises:
        DataError: other folders next to them hold the same class folders, or may be classes.
    """
    called = _called_like_splits(top)
    labels = {canonical(inner.name) for folder in called for inner in folder.holding}
    if not labels:
        return {}
    others = [folder for folder in top.holding if folder not in called]
    where = at / top.path
    beside = [folder.name for folder in others if canonical(folder.name) in labels]
    if beside:
        raise DataError(
            f"{where} holds class folders ({listed(beside)}) next to split folders ({_names(called)}) with the same "
            "classes in them. Move the class folders into one of the split folders, or out of there."
        )
    alike = [folder for folder in others if labels & {canonical(inner.name) for inner in folder.holding}]
    if alike or (others and len(set(called.values())) == 1):
        doubtful = alike or others
        raise DataError(
            f"{where} holds folders with names of splits ({_names(called)}) next to others ({_names(doubtful)}). Name "
            "each split folder train, val or test and move the others out of there; if all of them are classes, give "
            "them names that mean no split."
        )
    passed: dict[Folder, Role] = dict.fromkeys(others, "other")
    return {**called, **passed}


def _called_like_splits(top: Folder) -> dict[Folder, Role]:
    """Return the folders in `top` named like splits, all of them with the same other words or with none."""
    spelled = {folder: spelling(folder.name) for folder in top.holding}
    for rest in sorted({found.rest for found in spelled.values()}):
        roles: dict[Folder, Role] = {
            folder: found.role for folder, found in spelled.items() if found.role and found.rest == rest
        }
        if set(roles.values()) & set(SPLITS) and (not rest or len(set(roles.values())) > 1):
            return roles
    return {}


def _add_splits(found: Layout, top: Folder, roles: dict[Folder, Role], at: Path) -> None:
    found.outside += top.own
    found.others += top.others
    for folder in top.folders:
        role = roles.get(folder)
        if role is None:
            found.others += folder.every_other()
        elif role == "other":
            found.cautions.append(
                f"{folder.path} is neither train, val nor test: its {_count(folder)} are skipped. To use them, put "
                "them into the class folders of a split."
            )
        elif not folder.holding:
            found.cautions.append(
                f"{folder.path} holds no class folders: its {_count(folder)} have no class and are skipped."
            )
        else:
            _add_split(found, folder, role, at)
    for split in SPLITS:
        same = [folder for folder, role in roles.items() if role == split and folder.holding]
        if len(same) > 1:
            found.cautions.append(f"{_names(same)} are read together as the {split} split.")


def _add_split(found: Layout, folder: Folder, split: Split, at: Path) -> None:
    """Add the class folders in `folder`, or in the one folder in it that only repeats its name (`train/train/cat`)."""
    inner = folder
    while len(inner.holding) == 1 and inner.holding[0].holding and _repeats(inner.holding[0], split):
        inner = inner.holding[0]
    again = _called_like_splits(inner)
    if again and len(again) == len(inner.holding) and all(nested.holding for nested in again):
        if split != "train":
            raise DataError(f"{at / inner.path} holds split folders itself ({_names(again)}). Put classes into it.")
        _add_splits(found, inner, again, at)
    else:
        _add_classes(found, inner, split)
        found.cautions += _doubts(inner, at)


def _repeats(folder: Folder, split: Split) -> bool:
    return spelling(folder.name).role == split or is_filler(folder.name)


def _add_classes(found: Layout, top: Folder, split: Split | None) -> None:
    found.outside += top.own
    found.others += top.others
    for folder in top.folders:
        found.others += folder.every_other()
        if folder in top.holding:
            found.members.append(Member(folder, canonical(folder.name), split))
        else:
            found.empty.append(folder.path)


def _refuse_unlabelled(top: Folder, at: Path) -> None:
    """Refuse split folders that hold images without class folders: `train` and `test` are not the classes."""
    called = _called_like_splits(top)
    if len(called) == len(top.holding) and len(set(called.values())) > 1:
        raise DataError(
            f"{_names(called)} in {at / top.path} have names of splits, but hold images and no class folders. Put "
            f"the images of each class into a folder of its own, as in {next(iter(called)).path}/cat/1.jpg, or list "
            "them in a CSV file with the columns path, label and split."
        )


def _doubts(top: Folder, at: Path) -> list[str]:
    """Describe other possible readings of the class folders."""
    doubts = []
    spelled = {folder: spelling(folder.name) for folder in top.holding}
    plain = [folder for folder, found in spelled.items() if found.role and not found.rest]
    mixed = [folder for folder, found in spelled.items() if found.role and found.rest]
    if plain:
        doubts.append(
            f"{_names(plain)}: named like a split, but read as a class, because there are no class folders inside. If "
            "it is not a class, move it out of the folder."
        )
    if len({spelled[folder].role for folder in mixed}) > 1:
        doubts.append(
            f"{_names(mixed)} have names of classes and splits at once, and are read as classes. If they are splits, "
            "put them into folders named train, val and test, with a folder for each class in them."
        )
    inner = [frozenset(canonical(folder.name) for folder in each.holding) for each in top.holding]
    if inner and all(len(names) > 1 for names in inner) and not any(each.own for each in top.holding):
        names = sorted(inner[0])
        if len(inner) == 1:
            doubts.append(
                f"{top.holding[0].path} is the only class. If the folders in it are the classes ({listed(names)}), "
                f"name {at / top.holding[0].path} instead."
            )
        elif len(set(inner)) == 1 and not all(spelling(name).role for name in names):
            doubts.append(
                f"{_names(top.holding)} are read as classes, and all of them hold the same folders ({listed(names)}). "
                "If those are the classes, name the folders above them train, val and test."
            )
    return doubts


def _split_by_class(found: Layout) -> None:
    """Use splits inside class folders (`cat/train`, `cat/test`), if the class folders hold nothing else."""
    inside = {member.folder: _plain_splits(member.folder) for member in found.members}
    if not any(inside.values()):
        return
    rest = [folder for folder, splits in inside.items() if folder.own or len(splits) < len(folder.holding)]
    if not rest:
        found.members = [
            Member(folder, member.label, split)
            for member in found.members
            for folder, split in inside[member.folder].items()
        ]
    elif any(len(set(splits.values())) > 1 for splits in inside.values()):
        parted = [folder for splits in inside.values() for folder in splits]
        found.cautions.append(
            f"{listed([folder.path for folder in parted])} have names of splits and are not used as such, because "
            f"{_names(rest)} holds other images too. Put all images of each class into folders named train, val and "
            "test."
        )


def _plain_splits(folder: Folder) -> dict[Folder, Split]:
    found: dict[Folder, Split] = {}
    for inner in folder.holding:
        spelled = spelling(inner.name)
        if spelled.role and spelled.role != "other" and not spelled.rest:
            found[inner] = spelled.role
    return found


def _names(folders: Iterable[Folder]) -> str:
    return listed([folder.name for folder in folders], 4)


def _count(folder: Folder) -> str:
    count = sum(1 for _ in folder.images())
    return f"{count:,} image" + ("" if count == 1 else "s")
