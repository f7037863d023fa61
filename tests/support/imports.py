"""Which packages a module imports, told by a process that has imported nothing else of ours."""

from __future__ import annotations

import subprocess
import sys

BASE = "import aiohttp, numpy, orjson, pandas, pydantic\nclass Model(pydantic.BaseModel): pass\n"
"""What may be imported at once. These import more where more is installed: pandas pyarrow, pydantic its plugins."""

NAMES = "{name.partition('.')[0] for name in sys.modules}"


def packages_imported_by(module: str) -> set[str]:
    """The packages that are imported with ``module``, beside those that ``BASE`` imports: the first parts of their names.

    Args:
        module: The dotted name of a module.
    """
    code = f"import sys\n{BASE}before = {NAMES}\nimport {module}\nprint(*sorted({NAMES} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
