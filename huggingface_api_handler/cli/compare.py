"""The command `compare`: several models asked about a sample of a table, and what each is worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import text_table
from ..errors import HuggingFaceAPIError, InputError
from ..redaction import preview
from .arguments import add_engine_arguments, add_using, at_least_one, engine_arguments, using_arguments
from .sql.cost_question import (
    DEFAULT_MAX_DOLLARS,
    DEFAULT_MAX_REQUESTS,
    CostQuestion,
    DeclinedError,
    ask_in_terminal,
    duration,
)
from .tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from ..comparison import Comparison
    from ..comparison.comparison import ModelEstimate
    from ..comparison.labels import GivenLabels
    from ..comparison.measures import Said

EXIT_STATUSES = """exit status:
  0  every model answered every row of the sample
  1  no model answered, or you did not want to pay for it
  2  the arguments or the files cannot be used; nothing was asked
  3  a model, or some rows of one, has no answer (see the columns failed and note)
  130  interrupted by Ctrl-C; what was answered is stored"""

_EXIT_FAILED = 1
_EXIT_UNUSABLE = 2
_EXIT_ROWS_FAILED = 3
_EXIT_INTERRUPTED = 130
_DEFAULT_SAMPLE = 200
_ALL_ROWS = "all"
_MODELS_WITH_MAJORITY = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser: Of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_STATUSES
    parser.add_argument("source", metavar="FILE", help="the table: a CSV or a Parquet file")
    parser.add_argument("--column", required=True, help="the column to read")
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME",
        dest="models",
        help="a model to compare, such as owner/name or owner/name:cheapest; or a JSON object of its own arguments, "
        "with a name for its row; may be repeated. The first is what the others are compared with",
    )
    parser.add_argument("--truth", metavar="COLUMN", help="column with the right labels; without it models are only "
                        "compared with each other")  # fmt: skip
    parser.add_argument("--task", help="such as text-classification; by default the own task of each model")
    parser.add_argument(
        "--labels",
        metavar="LABEL[=NAME...],...",
        help="the labels, each with what models or the truth call it, such as positive=LABEL_1=pos,negative=LABEL_0; "
        "or a JSON list or object",
    )
    parser.add_argument(
        "--sample",
        type=_sample,
        default=_DEFAULT_SAMPLE,
        metavar="ROWS",
        help=f"rows to ask about, or {_ALL_ROWS} (default: %(default)s); the same ones each time",
    )
    parser.add_argument("--seed", default="", metavar="TEXT", help="another text draws another sample")
    add_using(parser)
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="write the table there too, with all columns")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg|FILE.png", help="draw cost against quality there")
    parser.add_argument("--yes", action="store_true", help="send requests without asking, whatever they cost")
    parser.add_argument(
        "--max-requests",
        type=int,
        default=DEFAULT_MAX_REQUESTS,
        metavar="N",
        help="ask before more requests are sent (default: %(default)s)",
    )
    parser.add_argument(
        "--max-dollars",
        type=float,
        default=DEFAULT_MAX_DOLLARS,
        metavar="X",
        help="ask before it costs more, where prices are known (default: %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be sent and what it would cost, and send nothing"
    )


def run_compare(args: argparse.Namespace) -> int:
    """Compare models.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status (see ``EXIT_STATUSES``), with the reason on stderr where it is not 0.
    """
    from ..comparison.picture import save_picture
    from ..comparison.picture_file import check_picture

    try:
        if args.picture is not None:
            check_picture(args.picture)
        if args.out is not None and not args.out.absolute().parent.is_dir():
            raise InputError(f"{args.out.parent} is no folder, so {args.out.name} cannot be written there")
        comparison = _comparison(args)
        estimates = comparison.estimates()
    except (InputError, OSError) as error:
        _say(str(error))
        return _EXIT_UNUSABLE
    _say(*_plan(comparison, estimates))
    if args.dry_run:
        return 0
    try:
        _question(args, estimates)
        table = _run(comparison)
        _write(args, table)
        if args.picture is not None and table["answered"].any():
            save_picture(table, args.picture)
    except DeclinedError as error:
        _say(f"{error}.")
        return _EXIT_FAILED
    except KeyboardInterrupt:
        _say("Interrupted. What was answered is stored: run the same command again to go on.")
        return _EXIT_INTERRUPTED
    except (HuggingFaceAPIError, OSError) as error:
        _say(str(error))
        return _EXIT_FAILED
    if not table["answered"].any():
        return _EXIT_FAILED
    return _EXIT_ROWS_FAILED if table["failed"].any() else 0


def _comparison(args: argparse.Namespace) -> Comparison:
    from ..comparison import Comparison
    from ..config.credentials import key_in_variable

    # Who can start a program on this machine reaches its private addresses anyway.
    engine = {"allow_private_endpoints": True, **engine_arguments(args)}
    if args.api_key_env is not None:
        engine["api_key"] = key_in_variable(args.api_key_env)
    return Comparison.of(
        read_table(Path(args.source)),
        models=[_model(text) for text in args.models],
        column=args.column,
        task=args.task,
        truth=args.truth,
        labels=_labels(args.labels),
        sample=args.sample,
        seed=args.seed,
        using=using_arguments(args),
        engine=engine,
    )


def _model(text: str) -> str | Mapping[str, object]:
    if not text.lstrip().startswith("{"):
        return text
    try:
        arguments: Mapping[str, object] = json.loads(text)
    except (ValueError, RecursionError) as error:  # without the text, which may hold a key
        raise InputError(f"--model takes a name or a JSON object, and this is none: {error}") from None
    return arguments


def _labels(text: str | None) -> GivenLabels:
    if text is None:
        return None
    if text.lstrip().startswith(("{", "[")):
        try:
            given: GivenLabels = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"--labels {preview(text)} is no JSON: {error}") from None
        return given
    found: dict[str, list[str]] = {}
    for each in text.split(","):
        label, *names = (name.strip() for name in each.split("="))
        if not label or not all(names):
            raise InputError(f"--labels takes LABEL or LABEL=NAME with commas between, and not {text!r}")
        found.setdefault(label, []).extend(names)
    return found


def _plan(comparison: Comparison, estimates: Sequence[ModelEstimate]) -> list[str]:
    """What would be asked, in lines."""
    rows = f"{len(comparison.sample):,} of {comparison.rows:,} rows"
    if comparison.without_value:
        rows += f" ({comparison.without_value:,} more have no input or no truth)"
    lines = [f"{rows}, {len(comparison.candidates):,} models:"]
    for each in estimates:
        time_text = "unknown time" if each.seconds is None else f"about {duration(each.seconds)}"
        dollars = "unknown dollars" if each.usd is None else each.usd.in_usd
        costs = f", {time_text}, {dollars}" if each.requests else ""
        lines.append(
            f"  {each.model}: {each.distinct_inputs:,} distinct inputs, {each.stored:,} answers stored, "
            f"{each.requests:,} requests{costs}"
        )
    lines += [f"  {each.name}: {each.problem}" for each in comparison.candidates if each.problem is not None]
    return lines


def _question(args: argparse.Namespace, estimates: Sequence[ModelEstimate]) -> None:
    """Have the person agree to what all models would cost together, or raise DeclinedError."""
    from ..comparison.comparison import ModelEstimate
    from ..inference.pricing.spending import Range

    asked = [each for each in estimates if each.requests]
    if not asked:
        return
    seconds = [each.seconds for each in asked if each.seconds is not None]
    ranges = [each.usd for each in asked if each.usd is not None]
    total = ModelEstimate(
        ", ".join(each.model for each in asked),
        sum(each.distinct_inputs for each in asked),
        sum(each.stored for each in asked),
        sum(each.requests for each in asked),
        sum(seconds) if len(seconds) == len(asked) else None,
        reduce(Range.plus, ranges) if len(ranges) == len(asked) else None,
    )
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    CostQuestion(args.max_requests, args.max_dollars, ask_in_terminal if is_terminal else None, args.yes)(total)


def _run(comparison: Comparison) -> pd.DataFrame:
    from .sql.watch import Watch

    watch = Watch(has_bars=sys.stderr.isatty())

    def finished(name: str, said: Said) -> None:
        """Say how one model went."""
        watch.clear()
        watch.begin()
        if said.problem is not None:
            _say(f"  {name}: {said.problem}")
            return
        answered, rows = sum(said.is_answered), len(said.is_answered)
        seconds = said.usage.get("seconds")
        time_text = f" in {duration(seconds)}" if isinstance(seconds, float) else ""
        failed = "" if answered == rows else f", {rows - answered:,} failed"
        _say(f"  {name}: {answered:,} rows{time_text}, {said.usage.get('requests', 0):,} requests{failed}")

    try:
        return comparison.run(watch.progress, finished)
    finally:
        watch.close()


def _write(args: argparse.Namespace, table: pd.DataFrame) -> None:
    if args.out is not None:
        table.assign(errors=table["errors"].map(json.dumps)).to_csv(args.out, index=False)
    if args.json:
        about = table.attrs["comparison"]
        models = [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
        document = {"rows": len(about["sample"]), "models": models, "pairwise": about["pairwise"]}
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(_shown(table))


def _plain(value: object) -> object:
    """Numbers that are none as null, which JSON knows."""
    return None if isinstance(value, float) and value != value else value


def _shown(table: pd.DataFrame) -> str:
    """The table and its notes, for a terminal."""
    about = table.attrs["comparison"]
    records = [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
    rows = []
    for row in records:
        cells: dict[str, object] = {"model": row["model"]}
        if about["has_truth"]:
            cells |= {"accuracy": _measured(row, "accuracy"), "F1": _measured(row, "f1")}
        is_reference = row["model"] == about["reference"]
        cells["agreement"] = "(reference)" if is_reference else _measured(row, "agreement")
        if len(records) >= _MODELS_WITH_MAJORITY:
            cells["with majority"] = _measured(row, "majority_agreement")
        cells["$ per 1,000"] = f"{dollars:,.4f}" if isinstance(dollars := row["usd_per_1000"], float) else "unknown"
        rows.append(cells | {name: row[name] for name in ("seconds", "requests", "stored", "failed")})
    lines = [text_table(list(rows[0]), [list(cells.values()) for cells in rows], max_rows=len(rows))]
    lines += [f"  {row['model']}: {row['note']}" for row in records if row["note"]]
    return "\n".join(lines)


def _measured(row: Mapping[str, object], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not (isinstance(value, float) and isinstance(low, float) and isinstance(high, float)):
        return "-"
    return f"{value:.1%} ({low * 100:.1f}-{high * 100:.1f})"


def _sample(text: str) -> int | None:
    return None if text == _ALL_ROWS else at_least_one(text)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)
