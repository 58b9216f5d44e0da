"""What the zoo's table was made of: for each model, the code that builds its network."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from striate.models import MODELS

_SOURCES = Path(__file__).resolve().parents[2] / "src"
_PACKAGES = ("striate.layers", "striate.models.")


def digest_of(name: str) -> str:
    """Of the code that builds the model, in its own file and in all that this takes from `models/` and `layers/`.

    What does not build it is left out: comments, docstrings, and what only cards use, which are compared with the
    network whenever the tests run. Any other change gives another digest, and so do another input or class count.
    """
    card = MODELS[name].card
    digest = hashlib.sha256(f"{card.input} {card.classes}\0".encode())
    for module in sorted(_closure(MODELS[name].build.__module__)):
        digest.update(f"{module}\0{_code(module)}\0".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _closure(module: str) -> frozenset[str]:
    found, waiting = set[str](), [module]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [name for name in _imported(module) if name.startswith(_PACKAGES)]
    return frozenset(found)


@functools.cache
def _imported(module: str) -> tuple[str, ...]:
    """The modules from which the code of `module` takes names."""
    nodes = [node for node in ast.walk(ast.parse(_code(module))) if isinstance(node, ast.ImportFrom)]
    pairs = [(node.module or "", f"{node.module}.{alias.name}") for node in nodes for alias in node.names]
    return tuple(inner if _file(inner) else outer for outer, inner in pairs)


def _file(module: str) -> Path | None:
    path = _SOURCES / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


@functools.cache
def _code(module: str) -> str:
    """The statements of a module that its networks need; all of them where it registers none."""
    file = _file(module)
    assert file is not None, f"{module} is imported, and has no file"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    statements = [part for node in tree.body for part in _parts(node)]
    roots = [node for node in statements if isinstance(node, ast.FunctionDef) and _is_registered(node)]
    for node in statements:
        for each in ast.walk(node):
            if isinstance(each, (ast.FunctionDef, ast.ClassDef)):
                each.body = [line for line in each.body if not _is_text(line)] or [ast.Pass()]
                each.decorator_list = [mark for mark in each.decorator_list if "register" not in _names(mark)]
    needed, waiting = set[int](), roots or statements
    while waiting:
        node = waiting.pop()
        if id(node) not in needed:
            needed.add(id(node))
            waiting += [other for other in statements if _defined(other) & _names(node)]
    return "\n".join(ast.unparse(node) for node in statements if id(node) in needed and not _is_text(node))


def _parts(node: ast.stmt) -> Iterator[ast.stmt]:
    """An import of several names is as many statements."""
    if isinstance(node, ast.ImportFrom):
        yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
    else:
        yield node


def _is_registered(node: ast.FunctionDef) -> bool:
    return any("register" in _names(mark) for mark in node.decorator_list)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
