"""The batch probe: a few inputs are sent together and alone, and their answers are compared."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice

from ...tasks import Input, Prediction, Task
from ...tasks.input_types import text_length
from ..failures import Failure, FailureKind
from ..protocols.base import Batching
from .route_profile import RouteProfile

_MIN_INPUTS = 8  # a probe costs up to three requests, which fewer inputs would not win back
_MAX_TRIALS = 4
_CANDIDATES = 1000  # inputs among which a short, a middle and a long one are chosen
_SCORE_TOLERANCE = 0.02  # scores of one text, alone and in a padded half-precision batch, differ by less

AskBatched = Callable[[Sequence[int]], Awaitable["list[Prediction] | Failure"]]
"""Sends the inputs of these indices together: their answers, which are not trusted yet, or why there are none."""
AskSingle = Callable[[Sequence[int]], Awaitable["list[Prediction]"]]
"""Sends the inputs of these indices one by one and records the results: the answers of those that got one."""


def should_probe_batching(batching: Batching, profile: RouteProfile, waiting: Sequence[int]) -> bool:
    """Whether to find out if the route takes batches.

    Args:
        batching: What the protocol says of the task.
        profile: What requests have shown about the route.
        waiting: Indices of the inputs that wait to be sent.

    Returns:
        True where the route may take batches, was not probed yet, and enough inputs wait to win back the cost.
    """
    return batching is Batching.PROBE and profile.accepts_batches is None and len(waiting) >= _MIN_INPUTS


async def probe_batching(
    task: Task,
    inputs: Mapping[int, Input],
    waiting: deque[int],
    ask_batched: AskBatched,
    ask_single: AskSingle,
    answered_index: int | None = None,
) -> bool | None:
    """Find out whether the route answers inputs in a batch as it answers them alone.

    A temporary failure must not cost the route its batches, so after an unclear trial other inputs are tried.

    Args:
        task: What the model does.
        inputs: The inputs of the query by their index.
        waiting: Indices of the inputs that wait to be sent. Those that the probe sends are removed. Others may be
            taken meanwhile.
        ask_batched: Sends a batch.
        ask_single: Sends inputs one by one.
        answered_index: The index of an input that has its answer already, None where there is none.

    Returns:
        Whether batches are answered rightly; None where no trial was clear.
    """
    for trial in range(_MAX_TRIALS):
        candidates = list(islice(waiting, _CANDIDATES))
        probes = choose_probes(task, inputs, candidates, trial, answered_index) if candidates else ()
        if not probes:
            return None
        claimed = [index for index in probes if index != answered_index]
        for index in claimed:
            waiting.remove(index)
        batched = await ask_batched(probes)
        if isinstance(batched, Failure):
            waiting.extendleft(reversed(claimed))
            if batched.kind is FailureKind.NOT_SENT or batched.is_timeout:  # three others would take as long
                return None
            is_last = trial == _MAX_TRIALS - 1 and batched.kind is not FailureKind.RATE_LIMITED
            if is_last or batched.kind is FailureKind.BATCH_UNSUPPORTED:
                return False
            continue
        single = await ask_single(probes)
        verdict = answers_match(single, batched) if len(single) == len(probes) else None
        if verdict is not None:
            return verdict
    return None


def choose_probes(
    task: Task, inputs: Mapping[int, Input], waiting: Sequence[int], trial: int, answered_index: int | None = None
) -> Sequence[int]:
    """Choose the inputs of a trial: a short one, a middle one and a long one, others for each trial.

    Args:
        task: What the model does. It says which inputs may go together.
        inputs: The inputs of the query by their index.
        waiting: Indices of the inputs to choose from, at least one.
        trial: The number of the trial, from 0.
        answered_index: An input that has its answer already. In the first trial it stands in for the middle one, so
            that it need not be sent alone again.

    Returns:
        Three indices; none where too few inputs may go together.
    """
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in waiting:
        groups[task.group(inputs[index])].append(index)
    group = max(groups.values(), key=len)
    if len(group) < 4 * trial + 3:  # otherwise the middle one of a later trial would be its long one too
        return []
    by_length = sorted(group, key=lambda index: text_length(inputs[index]))
    if trial == 0 and answered_index is not None and task.group(inputs[answered_index]) == task.group(inputs[group[0]]):
        return [by_length[0], answered_index, by_length[-1]]
    return [by_length[trial], by_length[len(group) // 2 + trial], by_length[-1 - trial]]


def answers_match(single: Sequence[Prediction], batched: Sequence[Prediction]) -> bool | None:
    """Whether inputs that were sent together got the answers that they got alone, each its own.

    Args:
        single: The answers of inputs that were sent alone.
        batched: The answers of the same inputs in the same order, sent together.

    Returns:
        None where the answers are too much alike to tell one input's from another's.
    """
    conclusive = True
    for index, answer in enumerate(batched):
        own = _distance(answer, single[index])
        if own > _SCORE_TOLERANCE:
            return False
        others = [_distance(answer, other) for position, other in enumerate(single) if position != index]
        conclusive = conclusive and all(own * 2 < other for other in others)
    return True if conclusive else None


def _distance(one: Prediction, other: Prediction) -> float:
    # The parts say more than the target, which may flip between two labels of equal score.
    if one.explain is not None and other.explain is not None:
        return _difference(one.explain, other.explain)
    return _difference(one.value, other.value)


def _difference(one: object, other: object) -> float:
    """The largest difference of two numbers at the same place of parsed JSON; infinite where anything else differs."""
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
