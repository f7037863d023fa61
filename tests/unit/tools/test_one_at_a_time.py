"""While a command runs that `tools/one_at_a_time.py` began, no other one begins."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tools import one_at_a_time

COMMAND = [sys.executable, one_at_a_time.__file__]


def test_the_lock_is_held_for_the_length_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("as it was")
    command = [*COMMAND, str(file), sys.executable, "-c", "print('begun', flush=True); input(); raise SystemExit(3)"]
    with (
        file.open() as other,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running,
    ):
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        running.communicate("\n")
        assert running.returncode == 3
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert file.read_text() == "as it was"
