"""Which inputs go together in one request."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...tasks import Batching, Input, Task
from ...tasks.input_types import text_length
from .route_profile import RouteProfile

BATCH_BYTES = 1_000_000


def can_batch(task: Task, profile: RouteProfile) -> bool:
    """Whether this route is known to take several inputs of ``task`` in one request."""
    return task.batching is Batching.NATIVE or (task.batching is Batching.PROBE and profile.accepts_batches is True)


def next_batch(task: Task, inputs: Sequence[Input], waiting: deque[int], profile: RouteProfile) -> Sequence[int]:
    """Take positions that go together: of one group, as many as the route takes, of at most ``BATCH_BYTES`` of text."""
    batch = [waiting.popleft()]
    if not can_batch(task, profile):
        return batch
    most = profile.batch_size.next_size(len(waiting) + 1)
    group = task.group(inputs[batch[0]])
    size = text_length(inputs[batch[0]])
    while waiting and len(batch) < most and task.group(inputs[waiting[0]]) == group:
        size += text_length(inputs[waiting[0]])
        if size > BATCH_BYTES:
            break
        batch.append(waiting.popleft())
    return batch
