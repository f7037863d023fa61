"""``python -m tools.audit PIP_AUDIT PYTHON``: known vulnerabilities in what is installed beside ``PYTHON``.

pip-audit ends with "No known vulnerabilities found" and success also where it found no advisory database to ask, so what
it skipped is counted here. Ends with 0 where all was audited and nothing found, 1 where something was found, 2 where
it could not be audited.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def pinned(python: str) -> list[str]:
    """The distributions beside ``python``, as ``name==version``, but for this package itself."""
    command = [python, "-m", "pip", "list", "--format=json", "--exclude-editable", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [f"{each['name']}=={each['version']}" for each in listed if each["name"] != "huggingface_api_handler"]


def audited(pip_audit: str, requirements: list[str]) -> list[dict[str, Any]] | str:
    """What pip-audit says of each distribution, or, where it says nothing, why."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(requirements))
        command = [
            pip_audit,
            "--requirement",
            str(file),
            "--no-deps",
            "--disable-pip",
            "--format=json",
            "--progress-spinner=off",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return found


def report(found: list[dict[str, Any]] | str) -> int:
    """Print what was found, and return the exit code."""
    if isinstance(found, str):
        print(f"NOT AUDITED: pip-audit could not ask its advisory database ({found}).")
        return 2
    vulnerable = [each for each in found if each.get("vulns")]
    skipped = [each["name"] for each in found if "skip_reason" in each]
    for each in vulnerable:
        for one in each["vulns"]:
            print(
                f"{each['name']} {each['version']}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'no version'}"
            )
    if skipped:
        print(f"NOT AUDITED: {len(skipped)} of {len(found)} distributions, of which the advisory database could not be asked: "
              f"{', '.join(skipped[:10])}{', ...' if len(skipped) > 10 else ''}. Run this where there is internet.")  # fmt: skip
    if not vulnerable and not skipped:
        print(f"{len(found)} distributions audited, no known vulnerability.")
    return 1 if vulnerable else 2 if skipped else 0


if __name__ == "__main__":
    sys.exit(report(audited(sys.argv[1], pinned(sys.argv[2]))))
