"""The batch probe: which inputs are sent together and alone, and what their answers show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from typing import Any

from ...tasks import Input, Prediction, Task
from ...tasks.input_types import text_length

MIN_INPUTS = 8
"""Fewer inputs would not win back the requests of a probe."""

SCORE_TOLERANCE = 0.02
"""Scores of one text, alone and in a padded half-precision batch, differ by less."""

_SORT_BY: tuple[Callable[[Input], Any], ...] = (text_length, str)


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
        Three indices, in an order in which a server that sorts what it gets would show; none where too few inputs may
        go together.
    """
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in waiting:
        groups[task.group(inputs[index])].append(index)
    group = max(groups.values(), key=len)
    if len(group) < 4 * trial + 3:  # otherwise the middle one of a later trial would be its long one too
        return []
    by_length = sorted(group, key=lambda index: text_length(inputs[index]))
    middle = by_length[len(group) // 2 + trial]
    if trial == 0 and answered_index is not None and task.group(inputs[answered_index]) == task.group(inputs[group[0]]):
        middle = answered_index
    probes = (middle, by_length[trial], by_length[-1 - trial])
    return next((order for order in permutations(probes) if _is_unsorted([inputs[each] for each in order])), probes)


def answers_match(
    single: Sequence[Prediction],
    batched: Sequence[Prediction],
    orders: Iterable[Sequence[int]] = (),
    min_noise: float = 0.0,
) -> bool | None:
    """Whether inputs that were sent together got the answers that they got alone, each its own.

    Args:
        single: The answers of inputs that were sent alone.
        batched: The answers of the same inputs in the same order, sent together.
        orders: In which the answers may stand instead, beside those of ``misplacements``.
        min_noise: How far an answer in a batch may be from its own at least.

    Returns:
        None where the answers are too much alike to tell one order from another.
    """
    noise = max(map(distance, batched, single))
    if noise > SCORE_TOLERANCE:
        return False
    least = 2 * max(noise, min_noise)
    for order in (*misplacements(len(single)), *orders):
        if max(distance(batched[place], single[source]) for place, source in enumerate(order)) <= least:
            return None
    return True


def misplacements(count: int) -> list[Sequence[int]]:
    """The ways in which servers are known to mix up the answers of a batch, whatever its inputs are.

    Args:
        count: The number of inputs.

    Returns:
        Reversed, shifted, swapped in pairs, the first for all, the last for all: of each order, which input's answer
        stands at each place.
    """
    positions = list(range(count))
    shifted = [positions[by:] + positions[:by] for by in range(1, count)]
    swapped = [place ^ 1 if place ^ 1 < count else place for place in positions]
    return [positions[::-1], *shifted, swapped, [0] * count, [count - 1] * count]


def sorted_orders(items: Sequence[Input]) -> list[Sequence[int]]:
    """The orders of a server that sorts what it gets, as to pad less, and never sorts back.

    Args:
        items: The inputs of a batch.

    Returns:
        The inputs by length and by text, up and down, where these differ.
    """
    orders: list[Sequence[int]] = []
    for key in _SORT_BY:
        keys = list(map(key, items))
        if len(set(keys)) > 1:
            orders += [sorted(range(len(items)), key=keys.__getitem__, reverse=down) for down in (False, True)]
    return orders


def may_be_sorted(answers: Sequence[Prediction]) -> bool:
    """Whether answers stand in an order that a server makes which sorts them, as by score.

    Args:
        answers: Of a batch.

    Returns:
        True where they go up or down by confidence, by target or by a score.
    """
    for keys in zip(*map(_sort_keys, answers), strict=False):
        pairs = list(pairwise(keys))
        if any(a != b for a, b in pairs) and (all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs)):
            return True
    return False


def would_show_sorting(answers: Sequence[Prediction], known_targets: Collection[str]) -> bool:
    """Whether answers show that a server does not sort them.

    Args:
        answers: Of a batch, whose right order is not known.
        known_targets: The targets of answers that came alone.

    Returns:
        True where they differ and are unsorted, and so are their targets, unless those of many answers are all alike.
    """
    targets = {str(answer.value) for answer in answers}
    has_targets = len(targets) > 1 or (len(answers) >= MIN_INPUTS and targets.issuperset(known_targets))
    differ = any(_sort_keys(one) != _sort_keys(other) for one, other in pairwise(answers))
    return has_targets and differ and not may_be_sorted(answers)


def distance(one: Prediction, other: Prediction) -> float:
    """How far two answers are from each other.

    Args:
        one: An answer.
        other: Another, or the same asked again.

    Returns:
        The largest difference of two numbers at the same place; infinite where anything else differs.
    """
    # The parts say more than the target, which may flip between two labels of equal score.
    if one.explain is not None and other.explain is not None:
        return _difference(one.explain, other.explain)
    return _difference(one.value, other.value)


def _is_unsorted(items: Sequence[Input]) -> bool:
    positions = list(range(len(items)))
    return positions not in sorted_orders(items)


def _sort_keys(answer: Prediction) -> list[Any]:
    explain = sorted(answer.explain.items()) if isinstance(answer.explain, dict) else ()
    numbers = [number for _, number in explain if isinstance(number, (int, float))]
    return [answer.confidence or 0.0, str(answer.value), *numbers[:2]]


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
