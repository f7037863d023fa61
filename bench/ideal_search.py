"""The fewest requests in which refused inputs can be found, where nobody can tell them beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def fewest_requests_in_search(is_refused: Sequence[bool], sizes: Iterable[int]) -> int:
    """Count the requests of an ideal search for refused inputs.

    Binary splitting, with no request that an earlier one makes needless. A batch is asked. Where it is refused its
    first half is, or the rest where that was answered. What an answer says nothing of goes back to those that wait. A
    refused input is asked once by itself, since its reason is the service's.

    Args:
        is_refused: For each input whether it is refused.
        sizes: Of batches, of which the best is known beforehand.

    Returns:
        The requests that answer all others too.
    """
    return min(_search(is_refused, size) for size in sizes)


def _search(is_refused: Sequence[bool], size: int) -> int:
    requests = start = 0
    while start < len(is_refused):
        stop = min(start + size, len(is_refused))
        requests += 1
        if not any(is_refused[start:stop]):
            start = stop
            continue
        is_asked_alone = stop - start == 1
        while stop - start > 1:
            middle = (start + stop + 1) // 2
            requests += 1
            if any(is_refused[start:middle]):
                stop = middle
                is_asked_alone = stop - start == 1
            else:
                start, is_asked_alone = middle, False
        requests += not is_asked_alone
        start += 1
    return requests
