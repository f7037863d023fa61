"""Which packages a module imports, told by a process that has imported nothing else."""

from __future__ import annotations

import subprocess
import sys


def packages_imported_by(module: str) -> set[str]:
    """The packages that are imported once ``module`` is: the first parts of their names, ours as it is.

    Args:
        module: The dotted name of a module.
    """
    code = f"import sys, {module}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
