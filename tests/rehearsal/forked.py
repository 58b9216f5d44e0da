"""Commands that begin where torch is loaded already: each in a process of its own, without the seconds of its import.

Of Striate nothing is loaded before; a command imports what it needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_SERVER = """
import json, os, runpy, socket, sys
import torch
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(sys.argv[1])
    listening.listen()
    print("ready", flush=True)
    while True:
        caller, _ = listening.accept()
        words, descriptors, _, _ = socket.recv_fds(caller, 1 << 20, 3)
        process = os.fork()
        if not process:
            break
        for descriptor in descriptors:
            os.close(descriptor)
        caller.send(bytes([os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) & 255]))
        caller.close()
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, number)
folder, *sys.argv = json.loads(words)
os.chdir(folder)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
_CALLER = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1] in {without_torch!r}:
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [json.dumps([os.getcwd(), {program!r}, *sys.argv[1:]]).encode()], [0, 1, 2])
    sys.exit(server.recv(1)[0])
"""


@contextmanager
def forked(program: Path, python: Path, environment: Mapping[str, str], *, without_torch: set[str]) -> Iterator[None]:
    """Have `program`, a script of `python`, run in forks of one process; with a word of `without_torch` it is started.

    The forks have this `environment`, and the folder, the input and the outputs of their callers.
    """
    original = program.rename(program.with_name(f"{program.name}-started"))
    with tempfile.TemporaryDirectory() as folder:  # the address of a socket has at most a hundred characters
        address = os.path.join(folder, "calls")
        command = [python, "-c", _SERVER, address]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
            text = _CALLER.format(
                python=sys.executable, program=str(original), address=address, without_torch=sorted(without_torch)
            )
            program.write_text(text, "utf-8")
            program.chmod(0o755)
            try:
                yield
            finally:
                server.kill()
