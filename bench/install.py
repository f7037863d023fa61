"""8. Installation: seconds of ``pip install ".[sql,local]"``, relative to those of ``pip install mindsdb``.

Each goes into fresh environments, by turns: with an empty cache of pip's, so that all is downloaded from the package
index, and again with what that left in the cache. The extras `sql` and `local` are all that statements in a
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

OURS = ".[sql,local]"
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


def measure(folders: Mapping[str, Path]) -> dict[str, Installed]:
    """Install each into two fresh environments, one after the other, of which the second stays.

    Args:
        folders: By what pip is given: the folder for the environment and pip's cache.

    Returns:
        What each took.
    """
    cold = {what: install(what, folder) for what, folder in folders.items()}
    warm = {what: install(what, folder) for what, folder in folders.items()}
    return {
        what: {
            "cold_seconds": cold[what][0],
            "warm_seconds": warm[what][0],
            "cold_cpu_seconds": cold[what][1],
            "warm_cpu_seconds": warm[what][1],
            "megabytes": size_on_disk(folder / "venv") / MB_BYTES,
            "packages": len(list((folder / "venv").glob("lib/python*/site-packages/*.dist-info"))),
        }
        for what, folder in folders.items()
    }


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
        folders = {OURS: Path(folder, "ours")}
        if not results.quick:  # minutes
            folders[mindsdb] = Path(folder, "mindsdb")
        measured = measure(folders)
        python = str(folders[OURS] / "venv" / "bin" / "python")
        ours_imported, required_imported = (
            import_seconds(python, modules, 3 if results.quick else IMPORTS)
            for modules in (OURS_IMPORTED, REQUIRED_IMPORTED)
        )
    ours, theirs = measured[OURS], measured.get(mindsdb)
    results.body.update(
        installed={f"ours, {OURS}" if what == OURS else "mindsdb": each for what, each in measured.items()},
        import_seconds={"ours": ours_imported, "required": required_imported},
    )
    if theirs is not None:
        for what, key in (("an empty cache", "cold"), ("a full cache", "warm")):
            seconds, cpu = f"{key}_seconds", f"{key}_cpu_seconds"
            results.check(f"seconds with {what}, relative to mindsdb", ours[seconds] / theirs[seconds], TIME_BOUND)  # type: ignore[literal-required]
            results.check(f"CPU time with {what}, relative to mindsdb", ours[cpu] / theirs[cpu], None)  # type: ignore[literal-required]
        results.check("MB on the disk, relative to mindsdb", ours["megabytes"] / theirs["megabytes"], None)
    results.check("seconds with an empty cache", ours["cold_seconds"], None)
    results.check("MB on the disk", ours["megabytes"], SIZE_BOUND_BYTES / MB_BYTES)
    results.check("seconds of the import", ours_imported, None)
    results.check("seconds of the import, relative to that of the four", ours_imported / required_imported, None)
    results.write()


if __name__ == "__main__":
    main()
