"""What a statement asks of models: a bar while it does, and lines when it has.

Light to import: nothing of inference is, before a model is asked.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tqdm import tqdm

    from ...inference.runtime.context import Query
    from ...inference.runtime.progress import Phase
    from .usage import UsageHook

_BAR_DELAY_S = 0.5
"""A statement that is done sooner shows no bar."""


_MAX_BAR_CHARS = 100

_ECHO = "^C "
"""What a terminal shows of Ctrl-C. It must fit beside the bar, or a line of the bar stays behind."""


_HOOKS = "huggingface_api_handler.inference.telemetry.hooks"


class Seen(NamedTuple):
    """How far a model is.

    Attributes:
        done: Inputs that are done.
        total: All of them that are known.
        phase: Of a cascade; None without one.
    """

    done: int
    total: int
    phase: Phase | None


class Watch:
    """Is told of the models that a statement asks.

    Args:
        has_bars: Whether to show how far it is.
    """

    def __init__(self, *, has_bars: bool) -> None:
        self._has_bars = has_bars
        self._bars: dict[str, tqdm[Any]] = {}
        self._seen: dict[str, Seen] = {}
        self._is_over = False
        self._hook: UsageHook | None = None

    def begin(self) -> None:
        """Forget what was seen of another statement."""
        self._seen.clear()
        self._is_over = False
        if self._hook is not None:
            self._hook.begin()
        elif _HOOKS in sys.modules:
            self.attach()

    def attach(self) -> None:
        """Count from now on, since a model is about to be asked."""
        if self._hook is None:
            from ...inference.telemetry import hooks
            from .usage import UsageHook

            self._hook = UsageHook()
            hooks.register(self._hook)

    def progress(self, model: str, done: int, total: int, phase: Phase | None = None) -> None:
        """Show how far a model is. Is called on any thread.

        Args:
            model: Its name.
            done: Inputs that are done.
            total: All of them that are known.
            phase: Of a cascade; None without one.
        """
        self._seen[model] = Seen(done, total, phase)
        if not self._has_bars or self._is_over:
            return
        if model not in self._bars:
            from tqdm import tqdm

            self._bars[model] = tqdm(
                total=total,
                desc=f"  {model}",
                unit=" inputs",
                file=sys.stderr,
                leave=False,
                delay=_BAR_DELAY_S,
                ncols=min(shutil.get_terminal_size().columns - len(_ECHO), _MAX_BAR_CHARS),
            )
        from ...inference.runtime.progress import show_in_bar

        show_in_bar(self._bars[model], f"  {model}", done, total, phase)

    def clear(self) -> None:
        """Take the bars away. What a query that was given up still tells makes no new ones."""
        self._is_over = True
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def lines(self, queries: Sequence[tuple[str, Query]] = ()) -> list[str]:
        """Say what the statement asked.

        Args:
            queries: Of its result, which has the models' names in SQL; none where it failed.

        Returns:
            A line for each model that was asked, then one for each that failed for some inputs.
        """
        if self._hook is None:
            return []
        from .usage import usage_lines

        return usage_lines([(name, query.usage) for name, query in queries] or self._hook.usages)

    def interrupted_line(self) -> str:
        """Say what is left of a statement that was interrupted.

        Returns:
            A line.
        """
        if self._hook is None or not any(seen.done for seen in self._seen.values()):
            return "Interrupted."
        from .usage import what_is_kept

        asked = [seen for seen in self._seen.values() if seen.phase is None]
        done, total = sum(seen.done for seen in asked), sum(seen.total for seen in asked)
        said = [f"{done:,} of {total:,} inputs were answered."] if asked else []
        said += [f"{model}, {seen.phase.text} inputs." for model, seen in self._seen.items() if seen.phase is not None]
        return f"Interrupted. {' '.join(said)} {what_is_kept(self._hook.tasks)}"

    def close(self) -> None:
        """Count no more."""
        if self._hook is not None:
            from ...inference.telemetry import hooks

            hooks.unregister(self._hook)
            self._hook = None
