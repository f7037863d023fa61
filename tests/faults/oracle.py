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

from collections.abc import Iterable

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
