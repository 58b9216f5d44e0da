"""docs/reference/python.md: every public name with its signature and docstring, written from the program itself."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "reference" / "python.md"

# What a page about a package shows: the package, and a sentence about it.
_PACKAGES = {
    "striate": "The verbs: whole jobs, from data to a result.",
    "striate.classifier": "Trained classifiers.",
    "striate.core.spec": "The input of a model, and the meaning of its outputs.",
    "striate.diagnosing": "Layers of any `nn.Module` and curves of a training, judged by rule.",
    "striate.explaining": "Explanations of any `nn.Module`.",
    "striate.explaining.checks": "Checks of a map.",
    "striate.explaining.adversarial": "Adversarial examples: small changes of an image that change the answer.",
    "striate.explaining.visualize": "Images made to excite a unit, a channel or a class.",
    "striate.hooks": "Look into a running model and change its backward pass.",
    "striate.metrics": "Scores, with their intervals.",
    "striate.models": "The zoo, and networks by name.",
    "striate.tracing": "One forward pass, recorded: layers, receptive fields, graph, folding.",
}
_SECTION = re.compile(r"^(Args|Raises|Example|Examples|Returns|Yields):$")


def page() -> str:
    """Return the page."""
    parts = ["# Python", "Written by `make docs` from signatures and docstrings; `help(striate.train)` shows the same."]
    parts.append("\n".join(f"- [{package}](#{_slug(package)}): {about}" for package, about in _PACKAGES.items()))
    for package, about in _PACKAGES.items():
        parts += [f"## {package}", about, *(_entry(package, name, value) for name, value in _public(package))]
    return "\n\n".join(parts) + "\n"


def interface() -> list[tuple[str, str]]:
    """Return every public name, and the line of its package and signature."""
    every = [(package, name, value) for package in _PACKAGES for name, value in _public(package)]
    return [(name, f"{package}.{' '.join(_signature(name, value).split())}") for package, name, value in every]


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _public(package: str) -> Iterator[tuple[str, Any]]:
    """Yield the functions and classes that a package offers, in the order of their names."""
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in sorted(names, key=str.casefold):
        value = getattr(module, name)
        if (inspect.isclass(value) or inspect.isroutine(value)) and value.__module__.startswith("striate"):
            yield name, value


def _entry(package: str, name: str, value: Any) -> str:
    parts = [f"### {package}.{name}"]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        parts.append(f"```text\n{_signature(name, value)}\n```")
    parts.append(_markdown(inspect.getdoc(value) or ""))
    if inspect.isclass(value):
        parts += [
            f"**{name}.{method}** {_markdown(inspect.getdoc(function) or '')}" for method, function in _methods(value)
        ]
    return "\n\n".join(part for part in parts if part)


def _signature(name: str, value: Any) -> str:
    """Return the signature on one line, or with a line for each parameter where that is too long."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    shown = [_parameter(parameter) for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    if inspect.Parameter.POSITIONAL_ONLY in kinds:
        shown.insert(kinds.count(inspect.Parameter.POSITIONAL_ONLY), "/")
    returned = "" if signature.return_annotation is signature.empty else f" -> {_type(signature.return_annotation)}"
    line = f"{name}({', '.join(shown)}){returned}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {parameter},\n" for parameter in shown) + f"){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotated = "" if parameter.annotation is parameter.empty else f": {_type(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return f"{stars}{parameter.name}{annotated}"
    default = re.sub(r" at 0x[0-9a-f]+", "", repr(parameter.default))
    return f"{parameter.name}{annotated} = {default}"


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _methods(value: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isroutine(function) and inspect.getdoc(function):
            yield name, function


def _markdown(doc: str) -> str:
    """Return a docstring as Markdown: arguments and errors as lists, examples and formulas as blocks."""
    lines: list[str] = []
    section = ""
    for line in doc.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
            lines += ["", f"*{section}*", ""]
        elif section in ("Args", "Raises", "Returns", "Yields") and re.match(r"    \S+: ", line):
            name, _, rest = line.strip().partition(": ")
            lines.append(f"- `{name}`: {rest}")
        elif section.startswith("Example") or not line.startswith("        "):
            section = section if line.startswith(" ") or not line else ""
            lines.append(line)
        else:
            lines.append(f"  {line.strip()}" if section else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


if __name__ == "__main__":
    write()
