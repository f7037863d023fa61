"""Which inputs go together in one request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from ..tasks import Input, Lists, Task
from .learned import Learned

BATCH_BYTES = 1_000_000
_PROBED_AMONG = 1000


def takes_lists(task: Task, learned: Learned) -> bool:
    """Whether this route is known to take several inputs of ``task`` in one request."""
    return task.lists is Lists.ALWAYS or (task.lists is Lists.IF_QUALIFIED and learned.lists is True)


def pack(task: Task, inputs: Sequence[Input], waiting: Sequence[int], learned: Learned) -> Iterator[Sequence[int]]:
    """Positions that go together: of one group, at most ``largest_batch`` of them and ``BATCH_BYTES`` of text."""
    if not takes_lists(task, learned):
        yield from ([position] for position in waiting)
        return
    for group in _groups(task, inputs, waiting):
        batch: list[int] = []
        size = 0
        for position in group:
            length = len(str(inputs[position]))
            if batch and (len(batch) >= learned.largest_batch or size + length > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(position)
            size += length
        yield batch


def probes(task: Task, inputs: Sequence[Input], waiting: Sequence[int], trial: int) -> Sequence[int]:
    """Three inputs to try a route's lists with: a short one, a long one and one between, other ones for each trial."""
    group = max(_groups(task, inputs, waiting[:_PROBED_AMONG]), key=len)
    if len(group) < 3 * (trial + 1):
        return []
    by_length = sorted(group, key=lambda position: len(str(inputs[position])))
    return [by_length[trial], by_length[len(group) // 2 + trial], by_length[-1 - trial]]


def _groups(task: Task, inputs: Sequence[Input], positions: Sequence[int]) -> list[list[int]]:
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position in positions:
        groups[task.group(inputs[position])].append(position)
    return list(groups.values())
