"""What the models said, measured against the truth and against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..redaction import preview
from .statistics import Measure, macro_f1, majority, rate

Value: TypeAlias = "str | int | float | dict[str, int] | None"
"""A cell of the table of a comparison."""

MEASURES = ("accuracy", "f1", "agreement", "majority_agreement")
"""Columns with an interval: each has one more with ``_low`` behind its name, and one with ``_high``."""

FIGURES = (
    *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
    *("usd", "usd_per_1000", "seconds", "seconds_per_1000"),
)
"""Columns of figures that may be unknown."""

_SHOWN_LABELS = 5
_PER_ROWS = 1000


@dataclass
class Said:
    """What one model said of the sample.

    Attributes:
        name: The model's, in its row.
        task: Its task; None where it could not be found out.
        labels: Of each row; None where the model did not decide.
        is_answered: Whether a row has an answer.
        usage: What it was asked, and what that took, as in ``DataFrame.attrs["usage"]``.
        problem: Why it did not answer; None where it did.
    """

    name: str
    task: str | None
    labels: Sequence[str | None]
    is_answered: Sequence[bool]
    usage: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None


def measure(said: Sequence[Said], truth: Sequence[str] | None, labels: Sequence[str]) -> list[dict[str, Value]]:
    """Measure all models.

    Args:
        said: What each one said. The first is what the others are compared with.
        truth: The label of each row; None where nobody says it.
        labels: All labels that there are; none where nobody says them.

    Returns:
        The cells of a row for each model, by the column's name. All figures are over the rows that the model answered,
        and agreement is over those that both did.
    """
    rows = []
    for number, each in enumerate(said):
        others = [*said[:number], *said[number + 1 :]]
        measures = {
            "accuracy": None if truth is None else _agreement(each, truth),
            "f1": None if truth is None else _f1(each, truth),
            "agreement": agreement(each, said[0]) if number else None,
            "majority_agreement": _agreement(each, _majorities(others, len(each.labels))),
        }
        row: dict[str, Value] = {"model": each.name, "task": each.task}
        for name in MEASURES:
            value, low, high = measures[name] or (None, None, None)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append({**row, **_costs(each), "note": _note(each, truth, labels)})
    return rows


def agreement(one: Said, other: Said) -> Measure | None:
    """How often two models say the same.

    Args:
        one: What one says.
        other: What the other says.

    Returns:
        Over the rows that both answered and of which the other says a label; None where there are none.
    """
    labels = [label if answered else None for label, answered in zip(other.labels, other.is_answered, strict=True)]
    return _agreement(one, labels)


def pairwise(said: Sequence[Said]) -> dict[str, dict[str, float | None]]:
    """How often each two models say the same.

    Args:
        said: What each one said.

    Returns:
        By the one's name and the other's.
    """
    return {
        one.name: {other.name: found.value if (found := agreement(one, other)) else None
                   for other in said if other is not one}
        for one in said
    }  # fmt: skip


def _agreement(one: Said, wanted: Sequence[str | None]) -> Measure | None:
    pairs = [
        label == want
        for label, want, answered in zip(one.labels, wanted, one.is_answered, strict=True)
        if answered and want is not None
    ]
    return rate(sum(pairs), len(pairs))


def _f1(one: Said, truth: Sequence[str]) -> Measure | None:
    rows = [row for row, answered in enumerate(one.is_answered) if answered]
    return macro_f1([truth[row] for row in rows], [one.labels[row] for row in rows])


def _majorities(said: Sequence[Said], rows: int) -> list[str | None]:
    """Of each row, what most models say that answered it."""
    return [majority([each.labels[row] for each in said if each.is_answered[row]]) for row in range(rows)]


def _costs(one: Said) -> dict[str, Value]:
    """What a model was asked, and what that took."""
    requests, stored, distinct = (int(_number(one.usage, name) or 0) for name in ("requests", "stored", "distinct"))
    errors, answered = one.usage.get("errors"), sum(one.is_answered)
    asked = max(0, distinct - stored) if requests and answered else 0  # without an answer there is no price
    dollars, seconds = _number(one.usage, "usd"), _number(one.usage, "seconds")
    return {
        "usd": dollars,
        "usd_per_1000": dollars / asked * _PER_ROWS if dollars is not None and asked else None,
        "seconds": seconds,
        "seconds_per_1000": seconds / asked * _PER_ROWS if seconds is not None and asked else None,
        "requests": requests,
        "stored": stored,
        "answered": answered,
        "failed": len(one.is_answered) - answered,
        "errors": {str(kind): int(count) for kind, count in errors.items()} if isinstance(errors, Mapping) else {},
    }


def _number(usage: Mapping[str, object], name: str) -> float | None:
    value = usage.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _note(one: Said, truth: Sequence[str] | None, labels: Sequence[str]) -> str | None:
    """What is to be said of a model beside its figures."""
    if one.problem is not None:
        return one.problem
    notes, meant = [], set(labels)
    others = Counter(label for label, answered in zip(one.labels, one.is_answered, strict=True)
                     if answered and label is not None and label not in meant)  # fmt: skip
    if truth is not None and others:
        shown = ", ".join(preview(label) for label, _ in others.most_common(_SHOWN_LABELS))
        notes.append(
            f"{sum(others.values()):,} of its answers are no label of the truth ({shown}). If they mean one, say which "
            f"with labels, such as {{{preview(labels[0])}: [{preview(others.most_common(1)[0][0])}]}}"
        )
    usd_note = one.usage.get("usd_note")
    if isinstance(usd_note, str) and one.usage.get("usd") is not None:  # else the dollars are shown as unknown
        notes.append(usd_note)
    return ". ".join(notes) or None
