"""8. Installation: seconds of ``pip install ".[sql,local]"``, relative to those of ``pip install mindsdb``.

Each goes into fresh environments, by turns: with an empty cache of pip's, so that all is downloaded from the package
index, and again with what that left in the cache. Ours is installed of the checkout, which pip makes a wheel of first,
and of the wheel that a package index has of a release. The extras `sql` and `local` are all that statements in a
process of your own need, with models that are served on your machine. The import is that of
``huggingface_api_handler.inference``, beside one of pandas, pydantic, aiohttp and orjson; the median of several
processes.
"""

from __future__ import annotations

import importlib.metadata
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from tests.sql.bare_environment import SIZE_BOUND_BYTES
from tools.disk_size import size_on_disk

from .measure import ROOT, Results, client_environment, parse_arguments, temporary_folder

EXTRAS = "[sql,local]"
OURS = "ours, of the checkout"
OUR_WHEEL = "ours, of its wheel"
THEIRS = "mindsdb"
TIME_BOUND = 0.2
MB_BYTES = 1_000_000
IMPORTS = 9
OURS_IMPORTED = "huggingface_api_handler.inference"
REQUIRED_IMPORTED = "pandas, pydantic, aiohttp, orjson"


class Installed(TypedDict):
    """What an installation took.

    Attributes:
        cold_seconds: With an empty cache.
        warm_seconds: With what the first left in the cache.
        cold_cpu_seconds: CPU time of pip and of what it starts, with an empty cache.
        warm_cpu_seconds: The same with what the first left in the cache.
        megabytes: Of the environment on the disk, pip among it.
        packages: In the environment, pip among them.
    """

    cold_seconds: float
    warm_seconds: float
    cold_cpu_seconds: float
    warm_cpu_seconds: float
    megabytes: float
    packages: int


def new_environment(folder: Path) -> str:
    """Make an environment that has pip and nothing else.

    Args:
        folder: Where.

    Returns:
        Its interpreter.
    """
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    return str(folder / "bin" / "python")


def install(what: str, folder: Path) -> tuple[float, float]:
    """Install something into a fresh environment, with pip in a process of its own.

    Args:
        what: What pip is given.
        folder: For the environment, and for pip's cache, which stays.

    Returns:
        Seconds, and seconds of CPU time.
    """
    command = [new_environment(folder / "venv"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    before, began = cpu_seconds_of_children(), time.perf_counter()
    subprocess.run(
        [*command, "--cache-dir", str(folder / "cache"), what], check=True, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    seconds, cpu_seconds = time.perf_counter() - began, cpu_seconds_of_children() - before
    print(f"{what}: {seconds:.0f} s, {cpu_seconds:.0f} s of CPU time", flush=True)
    return seconds, cpu_seconds


def cpu_seconds_of_children() -> float:
    """CPU time of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(given: Mapping[str, str], folder: Path) -> dict[str, Installed]:
    """Install each into two fresh environments, by turns, of which the second stays.

    Args:
        given: What pip is given, by name.
        folder: For a folder of each name.

    Returns:
        What each took, by name.
    """
    folders = {name: folder / name.replace(" ", "-") for name in given}
    cold = {name: install(what, folders[name]) for name, what in given.items()}
    warm = {name: install(what, folders[name]) for name, what in given.items()}
    return {
        name: {
            "cold_seconds": cold[name][0],
            "warm_seconds": warm[name][0],
            "cold_cpu_seconds": cold[name][1],
            "warm_cpu_seconds": warm[name][1],
            "megabytes": size_on_disk(folders[name] / "venv") / MB_BYTES,
            "packages": len(list((folders[name] / "venv").glob("lib/python*/site-packages/*.dist-info"))),
        }
        for name in given
    }


def wheel_of_the_checkout(folder: Path) -> Path:
    """Build the wheel that a package index has of a release.

    Args:
        folder: Where it is put.

    Returns:
        The wheel.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."]
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def import_seconds(python: str, modules: str, times: int) -> float:
    """The median time of an import, of several processes.

    Args:
        python: The interpreter.
        modules: What to import, with commas between.
        times: How many processes. Another one before them is not counted.

    Returns:
        Seconds, without the start of the interpreter.
    """
    code = f"import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
    environment = {name: value for name, value in client_environment().items() if name != "PYTHONPATH"}
    done = [
        subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd="/", env=environment)
        for _ in range(times + 1)
    ]
    return statistics.median(float(each.stdout) for each in done[1:])


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(__doc__ or "")
    results = Results("install", options.quick)
    required = importlib.metadata.requires("huggingface_api_handler") or []
    mindsdb = next(each.partition(";")[0] for each in required if "mindsdb" in each.partition(";")[2])
    with temporary_folder() as folder:
        given = {OURS: f".{EXTRAS}"}
        if not results.quick:  # minutes
            given[OUR_WHEEL] = f"{wheel_of_the_checkout(Path(folder))}{EXTRAS}"
            given[THEIRS] = mindsdb
        measured = measure(given, Path(folder))
        python = str(Path(folder, OURS.replace(" ", "-"), "venv", "bin", "python"))
        imported, required_imported = (
            import_seconds(python, modules, 3 if results.quick else IMPORTS)
            for modules in (OURS_IMPORTED, REQUIRED_IMPORTED)
        )
    results.body.update(installed=measured, import_seconds={"ours": imported, "required": required_imported})
    for name in (OURS, OUR_WHEEL) if THEIRS in given else ():
        for what, key in (("an empty", "cold_seconds"), ("a full", "warm_seconds"), ("an empty", "cold_cpu_seconds")):
            ratio = measured[name][key] / measured[THEIRS][key]  # type: ignore[literal-required]
            unit, bound = ("CPU time", None) if "cpu" in key else ("seconds", TIME_BOUND)
            results.check(f"{name}: {unit} with {what} cache, relative to mindsdb", ratio, bound)
    ours = measured[OURS]
    if THEIRS in given:
        results.check("MB on the disk, relative to mindsdb", ours["megabytes"] / measured[THEIRS]["megabytes"], None)
    results.check("seconds with an empty cache", ours["cold_seconds"], None)
    results.check("MB on the disk", ours["megabytes"], SIZE_BOUND_BYTES / MB_BYTES)
    results.check("seconds of the import", imported, None)
    results.check("seconds of the import, relative to that of the four", imported / required_imported, None)
    results.write()


if __name__ == "__main__":
    main()
