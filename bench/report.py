"""docs/benchmarks.md and docs/bench/*.svg, made from the JSON in bench/results and nothing else."""

from __future__ import annotations

import argparse
import ast
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .measure import QUICK_RESULTS, RESULTS, ROOT

OURS_COLOUR = "#1f6feb"
OTHER_COLOUR = "#9aa4b2"
BOUND_COLOUR = "#d1242f"
ORDER = ("ceiling", "client_cost", "peers", "scale", "through_sql", "request_cost")
MB_BYTES = 1024 * 1024


def _bars(axes: Axes, values: dict[str, float], unit: str, bound: float | None = None) -> None:
    names = list(values)[::-1]
    colours = [OURS_COLOUR if name.startswith("ours") else OTHER_COLOUR for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(drawn, labels=[_number(values[name]) for name in names], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    if bound is not None:
        axes.axvline(bound, color=BOUND_COLOUR, linestyle="--", linewidth=1)


def ceiling(results: dict[str, Any]) -> Figure:
    """Ratio by case, and rows answered over time beside the ideal client's."""
    cases = results["cases"]
    height = -(-len(cases) // 4)
    figure = plt.figure(figsize=(13, 0.3 * len(cases) + 1.6 + 2 * height), layout="constrained")
    top, below = figure.subfigures(2, 1, height_ratios=[0.3 * len(cases) + 1.6, 2 * height])
    axes = top.subplots()
    names = list(cases)[::-1]
    axes.scatter(
        [cases[name]["time_ratio"] for name in names], names, color=OURS_COLOUR, label="time over the ideal client's"
    )
    axes.scatter(
        [cases[name]["requests_ratio"] for name in names], names, color=OTHER_COLOUR, marker="x", label="requests"
    )
    for bound in (1.05, 1.25):
        axes.axvline(bound, color=BOUND_COLOUR, linestyle="--", linewidth=1)
    axes.axvline(1, color="black", linewidth=1)
    axes.legend(loc="lower right")
    grid = below.subplots(height, min(4, len(cases)), squeeze=False).flat
    for name, panel in itertools.zip_longest(cases, grid):
        if name is None:
            panel.axis("off")
            continue
        for client, colour in (("ideal_client", OTHER_COLOUR), ("ours", OURS_COLOUR)):
            done = list(itertools.accumulate(cases[name][client]["timeline"], initial=0))
            at = [index * results["timeline_step_seconds"] for index in range(len(done))]
            panel.plot(at, done, color=colour, label=client.replace("_", " "))
        panel.set_title(name, fontsize=8)
        panel.tick_params(labelsize=7)
    below.supxlabel("seconds: rows answered, the ideal client's in grey", fontsize=9)
    return figure


def client_cost(results: dict[str, Any]) -> Figure:
    figure, (single, batched) = plt.subplots(1, 2, figsize=(12, 2.6), layout="constrained")
    for axes, kind in ((single, "singles"), (batched, "batches")):
        values = {name: each["cpu_us_per_row"] for name, each in results[kind].items()}
        bound = values["bare"] * 1.25 if kind == "singles" else 25
        _bars(axes, values, "us of CPU a row, " + ("one request each" if kind == "singles" else "batches of 32"), bound)
    return figure


def peers(results: dict[str, Any]) -> Figure:
    kinds = [kind for kind in ("text singles", "text batches", "images") if kind in results]
    figure, panels = plt.subplots(len(kinds), 1, figsize=(10, 2.4 * len(kinds)), layout="constrained", squeeze=False)
    for axes, kind in zip(panels.flat, kinds, strict=True):
        clients = results[kind]["clients"]
        _bars(
            axes, {name: each.get("rows_per_second", 0.0) for name, each in clients.items()}, f"rows a second, {kind}"
        )
    return figure


def scale(results: dict[str, Any]) -> Figure:
    sizes = results["sizes"]
    rows = [each["rows"] for each in sizes]
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
    speed.plot(rows, [each["rows_per_second"] for each in sizes], "o-", color=OURS_COLOUR)
    speed.set(xscale="log", xlabel="rows", ylabel="rows a second", ylim=(0, None))
    memory.plot(
        rows,
        [each["memory_growth_bytes"] / MB_BYTES for each in sizes],
        "o-",
        color=OURS_COLOUR,
        label="peak over the table",
    )
    promise = [each["memory_growth_bytes"] / each["memory_ratio"] / MB_BYTES for each in sizes]
    memory.plot(rows, promise, "--", color=BOUND_COLOUR, label="1.5 times the table and 200 MB")
    memory.set(xscale="log", yscale="log", xlabel="rows", ylabel="MB")
    memory.legend()
    return figure


def through_sql(results: dict[str, Any]) -> Figure:
    figure, axes = plt.subplots(figsize=(9, 2.2), layout="constrained")
    allowed = results["median"]["no-op handler"] + results["batched_cost_seconds"] * 1.1
    _bars(axes, results["median"], f"seconds for {results['rows']:,} rows joined", allowed)
    return figure


def request_cost(results: dict[str, Any]) -> Figure:
    cases = {name: each for name, each in results.items() if isinstance(each, dict) and "minimum_requests" in each}
    figure, axes = plt.subplots(figsize=(9, 0.7 * len(cases) + 0.8), layout="constrained")
    for row, (name, each) in enumerate(reversed(cases.items())):
        for shift, value, colour in ((0.2, each["minimum_requests"], OTHER_COLOUR), (-0.2, each["sent"], OURS_COLOUR)):
            axes.bar_label(axes.barh(row + shift, value, 0.38, color=colour, label=name), fmt="{:,.0f}", padding=3)
    axes.set_yticks(range(len(cases)), list(cases)[::-1])
    axes.set_xlabel("requests sent, and the fewest possible in grey")
    axes.margins(x=0.12)
    return figure


PLOTS: dict[str, Callable[[dict[str, Any]], Figure]] = {
    plot.__name__: plot for plot in (ceiling, client_cost, peers, scale, through_sql, request_cost)
}


def section(name: str, results: dict[str, Any]) -> list[str]:
    """A benchmark's part of the page."""
    words = ast.get_docstring(ast.parse((ROOT / "bench" / f"{name}.py").read_text())) or ""
    title, _, text = words.partition("\n")
    heading, _, explained = title.partition(":")
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    explained = explained.strip()
    lines = [f"## {heading.rstrip('.')}", "", f"{explained[:1].upper()}{explained[1:]}\n{text.strip()}", ""]
    lines += _by_case(results["checks"]) if "cases" in results else _by_check(results["checks"])
    for error, at in _errors(results):
        lines.append(f"| {at} | does not run: {error} | | |")
    service = results["service"]
    lines += [
        "",
        f"![{heading}](bench/{name}.svg)",
        "",
        f"Measured {results['date']}, Python {results['python']}, {results['system']}, {results['cores']} cores; "
        f"{versions}. The service's own ceiling: {service['requests_per_cpu_second']:,} requests a second by "
        f"its CPU, {service['requests_per_second']:,} reached by a bare client.",
        "",
    ]
    return lines


def _by_check(checks: list[dict[str, Any]]) -> list[str]:
    lines = ["| | measured | at most | |", "|---|---:|---:|---|"]
    for check in checks:
        value, bound = (_number(each) for each in (check["value"], check["bound"]))
        holds = {True: "holds", False: "**fails**", None: ""}[check["passed"]]
        lines.append(f"| {check['what']} | {value} | {bound} | {holds} |")
    return lines


_SAME_COLUMN = dict.fromkeys(
    ("requests over rows", "requests over ideal client's"), "requests over rows or, with lists, ideal client's"
)


def _by_case(checks: list[dict[str, Any]]) -> list[str]:
    """A line for each case, where the same is asked of all."""
    cases: dict[str, list[str]] = {}
    columns: dict[str, None] = {}
    for check in checks:
        case, _, what = check["what"].partition(": ")
        columns[_SAME_COLUMN.get(what, what)] = None
        bound = "" if check["bound"] is None else f", at most {_number(check['bound'])}"
        cases.setdefault(case, []).append(f"{_number(check['value'])}{bound}{'' if check['passed'] else ' **fails**'}")
    lines = [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    return lines + [f"| {case} | {' | '.join(cells)} |" for case, cells in cases.items()]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _errors(results: Any, at: str = "") -> list[tuple[str, str]]:
    if not isinstance(results, dict):
        return []
    own = [(" ".join(str(results["error"]).split()).replace("|", "/"), at.strip(": "))] if "error" in results else []
    return own + [found for key, value in results.items() for found in _errors(value, f"{at}: {key}")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="of the quick runs, into build/bench")
    quick = parser.parse_args().quick
    source, target = (QUICK_RESULTS, QUICK_RESULTS) if quick else (RESULTS, ROOT / "docs")
    plots = target / "bench"
    plots.mkdir(parents=True, exist_ok=True)
    # Ids and dates that change with every run would hide what changed in a diff.
    plt.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    page = [
        "# Benchmarks",
        "",
        "Made by `make bench` from bench/results/*.json. Each is a ratio of things measured",
        "",
    ]
    page[-2] += " in one run on one machine."
    for name in ORDER:
        path = source / f"{name}.json"
        if not path.exists():
            continue
        results = json.loads(path.read_text())
        figure = PLOTS[name](results)
        figure.savefig(plots / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
        page += section(name, results)
    (target / "benchmarks.md").write_text("\n".join(page).rstrip() + "\n")
    print(Path(target / "benchmarks.md").relative_to(ROOT))


if __name__ == "__main__":
    main()
