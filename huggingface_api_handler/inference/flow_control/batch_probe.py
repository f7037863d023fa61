"""How a route qualifies for lists: a few inputs are asked together and alone, and their answers compared."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import islice
from typing import Any

from ...tasks import Batching, Input, Prediction, Task
from ...tasks.input_types import text_length
from ..failures import Failure, FailureKind
from .route_profile import RouteProfile

_FEWEST = 8  # qualifying costs up to three requests, which fewer inputs would not win back
_TRIALS = 4
_PROBED_AMONG = 1000
_ALIKE = 0.02  # scores of one text, alone and in a padded half-precision batch, differ by less

AskBatched = Callable[[Sequence[int]], Awaitable["list[Prediction] | Failure"]]
AskSingle = Callable[[Sequence[int]], Awaitable["list[Prediction]"]]


def should_probe_batching(task: Task, profile: RouteProfile, waiting: Sequence[int]) -> bool:
    """Whether a route that was not tried may take lists, and there is enough to ask for."""
    return task.batching is Batching.PROBE and profile.accepts_batches is None and len(waiting) >= _FEWEST


async def probe_batching(
    task: Task,
    inputs: Sequence[Input],
    waiting: deque[int],
    ask_batched: AskBatched,
    ask_single: AskSingle,
    known: int | None = None,
) -> bool | None:
    """Whether lists are answered as their inputs are alone; None where it stays in doubt.

    ``together`` gives the answers to a list, which are not yet to be trusted, or why there are none; ``alone`` settles
    inputs one by one and gives the answers of those that got one. What is settled leaves ``waiting``; ``known`` is an
    input that was. One fault in passing must not cost the route its lists, so where it stays in doubt other inputs are
    tried.
    """
    for trial in range(_TRIALS):
        probed = choose_probes(task, inputs, list(islice(waiting, _PROBED_AMONG)), trial, known)
        if not probed:
            return None
        answers = await ask_batched(probed)
        if isinstance(answers, Failure):
            if answers.kind is FailureKind.NOT_SENT:
                return None
            is_last = trial == _TRIALS - 1 and answers.kind is not FailureKind.RATE_LIMITED
            if is_last or answers.kind is FailureKind.BATCH_UNSUPPORTED:
                return False
            continue
        for position in probed:
            if position != known:
                waiting.remove(position)
        own = await ask_single(probed)
        same = answers_match(own, answers) if len(own) == len(probed) else None
        if same is not None:
            return same
    return None


def choose_probes(
    task: Task, inputs: Sequence[Input], waiting: Sequence[int], trial: int, known: int | None = None
) -> Sequence[int]:
    """Three inputs to try a route's lists with: a short one, a long one and one between, other ones for each trial.

    The first time ``known``, whose own answer need not be asked for again, stands in for the one between.
    """
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position in waiting:
        groups[task.group(inputs[position])].append(position)
    group = max(groups.values(), key=len)
    if len(group) < 4 * trial + 3:  # or the middle one of a later trial would be its long one too
        return []
    by_length = sorted(group, key=lambda position: text_length(inputs[position]))
    if trial == 0 and known is not None and task.group(inputs[known]) == task.group(inputs[group[0]]):
        return [by_length[0], known, by_length[-1]]
    return [by_length[trial], by_length[len(group) // 2 + trial], by_length[-1 - trial]]


def answers_match(ask_single: Sequence[Prediction], ask_batched: Sequence[Prediction]) -> bool | None:
    """Whether inputs asked together got the answers they got alone, each its own.

    None where the answers are too much alike to tell one input's from another's.
    """
    conclusive = True
    for index, mine in enumerate(ask_batched):
        own = _distance(mine, ask_single[index])
        if own > _ALIKE:
            return False
        others = [_distance(mine, other) for position, other in enumerate(ask_single) if position != index]
        conclusive = conclusive and all(own * 2 < other for other in others)
    return True if conclusive else None


def _distance(one: Prediction, other: Prediction) -> float:
    # The parts say more than the target, which may flip between two labels of equal score.
    if one.explain is not None and other.explain is not None:
        return _difference(one.explain, other.explain)
    return _difference(one.value, other.value)


def _difference(one: Any, other: Any) -> float:
    """The largest difference between two numbers that stand in the same place; infinite where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return float("inf")
        return max((_difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return float("inf")
        return max((_difference(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    return 0.0 if one == other else float("inf")
