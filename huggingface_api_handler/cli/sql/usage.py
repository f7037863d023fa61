"""What the models of a statement were asked, in a line each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...inference.failures import FailureKind
from ...inference.telemetry.events import QueryEnded, QueryStarted
from ...inference.telemetry.hooks import InferenceHook
from ...inference.telemetry.usage import Usage
from ...tasks import TASKS
from .cost_question import duration

NamedUsage = tuple[str, Usage]
"""The usage of a model, with its name."""


class UsageHook(InferenceHook):
    """Adds up the usage of the queries of one statement, by model and task.

    Attributes:
        tasks: Of the queries that have begun.
    """

    def __init__(self) -> None:
        self._usages: dict[tuple[str, str], Usage] = {}
        self.tasks: set[str] = set()

    @property
    def usages(self) -> list[NamedUsage]:
        """One of each model and task, by the name of the model at its service."""
        return [(usage.model, usage) for usage in self._usages.values()]

    def begin(self) -> None:
        """Forget what was counted."""
        self._usages.clear()
        self.tasks.clear()

    def on_query_started(self, event: QueryStarted) -> None:
        """Note what is asked.

        Args:
            event: The query.
        """
        self.tasks.add(event.query.task)

    def on_query_ended(self, event: QueryEnded) -> None:
        """Count a query.

        Args:
            event: Its usage.
        """
        key = (event.query.model, event.query.task)
        if key in self._usages:
            self._usages[key].add(event.usage)
        else:
            self._usages[key] = event.usage


def usage_lines(usages: Sequence[NamedUsage]) -> list[str]:
    """Say what a statement asked.

    Args:
        usages: Of each model, with its name.

    Returns:
        A line for each that was asked something, then one for each that failed for some inputs.
    """
    asked = [(name, usage) for name, usage in usages if usage.distinct]
    failed = [(name, usage) for name, usage in asked if usage.errors]
    return [
        *(f"  {name}: {_asked(usage)}" for name, usage in asked),
        *(f"  {name}: {_failed(usage)}" for name, usage in failed),
    ]


def what_is_kept(tasks: Collection[str]) -> str:
    """Say what becomes of the answers of a statement that was interrupted.

    Args:
        tasks: The tasks of the models that it asked.

    Returns:
        A sentence.
    """
    forgotten = sorted(task for task in tasks if not _is_kept(task))
    if forgotten:
        return f"Those of {', '.join(forgotten)} are kept where the model has cache = true."
    return "They are kept: the same statement asks only for the rest."


def _is_kept(task: str) -> bool:
    definition = TASKS.get(task)
    return definition is None or definition.deterministic


def _asked(usage: Usage) -> str:
    parts = [f"{usage.requests:,} {'request' if usage.requests == 1 else 'requests'}"]
    parts.append(f"{usage.cache_hits:,} of {usage.distinct:,} inputs stored")
    if usage.tokens:
        parts.append(f"{usage.tokens:,} tokens")
    if cost := usage.spending.text(usage.requests):
        parts.append(cost)
    parts.append(duration(usage.seconds))
    return ", ".join(parts)


def _failed(usage: Usage) -> str:
    failed = sum(usage.errors.values())
    word, count = usage.errors.most_common(1)[0]
    reason = word if count == failed else f"{word} ({count:,} times)"
    kinds = [kind for kind in FailureKind if kind.value == word]
    advice = f" {kinds[0].advice}".replace("`", "") if kinds else ""
    inputs = "input" if failed == 1 else "inputs"
    return f"{failed:,} {inputs} failed, most often for: {reason}.{advice}"
