"""One server at a time, with the models of its environment."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from .cases import CASES
from .processes import Process, make_models, python_of, running


class Servers:
    """Starts the server that a test asks for, and stops the one before it.

    Args:
        folder: For models and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._process: Process | None = None
        self._url = ""

    def url(self, process: Process) -> str:
        """The address of a server, which runs from now on."""
        if process != self._process:
            self.stop()
            require(process.environment)
            models = self._folder / "models" / process.environment
            if process.models and not models.exists():
                names = [
                    name
                    for case in CASES
                    if case.process.environment == process.environment
                    for name in case.process.models
                ]
                make_models(process.environment, models, dict.fromkeys(names))
            self._url = self._stack.enter_context(running(process, models, self._folder))
            self._process = process
        return self._url

    def stop(self) -> None:
        """End the server."""
        self._process = None
        self._stack.close()


def require(environment: str) -> None:
    """Skip a test whose environment is not there, or was not asked for."""
    if not python_of(environment).exists():
        pytest.skip(f"NOT TESTED: {environment} is not installed")
    asked_for = os.environ.get("SERVERS", "").split()
    if asked_for and environment not in asked_for:
        pytest.skip(f"{environment} was not asked for")
