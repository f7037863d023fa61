"""The command `doctor`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING

from ...config.credentials import resolve_api_key
from ...config.settings import EngineSettings
from ...errors import HuggingFaceAPIError, InputError
from ...printable import printable
from ...redaction import Secret, redact, secret_in_use
from ..known_names import KnownNames, add_names_argument, names_of, read_catalog
from ..open_store import add_store_arguments, shared_address
from .findings import Finding, State, Wanted, worst

if TYPE_CHECKING:
    from ...sql.catalog_items import Engine, Model

EXIT_STATUSES = """exit status:
  0  everything works; there may be advice
  1  something will not work: the lines that begin with PROBLEM say what, and what to do
  2  the arguments cannot be used"""

_EXIT_PROBLEM = 1
_EXIT_UNUSABLE = 2
_MARKS = {State.OK: "ok", State.ADVICE: "advice", State.PROBLEM: "PROBLEM"}
_WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser: Of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_STATUSES
    parser.add_argument("--offline", action="store_true", help="ask nothing over a network")
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    add_store_arguments(parser)
    add_names_argument(parser)


def run_doctor(args: argparse.Namespace) -> int:
    """Look at everything and show what was found.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status (see ``EXIT_STATUSES``).
    """
    with _without_log():  # what modules log about the same things is in the findings
        return _run(args)


@contextmanager
def _without_log() -> Iterator[None]:
    logger = logging.getLogger("huggingface_api_handler")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _run(args: argparse.Namespace) -> int:
    shared, about_store = None, []
    try:
        shared = shared_address(args.store)
    except InputError as error:
        if args.store is not None:
            print(error, file=sys.stderr)
            return _EXIT_UNUSABLE
        about_store = [Finding("shared store", str(error), State.PROBLEM, "Set the variable anew.")]
    wanted = Wanted(args.offline, args.cache_dir, shared, args.database)
    with secret_in_use(_key()):  # whatever answered may repeat it
        found = {subject: list(findings) for subject, findings in _looked_at(wanted)}
        if about_store:  # in place of the one that there is none
            others = [finding for finding in found["stores"] if finding.name != about_store[0].name]
            found["stores"] = [*others, *about_store]
        state = worst(finding for findings in found.values() for finding in findings)
        print(_as_json(found, state) if args.json else _as_text(found))
    return _EXIT_PROBLEM if state is State.PROBLEM else 0


def _key() -> Secret | None:
    try:
        found = resolve_api_key(EngineSettings())
    except Exception:  # `key` says why it cannot be had
        return None
    return None if found is None else Secret.of(found.get_secret_value())


def _looked_at(wanted: Wanted) -> Iterator[tuple[str, Iterable[Finding]]]:
    """Each subject with its findings."""
    from .budgets import budgets
    from .homes import homes
    from .hosts import hosts
    from .key import key
    from .routes import routes
    from .stores import stores
    from .versions import versions

    engines: list[Engine] = []
    models: list[Model] = []
    names = KnownNames()
    yield "versions", _safely("versions", lambda: versions(wanted))
    yield "homes", _safely("homes", lambda: homes(wanted))
    if wanted.databases:
        yield "files", _safely("files", lambda: _files(wanted, engines, models))
        names = names_of(engines, models)
    yield "key", _safely("key", lambda: key(wanted))
    yield "network", _safely("network", lambda: hosts(wanted))
    yield "stores", _safely("stores", lambda: stores(wanted, names))
    yield "routes", _safely("routes", lambda: routes(wanted, engines, models))
    yield "budgets", _safely("budgets", lambda: budgets(wanted, engines))


def _files(wanted: Wanted, engines: list[Engine], models: list[Model]) -> Iterator[Finding]:
    """Read the files that have names, into two lists."""
    for path in wanted.databases:
        try:
            of_file, in_file = read_catalog(path)
        except HuggingFaceAPIError as error:
            yield Finding(str(path), str(error), State.PROBLEM, "Its engines and models are not known below.")
            continue
        engines += of_file
        models += in_file
        yield Finding(str(path), f"{len(of_file):,} engines, {len(in_file):,} models")


def _safely(subject: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a subject. Whatever goes wrong there is one more, so that the others are looked at."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:
        reason = str(error) if isinstance(error, HuggingFaceAPIError) else type(error).__name__
        found.append(Finding(subject, f"could not be looked at: {reason}", State.PROBLEM, "Tell us, with this line."))
    return found


def _as_json(found: dict[str, list[Finding]], state: State) -> str:
    rows = [
        {
            "subject": subject,
            "name": finding.name,
            "value": finding.value,
            "state": finding.state.value,
            "advice": finding.advice,
            "data": dict(finding.data),
        }
        for subject, findings in found.items()
        for finding in findings
    ]
    return redact(json.dumps({"state": state.value, "findings": rows}, ensure_ascii=False, default=str))


def _as_text(found: dict[str, list[Finding]]) -> str:
    lines = []
    mark_width = max(map(len, _MARKS.values()))
    for subject, findings in found.items():
        lines += ["", subject]
        for finding in findings:
            mark = _MARKS[finding.state].ljust(mark_width)
            text = redact(printable(f"{finding.name}: {finding.value}"))
            lines.append(_wrapped(f"  {mark}  ", text))
            if finding.advice:
                lines.append(_wrapped(f"  {' ' * mark_width}  -> ", redact(printable(finding.advice))))
    count = {state: sum(each.state is state for findings in found.values() for each in findings) for state in State}
    problems, advice = count[State.PROBLEM], count[State.ADVICE]
    summary = f"{problems:,} will not work, {advice:,} with advice." if problems or advice else "Everything works."
    return "\n".join([*lines[1:], "", summary])


def _wrapped(begin: str, text: str) -> str:
    return fill(text, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), break_on_hyphens=False)
