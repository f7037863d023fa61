"""The picture of a comparison: quality against cost, one point for each model (extra plots)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ..errors import InputError
from ..printable import printable
from .picture_file import write_picture
from .picture_labels import PointLabel, label_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (8.0, 5.0)
_UNKNOWN_WIDTH = 0.28
"""Width for each model whose cost is unknown, to that of the part for the others."""

_LOG_FROM_RATIO = 20
"""Between the dearest and the cheapest, from which the axis is logarithmic."""

_BEST_COLOUR = "#1a5fb4"
_OTHER_COLOUR = "#5e5c64"
_GRID_COLOUR = "#e4e4e4"
_TEXT_COLOUR = "#5e5c64"
_MAX_LABEL_CHARS = 32
_FINE_TICKS = (1.0, 2.0, 5.0)
_FINE_TICKS_UP_TO_RATIO = 300


class Point(NamedTuple):
    """A model in the picture.

    Attributes:
        name: The model's.
        cost: Dollars or seconds for 1,000 inputs; None where that is unknown.
        value: How good it is, in [0, 1].
        low: The lower end of its interval.
        high: The upper end.
    """

    name: str
    cost: float | None
    value: float
    low: float
    high: float


def save_picture(table: pd.DataFrame, path: str | Path) -> None:
    """Draw a comparison: up is better, left is cheaper. The same comparison gives the same SVG, byte for byte.

    Where no model's dollars are known, it shows seconds in their place, and says so.

    Args:
        table: As ``compare`` returns it.
        path: The file, whose name ends in .svg or .png. It is replaced.

    Raises:
        InputError: The file cannot become a picture, or no model was measured.
    """
    write_picture(lambda: _figure(table), Path(path), "compare")


def best(points: Sequence[Point]) -> list[Point]:
    """The models of which no other one is as good and cheaper, or as cheap and better.

    Args:
        points: Of the models. Those whose cost is unknown are none of them.

    Returns:
        From the cheapest on.
    """
    found: list[Point] = []
    priced = [point for point in points if point.cost is not None]
    for point in sorted(priced, key=lambda each: (each.cost or 0.0, -each.value)):
        if not found or point.value > found[-1].value:
            found.append(point)
    return found


def _figure(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    about = table.attrs["comparison"]
    measure = "accuracy" if about["has_truth"] else "agreement"
    in_dollars = bool(table["usd_per_1000"].notna().any())
    points = list(_points(table, measure, "usd_per_1000" if in_dollars else "seconds_per_1000", about["reference"]))
    if not points:
        raise InputError("no model was measured, so there is nothing to draw")
    priced = [point for point in points if point.cost is not None]
    unpriced = [point for point in points if point.cost is None]
    figure = Figure(figsize=_SIZE_INCHES)
    ratios = [1.0] * bool(priced) + [min(1.0, _UNKNOWN_WIDTH * len(unpriced))] * bool(unpriced)
    widths = {"width_ratios": ratios, "wspace": 0.04}
    every = figure.subplots(1, len(ratios), sharey=True, squeeze=False, gridspec_kw=widths)[0]
    if priced:
        _draw_priced(every[0], points, "$" if in_dollars else "")
        dollars_unknown = "seconds for 1,000 inputs (what they cost in dollars is unknown)"
        every[0].set_xlabel("dollars for 1,000 inputs" if in_dollars else dollars_unknown)
    if unpriced:
        _draw_unpriced(every[-1], unpriced)
        nothing_known = "dollars and seconds are unknown: nothing was asked"
        every[-1].set_xlabel(("dollars unknown" if in_dollars else "seconds unknown") if priced else nothing_known)
    _frame(every, points)
    figure.subplots_adjust(left=0.09, right=0.97, bottom=0.16, top=0.83)
    _title(figure, table, measure, "cheaper" if in_dollars else "faster", points)
    for axes, drawn in zip(every, [each for each in (priced, unpriced) if each], strict=True):
        across = [_across(point, drawn) for point in drawn]
        labels = [
            PointLabel(x, point.value, point.low, point.high, _label(point), _colour(point, points))
            for x, point in zip(across, drawn, strict=True)
        ]
        label_points(figure, axes, labels)
    return figure


def _points(table: pd.DataFrame, measure: str, cost: str, reference: str) -> Iterator[Point]:
    names = _short_names([str(name) for name in table["model"]])
    for row in table.to_dict("records"):
        name = names[str(row["model"])]
        price = None if pd.isna(row[cost]) else float(row[cost])
        if measure == "agreement" and row["model"] == reference and row["answered"]:
            yield Point(f"{name} (the reference)", price, 1.0, 1.0, 1.0)
        elif not pd.isna(row[measure]):
            yield Point(name, price, *(float(row[f"{measure}{end}"]) for end in ("", "_low", "_high")))


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without their owner, where they differ then too."""
    short = [name.rpartition("/")[2] for name in names]
    shown = short if len(set(short)) == len(short) else names
    printed = [printable(name) for name in shown]
    cut = [name if len(name) <= _MAX_LABEL_CHARS else name[: _MAX_LABEL_CHARS - 1] + "…" for name in printed]
    return dict(zip(names, cut, strict=True))


def _draw_priced(axes: Axes, points: Sequence[Point], sign: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    costs = [point.cost for point in points if point.cost is not None]
    for point in points:
        if point.cost is not None:
            _draw(axes, point.cost, point, _colour(point, points))
    ratio = max(costs) / min(costs) if min(costs) > 0 else 0.0
    if ratio >= _LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.set_xlim(min(costs) / ratio**0.12, max(costs) * ratio**0.12)
        axes.xaxis.set_major_locator(LogLocator(subs=_FINE_TICKS if ratio < _FINE_TICKS_UP_TO_RATIO else (1.0,)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, max(costs) * 1.12 or 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{sign}{value:g}")


def _draw_unpriced(axes: Axes, points: Sequence[Point]) -> None:
    for number, point in enumerate(points):
        _draw(axes, number, point, _OTHER_COLOUR)
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_xticks([])
    axes.set_facecolor("#f6f5f4")


def _draw(axes: Axes, cost: float, point: Point, colour: str) -> None:
    bar = [[point.value - point.low], [point.high - point.value]]
    axes.errorbar([cost], [point.value], yerr=bar, fmt="o", color=colour, markersize=7, capsize=4, elinewidth=1.4)


def _colour(point: Point, points: Sequence[Point]) -> str:
    return _BEST_COLOUR if point in best(points) else _OTHER_COLOUR


def _across(point: Point, drawn: Sequence[Point]) -> float:
    """Where a point stands on the axis of costs."""
    return float(drawn.index(point)) if point.cost is None else point.cost


def _label(point: Point) -> str:
    return f"{point.name}\n{point.value:.1%}".replace("%", " %")


def _frame(every: Sequence[Axes], points: Sequence[Point]) -> None:
    """The axis of quality, for all parts of the picture."""
    low, high = min(point.low for point in points), max(point.high for point in points)
    margin = max(0.02, (high - low) * 0.12)
    every[0].set_ylim(max(-0.02, low - margin), min(1.02, high + margin))
    every[0].yaxis.set_major_formatter(lambda value, _: f"{value * 100:.3g} %" if 0 <= value <= 1 + 1e-9 else "")
    for number, axes in enumerate(every):
        axes.grid(color=_GRID_COLOUR, zorder=0)
        axes.set_axisbelow(True)
        for side in ("top", "right", *(["left"] if number else [])):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)


def _title(figure: Figure, table: pd.DataFrame, measure: str, gain: str, points: Sequence[Point]) -> None:
    """What it shows, how to read it, and who is missing."""
    about = table.attrs["comparison"]
    rows = len(about["sample"])
    reference = _short_names([str(about["reference"])])[str(about["reference"])]
    what = "Accuracy" if measure == "accuracy" else f"Agreement with {reference}"
    figure.text(0.02, 0.945, f"{what} on {rows:,} {'row' if rows == 1 else 'rows'}", fontsize=13, fontweight="bold")
    priced = sum(point.cost is not None for point in points)
    hint = f"Up is better{f', left is {gain}' if priced else ''}. Bars are 95 % intervals."
    if priced > 1:
        hint += f" Blue: no other model is as good and {gain}."
    figure.text(0.02, 0.89, hint, color=_TEXT_COLOUR)
    missing = len(table) - len(points)
    if missing:
        models = "1 model is" if missing == 1 else f"{missing} models are"
        figure.text(0.02, 0.02, f"{models} not shown, without an answer that could be measured", color=_TEXT_COLOUR)
