"""The picture of the command `usage`: dollars above, requests and stored answers below (extra plots)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison.picture_file import write_picture
from ..printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .usage_figures import Figures

_USAGE_SIZE_INCHES = (9.0, 5.5)
_MAX_BARS = 60
"""Bars that can be told apart. Of more days the last are drawn, of more engines or models those with most requests."""

_MAX_TICK_CHARS = 28
_MAX_TICKS = 20
_DOLLARS_COLOUR = "#26a269"
_REQUESTS_COLOUR = "#1a5fb4"
_STORED_COLOUR = "#c0bfbc"


def save_usage_picture(found: Mapping[str, Figures], group: str, path: Path) -> None:
    """Draw usage. The same usage gives the same SVG, byte for byte.

    Where no dollars are known, tokens are drawn in their place; where there are none either, nothing is.

    Args:
        found: The figures by day, engine or model, at least one.
        group: Which of these.
        path: The file, whose name ends in .svg or .png. It is replaced.

    Raises:
        InputError: The file cannot become a picture.
    """
    write_picture(lambda: _figure(found, group), path, "usage")


def _figure(found: Mapping[str, Figures], group: str) -> Figure:
    from matplotlib.figure import Figure

    every = list(found.items())
    shown = every[-_MAX_BARS:] if group == "day" else every[:_MAX_BARS]
    figures = [each for _, each in shown]
    panels = [(values, label) for values, label in (_dollars(figures), _tokens(figures)) if any(values)][:1]
    figure = Figure(figsize=_USAGE_SIZE_INCHES)
    axes = figure.subplots(len(panels) + 1, 1, sharex=True, squeeze=False)[:, 0]
    at = range(len(shown))
    for panel, (values, label) in zip(axes, panels, strict=False):
        panel.bar(at, values, color=_DOLLARS_COLOUR)
        _frame(panel, label)
    requests = [each.requests for each in figures]
    axes[-1].bar(at, requests, color=_REQUESTS_COLOUR, label="requests sent")
    axes[-1].bar(at, [each.stored for each in figures], bottom=requests, color=_STORED_COLOUR, label="answers stored")
    axes[-1].legend(frameon=False, loc="upper left")
    _frame(axes[-1], "requests, stored answers")
    step = -(-len(shown) // _MAX_TICKS)
    ticks = list(at)[::step]
    axes[-1].set_xticks(ticks, [_short(shown[tick][0]) for tick in ticks], rotation=40, ha="right")
    left_out = len(every) - len(shown)
    title = f"What models were asked, by {group}" + (f" ({left_out} more are not drawn)" if left_out else "")
    axes[0].set_title(title, loc="left")
    figure.tight_layout()
    return figure


def _dollars(figures: list[Figures]) -> tuple[list[float], str]:
    unpriced = sum(each.unpriced for each in figures)
    note = f"\n({unpriced:,} requests have no price)" if unpriced else ""
    return [each.known_usd or 0.0 for each in figures], f"dollars{note}"


def _tokens(figures: list[Figures]) -> tuple[list[float], str]:
    return [float(each.tokens) for each in figures], "tokens"


def _frame(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _MAX_TICK_CHARS else text[: _MAX_TICK_CHARS - 3] + "..."
