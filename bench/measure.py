"""What benchmarks share: service and clients in processes of their own, medians, checks, results. Linux only."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .baselines import Job
from .service import Plan

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
QUICK_RESULTS = ROOT / "build" / "bench"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PACKAGES = ("huggingface_api_handler", "huggingface_hub", "aiohttp", "orjson", "pandas", "mindsdb")


@dataclass(frozen=True)
class RemoteService:
    """A running simulated service."""

    url: str

    def set_plan(self, plan: Plan) -> None:
        """Behave as ``plan`` says from now on, with all counts at zero."""
        self._request("/_plan", json.dumps(asdict(plan)).encode())

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self._request("/_stats", None)
        return stats

    def _request(self, path: str, body: bytes | None) -> Any:
        with _DIRECT.open(self.url + path, body, timeout=30) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def running_service() -> Iterator[RemoteService]:
    """A simulated service on a free loopback port, for the length of the block."""
    command = [sys.executable, "-m", "bench.service"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield RemoteService(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            process.wait(10)


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    """An empty folder that is thrown away."""
    folder = tempfile.mkdtemp(prefix="bench_")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def client_environment(**more: str) -> dict[str, str]:
    """For processes started here: this checkout, no proxy on loopback, no key and no settings of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "MINDSDB_"))}
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN_PATH": os.devnull, "NO_PROXY": "127.0.0.1,localhost"}
    return {**kept, **quiet, "PYTHONPATH": str(ROOT), **more}


def run_client(
    name: str, job: Job, *, python: str = sys.executable, timeout: float = 1800, **env: str
) -> dict[str, Any]:
    """What the client called ``name`` took for ``job`` in a fresh process. Raises ClientError with its last words.

    What it keeps on disk is in a folder of its own, empty before and thrown away, unless the job names one.
    """
    with temporary_folder() as folder:
        process = start_client(name, replace(job, folder=job.folder or folder), python=python, **env)
        try:
            out, problems = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ClientError(f"{name} was not done within {timeout:.0f} s") from None
    if process.returncode != 0:
        raise ClientError(problems.strip().splitlines()[-1][:500] if problems.strip() else f"{name} died")
    if job.profile:
        print(problems)
    taken: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return taken


def start_client(name: str, job: Job, *, python: str = sys.executable, **env: str) -> subprocess.Popen[str]:
    """The same, started and not waited for."""
    process = subprocess.Popen(
        [python, "-m", "bench.baselines", name],
        cwd=ROOT,
        env=client_environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(job)))
    process.stdin.close()
    process.stdin = None
    return process


class ClientError(RuntimeError):
    """A client ended without a result."""


def median_of_runs(times: int, run: Callable[[], Mapping[str, Any]], by: str) -> dict[str, Any]:
    """The run that is the median of several ``by`` a number, with the spread of all beside it."""
    return median_run([run() for _ in range(times)], by)


def median_run(runs: Sequence[Mapping[str, Any]], by: str) -> dict[str, Any]:
    """The one of ``runs`` that is their median ``by`` a number, with that of all beside it."""
    runs = sorted(runs, key=lambda each: float(each[by]))
    return {**runs[(len(runs) - 1) // 2], f"all_{by}": [round(float(each[by]), 4) for each in runs]}


def service_throughput(service: RemoteService, requests: int) -> dict[str, float]:
    """What the service itself can do: a bare client at 64 in flight, no latency; and its own CPU for each request."""
    service.set_plan(Plan())
    taken = run_client("bare", Job(service.url, requests))
    cpu = service.stats()["cpu_seconds"] / requests
    return {
        "requests_per_second": round(requests / taken["seconds"]),
        "requests_per_cpu_second": round(1 / cpu),
        "service_cpu_us_per_request": round(cpu * 1e6, 1),
    }


@dataclass
class Results:
    """Numbers of one benchmark, and whether each bound holds."""

    benchmark: str
    quick: bool
    body: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)

    def check(self, what: str, value: float | None, bound: float | None) -> None:
        """Note that ``value`` is to be at most ``bound``; None for a value is a failure, for a bound only a figure."""
        ok = None if bound is None else value is not None and value <= bound
        value = None if value is None else round(value, 4)
        self.checks.append({"what": what, "value": value, "bound": bound, "passed": ok})
        mark = {None: "     ", True: "holds", False: "FAILS"}[ok]
        print(f"{mark}  {what}: {value}" + (f" (at most {bound:g})" if bound is not None else ""), flush=True)

    def write(self) -> None:
        """As JSON: with versions and cores, without names or paths of this machine."""
        folder = QUICK_RESULTS if self.quick else RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "benchmark": self.benchmark,
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        }
        text = json.dumps({**about, **self.body, "checks": self.checks}, indent=1)
        (folder / f"{self.benchmark}.json").write_text(text + "\n")


def _version(name: str) -> str | None:
    if name == "huggingface_api_handler":
        from huggingface_api_handler import __version__

        return __version__
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def parse_arguments(description: str, **more: Mapping[str, Any]) -> argparse.Namespace:
    """--quick, --repeat, and what a benchmark adds as ``name={...}`` for add_argument."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few rows and one run, for developing")
    parser.add_argument("--repeat", type=int, help="runs of which the median is taken")
    for name, how in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **how)
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.quick else 3)
    return options


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
