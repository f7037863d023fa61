"""The commands `store show`, `store prune` and `store export`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...console import in_bytes, in_time, text_table
from ...errors import HuggingFaceAPIError, InputError
from ..known_names import add_names_argument, names_in, owner_names
from ..open_store import add_store_arguments, open_store

if TYPE_CHECKING:
    from ...inference.storage.upkeep import AnswerSums, Limits, Upkeep

EXIT_STATUSES = """exit status:
  0  done
  1  you said no, or it could not be finished; what was deleted stays deleted
  2  the store or the arguments cannot be used"""

_EXIT_FAILED = 1
_EXIT_UNUSABLE = 2
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNKNOWN = "not told by the store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the commands.

    Args:
        parser: Of the command `store`.
    """
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        """One of them."""
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=EXIT_STATUSES,
        )
        command.set_defaults(run=run)
        add_store_arguments(command)
        return command

    show = add("show", "Show where the store is, how large it is, and how many answers each engine has in it.", _show)
    add_names_argument(show)
    show.add_argument("--json", action="store_true", help="write one JSON object")
    prune = add("prune", "Delete old answers, and give the space back to the disk.", _prune)
    prune.add_argument(
        "--older-than", type=_age, metavar="AGE", help="delete what was stored longer ago than 30d, 12h, 2w or the like"
    )
    prune.add_argument(
        "--expired", action="store_true", help="delete what is too old for any query (cache_ttl of the engine)"
    )
    prune.add_argument("--yes", action="store_true", help="delete without asking")
    export = add("export", "Write all answers and their times into a Parquet file (needs the extra parquet).", _export)
    export.add_argument("file", type=Path, metavar="FILE.parquet", help="the file to write, which must not exist")


def run_store(args: argparse.Namespace) -> int:
    """Run one of the commands.

    Args:
        args: As ``add_arguments`` has them.

    Returns:
        The exit status (see ``EXIT_STATUSES``), with the reason on stderr where it is not 0.
    """
    try:
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
    except InputError as error:
        _say(str(error))
        return _EXIT_UNUSABLE
    except (HuggingFaceAPIError, OSError) as error:
        _say(str(error))
        return _EXIT_FAILED


def _show(args: argparse.Namespace) -> int:
    from ...inference.storage.sqlite_upkeep import SqliteUpkeep
    from ...inference.storage.upkeep import sums_by_owner, total_of
    from ...inference.telemetry.usage_log import usage_by_day

    names = names_in(args.database)
    with open_store(args) as store:
        sums, _ = sums_by_owner(store)
        owners = owner_names(store.secret or b"", names, usage_by_day(store))
        size = store.size() if isinstance(store, SqliteUpkeep) else None
    total = total_of(sums.values())
    if args.json:
        rows = [{"owner": _hex(owner), "name": owners.get(owner or b""), **vars(each)} for owner, each in sums.items()]
        file = {} if size is None else {"file_bytes": size.file, "free_bytes": size.free}
        print(json.dumps({"place": store.place, **file, **vars(total), "owners": rows}, ensure_ascii=False))
        return 0
    print(f"{store.place}: {in_words(total)}")
    if size is not None:
        print(f"The file has {in_bytes(size.file)}, of which {in_bytes(size.free)} are free for new answers.")
    if sums:
        shown = [_row(owners.get(owner or b"", _unnamed(owner)), each) for owner, each in _by_size(sums)]
        columns = ["whose", "answers", "size", "oldest", "newest", "expired"]
        print(text_table(columns, shown, max_rows=len(shown)))
    return 0


def _by_size(sums: dict[bytes | None, AnswerSums]) -> list[tuple[bytes | None, AnswerSums]]:
    return sorted(sums.items(), key=lambda item: item[1].size, reverse=True)


def _row(name: str, sums: AnswerSums) -> Sequence[object]:
    return [name, sums.answers, in_bytes(sums.size), in_time(sums.oldest), in_time(sums.newest), sums.expired]


def _unnamed(owner: bytes | None) -> str:
    return _UNKNOWN if owner is None else f"owner {owner.hex()}"


def _hex(owner: bytes | None) -> str | None:
    return None if owner is None else owner.hex()


def in_words(sums: AnswerSums) -> str:
    """Say what is stored.

    Args:
        sums: Of answers.

    Returns:
        A sentence without its subject.
    """
    if not sums.answers:
        return "no answers."
    expired = f"; {sums.expired:,} have expired" if sums.expired else ""
    period = f"from {in_time(sums.oldest)} to {in_time(sums.newest)}"
    return f"{sums.answers:,} answers, {in_bytes(sums.size)}, {period}{expired}."


def _prune(args: argparse.Namespace) -> int:
    from ...inference.storage.sqlite_upkeep import SqliteUpkeep
    from ...inference.storage.upkeep import Limits, total_of

    if args.older_than is None and not args.expired:
        raise InputError("say what to delete: --older-than 30d, --expired, or both")
    with open_store(args) as store:
        now = store.now
        limits = Limits(
            None if args.older_than is None else now - args.older_than,
            now if args.expired else None,
        )
        old = total_of(some for _, some in store.sums(limits))
        if not old.answers:
            print(f"{store.place}: nothing is that old.")
            return 0
        if not args.yes and not _is_agreed(f"{store.place} has {in_words(old)}"):
            _say("Nothing was deleted.")
            return _EXIT_FAILED
        answers, size = _deleted(store, limits)
        freed = f" The file is {in_bytes(store.give_back())} smaller." if isinstance(store, SqliteUpkeep) else ""
    print(f"{store.place}: {answers:,} answers deleted, {in_bytes(size)}.{freed}")
    return 0


def _deleted(store: Upkeep, limits: Limits) -> tuple[int, int]:
    answers = size = 0
    for deleted in store.delete(limits):
        answers, size = answers + deleted.answers, size + deleted.size
    return answers, size


def _is_agreed(what: str) -> bool:
    from ..sql.cost_question import ask_in_terminal

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(f"{what} Nobody is here to be asked whether they may be deleted: add --yes")
    return ask_in_terminal(f"{what} Delete them?")


def _export(args: argparse.Namespace) -> int:
    from .export import export_answers

    with open_store(args) as store:
        written, left_out = export_answers(store, args.file)
    print(f"{args.file}: {written:,} answers of {store.place}")
    if left_out:
        _say(f"{left_out:,} answers were left out: they are damaged, or somebody else wrote them.")
    return 0


def _age(text: str) -> float:
    """Seconds of such as 30d, for argparse."""
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 30d, 12h or 2w (s, m, h, d and w are known)")
    return float(found[1]) * _UNIT_S[found[2]]


def _say(text: str) -> None:
    print(text, file=sys.stderr)
