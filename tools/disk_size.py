"""What a folder takes on the disk."""

from __future__ import annotations

import os
from pathlib import Path


def size_on_disk(folder: Path) -> int:
    """Bytes that a folder takes on the disk, as ``du`` counts them: whole blocks, and a file of two names once.

    Args:
        folder: the folder, with all that is below it.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, names in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            about = path.lstat()
            if (about.st_dev, about.st_ino) not in seen:
                seen.add((about.st_dev, about.st_ino))
                total += about.st_blocks * 512
    return total
