"""Which inputs go together in one request."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence

from ..tasks import Input, Lists, Task
from .learned import Learned

BATCH_BYTES = 1_000_000
PROBED_AMONG = 1000


def takes_lists(task: Task, learned: Learned) -> bool:
    """Whether this route is known to take several inputs of ``task`` in one request."""
    return task.lists is Lists.ALWAYS or (task.lists is Lists.IF_QUALIFIED and learned.lists is True)


def next_batch(task: Task, inputs: Sequence[Input], waiting: deque[int], learned: Learned) -> Sequence[int]:
    """Take positions that go together: of one group, as many as the route takes, of at most ``BATCH_BYTES`` of text."""
    batch = [waiting.popleft()]
    if not takes_lists(task, learned):
        return batch
    most = learned.sizes.next(len(waiting) + 1)
    group = task.group(inputs[batch[0]])
    size = _length(inputs[batch[0]])
    while waiting and len(batch) < most and task.group(inputs[waiting[0]]) == group:
        size += _length(inputs[waiting[0]])
        if size > BATCH_BYTES:
            break
        batch.append(waiting.popleft())
    return batch


def probes(task: Task, inputs: Sequence[Input], waiting: Sequence[int], trial: int) -> Sequence[int]:
    """Three inputs to try a route's lists with: a short one, a long one and one between, other ones for each trial."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position in waiting:
        groups[task.group(inputs[position])].append(position)
    group = max(groups.values(), key=len)
    if len(group) < 4 * trial + 3:  # or the middle one of a later trial would be its long one too
        return []
    by_length = sorted(group, key=lambda position: _length(inputs[position]))
    return [by_length[trial], by_length[len(group) // 2 + trial], by_length[-1 - trial]]


def _length(item: Input) -> int:
    return len(item) if isinstance(item, str) else len(str(item))
