"""Makes docs/benchmarks.md and docs/bench/*.svg from the JSON files in bench/results."""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .client_cost import BATCHES_BOUND_US, SINGLES_BOUND
from .measure import QUICK_RESULTS, RESULTS, ROOT, Check

OURS_COLOUR = "#1f6feb"
OTHER_COLOUR = "#9aa4b2"
BOUND_COLOUR = "#d1242f"
MB_BYTES = 1024 * 1024
LINE_LENGTH = 109
PANELS_PER_ROW = 4
INTRODUCTION = (
    "`make bench` runs the benchmarks. `python -m bench.report` makes this page from `bench/results/*.json`. Compare "
    'the ratios: both sides of a ratio were measured in one run on one machine. "Ours" is this package. The service '
    "is simulated: a process on the same machine with a set latency, concurrency limit, rate limit and batch size."
)

JSON = dict[str, Any]


def _bars(axes: Axes, values: Mapping[str, float], unit: str, bound: float | None = None) -> None:
    names = list(values)[::-1]
    colours = [OURS_COLOUR if name.startswith("ours") else OTHER_COLOUR for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(drawn, labels=[_number(values[name]) for name in names], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    if bound is not None:
        axes.axvline(bound, color=BOUND_COLOUR, linestyle="--", linewidth=1)


def ceiling(results: JSON) -> Figure:
    """Ratios by case, and answered rows over time for both clients."""
    cases = results["cases"]
    panel_rows = -(-len(cases) // PANELS_PER_ROW)
    ratio_height = 0.3 * len(cases) + 1.6
    figure = plt.figure(figsize=(13, ratio_height + 2 * panel_rows), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[ratio_height, 2 * panel_rows]).flat
    axes = top.subplots()
    names = list(cases)[::-1]
    times = [cases[name]["time_ratio"] for name in names]
    requests = [cases[name]["requests_ratio"] for name in names]
    axes.scatter(times, names, color=OURS_COLOUR, label="time, relative to the ideal client")
    axes.scatter(requests, names, color=OTHER_COLOUR, marker="x", label="requests")
    for bound in (1.05, 1.25):
        axes.axvline(bound, color=BOUND_COLOUR, linestyle="--", linewidth=1)
    axes.axvline(1, color="black", linewidth=1)
    axes.legend(loc="lower right")
    grid = bottom.subplots(panel_rows, min(PANELS_PER_ROW, len(cases)), squeeze=False).flat
    for name, panel in itertools.zip_longest(cases, grid):
        if name is None:
            panel.axis("off")
            continue
        for client, colour in (("ideal_client", OTHER_COLOUR), ("ours", OURS_COLOUR)):
            answered = list(itertools.accumulate(cases[name][client]["timeline"], initial=0))
            seconds = [index * results["timeline_step_seconds"] for index in range(len(answered))]
            panel.plot(seconds, answered, color=colour, label=client)
        panel.set_title(name, fontsize=8)
        panel.tick_params(labelsize=7)
    bottom.supxlabel("answered rows by seconds: ours in blue, the ideal client in grey", fontsize=9)
    return figure


def client_cost(results: JSON) -> Figure:
    """CPU time per row by client: single requests and batches."""
    figure, (single, batched) = plt.subplots(1, 2, figsize=(12, 2.6), layout="constrained")
    values = {name: each["cpu_us_per_row"] for name, each in results["singles"].items()}
    unit = "microseconds of CPU time per row"
    _bars(single, values, f"{unit}, one request each", values["bare loop"] * SINGLES_BOUND)
    values = {name: each["cpu_us_per_row"] for name, each in results["batches"].items()}
    _bars(batched, values, f"{unit}, batches of 32", BATCHES_BOUND_US)
    return figure


def peers(results: JSON) -> Figure:
    """Rows per second by client, a panel for each scenario."""
    kinds = [kind for kind in ("text singles", "text batches", "images") if kind in results]
    figure, panels = plt.subplots(len(kinds), 1, figsize=(10, 2.4 * len(kinds)), layout="constrained", squeeze=False)
    for axes, kind in zip(panels.flat, kinds, strict=True):
        clients = results[kind]["clients"]
        values = {name: each.get("rows_per_second", 0.0) for name, each in clients.items()}
        _bars(axes, values, f"rows per second, {kind}")
    return figure


def scale(results: JSON) -> Figure:
    """Rows per second and peak memory by the number of rows."""
    sizes = results["sizes"]
    rows = [each["rows"] for each in sizes]
    growth = [each["memory_growth_bytes"] / MB_BYTES for each in sizes]
    bounds = [each["memory_growth_bytes"] / each["memory_ratio"] / MB_BYTES for each in sizes]
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
    speed.plot(rows, [each["rows_per_second"] for each in sizes], "o-", color=OURS_COLOUR)
    speed.set(xscale="log", xlabel="rows", ylabel="rows per second", ylim=(0, None))
    memory.plot(rows, growth, "o-", color=OURS_COLOUR, label="peak memory beyond the table")
    memory.plot(rows, bounds, "--", color=BOUND_COLOUR, label="1.5 times the table + 200 MB")
    memory.set(xscale="log", yscale="log", xlabel="rows", ylabel="MB")
    memory.legend()
    return figure


def through_sql(results: JSON) -> Figure:
    """Seconds of each join."""
    figure, axes = plt.subplots(figsize=(9, 2.2), layout="constrained")
    bound = results["median"]["no-op handler"] + results["batched_cost_seconds"] * 1.1
    _bars(axes, results["median"], f"seconds for {results['rows']:,} rows joined", bound)
    return figure


def request_cost(results: JSON) -> Figure:
    """Requests of each query beside the fewest."""
    return _requests(
        {name: each for name, each in results.items() if isinstance(each, dict) and "minimum_requests" in each}
    )


def long_texts(results: JSON) -> Figure:
    """Requests of each case beside the fewest."""
    return _requests(results["cases"])


def install(results: JSON) -> Figure:
    """Seconds of each installation with an empty and with a full cache, and what it takes on the disk."""
    figure, (cold, warm, size) = plt.subplots(1, 3, figsize=(12, 1.8), layout="constrained")
    panels = (cold, "cold_seconds", "empty cache"), (warm, "warm_seconds", "full cache"), (size, "megabytes", "disk")
    for axes, key, where in panels:
        unit = "MB" if axes is size else "seconds"
        _bars(axes, {name: each[key] for name, each in results["installed"].items()}, f"{unit}, {where}")
    return figure


def _requests(cases: dict[str, JSON]) -> Figure:
    """Requests of each query beside the fewest."""
    figure, axes = plt.subplots(figsize=(9, 0.7 * len(cases) + 0.8), layout="constrained")
    for row, (name, each) in enumerate(reversed(cases.items())):
        bars = ((0.2, each["minimum_requests"], OTHER_COLOUR), (-0.2, each["requests"], OURS_COLOUR))
        for shift, value, colour in bars:
            axes.bar_label(axes.barh(row + shift, value, 0.38, color=colour, label=name), fmt="{:,.0f}", padding=3)
    axes.set_yticks(range(len(cases)), list(cases)[::-1])
    axes.set_xlabel("requests: ours in blue, the fewest possible in grey")
    axes.margins(x=0.12)
    return figure


def semantic(results: JSON) -> Figure:
    """Inputs of each query: distinct, fewest and sent."""
    cases = results["cases"]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(cases) + 0.8), layout="constrained")
    names = list(cases)[::-1]
    for key, colour, marker in (
        ("distinct", OTHER_COLOUR, "|"),
        ("fewest", BOUND_COLOUR, "x"),
        ("inputs", OURS_COLOUR, "o"),
    ):
        axes.scatter([cases[name][key] for name in names], names, color=colour, marker=marker, label=key)
    axes.set(xscale="log", xlabel="inputs: those sent in blue, the fewest in red, the distinct ones in grey")
    return figure


def sql_memory(results: JSON) -> Figure:
    """Peak memory of each query beside that of the same query without a model."""
    cases = results["cases"]
    figure, axes = plt.subplots(figsize=(9, 0.7 * len(cases) + 0.8), layout="constrained")
    for row, each in enumerate(reversed(cases.values())):
        for shift, key, colour in ((0.2, "plain_bytes", OTHER_COLOUR), (-0.2, "model_bytes", OURS_COLOUR)):
            axes.bar_label(axes.barh(row + shift, each[key] / MB_BYTES, 0.38, color=colour), fmt="{:,.0f}", padding=3)
    axes.set_yticks(range(len(cases)), list(cases)[::-1])
    axes.set_xlabel("peak memory in MB: with a model in blue, without it in grey")
    axes.margins(x=0.12)
    return figure


def cascade(results: JSON) -> Figure:
    """Calls of each family, by target and number of inputs."""
    cells = [each for each in results["cells"] if each["delta"] == min(cell["delta"] for cell in results["cells"])]
    sizes, targets = (sorted({each[key] for each in cells}) for key in ("inputs", "target"))
    families = list(dict.fromkeys(each["family"] for each in cells))[::-1]
    figure, grid = plt.subplots(
        len(sizes), len(targets), figsize=(13, 2.7 * len(sizes)), layout="constrained", sharey=True, squeeze=False
    )
    for axes, (inputs, target) in zip(grid.flat, itertools.product(sizes, targets), strict=True):
        panel = {each["family"]: each for each in cells if (each["inputs"], each["target"]) == (inputs, target)}
        for key, colour, marker in (
            ("threshold", OTHER_COLOUR, "|"),
            ("bargain", OTHER_COLOUR, "o"),
            ("hindsight", "black", "|"),
            ("paired_calls", OURS_COLOUR, "o"),
        ):
            shares = [panel[family][key] for family in families]
            if None not in shares:
                axes.scatter(shares, families, color=colour, marker=marker)
        axes.set_title(f"{inputs:,} inputs, target {target}", fontsize=9)
        axes.set_xlim(-0.02, 1.02)
    figure.supxlabel(
        "calls, share of the inputs: ours blue, BARGAIN grey; bars: hindsight black, threshold grey", fontsize=9
    )
    return figure


def learned_cascade(results: JSON) -> Figure:
    """How many calls it took, over all seeds."""
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for key, label, colour in (
        ("majority", "majority label", "black"),
        ("bargain", "BARGAIN", OTHER_COLOUR),
        ("calls", "ours", OURS_COLOUR),
    ):
        shares = [each[key] / results["inputs"] for each in results["runs"] if each[key] is not None]
        if shares:
            axes.hist(shares, bins=25, histtype="stepfilled", alpha=0.6, color=colour, label=label)
    axes.legend()
    axes.set(xlabel="calls, share of the inputs", ylabel="seeds")
    return figure


PLOTS: dict[str, Callable[[JSON], Figure]] = {
    plot.__name__: plot
    for plot in (
        ceiling,
        client_cost,
        peers,
        scale,
        through_sql,
        request_cost,
        long_texts,
        install,
        semantic,
        sql_memory,
        cascade,
        learned_cascade,
    )
}
"""By the module of the benchmark, in the order of the page."""


def section(name: str, results: JSON) -> list[str]:
    """The lines of one benchmark on the page.

    Args:
        name: The benchmark's module. Its docstring is the text.
        results: Its JSON file.
    """
    docstring = ast.get_docstring(ast.parse((ROOT / "bench" / f"{name}.py").read_text())) or ""
    title, _, text = docstring.partition("\n")
    heading, _, summary = title.partition(":")
    summary = summary.strip()
    lines = [f"## {heading}", "", *_wrapped(f"{summary[:1].upper()}{summary[1:]} {text}".replace("``", "`")), ""]
    lines += _table_of_cases(results["checks"]) if "cases" in results else _table(results["checks"])
    for error, where in _errors(results):
        lines.append(f"| {where} | does not run: {error} | | |")
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    measured = (
        f"Measured {results['date']} with Python {results['python']} on {results['system']}, {results['cores']} cores; "
        f"{versions}."
    )
    if service := results.get("service"):
        measured += (
            f" The service itself processes {service['requests_per_cpu_second']:,} requests per second of CPU time; a "
            f"bare client reached {service['requests_per_second']:,} requests per second."
        )
    for table in results.get("tables", []):
        lines += ["", *_wrapped(table["text"]), "", *_table_of_text(table["columns"], table["rows"])]
    return [*lines, "", f"![{heading}](bench/{name}.svg)", "", *_wrapped(measured), ""]


def _wrapped(text: str) -> list[str]:
    """One paragraph as lines that are not too long."""
    return textwrap.wrap(" ".join(text.split()), LINE_LENGTH, break_long_words=False, break_on_hyphens=False)


def _table(checks: Iterable[Check]) -> list[str]:
    """A line for each check."""
    lines = ["| | measured | at most | |", "|---|---:|---:|---|"]
    for check in checks:
        passed = {True: "pass", False: "**FAIL**", None: ""}[check["passed"]]
        lines.append(f"| {check['what']} | {_number(check['value'])} | {_number(check['bound'])} | {passed} |")
    return lines


def _table_of_text(columns: list[str], rows: list[list[str]]) -> list[str]:
    """A table of cells that are text already."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


_COLUMNS = {
    "requests, relative to the rows": "requests, relative to the rows or (lists) to the ideal client",
    "requests, relative to the ideal client": "requests, relative to the rows or (lists) to the ideal client",
}
"""Checks that share a column."""


def _table_of_cases(checks: Iterable[Check]) -> list[str]:
    """A line for each case and a column for each check, where all cases have the same checks."""
    cases: dict[str, list[str]] = {}
    columns: dict[str, None] = {}
    for check in checks:
        case, _, what = check["what"].partition(": ")
        columns[_COLUMNS.get(what, what)] = None
        bound = "" if check["bound"] is None else f", at most {_number(check['bound'])}"
        failed = " **FAIL**" if check["passed"] is False else ""
        cases.setdefault(case, []).append(f"{_number(check['value'])}{bound}{failed}")
    lines = [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    return lines + [f"| {case} | {' | '.join(cells)} |" for case, cells in cases.items()]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _errors(results: object, where: str = "") -> list[tuple[str, str]]:
    """Each ``error`` in the results, with the keys that lead to it."""
    if not isinstance(results, dict):
        return []
    errors = []
    if "error" in results:
        errors.append((" ".join(str(results["error"]).split()).replace("|", "/"), where.strip(": ")))
    for key, value in results.items():
        errors += _errors(value, f"{where}: {key}")
    return errors


def main() -> None:
    """Write the page and the charts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="of the quick runs, into build/bench")
    quick = parser.parse_args().quick
    source, target = (QUICK_RESULTS, QUICK_RESULTS) if quick else (RESULTS, ROOT / "docs")
    charts = target / "bench"
    charts.mkdir(parents=True, exist_ok=True)
    # No random ids and no date, so that a diff shows what changed.
    plt.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    lines = ["# Benchmarks", "", *_wrapped(INTRODUCTION), ""]
    for name, plot in PLOTS.items():
        path = source / f"{name}.json"
        if not path.exists():
            continue
        results = json.loads(path.read_text())
        figure = plot(results)
        figure.savefig(charts / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
        lines += section(name, results)
    page = target / "benchmarks.md"
    page.write_text("\n".join(lines).rstrip() + "\n")
    print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
