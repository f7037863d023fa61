"""The command `predict`: a Parquet file in, the same file with predictions out."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ..errors import HuggingFaceAPIError, InputError
from .arguments import add_engine_arguments, add_using, at_least_one, engine_arguments, using_arguments

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..inference.pricing.estimate import Estimate
    from ..inference.runtime.dry_run import Counted
    from ..inference.telemetry.cascade_usage import CascadeUsage
    from ..inference.telemetry.usage import Usage
    from ..runners.parquet.job import Arguments, Job
    from ..runners.parquet.supervisor import Outcome, Progress

INSTALL_HINT = 'pip install "huggingface_api_handler[parquet]"'

EXIT_STATUSES = """exit status:
  0  all rows are predicted
  1  the job ended early, or cannot be done; the same command goes on where it ended
  2  the arguments or the files cannot be used; nothing was asked
  3  the output is written, and some of its rows failed (see the column <target>_error)
  130, 143  interrupted by Ctrl-C or SIGTERM; the same command goes on where it ended"""

_EXIT_FAILED = 1
_EXIT_UNUSABLE = 2
_EXIT_ROWS_FAILED = 3
_EXIT_SIGNAL = 128
_SHOWN_KINDS = 2
_PROGRESS_LINE_INTERVAL_S = 60.0
"""Between two lines of progress where no terminal shows a bar."""

_USING_OPTIONS = ("task", "column", "model", "target")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser: Of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_STATUSES
    parser.add_argument("source", metavar="IN.parquet", help="the file to read")
    parser.add_argument(
        "out", metavar="OUT.parquet", help="the file to write: all rows and columns of the input, and the predictions"
    )
    parser.add_argument(
        "--task", help="such as text-classification (the command tasks lists all); by default the model's own"
    )
    parser.add_argument("--column", help="the column to read")
    parser.add_argument("--model", help="name on the Hub; by default the task's default model")
    parser.add_argument("--target", default="prediction", help="the column for the predictions (default: %(default)s)")
    add_using(parser)
    add_engine_arguments(parser)
    parser.add_argument(
        "--workers", type=at_least_one, default=1, metavar="N", help="processes that share the work (default: 1)"
    )
    parser.add_argument(
        "--row-group-size",
        type=at_least_one,
        metavar="ROWS",
        help="rows of a row group of the output (default: the row groups of the input)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be sent and what it would cost, and send nothing"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output where it exists")


def run_predict(args: argparse.Namespace) -> int:
    """Predict a file.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status (see ``EXIT_STATUSES``), with the reason on stderr where it is not 0.
    """
    try:
        from ..runners.parquet.job import Job
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        _say(f"The command predict needs pyarrow, not installed here. Install with: {INSTALL_HINT}")
        return _EXIT_FAILED
    try:
        _check_files(Path(args.source), Path(args.out), is_replaced=args.overwrite or args.dry_run)
        job = Job.of(_arguments(args))
        if args.dry_run:
            from ..runners.parquet.estimate import estimate

            print(_cost(*estimate(job)))
            return 0
        job.open_parts()
    except (InputError, OSError) as error:
        _say(str(error))
        return _EXIT_UNUSABLE
    try:
        return _run(job, args.row_group_size)
    except (HuggingFaceAPIError, OSError) as error:
        _say(f"{error}", _HOW_TO_GO_ON)
        return _EXIT_FAILED


_HOW_TO_GO_ON = "What is done is there. Run the same command again to go on."


def _run(job: Job, row_group_rows: int | None) -> int:
    from ..runners.parquet.supervisor import Supervisor

    started = time.monotonic()
    view = _View(job.source.rows)
    supervisor = Supervisor(job, view.say, view.show)
    interrupted: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        """End cleanly at the first signal, and at once at the second."""
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(number)
        supervisor.is_stopping.set()
        view.say("Ending: what is on its way is stored first.")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        outcome = supervisor.run(row_group_rows)
    finally:
        view.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    _say(*_receipt(job, outcome, time.monotonic() - started))
    if not outcome.is_written:
        return _EXIT_SIGNAL + interrupted[0] if interrupted else _EXIT_FAILED
    return _EXIT_ROWS_FAILED if outcome.failures else 0


def _arguments(args: argparse.Namespace) -> Arguments:
    from ..runners.parquet.job import Arguments

    using, engine = using_arguments(args), engine_arguments(args)
    using.update({name: value for name in _USING_OPTIONS if (value := getattr(args, name)) is not None})
    source, out = (str(Path(path).absolute()) for path in (args.source, args.out))
    return Arguments(source, out, using, engine, args.api_key_env, args.workers)


def _check_files(source: Path, out: Path, *, is_replaced: bool) -> None:
    """Refuse files that cannot be used."""
    if not source.is_file():
        raise InputError(f"{source} is no file")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is no folder, so {out.name} cannot be written there")
    if out.is_dir():
        raise InputError(f"{out} is a folder. Name a file")
    if out.exists():
        if out.samefile(source):
            raise InputError(f"{out} is the input. Name another file for the output")
        if not is_replaced:
            raise InputError(f"{out} exists. Give --overwrite to replace it")


class _View:
    """What a person sees while a job runs: a bar in a terminal, a line a minute elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar: tqdm[NoReturn] | None = None
        self._has_bar = sys.stderr.isatty()
        self._first: int | None = None
        self._since = self._logged = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show how far the job is."""
        if self._first is None:
            self._first = progress.rows  # of earlier runs, which say nothing of how fast this one is
        if self._has_bar:
            self._show_bar(progress)
        elif time.monotonic() - self._logged >= _PROGRESS_LINE_INTERVAL_S:
            self._logged = time.monotonic()
            rate = (progress.rows - self._first) / (self._logged - self._since)
            _say(f"{progress.rows:,} of {self._total:,} rows, {rate:,.1f} a second{_failed(progress.failures)}")

    def say(self, text: str) -> None:
        """Say something above the bar."""
        if self._bar is not None:
            self._bar.clear()
        _say(text)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _show_bar(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                total=self._total, initial=progress.rows, unit=" rows", file=sys.stderr, leave=False, dynamic_ncols=True
            )
        self._bar.set_postfix_str(_failed(progress.failures).removeprefix(", "), refresh=False)
        self._bar.update(progress.rows - self._bar.n)


def _failed(failures: Counter[str]) -> str:
    """Failed rows by their commonest reasons, as the end of a sentence; empty where none failed."""
    if not failures:
        return ""
    reasons = ", ".join(f"{kind} {count:,}" for kind, count in failures.most_common(_SHOWN_KINDS))
    return f", {sum(failures.values()):,} failed: {reasons}"


def _receipt(job: Job, outcome: Outcome, seconds: float) -> list[str]:
    """What was done, in lines."""
    from .sql.cost_question import duration

    lines = []
    if outcome.stopped is not None:
        lines.append(outcome.stopped)
    if outcome.is_written:
        lines.append(f"{job.out}: {outcome.rows:,} rows in {duration(seconds)}{_failed(outcome.failures)}")
    else:
        lines.append(f"{outcome.rows:,} of {job.source.rows:,} rows are done. {_HOW_TO_GO_ON}")
    if outcome.usage is not None:
        lines.append(_used(outcome.usage))
        if outcome.usage.cascade is not None and outcome.is_written:
            lines.append(_certified(job, outcome.usage.cascade))
    return lines


def _used(usage: Usage) -> str:
    requests = f"{usage.requests:,} {'request' if usage.requests == 1 else 'requests'}"
    models = usage.model if usage.cascade is None else f"{usage.model} and {usage.cascade.proxy}"
    parts = [f"  {models}: {requests}", f"{usage.cache_hits:,} stored answers used"]
    if usage.tokens:
        parts.append(f"{usage.tokens:,} tokens")
    if cost := usage.spending.text(usage.requests):
        parts.append(cost)
    if usage.rate_limit_waits:
        parts.append(f"{usage.rate_limit_waits:,} pauses")
    return ", ".join(parts)


def _certified(job: Job, cascade: CascadeUsage) -> str:
    """What the small model of a cascade answered, and in how many parts that was certified."""
    from ..runners.parquet.output import rows_answered_by

    # Not of the usage, which counts rows and parts again that an earlier run began.
    by_proxy, straight = rows_answered_by(job, cascade.proxy), min(cascade.straight_parts, len(job.units))
    said = f"  cascade: {cascade.proxy} answers {by_proxy:,} of {job.source.rows:,} rows"
    if certified := len(job.units) - straight:
        parts = f"{certified:,} {'part' if certified == 1 else 'parts'}"
        said += f", certified in {parts} with a confidence of {cascade.confidence:.6g}{' each' * (certified > 1)}"
    if straight:  # too small to save any, or of which it answered nothing
        said += f"; parts that the large model answered alone: {straight:,}"
    return said


def _cost(counted: Counted, cost: Estimate) -> str:
    from .sql.cost_question import duration

    time_text = "unknown time" if counted.seconds is None else f"about {duration(counted.seconds)}"
    return (
        f"dry run: {counted.rows:,} rows, {counted.nulls:,} NULL or blank, {counted.distinct:,} distinct inputs, "
        f"{counted.stored:,} answers stored, {counted.requests:,} requests, {time_text}, {cost}"
    ) + (f"; {counted.note}" if counted.note else "")


def _say(*lines: str) -> None:
    for line in lines:
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr, flush=True)
