"""Execution of the shapes in signatures: a call whose arguments have shapes that are new to the function is checked.

jaxtyping's own import hook checks every function of a module at every call, types of no shape included, which pyright
checks. It takes a third of the time of the suite.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import jaxtyping
import numpy as np
import torch
from beartype import beartype

_typed = jaxtyping.jaxtyped(typechecker=beartype)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the arguments and the result of a call if none before had arguments of the same types and shapes."""
    seen: set[Any] = set()

    @functools.cache  # few of the functions are called in a run, and to compile a check takes milliseconds
    def compiled() -> Callable[..., Any]:
        return _typed(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_exporting():
            return function(*args, **kwargs)  # sizes are symbols there
        form = (*map(_form, args), *((name, _form(value)) for name, value in kwargs.items()))
        if form in seen:
            return function(*args, **kwargs)
        result = compiled()(*args, **kwargs)
        seen.add(form)
        return result

    return call


def _form(value: Any) -> Any:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return type(value), value.dtype, tuple(value.shape)
    if isinstance(value, (list, tuple)):
        return type(value), *map(_form, value)
    return type(value)


class _Decorate(ast.NodeTransformer):
    """Add `checked` to every function, and jaxtyping's check to every class, that names a shape."""

    def __init__(self, tree: ast.Module) -> None:
        self.shaped = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
            for alias in node.names
        }
        for node in tree.body:  # Maps = Float[np.ndarray, "n h w"]
            if isinstance(node, ast.Assign) and self._names_a_shape(node.value):
                self.shaped |= {target.id for target in node.targets if isinstance(target, ast.Name)}

    def _names_a_shape(self, *annotations: ast.expr | None) -> bool:
        nodes = (node for each in annotations if each for node in ast.walk(each))
        return any(isinstance(node, ast.Name) and node.id in self.shaped for node in nodes)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if self._names_a_shape(node.returns, *(each.annotation for each in arguments)):
            node.decorator_list.append(_named("checked", node))
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        if any(isinstance(each, ast.AnnAssign) and self._names_a_shape(each.annotation) for each in node.body):
            node.decorator_list.insert(0, _named("_typed", node))
        return node


def _named(name: str, place: ast.stmt) -> ast.expr:
    expression = ast.parse(f"__import__('sys').modules[{__name__!r}].{name}", mode="eval").body
    for each in ast.walk(expression):
        ast.copy_location(each, place)
    return expression


# Code in which shapes are checked has a cache of its own, beside that of the code in which nothing is.
_TAG = "shapes" + hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
_checked_cache = functools.partial(importlib.util.cache_from_source, optimization=_TAG)


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> Any:
        with mock.patch("importlib._bootstrap_external.cache_from_source", _checked_cache):
            return super().get_code(fullname)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        tree = ast.parse(data)
        return compile(_Decorate(tree).visit(tree), path, "exec", dont_inherit=True, optimize=_optimize)


class _Finder:
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install(package: str, *, without: str) -> None:
    """Check what is imported of a package from now on, where a module names shapes, except below `without`."""
    spec = importlib.util.find_spec(package)
    sources = Path(spec.origin).parent if spec and spec.origin else Path()
    shaped = [path for path in sources.rglob("*.py") if "from jaxtyping import" in path.read_text("utf-8")]
    names = (".".join(path.relative_to(sources.parent).with_suffix("").parts) for path in shaped)
    sys.meta_path.insert(0, _Finder(frozenset(name for name in names if not name.startswith(without + "."))))
