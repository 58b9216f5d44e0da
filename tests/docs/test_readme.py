"""README and docs hold: commands and programs run, links lead somewhere, and no machine is named anywhere."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from rehearsal.forked import forked
from striate.models import list_models

REPOSITORY = Path(__file__).resolve().parents[2]


def program(name: str) -> ModuleType:
    """A module of `docs/`, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", REPOSITORY / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


blocks = program("blocks")
SOURCES = {address for card in list_models() for address in (card.paper, *(row.source for row in card.published))}
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [REPOSITORY / name for name in names.split("\0") if name and (REPOSITORY / name).is_file()]


def test_every_page_ran_with_the_interface_of_today() -> None:
    """`make docs` runs all pages and writes down what it ran. Here README runs, and with `STRIATE_PAGES=all` all do."""
    ran = json.loads(blocks.RAN.read_text("utf-8"))
    today = {str(page): blocks.digest((REPOSITORY / page).read_text("utf-8")) for page in blocks.pages()}
    changed = [page for page in today if ran.get(page) != today[page]]
    assert not changed, f"run make docs, or python docs/refresh.py --here {' '.join(changed)}"


_ALL = os.environ.get("STRIATE_PAGES") == "all"
_RUN = blocks.pages() if _ALL else [Path("README.md")]

# What README runs at full length in `make docs`, and in short here: fewer epochs and photos, less time for a check.
_SHORTER = {
    "README.md": {
        "--name small --epochs 20": "--name small --epochs 2",
        "--check 30s": "--check 1s",
        "--units 3 --time 5s": "--units 1 --time 0.2s",
    },
    "examples/photos.py": {"PHOTOS = 80": "PHOTOS = 24"},
    "examples/demo.py": {'"lenet5", "--name", run.name': '"lenet5", "--name", run.name, "--epochs", "3"'},
}


@pytest.mark.parametrize("page", _RUN, ids=str)
def test_every_command_and_program_of_a_page_runs_from_nothing(page: Path, tmp_path: Path) -> None:
    tree = blocks.copy_of_the_tree(tmp_path / "striate")
    start = contextlib.nullcontext()
    if page == Path("README.md") and not _ALL:
        _environment_of_the_declared(tree)
        scripts = tree / ".venv" / "bin"
        # Ten commands that load torch begin where it is loaded. One that needs none, and the programs, are started.
        start = forked(scripts / "striate", scripts / "python", blocks.environment(tree), without_torch={"audit"})
        for name, changes in _SHORTER.items():
            text = (tree / name).read_text("utf-8")
            for command, shorter in changes.items():
                assert text.count(command) == 1, f"{name} no longer says {command!r}"
                text = text.replace(command, shorter)
            (tree / name).write_text(text, "utf-8")
    with start:
        for block, finished in blocks.run_page((tree / page).read_text("utf-8"), tree):
            assert finished.returncode == 0, f"{block.text}\n{finished.stdout}"
            assert "Traceback" not in finished.stdout, f"{block.text}\n{finished.stdout}"


def _environment_of_the_declared(tree: Path) -> None:
    """Make `.venv` as `make demo` does, of what is installed here: links to the declared dependencies and theirs.

    What striate imports without declaring it is not there. The download is left to `make test`, which begins with the
    same commands, and to `make docs`.
    """
    python = tree / ".venv" / "bin" / "python"
    venv.create(tree / ".venv", symlinks=True)
    ours, theirs = (_site_packages(each) for each in (sys.executable, python))
    for entry in _entries(tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]):
        if not (theirs / entry).exists():
            (theirs / entry).symlink_to(ours / entry)
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-e", str(tree))
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    (tree / ".venv" / "ready").touch()


def _site_packages(python: str | Path) -> Path:
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def _entries(requirements: Iterable[str]) -> set[str]:
    """List the files and folders in site-packages of these distributions and of all that they need."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        required = waiting.pop()
        if required.name in seen or (required.marker and not required.marker.evaluate({"extra": ""})):
            continue
        seen.add(required.name)
        installed = distribution(required.name)
        waiting += [Requirement(text) for text in installed.requires or ()]
        found |= {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
    return found


def test_the_demo_is_installed_as_the_suite_is_except_for_the_extras() -> None:
    """Every run of `make test` in a new clone begins with these commands; so they are known to work for the demo."""
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    recipes = re.findall(r"^(\.venv\S*)/ready:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    lines = {
        folder: [line.strip("\t@") for line in recipe.splitlines() if "echo" not in line and " -c '" not in line]
        for folder, recipe in recipes
    }
    suite = [line.replace(".venv-test/bin", "$(USER)").replace(".venv-test", ".venv") for line in lines[".venv-test"]]
    assert lines[".venv"] == [line.replace("-e '.[dev]'", "-e .") for line in suite]


def test_only_the_command_that_runs_the_tests_is_not_run() -> None:
    readme = blocks.blocks((REPOSITORY / "README.md").read_text("utf-8"))
    assert [block.text for block in readme if block.language in ("sh", "python") and not block.runs] == ["make test\n"]
    assert {block.language for block in readme} <= {"sh", "python", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_an_output_follows_what_printed_it_and_is_not_empty(page: Path) -> None:
    every = blocks.blocks(page.read_text("utf-8"))
    for before, block in itertools.pairwise(every):
        if block.language == "text" and before.runs:
            assert block.text.strip(), f"{page}: nothing is shown behind {before.text!r}; run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_and_image_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:  # only to where a network's figures are from
            assert target in SOURCES, f"{page}: {target} leads out of the repository"
            continue
        path, _, heading = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.is_file(), f"{page}: {target} leads nowhere"
        titles = re.findall(r"^#+ (.+)$", aim.read_text("utf-8"), re.MULTILINE) if heading else []
        slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
        assert not heading or heading in slugs, f"{page}: {target} has no such heading"


def test_the_reference_says_what_the_program_says() -> None:
    listings = program("listings")
    for name, text in {"commands.md": listings.commands(), "recipes.md": listings.recipes()}.items():
        assert (REPOSITORY / "docs" / "reference" / name).read_text("utf-8") == text, f"{name} is old; run make docs"


def test_the_reference_of_python_says_what_the_docstrings_say() -> None:
    api = program("api")
    assert api.PAGE.read_text("utf-8") == api.page(), "python.md is old; run make docs"


def test_the_page_about_the_zoo_says_what_the_cards_say_and_shows_every_family() -> None:
    zoo = program("zoo_page")
    assert zoo.PAGE.read_text("utf-8") == zoo.page(), "zoo.md is old; run python docs/zoo_page.py"
    assert set(zoo.BLOCKS) == set(zoo.families())
    assert {path.stem for path in zoo.IMAGES.glob("*.svg")} == {*zoo.families(), "tradeoff"}


def test_the_readme_counts_the_zoo_rightly() -> None:
    cards = list_models()
    told = f"{len(cards)} networks in {len({card.family for card in cards})} families"
    assert told in (REPOSITORY / "README.md").read_text("utf-8")


def test_no_tracked_file_names_a_package_registry_or_a_folder_of_some_machine() -> None:
    # In pieces, so that this file is not found itself. The host of torch's packages also publishes weights.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "download." + "pytorch.org/whl", "ana" + "conda.org"]
    folders = ["/" + "work/", "/" + "root/"]
    for path in tracked():
        content = path.read_bytes()
        for word in (*hosts, *folders):
            assert word.encode() not in content, f"{path.relative_to(REPOSITORY)} names {word}"


def test_images_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (REPOSITORY / "docs" / "images").iterdir()}
    assert sizes
    assert max(sizes.values()) <= 300_000, sizes
