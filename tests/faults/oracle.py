"""The fewest requests: those of an oracle that is told the plan.

The oracle knows which inputs are poisoned, which faults will pass, and that an answer to a batch can be trusted, so it
spends nothing on finding that out:

- it asks each distinct input, in the order of the table, in batches of the best size (one, where the route takes no
  batches), and sends the same batch again until the plan lets it be answered;
- it halves nothing, tries no route out, and asks no input twice that was answered;
- it leaves poisoned inputs out of its batches and asks each once by itself, since the reason that its row shows is
  the service's.

It may not choose its batches so as to dodge faults: a fault stands for the state of the service at that moment, which
meets whatever is sent then, and the plan is keyed by inputs only so that it can be repeated. Nor may it give up: a
fault that passes, and of which our executor makes the row's error, is sat out by the oracle, so where the executor gives up it
can be below the oracle. That is why the tests bound the ratio and check apart that each reason was deserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.faults.plan import Plan


def fewest_requests(plan: Plan, cells: Iterable[str | None], best_size: int) -> int:
    """Requests that the oracle needs for ``cells``, with batches of ``best_size`` inputs."""
    distinct = list(dict.fromkeys(cell for cell in cells if cell is not None))
    asked = [text for text in distinct if plan.refusal(text) is None]
    leads = asked[:: best_size if plan.takes_batches else 1]
    sizes = (
        [len(asked[start : start + best_size]) for start in range(0, len(asked), best_size)]
        if plan.takes_batches
        else []
    )
    requests = sum(
        _until_answered(plan, lead, together=plan.takes_batches and sizes[number] > 1)
        for number, lead in enumerate(leads)
    )
    return requests + len(distinct) - len(asked)


def _until_answered(plan: Plan, lead: str, *, together: bool) -> int:
    attempt = 0
    while plan.fault(lead, attempt, together=together) is not None:
        attempt += 1
    return attempt + 1


def fewest_requests_in_search(is_refused: Sequence[bool], sizes: Iterable[int]) -> int:
    """Requests of an ideal search for refused inputs, which nobody can tell beforehand.

    Binary splitting, with no request that an earlier one makes needless: a batch is asked; where it is refused its first
    half is, or the rest where that was answered; what an answer says nothing of goes back to those that wait. A refused
    input is asked once by itself, since its reason is the service's.

    Args:
        is_refused: for each input whether it is refused.
        sizes: of batches, of which the best is known beforehand.
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
