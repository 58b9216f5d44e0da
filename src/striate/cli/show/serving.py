"""A server: its address, on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable

from striate.cli.show.console import console


def show_server(work: Callable[..., None]) -> None:
    """Print the address when the server is ready."""

    def ready(address: str) -> None:
        console().print(f"serving at {address} (Ctrl-C ends it)")
        sys.stdout.flush()

    work(on_ready=ready)
