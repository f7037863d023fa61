"""8. Installation: seconds of ``pip install ".[sql,local]"``, relative to those of ``pip install mindsdb``.

Each goes into a fresh environment, and each twice: with an empty cache of pip's, so that all is downloaded from the
package index, and again with what that left in the cache. The extras `sql` and `local` are all that statements in a
process of your own need, with models that are served on your machine. The import is that of
``huggingface_api_handler.inference``, beside one of pandas, pydantic, aiohttp and orjson; the median of several
processes.
"""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
import time
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
        megabytes: Of the environment on the disk, pip among it.
        packages: In the environment, pip among them.
    """

    cold_seconds: float
    warm_seconds: float
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


def install(python: str, what: str, cache: Path) -> float:
    """Install something with pip, in a process of its own.

    Args:
        python: The interpreter of the environment.
        what: What pip is given.
        cache: The folder of pip's cache.

    Returns:
        Seconds.
    """
    began = time.perf_counter()
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--cache-dir", str(cache)]
    subprocess.run([*command, what], check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(what: str, folder: Path) -> Installed:
    """Install something into two fresh environments, of which the second stays.

    Args:
        what: What pip is given.
        folder: For the environment and pip's cache.

    Returns:
        What it took.
    """
    seconds = [install(new_environment(folder / "venv"), what, folder / "cache") for _ in range(2)]
    packages = len(list((folder / "venv").glob("lib/python*/site-packages/*.dist-info")))
    size = size_on_disk(folder / "venv")
    print(f"{what}: {seconds[0]:.0f} s cold, {seconds[1]:.0f} s warm, {size / MB_BYTES:.0f} MB", flush=True)
    return {
        "cold_seconds": seconds[0],
        "warm_seconds": seconds[1],
        "megabytes": size / MB_BYTES,
        "packages": packages,
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
        ours = measure(OURS, Path(folder, "ours"))
        installed = {f"ours: {OURS}": ours}
        python = str(Path(folder, "ours", "venv", "bin", "python"))
        imported = {
            name: import_seconds(python, modules, 3 if results.quick else IMPORTS)
            for name, modules in (("ours", OURS_IMPORTED), ("required", REQUIRED_IMPORTED))
        }
        if not results.quick:  # minutes
            installed["mindsdb"] = measure(mindsdb, Path(folder, "mindsdb"))
    results.body.update(installed=installed, import_seconds=imported)
    if (theirs := installed.get("mindsdb")) is not None:
        for name, key in (("an empty", "cold_seconds"), ("a full", "warm_seconds")):
            ratio = ours[key] / theirs[key]  # type: ignore[literal-required]
            results.check(f"seconds with {name} cache, relative to mindsdb", ratio, TIME_BOUND)
        results.check("size on the disk, relative to mindsdb", ours["megabytes"] / theirs["megabytes"], None)
    for name, key in (("an empty", "cold_seconds"), ("a full", "warm_seconds")):
        results.check(f"seconds with {name} cache", ours[key], None)  # type: ignore[literal-required]
    results.check("MB on the disk", ours["megabytes"], SIZE_BOUND_BYTES / MB_BYTES)
    results.check("seconds of the import", imported["ours"], None)
    results.check(
        "seconds of the import, relative to that of what it requires", imported["ours"] / imported["required"], None
    )
    results.write()


if __name__ == "__main__":
    main()
