"""The wheel carries all that the handler needs, and its inference works where MindsDB is not installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without what git ignores."""
    folder = tmp_path_factory.mktemp("source")
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, files.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a release uploads: an sdist, and a wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(source)], check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], check=True
    )
    yield python


def test_the_wheel_carries_all_that_the_handler_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "huggingface_api_handler"
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    assert "huggingface_api_handler/requirements.txt" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "training/"))]


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(source: Path, wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)],
        check=True,
    )
    of_the_checkout = next(tmp_path.glob("*.whl"))
    assert sorted(zipfile.ZipFile(wheel).namelist()) == sorted(zipfile.ZipFile(of_the_checkout).namelist())


def test_the_sdist_has_the_changelog_and_no_tests(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "SECURITY.md", "README.md", "LICENSE", "requirements.txt", "icon.svg"} <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "training/", "docs/"))]


def test_both_icons_are_the_same() -> None:
    assert (ROOT / "icon.svg").read_bytes() == (ROOT / "huggingface_api_handler" / "icon.svg").read_bytes()


def run(python: Path, code: str) -> str:
    done = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_inference_imports_where_mindsdb_is_not_installed(bare_python: Path) -> None:
    code = "import importlib.util as u, huggingface_api_handler.inference as i; print(u.find_spec('mindsdb'), i.predict.__name__)"
    assert run(bare_python, code) == "None predict"


def test_bad_input_is_told_where_mindsdb_is_not_installed(bare_python: Path) -> None:
    code = (
        "import pandas as pd\nfrom huggingface_api_handler.inference import predict\n"
        "try: predict(pd.DataFrame({'a': ['x']}), {'task': 'sentiment', 'column': 'a'})\n"
        "except ValueError as e: print(e)"
    )
    assert "sentiment-analysis" in run(bare_python, code)


def test_the_handler_says_that_mindsdb_is_missing(bare_python: Path) -> None:
    assert "mindsdb" in run(bare_python, "import huggingface_api_handler as h; print(h.Handler, repr(h.import_error))")


def test_serve_without_its_extra_says_what_to_install(bare_python: Path) -> None:
    done = subprocess.run(
        [str(bare_python), "-m", "huggingface_api_handler", "serve"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 1
    assert 'pip install "huggingface_api_handler[local]"' in done.stderr


def test_the_pages_table_of_tasks_is_the_generated_one() -> None:
    from huggingface_api_handler.tasks import TASKS
    from huggingface_api_handler.tasks.listing import markdown

    assert markdown(TASKS) in (ROOT / "docs" / "reference" / "tasks.md").read_text("utf-8")
