"""The shell: a prompt with history, statements of several lines, and completion."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from ... import __version__
from ...config.normalize import KEY_NAMES
from ...redaction import redact
from .completion import DatabaseNames, SQLCompleter, names_of
from .dot_commands import Leave, is_dot_command, run_dot_command
from .runner import Runner, places_of, say

_PROMPT = "sql> "
_CONTINUATION = "...> "
_ASKS_MODELS = "huggingface_api_handler.sql.running"

_NAMES_A_KEY = re.compile(rf"\b(?:{'|'.join(KEY_NAMES)})\b\s*=", re.IGNORECASE)


class Shell:
    """Reads statements from a person and runs them.

    Args:
        runner: Runs them.
        history: The file of what was written before; None to keep nothing.
        source: Where keys come from; None for the terminal.
        target: Where the prompt goes; None for the terminal.
    """

    def __init__(
        self, runner: Runner, history: Path | None = None, source: Input | None = None, target: Output | None = None
    ) -> None:
        self._runner = runner
        self._names: DatabaseNames | None = None
        # While the person types: the first statement with a model would wait a second for it.
        self._imports = Thread(target=import_module, args=(_ASKS_MODELS,), name="imports")
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=Condition(lambda: not is_whole(self._session.default_buffer.text)),
            prompt_continuation=_CONTINUATION,
            completer=SQLCompleter(self._known_names),
            complete_while_typing=False,
            history=_history(history),
            input=source,
            output=target,
        )

    def run(self) -> None:
        """Read and run statements until the person leaves."""
        say(f"huggingface_api_handler {__version__}. Statements end with a semicolon. .help says more, Ctrl-D leaves.")
        self._imports.start()
        was_interrupted = False
        while True:
            try:
                text = self._session.prompt()
            except EOFError:
                return
            except KeyboardInterrupt:
                is_empty = not self._session.default_buffer.text
                if is_empty and was_interrupted:
                    return
                if is_empty:
                    say("Ctrl-C once more leaves, as Ctrl-D does.")
                was_interrupted = is_empty
                continue
            was_interrupted = False
            with suppress(KeyboardInterrupt):  # of a statement, which has said so
                if not self._run(text):
                    return

    def _run(self, text: str) -> bool:
        """Run what a person wrote. Returns whether they stay."""
        self._names = None
        self._imports.join()  # two threads may not import the same at once
        try:
            if not run_dot_command(self._runner, text):
                all(self._runner.run(place, is_timed=True) for place in places_of(text))
        except Leave:
            return False
        return True

    def _known_names(self) -> DatabaseNames:
        if self._names is None:
            self._names = names_of(self._runner.connection)
        return self._names


def is_whole(text: str) -> bool:
    """Whether Enter runs what is written, or begins another line.

    Args:
        text: What is written.

    Returns:
        True where nothing stands behind the last semicolon, for a command of the shell, and for nothing at all.
    """
    if not text.strip() or is_dot_command(text):
        return True
    from ...sql.tokens import is_complete

    return is_complete(text)


class _KeylessHistory(FileHistory):
    """A file of one's own, without the statements that hold a key."""

    def store_string(self, string: str) -> None:
        """Append a statement.

        Args:
            string: The statement.
        """
        if not holds_key(string):
            super().store_string(string)


def holds_key(text: str) -> bool:
    """Whether a statement may hold a key.

    Args:
        text: The statement.

    Returns:
        True where it names an argument for one, or has something in the form of one.
    """
    return _NAMES_A_KEY.search(text) is not None or redact(text) != text


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError as error:
        say(f"No history is kept: {path} cannot be written ({error.strerror}).")
        return InMemoryHistory()
    return _KeylessHistory(str(path))


__all__ = ["Shell", "holds_key", "is_whole"]
