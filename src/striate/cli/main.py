"""The program `striate`: choose the command, run it, and turn errors into a sentence and an exit status."""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from striate.cli.commands import COMMANDS, FORMER, verb
from striate.cli.own_code import OPTION, import_module, named_modules
from striate.core.errors import ConfigError, StriateError
from striate.core.names import visible_lines
from striate.core.torchrun import own_rank

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError
    from rich.text import Text

_TOGETHER = ("train", "resume")
"""Commands that can run on several processes."""
_FIRST_WORD = 10.0
"""Seconds in which torchrun notices that the first process has ended."""
_ENDLESS = 1000  # columns of text: a terminal breaks lines itself, and nothing else should


def main(words: Sequence[str] | None = None) -> None:
    """Run the command of `words` (default: the process's arguments).

    A mistake of the user is one sentence on standard error, and exit status 2.
    """
    if sys.stdout is None:  # it was closed by the caller
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no reason to fail
    words = list(sys.argv[1:] if words is None else words)
    try:
        try:
            modules, words = named_modules(words)
            _run(words, modules)
        finally:
            sys.stdout.flush()
    except StriateError as error:
        _complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstriate: stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has gone
        _discard_output()
        sys.exit(141)
    except OSError as error:  # of standard output, or of an open file: neither says its name
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _discard_output()
        _complain(f"The output cannot be written: {os.strerror(error.errno)}.")
        sys.exit(2)


def _run(words: list[str], modules: Sequence[str]) -> None:
    _check_together(words)
    if not words or words[0] in ("--help", "-h"):
        print(overview())
        return
    if words[0] in FORMER:
        _complain(f"'striate {words[0]}' is now called 'striate {FORMER[words[0]]}'.")
        words[0] = FORMER[words[0]]
    from striate.core.allocator import tune_process

    tune_process()  # this process is ours; most of the time of a batch would go to pages that are given back
    for module in modules:
        import_module(module)
    build([words[0]] if words[0] in COMMANDS else COMMANDS)(words)


def _discard_output() -> None:
    """Discard what is left of standard output, so that closing it at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def overview() -> str:
    """Return what `striate --help` prints: every command with the first sentence of its help."""
    import inspect
    import shutil
    import textwrap

    width = min(shutil.get_terminal_size().columns, 100)
    indent = max(map(len, COMMANDS)) + 4
    lines = [
        "Usage: striate COMMAND",
        "",
        *textwrap.wrap("Train convolutional networks on your images, evaluate them, and see why they decide.", width),
        "",
        "Start with        striate train digits, or your own images: striate train photos/",
        "Then look inside  striate explain RUN IMAGES, striate inspect RUN, striate fool RUN IMAGES",
        "",
        "Commands:",
    ]
    for name in COMMANDS:
        first = (inspect.getdoc(verb(name)) or "").partition("\n\n")[0]
        lines += textwrap.wrap(
            " ".join(first.split()), width, initial_indent=f"  {name}".ljust(indent), subsequent_indent=" " * indent
        )
    lines += ["", "Options of a command: striate COMMAND --help"]
    own = "imports a module or a Python file of yours first, so that what it registers is known to the command"
    lines += textwrap.wrap(f"{OPTION} MODULE {own}.", width)
    return "\n".join(lines)


def build(names: Iterable[str]) -> App:
    """Return the command line with the commands `names`."""
    from cyclopts import App, Parameter
    from rich.console import Console

    from striate.cli.command import usage
    from striate.cli.mistakes import converted

    app = App(
        name="striate",
        help_format="plaintext",
        default_parameter=Parameter(negative=(), converter=converted),
        version=_version,
        error_formatter=_sentence,
        error_console=Console(stderr=True, width=_ENDLESS),
        suppress_keyboard_interrupt=False,  # `main` says that it was stopped
    )
    for name in names:
        function = COMMANDS[name].function(name)
        app.command(function, name=name, usage=usage(function, name))
    app.register_install_completion_command(name="--install-completion")
    return app


def _check_together(words: Sequence[str]) -> None:
    """Check that the command of `words` can run on several processes, where torchrun has started them."""
    if words and words[0] in COMMANDS and words[0] not in _TOGETHER and own_rank() is not None:
        raise ConfigError(f"'striate {words[0]}' runs in one process. Start it without torchrun.")


def _complain(sentence: str) -> None:
    rank = own_rank()
    if rank:
        # An error of all processes is printed by the first one; torchrun then ends the others.
        time.sleep(_FIRST_WORD)
        sentence = f"process {rank + 1}: {sentence}"
    print(f"striate: {visible_lines(sentence)}", file=sys.stderr)


def _sentence(error: CycloptsError) -> Text:
    """Return a mistake on the command line as one line."""
    from rich.text import Text

    from striate.cli.mistakes import sentence

    return Text(f"striate: {visible_lines(sentence(error))}")


def _version() -> str:
    from importlib.metadata import version

    return version("striate")
