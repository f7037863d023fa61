"""The command `usage`: what models were asked, and what it cost."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import text_table
from ..errors import HuggingFaceAPIError, InputError
from .arguments import at_least_one
from .known_names import add_names_argument, names_in
from .open_store import add_store_arguments, open_store

if TYPE_CHECKING:
    from .usage_figures import Figures

_EXIT_UNUSABLE = 2
_GROUPS = ("day", "engine", "model")
_MAX_GROUP_CHARS = 90
"""Most names of models with their task are shorter."""

_COLUMNS = ("queries", "rows", "hits", "requests", "failed rows", "tokens", "usd", "no price")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser: Of the command.
    """
    parser.add_argument("--by", choices=_GROUPS, default="day", help="what it is summed by (default: %(default)s)")
    parser.add_argument("--days", type=at_least_one, metavar="N", help="only the last N days, today among them")
    add_store_arguments(parser)
    add_names_argument(parser)
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg|FILE.png", help="draw dollars, requests and stored answers there"
    )


def run_usage(args: argparse.Namespace) -> int:
    """Show usage.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status: 2 where the store or a file cannot be used, with the reason on stderr.
    """
    from ..inference.storage.tables import DAY_S, day_of
    from ..inference.telemetry.usage_log import usage_by_day
    from .usage_figures import Figures, figures_by

    try:
        if args.picture is not None:
            from ..comparison.picture_file import check_picture

            check_picture(args.picture)
        names = names_in(args.database)
        since = None if args.days is None else day_of(time.time() - (args.days - 1) * DAY_S)
        with open_store(args) as store:
            found = figures_by(args.by, usage_by_day(store), names, since)
            place = store.place
        total = reduce(Figures.plus, found.values(), Figures())
        if args.json:
            rows = [{args.by: name, **figures.as_dict()} for name, figures in found.items()]
            print(
                json.dumps({"place": place, "by": args.by, "rows": rows, "total": total.as_dict()}, ensure_ascii=False)
            )
        else:
            print(
                _table(args.by, found, total) if found else f"{place}: no query of a model was counted{_in(args.days)}."
            )
        if args.picture is not None and found:
            from .usage_picture import save_usage_picture

            save_usage_picture(found, args.by, args.picture)
    except (HuggingFaceAPIError, InputError, OSError) as error:
        print(error, file=sys.stderr)
        return _EXIT_UNUSABLE
    return 0


def _in(days: int | None) -> str:
    return "" if days is None else f" in {days} days"


def _table(group: str, found: Mapping[str, Figures], total: Figures) -> str:
    rows = [[name, *_cells(figures)] for name, figures in found.items()]
    if len(rows) > 1:
        rows.append(["all", *_cells(total)])
    return text_table([group, *_COLUMNS], rows, max_cell_chars=_MAX_GROUP_CHARS, max_rows=len(rows))


def _cells(figures: Figures) -> list[object]:
    hits, usd = figures.share_of_hits, figures.known_usd
    return [
        figures.queries,
        figures.rows,
        None if hits is None else f"{hits:.0%}",
        figures.requests,
        figures.failed,
        figures.tokens,
        None if usd is None else f"{usd:,.6f}".rstrip("0").rstrip("."),
        figures.unpriced,
    ]
