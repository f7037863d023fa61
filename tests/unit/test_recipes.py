"""What CONTRIBUTING.md says of each usual change is true: its example applies, touches so many files, and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.patches import PatchError, apply

pytestmark = pytest.mark.same_on_every_python

ROOT = Path(__file__).resolve().parents[2]
PATCHES = ROOT / "tests" / "recipes"
PACKAGE = "huggingface_api_handler/"
NOT_COUNTED = ("tests/", "docs/", "README.md")
GENERATED = (f"{PACKAGE}creation_args.py",)
# What holds of the whole tree, and is seldom thought of: docstrings, names, layout, generated tables.
COMMON_TESTS = (
    "tests/unit/test_structure.py",
    "tests/unit/tools/test_documents.py",
    "tests/unit/tools/test_generated.py",
    "tests/package/test_task_matrix.py",
)
SCHEMA_TEST = "tests/unit/tasks/test_schemas.py::test_every_valid_answer_is_read[{task}]"
MARKS = "not same_on_every_python"
MAX_RECIPE_LINES = 24  # a screen
REFRESH = """
{name}.patch does not fit the tree: {reason}

Make it anew, as CONTRIBUTING.md says under "When a recipe no longer fits". With everything committed:

    git apply --3way tests/recipes/{name}.patch    # then resolve what conflicts, and let its tests pass
    git add --all && git diff --cached --full-index --output=/tmp/{name}.patch
    git reset --hard && mv /tmp/{name}.patch tests/recipes/
"""


class Recipe(NamedTuple):
    """A section of CONTRIBUTING.md: how many files of the package it says to touch, and its text."""

    files: int
    text: str


def recipes() -> dict[str, Recipe]:
    """The sections whose headings tell a number of files, by the name of their patch."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    sections = re.findall(r"^### [^\n]+ \((\d+) files?\)\n(.*?)(?=^##)", text, re.M | re.S)
    return {
        name: Recipe(int(files), section)
        for files, section in sections
        for name in re.findall(r"\(tests/recipes/(\w+)\.patch\)", section)
    }


RECIPES = recipes()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the checkout without what git ignores."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=shutil.ignore_patterns(".git", *ignored)))


def applied(name: str, tree: Path) -> list[str]:
    try:
        return apply((PATCHES / f"{name}.patch").read_text("utf-8"), tree)
    except PatchError as error:
        pytest.fail(REFRESH.format(name=name, reason=error), pytrace=False)


def importers(paths: Iterable[str], tree: Path) -> list[str]:
    """The unit tests that import one of these modules."""
    modules = [Path(path).with_suffix("").as_posix().replace("/", ".") for path in paths if path.startswith(PACKAGE)]
    parts = [re.escape(module).rpartition(r"\.") for module in modules]
    imports = "|".join(rf"from {parent}(?:\.{name} import|.* import .*\b{name}\b)" for parent, _, name in parts)
    files = sorted((tree / "tests" / "unit").rglob("test_*.py"))
    return [str(file.relative_to(tree)) for file in files if re.search(imports, file.read_text("utf-8"))]


def run(tree: Path, *command: str) -> None:
    """Run a tool in the copy, which is imported and not the package that is installed."""
    apart = ("PYTEST_", "COV_", "COVERAGE_", "WRITE_DOCS")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(apart)}
    environment["PYTHONPATH"] = str(tree)
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


# The longest begin first and apart, so that two processes share the time.
def test_all_recipes_together_pass_the_checks(tree: Path) -> None:
    """Together, since most of the time goes into what they do not touch."""
    modules = {path for name in RECIPES for path in applied(name, tree) if path.endswith(".py")}
    run(tree, sys.executable, "-m", "ruff", "check", *modules)
    run(tree, sys.executable, "-m", "ruff", "format", "--check", *modules)
    run(tree, sys.executable, "-m", "mypy", "--follow-imports=silent", *modules)
    run(tree, str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache")
    run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *COMMON_TESTS)


def test_each_recipe_has_a_patch_and_each_patch_a_recipe() -> None:
    assert RECIPES.keys() == {path.stem for path in PATCHES.glob("*.patch")}
    assert len(RECIPES) >= 5


def test_all_recipes_together_break_no_test_of_what_they_touch(tree: Path) -> None:
    """Those of each recipe are run below; these know an inside that it may have changed."""
    paths = {path for name in RECIPES for path in applied(name, tree)}
    tests = set(importers(paths, tree)) - paths - set(COMMON_TESTS)
    assert "tests/unit/test_key_leaks.py" in tests
    run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", MARKS, *sorted(tests))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_on_a_screen(name: str) -> None:
    assert len(RECIPES[name].text.strip().splitlines()) <= MAX_RECIPE_LINES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_touches_the_files_that_it_says_and_works(name: str, tree: Path) -> None:
    paths = applied(name, tree)
    counted = [path for path in paths if not path.startswith(NOT_COUNTED) and path not in GENERATED]
    assert [path for path in counted if not path.startswith(PACKAGE)] == []
    assert len(counted) == RECIPES[name].files, counted

    tests = [path for path in paths if Path(path).name.startswith("test_")]
    assert tests, "a recipe has tests of its own"
    tests += [SCHEMA_TEST.format(task=Path(path).stem) for path in paths if path.startswith("tests/specs/")]
    run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


PATCH = """\
diff --git a/a.txt b/a.txt
index 1..2 100644
--- a/a.txt
+++ b/a.txt
@@ -1,3 +1,4 @@
 one
-two
+2
+2.5
 three
diff --git a/b/new.txt b/b/new.txt
new file mode 100644
--- /dev/null
+++ b/b/new.txt
@@ -0,0 +1 @@
+text
diff --git a/b/empty.txt b/b/empty.txt
new file mode 100644
"""


def test_a_patch_finds_lines_that_have_moved(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("zero\n" * 9 + "one\ntwo\nthree\nfour\n")
    assert apply(PATCH, tmp_path) == ["a.txt", "b/new.txt", "b/empty.txt"]
    assert (tmp_path / "a.txt").read_text() == "zero\n" * 9 + "one\n2\n2.5\nthree\nfour\n"
    assert (tmp_path / "b" / "new.txt").read_text() == "text\n"
    assert (tmp_path / "b" / "empty.txt").read_text() == ""


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\n2\nthree\n", ""])
def test_a_patch_does_not_guess(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(PatchError, match=r"a\.txt: near line 1 there is no longer"):
        apply(PATCH, tmp_path)


def test_a_patch_makes_no_file_anew(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "new.txt").touch()
    with pytest.raises(PatchError, match=r"b/new\.txt: is there already"):
        apply(PATCH, tmp_path)


def test_a_patch_that_no_longer_fits_says_how_to_make_it_anew(tree: Path) -> None:
    (tree / PACKAGE / "inference" / "flow_control" / "retry.py").write_text("")
    with pytest.raises(pytest.fail.Exception, match=r"git apply --3way tests/recipes/retry\.patch"):
        applied("retry", tree)
