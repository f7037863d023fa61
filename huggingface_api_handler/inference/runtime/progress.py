"""How far a query is: what a function for its progress is called with, and what a bar shows of it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from tqdm import tqdm

Report = Callable[[int, int], None]
"""Is called with the inputs that are done, and all of them that are known."""

_PARAMETER = "phase"

_BAR_OF_PHASES = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {rate_fmt}"
"""Without the time that is left: it would be that of the most that may be asked, of two models at one speed."""


class Phase(NamedTuple):
    """A phase of a cascade, and how far it is.

    Attributes:
        name: What is done, such as 'large model checks'.
        done: Inputs of this phase that are done.
        total: All of them.
        seconds: How long the phase has taken so far.
        is_most: Whether ``total`` is the most that may be asked: how many are depends on answers.
    """

    name: str
    done: int
    total: int
    seconds: float
    is_most: bool = False

    @property
    def text(self) -> str:
        """The phase in words, such as 'large model checks: 62 of at most 312'."""
        return f"{self.name}: {self.done:,} of {'at most ' if self.is_most else ''}{self.total:,}"


class PhaseReport(Protocol):
    """A function for the progress that has a parameter ``phase``."""

    def __call__(self, done: int, total: int, /, *, phase: Phase | None) -> None:
        """Take how far the query is.

        Args:
            done: Inputs that are done.
            total: All of them that are known.
            phase: Of a cascade; None without one.
        """
        ...


class ModelPhaseReport(Protocol):
    """The same where several models are asked."""

    def __call__(self, model: str, done: int, total: int, /, *, phase: Phase | None) -> None:
        """Take how far a model is.

        Args:
            model: Its name.
            done: Inputs that are done.
            total: All of them that are known.
            phase: Of a cascade; None without one.
        """
        ...


Progress = Report | PhaseReport
"""What a person gives. It is told of the phase where it has a parameter ``phase``."""

ModelProgress = Callable[[str, int, int], None] | ModelPhaseReport
"""The same where several models are asked: the name of the model comes first."""


def with_phase(progress: Progress) -> PhaseReport:
    """A function for the progress in one form, whichever parameters it has.

    Args:
        progress: Has a parameter ``phase``, or none.

    Returns:
        A function that has one.
    """
    if _takes_phase(progress):
        return cast(PhaseReport, progress)
    plain = cast(Report, progress)

    def report(done: int, total: int, /, *, phase: Phase | None) -> None:
        del phase
        plain(done, total)

    return report


def _takes_phase(function: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(function).parameters.get(_PARAMETER)
    except (TypeError, ValueError):  # such as some that are written in C
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def show_in_bar(bar: tqdm[Any], name: str, done: int, total: int, phase: Phase | None) -> None:
    """Show in a bar how far a query is, with its phase in words.

    Args:
        bar: Of tqdm.
        name: What stands before it; empty for nothing.
        done: Inputs that are done.
        total: All of them that are known.
        phase: Of a cascade; None without one.
    """
    if bar.total != total:
        _set_total(bar, total)
    is_new = False
    if phase is not None:
        before, bar.bar_format = bar.desc or "", _BAR_OF_PHASES
        is_new = phase.name not in before
        bar.set_description_str(f"{name}, {phase.text}" if name else phase.text, refresh=False)
    bar.update(done - bar.n)
    if is_new and time.time() >= bar.start_t + bar.delay:  # else it waits for inputs that are done
        bar.refresh()


def _set_total(bar: tqdm[Any], total: int) -> None:
    """Change how many inputs a bar is of, and nothing else that it shows."""
    if not hasattr(bar, "container"):
        bar.total = total
        return
    # In a notebook, the widget has a total of its own. Only reset() sets it, which forgets the rest.
    done, started = bar.n, bar.start_t
    bar.reset(total)
    bar.n, bar.start_t = done, started
    bar.refresh()
