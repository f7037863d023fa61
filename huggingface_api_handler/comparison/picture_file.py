"""A picture as a file: SVG or PNG, by matplotlib (extra plots)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INSTALL_HINT = 'pip install "huggingface_api_handler[plots]"'

_FORMATS = (".svg", ".png")
_PIXELS_PER_INCH = 160


def check_picture(path: Path) -> None:
    """Refuse a file that cannot become a picture, before anything is asked for it.

    Args:
        path: The file.

    Raises:
        InputError: Its name does not end in .svg or .png, its folder does not exist, or matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InputError(
            f"a picture is an SVG or a PNG: end its name in {' or '.join(_FORMATS)}, and not as {path.name}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder, so {path.name} cannot be written there")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(f"a picture needs matplotlib, not installed here. Install with: {INSTALL_HINT}")


def write_picture(draw: Callable[[], Figure], path: Path, name: str) -> None:
    """Draw a picture into a file. The same figure gives the same SVG, byte for byte.

    Args:
        draw: Makes the figure.
        path: The file, whose name ends in .svg or .png. It is replaced.
        name: Of the kind of picture, which the ids in an SVG are made of.

    Raises:
        InputError: The file cannot become a picture.
    """
    check_picture(path)
    import matplotlib

    settings = {
        "svg.hashsalt": name,  # no random ids and no date, so that a difference shows what changed
        "svg.fonttype": "none",
        "text.parse_math": False,  # a name with two dollars is no formula
        "font.family": "sans-serif",
        "font.size": 10,
    }
    with matplotlib.rc_context(settings):
        figure = draw()
        metadata = {"Date": None, "Creator": None} if path.suffix.lower() == ".svg" else {"Software": None}
        figure.savefig(path, dpi=_PIXELS_PER_INCH, metadata=metadata)
