"""What the benchmarks share: processes for the service and the clients, medians, checks and results. Linux only."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from .baselines import ClientResult, Job
from .service import Plan, Stats

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
QUICK_RESULTS = ROOT / "build" / "bench"
CLIENT_TIMEOUT_S = 1800.0
SERVICE_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PACKAGES = ("huggingface_api_handler", "huggingface_hub", "aiohttp", "orjson", "pandas", "duckdb", "mindsdb")


@dataclass(frozen=True)
class RemoteService:
    """A simulated service that runs in a process of its own."""

    url: str

    def set_plan(self, plan: Plan) -> None:
        """Make the service behave as ``plan`` says and reset its counts."""
        self._request("/_plan", json.dumps(asdict(plan)).encode())

    def stats(self) -> Stats:
        """Counts since the plan was set."""
        stats: Stats = self._request("/_stats", None)
        return stats

    def _request(self, path: str, body: bytes | None) -> Any:
        with _DIRECT.open(self.url + path, body, timeout=SERVICE_TIMEOUT_S) as response:
            return json.loads(response.read())


@contextlib.contextmanager
def running_service() -> Iterator[RemoteService]:
    """Run a simulated service on a free loopback port for the length of the block."""
    command = [sys.executable, "-m", "bench.service"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield RemoteService(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            process.wait(STOP_TIMEOUT_S)


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty folder for a ``with`` block, deleted at its end."""
    return tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True)


def client_environment() -> dict[str, str]:
    """Environment variables for clients: import this checkout, use no proxy, no API key and no local settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "MINDSDB_"))}
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN_PATH": os.devnull, "NO_PROXY": "127.0.0.1,localhost"}
    return {**kept, **quiet, "PYTHONPATH": str(ROOT)}


class ClientError(RuntimeError):
    """A client ended without a result."""


def run_client(name: str, job: Job, *, python: str = sys.executable, timeout: float = CLIENT_TIMEOUT_S) -> ClientResult:
    """Run a client in a fresh process and wait for it.

    Args:
        name: A function of ``bench.baselines``, or of another module of ``bench`` as 'module:function'.
        job: What to predict. Without ``folder`` it gets a temporary one.
        python: The interpreter to run.
        timeout: Seconds until the process is killed.

    Raises:
        ClientError: The process failed, with the last line of its stderr, or was killed.
    """
    with temporary_folder() as folder:
        process = start_client(name, replace(job, folder=job.folder or folder), python=python)
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ClientError(f"{name} was not done within {timeout:.0f} s") from None
    if process.returncode != 0:
        raise ClientError(errors.strip().splitlines()[-1][:500] if errors.strip() else f"{name} died")
    if job.profile:
        print(errors)
    return ClientResult.from_json(out.strip().splitlines()[-1])


def start_client(name: str, job: Job, *, python: str = sys.executable) -> subprocess.Popen[str]:
    """Start a client as ``run_client`` does and return its process without waiting for it."""
    process = subprocess.Popen(
        [python, "-m", "bench.baselines", name],
        cwd=ROOT,
        env=client_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(job.to_json())
    process.stdin.close()
    process.stdin = None
    return process


def median_of_runs(times: int, run: Callable[[], Mapping[str, Any]], by: str) -> dict[str, Any]:
    """Call ``run`` a number of times and return its ``median_run``."""
    return median_run([run() for _ in range(times)], by)


def median_run(runs: Sequence[Mapping[str, Any]], by: str) -> dict[str, Any]:
    """The run whose number ``by`` is the median of all runs, the lower of two.

    Returns:
        The run, with the numbers of all runs in order as ``all_<by>``.
    """
    runs = sorted(runs, key=lambda each: float(each[by]))
    return {**runs[(len(runs) - 1) // 2], f"all_{by}": [round(float(each[by]), 4) for each in runs]}


class Throughput(TypedDict):
    """How many requests the service itself can process."""

    requests_per_second: int
    requests_per_cpu_second: int
    service_cpu_us_per_request: float


def service_throughput(service: RemoteService, requests: int) -> Throughput:
    """Measure the service with the bare client: 64 requests in flight and no latency.

    Args:
        service: The service. Its plan is replaced.
        requests: How many requests to send.
    """
    service.set_plan(Plan())
    result = run_client("bare", Job(service.url, requests))
    cpu_seconds = service.stats()["cpu_seconds"] / requests
    return {
        "requests_per_second": round(requests / result.seconds),
        "requests_per_cpu_second": round(1 / cpu_seconds),
        "service_cpu_us_per_request": round(cpu_seconds * 1e6, 1),
    }


class Check(TypedDict):
    """A figure and its bound. ``passed`` is None where there is no bound."""

    what: str
    value: float | None
    bound: float | None
    passed: bool | None


@dataclass
class Results:
    """The results of one benchmark.

    Attributes:
        benchmark: Its module's name.
        quick: Whether this is a quick run, which is stored elsewhere.
        body: Everything measured, as JSON.
        checks: The figures of the page.
    """

    benchmark: str
    quick: bool
    body: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def check(self, what: str, value: float | None, bound: float | None) -> None:
        """Add a figure and print it.

        Args:
            what: What it measures.
            value: The figure. None fails any bound.
            bound: The largest value that passes. None: any.
        """
        passed = None if bound is None else value is not None and value <= bound
        value = None if value is None else round(value, 4)
        self.checks.append({"what": what, "value": value, "bound": bound, "passed": passed})
        mark = {None: "    ", True: "pass", False: "FAIL"}[passed]
        print(f"{mark}  {what}: {value}" + (f" (at most {bound:g})" if bound is not None else ""), flush=True)

    def write(self) -> None:
        """Write a JSON file with versions and cores. It has no name or path of this machine."""
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
    """Parse the command line.

    Args:
        description: Text of ``--help``.
        more: Options of this benchmark: name and arguments of ``add_argument``.

    Returns:
        ``quick``, ``repeat`` (never None) and those options.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows and one run, to try the code")
    parser.add_argument("--repeat", type=int, help="number of runs; the median is reported (default: 3)")
    for name, arguments in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **arguments)
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.quick else 3)
    return options


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
