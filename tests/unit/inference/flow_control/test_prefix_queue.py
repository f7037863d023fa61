"""Which prompt goes next: what begins alike one after another, and what is out at the same time apart."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.inference.flow_control.prefix_queue import PrefixQueue
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.runtime.results import Results
from huggingface_api_handler.tasks.input_types import Conversation


def queue_of(prompts: Sequence[str], frame_rows: int = 1 << 30) -> PrefixQueue:
    queue = PrefixQueue(dict(enumerate(prompts)), lambda index: index // frame_rows)
    queue.extend(range(len(prompts)))
    return queue


def sent(queue: PrefixQueue, slots: int) -> list[list[int]]:
    """What goes out, of so many requests that all take the same time, round by round."""
    rounds = []
    while queue:
        rounds.append([queue.popleft() for _ in range(min(slots, len(queue)))])
        for index in rounds[-1]:
            queue.on_done(index)
    return rounds


def grouped(rows: int, *beginnings: str) -> list[str]:
    """Prompts of some beginnings, in random order."""
    prompts = [f"{beginning}: {row}" for row in range(rows) for beginning in beginnings]
    random.Random(1).shuffle(prompts)
    return prompts


def computed(rounds: Iterable[Sequence[str]]) -> int:
    """How often a beginning is computed by a server that has it once it has answered a prompt of it."""
    cached: set[str] = set()
    count = 0
    for prompts in rounds:
        beginnings = [prompt.split(":")[0] for prompt in prompts]
        count += sum(beginning not in cached for beginning in beginnings)
        cached = set(beginnings)  # it holds no more than what was out last
    return count


def test_one_request_at_a_time_sends_what_begins_alike_one_after_another() -> None:
    prompts = grouped(10, "a", "b", "c")
    order = [prompts[index] for (index,) in sent(queue_of(prompts), 1)]
    assert order == sorted(prompts)


@pytest.mark.parametrize(("slots", "beginnings"), [(2, 2), (4, 6), (4, 4), (8, 8)])
def test_requests_that_are_out_together_compute_each_beginning_about_once(slots: int, beginnings: int) -> None:
    prompts = grouped(24, *map(chr, range(97, 97 + beginnings)))
    rounds = [[prompts[index] for index in each] for each in sent(queue_of(prompts), slots)]
    assert computed(rounds) <= beginnings + slots
    in_order = sorted(prompts)  # by the alphabet alone, all that is out needs the same beginning at once
    naive = computed(in_order[at : at + slots] for at in range(0, len(in_order), slots))
    assert computed(rounds) < naive


def test_a_run_that_ended_takes_over_half_of_the_longest() -> None:
    prompts = grouped(20, "a")
    queue = queue_of(prompts)
    slow, fast = queue.popleft(), queue.popleft()
    gone = 2
    while queue:  # the first one is never answered
        queue.on_done(fast)
        fast = queue.popleft()
        gone += 1
    assert slow != fast
    assert gone == len(prompts)


@given(
    st.lists(st.text("ab", max_size=4), min_size=1, max_size=40),
    st.lists(st.integers(0, 4), min_size=1),
    st.integers(1, 12),
)
def test_each_prompt_goes_out_once_and_frames_in_their_order(
    prompts: list[str], steps: list[int], frame_rows: int
) -> None:
    queue = queue_of(prompts, frame_rows)
    out: deque[int] = deque()
    order: list[int] = []
    for step in steps * 100:
        if not queue:
            break
        assert len(queue) == len(list(queue)) == len(prompts) - len(order)
        if step == 0 and out:
            queue.on_done(out.popleft())
        else:
            order.append(queue.popleft())
            out.append(order[-1])
    assert sorted([*order, *queue]) == list(range(len(prompts)))
    frames = [index // frame_rows for index in order]
    assert frames == sorted(frames)


def test_what_is_put_first_goes_first_and_what_is_removed_does_not_go() -> None:
    queue = queue_of(["d", "c", "b", "a"])
    queue.remove(3)
    queue.remove(0)
    queue.extendleft([3])
    queue.remove(3)
    queue.extendleft([0])
    assert [queue.popleft() for _ in range(len(queue))] == [0, 2, 1]


def test_conversations_go_by_their_messages() -> None:
    inputs = {index: Conversation(text) for index, text in enumerate(["[b, 1]", "[a, 1]", "[b, 2]", "[a, 2]"])}
    queue = PrefixQueue(inputs, lambda _index: 0)
    queue.extend(inputs)
    assert sent(queue, 1) == [[1], [3], [0], [2]]


def test_frames_go_in_their_order_also_where_earlier_ones_were_given_back() -> None:
    stream = InputStream(Results(), lambda wake: wake())
    queue = PrefixQueue(stream.inputs, stream.part_of)
    stream.add(["given back"])
    stream.add(["b", "c"])
    queue.extend([1, 2])
    stream.drop_before(1)
    stream.add(["a"])
    queue.extend([3])
    assert [queue.popleft() for _ in range(3)] == [1, 2, 3]
