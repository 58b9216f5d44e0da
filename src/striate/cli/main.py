"""`striate`: the commands, and what becomes of an error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from cyclopts import App, Parameter, UnknownOptionError
from rich.console import Console
from rich.text import Text

from striate.cli.command import usage
from striate.cli.commands import COMMANDS
from striate.cli.show.console import complain
from striate.core.errors import StriateError
from striate.core.names import visible_lines

_ENDLESS = 1000  # columns of text: a terminal breaks lines itself, and nothing else should


def build() -> App:
    """The command line as an object: every command with its help."""
    app = App(
        name="striate",
        help="Train convolutional networks on your pictures, see how well they do, and use them.\n\n"
        "Begin with:  striate train digits      or with your own:  striate train photos/\n\n"
        "Then look inside:  striate explain RUN PICTURES,  striate inspect RUN,  striate fool RUN PICTURES",
        help_format="plaintext",
        default_parameter=Parameter(negative=()),
        version=_version,
        error_formatter=_sentence,
        error_console=Console(stderr=True, width=_ENDLESS),
    )
    for name, function in COMMANDS.items():
        app.command(function, name=name, usage=usage(function, name))
    app.register_install_completion_command(name="--install-completion")
    return app


def main(words: Sequence[str] | None = None) -> None:
    """Run the command that `words` (or the process's arguments) say; a user's mistake is one sentence on standard
    error and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no reason to fail
    try:
        build()(sys.argv[1:] if words is None else words)
    except StriateError as error:
        complain(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstriate: stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has gone; so that closing standard output at exit does not fail again:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _sentence(error: Exception) -> Text:
    """A mistake on the command line in one line; an option that other programs have is told as it is called here."""
    from striate.cli.hints import meant

    if isinstance(error, UnknownOptionError) and error.command_chain and error.command_chain[0] == "train":
        option = str(error.token.keyword or error.token.value)
        hint = meant(option)
        if hint:
            return Text(visible_lines(f"striate: There is no option {option}. {hint}"))
    return Text(f"striate: {visible_lines(str(error))}")


def _version() -> str:
    from importlib.metadata import version

    return version("striate")
