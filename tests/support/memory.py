"""How much memory a call takes at its peak, measured in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_measured(code: str, content: bytes = b"", timeout: float = 120) -> tuple[str, int]:
    """Run Python code in a child process.

    Args:
        code: It finds ``content`` as a variable, and prints.
        content: What the code is to decode.
        timeout: Seconds after which the test has failed.

    Returns:
        What it printed, and its peak in megabytes.
    """
    # Not ru_maxrss: of a child it begins with its parent's.
    measured = f"import sys\ncontent = sys.stdin.buffer.read()\n{code}\nprint(open('/proc/self/status').read())"
    command = [sys.executable, "-c", measured]
    done = subprocess.run(command, input=content, capture_output=True, timeout=timeout, cwd=ROOT, check=False)
    printed = done.stdout.decode()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", printed, re.MULTILINE)
    assert done.returncode == 0 and peak, f"exit {done.returncode}: {printed[:500]} {done.stderr.decode()[-2000:]}"
    return printed.partition("Name:")[0].strip(), int(peak[1]) // 1024
