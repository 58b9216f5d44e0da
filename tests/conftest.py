"""What every test may rely on: shapes in signatures are executed, and real data are found or honestly missed."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

# Where `shape_checks` is, and the slow references: `from reference.conv import convolve`.
sys.path.insert(0, str(Path(__file__).parent))

import shape_checks

# Before anything of striate is imported. In the tracer, which sees every operation, checks take most of the time.
shape_checks.install("striate", without="striate.tracing")

from striate.core.allocator import tune_process  # noqa: E402 (after the hook)
from striate.core.threads import usable_cores  # noqa: E402 (after the hook)

# Workers share the cores, each with its children: threads that wait for one another's cores spend minutes spinning.
# One process alone follows OMP_NUM_THREADS; a worker would only find there what this file has set in its parent.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
_GIVEN = os.environ.get("OMP_NUM_THREADS") if not _WORKERS else None
_THREADS = int(_GIVEN or max(1, usable_cores() // max(1, _WORKERS)))
torch.set_num_threads(_THREADS)
os.environ["OMP_NUM_THREADS"] = str(_THREADS)
# A process that a test starts finds striate compiled; the first of them compiles it if necessary. So does the next run
# of the suite find the tests, whose assertions take ten seconds to rewrite.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

tune_process()  # a sixth of the time of VGG's sums in float64 goes to pages that are given back and cleared again

_REPOSITORY = Path(__file__).parent.parent
_REAL = "real data"


def _data_folder() -> Path:
    return Path(os.environ.get("STRIATE_DATA") or _REPOSITORY.parent / "shared" / "data")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect the tests, and leave them and all that they import out of every search for garbage."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


@pytest.fixture(autouse=True)
def same_first_weights() -> None:
    """A network made in a test has the same first weights whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture
def few_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a map compares with as many random places of it as it needs at least: half of the work."""
    from striate.explaining.checks import checking

    monkeypatch.setattr(checking, "ORDERS", checking.LEAST_ORDERS)


@pytest.fixture
def real_data(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """`real_data("mnist")` is the folder of that real data set.

    Where `STRIATE_DATA` is set, a missing one is a failure; where it is not, the test is skipped and counted.
    """

    def find(name: str) -> Path:
        folder = _data_folder() / name
        if folder.exists():
            request.node.user_properties.append((_REAL, "run"))
            return folder
        if os.environ.get("STRIATE_DATA"):
            pytest.fail(f"STRIATE_DATA is set, and {name} is not in it")
        request.node.user_properties.append((_REAL, "skipped"))
        pytest.skip(f"needs real data: {name} (set STRIATE_DATA)")

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests had their real data. The reports know it, from whichever process they come."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    said = {
        report.nodeid: value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == _REAL
    }
    run, skipped = (sum(value == kind for value in said.values()) for kind in ("run", "skipped"))
    terminalreporter.write_line(f"real data: {run} run, {skipped} skipped")
