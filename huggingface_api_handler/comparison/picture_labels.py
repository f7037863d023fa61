"""Where the names of points stand, so that none covers another or a bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKER_PIXELS = 7.0
_POINTS_PER_INCH = 72
_DISTANCES = (9, 18, 30, 44, 60, 80)
"""From a point to its name, in points: the nearest at which it covers nothing is taken."""

_LINE_FROM = 15
"""A name that is further away, in points, has a line to its point."""

_DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
"""From a point to its name, right and up."""

_LINE_COLOUR = "#9a9996"
_FONT = {"fontsize": 9, "linespacing": 1.2}


class Box(NamedTuple):
    """A part of the picture, in pixels.

    Attributes:
        x0: Its edges.
        y0: Likewise.
        x1: Likewise.
        y1: Likewise.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """In square pixels; 0 of a box that is none."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def common(self, other: Box) -> float:
        """How much of another box this one covers.

        Args:
            other: The other one.

        Returns:
            Square pixels.
        """
        return Box(max(self.x0, other.x0), max(self.y0, other.y0),
                   min(self.x1, other.x1), min(self.y1, other.y1)).area  # fmt: skip


class PointLabel(NamedTuple):
    """A point with its bar on the axes, and its name.

    Attributes:
        x: Where the point is.
        y: Likewise.
        low: Where its bar begins, upwards.
        high: Where it ends.
        text: The name.
        colour: Of the name.
    """

    x: float
    y: float
    low: float
    high: float
    text: str
    colour: str


class Spot(NamedTuple):
    """Where a name may stand: in which direction of its point, and how far away in points."""

    across: int
    up: int
    distance: int

    def box(self, x: float, y: float, width: float, height: float, scale: float) -> Box:
        """The box of a name there.

        Args:
            x: Of the point, in pixels.
            y: Likewise.
            width: Of the name, in pixels.
            height: Likewise.
            scale: Pixels of a point of print.

        Returns:
            The box.
        """
        x_middle = x + self.across * (self.distance * scale + width / 2)
        y_middle = y + self.up * (self.distance * scale + height / 2)
        return Box(x_middle - width / 2, y_middle - height / 2, x_middle + width / 2, y_middle + height / 2)


def spots() -> Iterator[Spot]:
    """All places for a name, the nearest first."""
    for distance in _DISTANCES:
        for across, up in _DIRECTIONS:
            yield Spot(across, up, distance)


def label_points(figure: Figure, axes: Axes, labels: Sequence[PointLabel]) -> None:
    """Write the names of points beside them.

    Args:
        figure: The picture, whose axes are final.
        axes: On which the points are.
        labels: The points.
    """
    taken = []
    for each in labels:
        (pixel, bottom), (_, top) = axes.transData.transform([(each.x, each.low), (each.x, each.high)])
        taken.append(Box(pixel - _MARKER_PIXELS, bottom - _MARKER_PIXELS, pixel + _MARKER_PIXELS, top + _MARKER_PIXELS))
    inside, scale = Box(*axes.bbox.extents), figure.dpi / _POINTS_PER_INCH
    for each in labels:
        written = axes.text(each.x, each.y, each.text, **_FONT)
        extent = written.get_window_extent()
        written.remove()
        x, y = axes.transData.transform((each.x, each.y))
        boxes = {spot: spot.box(x, y, extent.width, extent.height, scale) for spot in spots()}
        spot = best_spot(boxes, taken, inside)
        taken.append(boxes[spot])
        _write(axes, each, spot)


def best_spot(boxes: Mapping[Spot, Box], taken: Sequence[Box], inside: Box) -> Spot:
    """Choose where a name stands.

    Args:
        boxes: The box of the name in each place, the nearest first.
        taken: What it should not cover.
        inside: What it should not leave.

    Returns:
        The first place where it covers and loses least.
    """

    def cost(spot: Spot) -> int:
        """What a name covers of others and of bars, and what of it is cut off."""
        box = boxes[spot]
        return round(sum(map(box.common, taken)) + 2 * (box.area - box.common(inside)))

    return min(boxes, key=cost)


def _write(axes: Axes, label: PointLabel, spot: Spot) -> None:
    line = {"arrowstyle": "-", "color": _LINE_COLOUR, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 5}
    axes.annotate(
        label.text,
        (label.x, label.y),
        (spot.across * spot.distance, spot.up * spot.distance),
        textcoords="offset points",
        color=label.colour,
        zorder=5,
        horizontalalignment=("center", "left", "right")[spot.across],
        verticalalignment=("center", "bottom", "top")[spot.up],
        arrowprops=line if spot.distance > _LINE_FROM else None,
        **_FONT,
    )
