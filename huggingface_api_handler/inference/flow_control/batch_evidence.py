"""Answers to inputs that were asked alone: what they can show about batches, and whether they differ at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

from ...tasks import Input, Prediction, Task
from ...tasks.input_types import text_length
from .batch_probe import SCORE_TOLERANCE, answers_match, distance, may_be_sorted, sorted_orders

ENOUGH_ALIKE = 8
"""Answers that are all alike, after which others are not waited for."""

_MAX_KEPT = 16  # answers; of more, only the first that differs is kept
_MAX_CHOSEN = 8
_MAX_PERMUTED = 5  # two answers of two kinds each have no order that shows every mistake; three and two have
# Answers that differ by less may change places, and each still be near its own.
_MAX_ALIKE_DISTANCE = 2 * SCORE_TOLERANCE


class Answered(NamedTuple):
    """An input that was asked alone, and its answer."""

    item: Input
    prediction: Prediction


class BatchEvidence:
    """The answers of one query to inputs that were asked alone, as far as they are worth keeping.

    Attributes:
        count: How many answers were noted.
        is_varied: Whether two answers of one group differ by more than a batch may change an answer.
        targets: The targets of the answers that are kept.
        has_failures: Whether an input that was asked alone to learn more got no answer.
    """

    def __init__(self, task: Task) -> None:
        """Start without any.

        Args:
            task: What the model does. It says which inputs may go together.
        """
        self.count = 0
        self.is_varied = self.has_failures = False
        self._task = task
        self.targets: set[str] = set()
        self._kept: list[Answered] = []

    def add(self, item: Input, prediction: Prediction) -> None:
        """Note an answer.

        Args:
            item: The input that was asked alone.
            prediction: Its answer.
        """
        self.count += 1
        if len(self._kept) >= _MAX_KEPT and self.is_varied:
            return
        is_new = self.differs(item, prediction)
        if len(self._kept) < _MAX_KEPT or is_new:
            self._kept.append(Answered(item, prediction))
            self.targets.add(str(prediction.value))
            self.is_varied = self.is_varied or is_new

    @property
    def is_alike(self) -> bool:
        """Whether so many answers are alike that no other is to be waited for."""
        return not self.is_varied and self.count >= ENOUGH_ALIKE

    def differs(self, item: Input, prediction: Prediction) -> bool:
        """Whether an answer differs from the others.

        Args:
            item: The input.
            prediction: Its answer, alone or in a batch.

        Returns:
            True where it is further from the first answer of its group than a batch may change an answer.
        """
        group = self._task.group(item)
        first = next((each for each in self._kept if self._task.group(each.item) == group), None)
        return first is not None and distance(first.prediction, prediction) > _MAX_ALIKE_DISTANCE

    def find_different(self, items: Sequence[Input], predictions: Sequence[Prediction]) -> int | None:
        """Look for an answer in a batch that differs from the others.

        Args:
            items: The inputs of the batch, all of one group.
            predictions: Their answers.

        Returns:
            The place of one that differs from the answers noted, or from the first of the batch; None without any.
        """
        pairs = enumerate(zip(items, predictions, strict=True))
        return next(
            (
                place
                for place, (item, answer) in pairs
                if distance(predictions[0], answer) > _MAX_ALIKE_DISTANCE or self.differs(item, answer)
            ),
            None,
        )

    def choose(self, max_chars: float = float("inf")) -> Sequence[Answered]:
        """Choose the inputs of a probe, whose answers tell every mistake from the right order.

        Args:
            max_chars: Characters of the longest input that may be taken.

        Returns:
            As few as suffice, in an order that shows; none where the answers are too much alike, or too few.
        """
        fitting = [each for each in self._kept if text_length(each.item) <= max_chars]
        groups = {self._task.group(each.item): None for each in fitting}
        for min_noise in (SCORE_TOLERANCE, 0.0) if self.is_varied else (0.0,):
            for group in groups:
                members = [each for each in fitting if self._task.group(each.item) == group]
                for start in range(len(members) if self.is_varied else 1):
                    candidates = _most_different(members[start:] + members[:start])
                    order = _tell_tale(candidates, min_noise, min(2, len(self.targets)))
                    if order:
                        return order
        return ()


def _most_different(answers: Sequence[Answered]) -> list[Answered]:
    """Some of the answers: the first, and each of the next as far as can be from those before it."""
    chosen = list(answers[:1])
    gaps = {place: float("inf") for place in range(1, len(answers))}
    while gaps and len(chosen) < _MAX_CHOSEN:
        for place in gaps:
            gaps[place] = min(gaps[place], distance(chosen[-1].prediction, answers[place].prediction))
        furthest = max(gaps, key=gaps.__getitem__)
        del gaps[furthest]
        chosen.append(answers[furthest])
    return chosen


def _tell_tale(candidates: Sequence[Answered], min_noise: float, targets: int) -> Sequence[Answered]:
    """The fewest of the candidates, in an order in which no mistake goes unseen; none where there is none.

    Where some are alike, others are added: by chance one answer of two is right, and eight seldom are.
    """
    for count in range(3, min(_MAX_PERMUTED, len(candidates)) + 1):
        if len({str(each.prediction.value) for each in candidates[:count]}) < targets:
            continue
        for order in permutations(candidates[:count]):
            if _tells_apart(order, min_noise):
                return _lengthened(order, candidates[count:], min_noise) if count > 3 else order
    return ()


def _lengthened(order: Sequence[Answered], others: Sequence[Answered], min_noise: float) -> Sequence[Answered]:
    """The order with those of the others after it with which no mistake goes unseen either."""
    longer = tuple(order)
    for other in others:
        if _tells_apart((*longer, other), min_noise):
            longer = (*longer, other)
    return longer


def _tells_apart(order: Sequence[Answered], min_noise: float) -> bool:
    """Whether a batch that is answered like this can only have been read rightly."""
    items, answers = [each.item for each in order], [each.prediction for each in order]
    return answers_match(answers, answers, sorted_orders(items), min_noise) is True and not may_be_sorted(answers)
