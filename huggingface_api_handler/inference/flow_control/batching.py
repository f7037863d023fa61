"""Which inputs go together in one request."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from ...tasks import Input, Task
from ...tasks.input_types import text_length
from ..protocols.base import Batching
from .route_profile import RouteProfile

MAX_BATCH_CHARS = 1_000_000
"""Characters in one request at most: a common limit of proxies on a body is 1 MB (nginx's default)."""


def can_batch(batching: Batching, profile: RouteProfile, *, is_provisional: bool = False) -> bool:
    """Whether several inputs may go in one request.

    Args:
        batching: What the protocol says of the task.
        profile: What requests have shown about the route.
        is_provisional: Whether the query sends batches before a probe has shown that they are answered rightly.

    Returns:
        True where the protocol carries many and the route did not show otherwise, or where a probe has shown that the
        route answers batches rightly.
    """
    if batching is Batching.PROBE:
        return profile.accepts_batches is True or (is_provisional and profile.accepts_batches is None)
    return batching is Batching.NATIVE and profile.accepts_batches is not False


def next_batch(
    task: Task, inputs: Mapping[int, Input], waiting: deque[int], profile: RouteProfile, *, together: bool
) -> Sequence[int]:
    """Take the inputs of the next request.

    Args:
        task: What the model does. It says which inputs may go together.
        inputs: The inputs of the query by their index.
        waiting: Indices of the inputs that wait to be sent, at least one. Those of the batch are removed.
        profile: Says how many inputs to send in one request, and of which length.
        together: Whether several inputs may go in one request.

    Returns:
        Indices of inputs of one group, in order: as many as the route takes, of ``MAX_BATCH_CHARS`` together at most.
    """
    batch = [waiting.popleft()]
    if not together:
        return batch
    max_length = MAX_BATCH_CHARS if profile.length_limit.chars is None else profile.length_limit.chars
    chars = text_length(inputs[batch[0]])
    if chars >= max_length:
        return batch
    max_size = profile.batch_size.next_size(len(waiting) + 1)
    group = task.group(inputs[batch[0]])
    while waiting and len(batch) < max_size and task.group(inputs[waiting[0]]) == group:
        length = text_length(inputs[waiting[0]])
        chars += length
        if chars > MAX_BATCH_CHARS or length >= max_length:
            break
        batch.append(waiting.popleft())
    return batch
