"""The law over many cases, and what is told of a case that breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.sql.law.cases import Case
from tests.sql.law.compare import Difference, InvalidQuery, difference
from tests.sql.law.homes import Home, Plain, Rows
from tests.sql.law.nodes import write
from tests.sql.law.shrink import shrunk

_MAX_SHOWN_ROWS = 20


@dataclass
class Summary:
    """What came of a run.

    Attributes:
        compared: How many queries were compared.
        invalid: Why others were not, by the beginning of DuckDB's message.
        differences: The cases that differ.
    """

    compared: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    differences: list[tuple[Case, Difference]] = field(default_factory=list)


def run(
    cases: Iterable[Case],
    plain: Plain,
    ours: Home,
    *,
    most: int = 1,
    progress: Callable[[int, Summary], None] | None = None,
    on_difference: Callable[[Case, Difference], None] | None = None,
) -> Summary:
    """Compare cases until some differ.

    Args:
        cases: The cases.
        plain: DuckDB.
        ours: The home that is tested.
        most: After so many differences it ends.
        progress: Called after each case with its number.
        on_difference: Called with each case that differs.

    Returns:
        What came of it.
    """
    summary = Summary()
    for number, case in enumerate(cases):
        try:
            found = difference(case, plain, ours)
        except InvalidQuery as error:
            summary.invalid[str(error)[:40]] += 1
            continue
        summary.compared += 1
        if found is not None:
            summary.differences.append((case, found))
            if on_difference is not None:
                on_difference(case, found)
            if len(summary.differences) >= most:
                break
        if progress is not None:
            progress(number, summary)
    return summary


def minimised(case: Case, found: Difference, plain: Plain, ours: Home) -> tuple[Case, Difference]:
    """The same difference in a smaller case."""

    def again(smaller: Case) -> Difference | None:
        try:
            return difference(smaller, plain, ours)
        except InvalidQuery:
            return None

    def differs(smaller: Case) -> bool:
        other = again(smaller)
        return other is not None and _sort(other) == _sort(found)

    small = shrunk(case, differs)
    return small, again(small) or found


def _sort(found: Difference) -> tuple[str, str]:
    return found.kind, str(found.got)[:30] if isinstance(found.got, Exception) else ""


def told(case: Case, found: Difference) -> str:
    """A difference as text: the tables, both queries, both results."""
    return "\n".join(
        [
            f"-- {found.kind}",
            *(table.create for table in case.tables),
            f"\n-- ours\n{case.ours}",
            f"\n-- plain DuckDB\n{write(case.query, 'plain')}",
            f"\n-- expected, without LIMIT\n{_shown(found.expected)}",
            f"\n-- got\n{_shown(found.got) if isinstance(found.got, Rows) else repr(found.got)}",
        ]
    )


def _shown(result: Rows) -> str:
    more = [f"... and {len(result.rows) - _MAX_SHOWN_ROWS} more"] if len(result.rows) > _MAX_SHOWN_ROWS else []
    head = [f"{list(zip(result.columns, result.types, strict=True))}, {len(result.rows)} rows"]
    return "\n".join([*head, *map(repr, result.rows[:_MAX_SHOWN_ROWS]), *more])
