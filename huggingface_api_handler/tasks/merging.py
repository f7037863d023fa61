"""The answers to the parts of a long text become one: scores and vectors by their mean, texts one after another.

What ``Chunking.merge`` wants is made of the task's own reader, so that each part's answer may come in any shape that
the reader takes. The answer that is made comes in one shape, which the reader takes too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import fsum, hypot
from typing import Any, TypeAlias
from unicodedata import east_asian_width

from ..errors import UnreadableAnswer
from .base import Prediction, Read
from .chunking import Part, Span
from .input_types import TextPair
from .task_settings import Settings
from .text_windows import CountTokens

Merge: TypeAlias = Callable[[Sequence[Part], Any, Settings], object]

_NUMBERED_LABEL = re.compile(r"LABEL_(\d+)")

_LENGTH_PARAMETERS = ("max_length", "max_new_tokens")

_LENGTH_TOLERANCE = 1.25
"""Times a given length that summaries may have, since tokens are estimated, and one more request is not free."""


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Parts in the order of the text.

    Args:
        parts: in any order.

    Returns:
        The same parts.
    """
    return sorted(parts, key=lambda part: part.span)


def own_lengths(spans: Sequence[Span]) -> list[int]:
    """How much of a text each part has read that the next one does not repeat.

    Args:
        spans: of the parts, in the order of the text.

    Returns:
        Characters, one number for each part.
    """
    nexts = [start for start, _ in spans[1:]]
    return [max(min(end, after) - start, 0) for (start, end), after in zip(spans, [*nexts, spans[-1][1]], strict=True)]


def weights(spans: Sequence[Span]) -> list[float]:
    """How much each part counts in a mean.

    Args:
        spans: of the parts, in the order of the text, at least one.

    Returns:
        Their own lengths as shares of the whole. The sum is 1.
    """
    lengths = own_lengths(spans)
    total = sum(lengths)
    return [length / total for length in lengths] if total else [1 / len(spans)] * len(spans)


def given_top_k(settings: Settings) -> int | None:
    """How many labels or answers a person wants.

    Args:
        settings: of which the parameter ``top_k`` is read.

    Returns:
        The number; None where none was given.
    """
    top_k = whole_number(settings.parameters.get("top_k"))
    return top_k if top_k is not None and top_k > 0 else None


def whole_number(value: object) -> int | None:
    """A whole number, as JSON or a person may write it.

    Args:
        value: anything.

    Returns:
        The number; None where it is none.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def merge_scores(read: Callable[[object], Sequence[tuple[str, float | None]]]) -> Merge:
    """Merge labels with scores.

    Args:
        read: gives the labels with their scores, best first, of an answer.

    Returns:
        The function for ``Chunking.merge``. It makes ``[{"label", "score"}, ...]``, best first: the mean score of each
        label, where a part counts by its own length, and a label that it does not name has the score 0 there. There are
        as many as the parameter ``top_k`` says, where a person gave it. It raises UnreadableAnswer where a part has no
        scores.
    """

    def merge(parts: Sequence[Part], _item: Any, settings: Settings) -> object:
        ordered = in_order(parts)
        scores = _under_one_name([_scores(read(part.answer)) for part in ordered])
        shares = weights([part.span for part in ordered])
        labels = dict.fromkeys(label for each in scores for label in each)
        means = {label: _mean([each.get(label, 0.0) for each in scores], shares) for label in labels}
        best_first = sorted(means.items(), key=lambda pair: -pair[1])
        return [{"label": label, "score": score} for label, score in best_first[: given_top_k(settings)]]

    return merge


def _scores(pairs: Sequence[tuple[str, float | None]]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for label, score in pairs:
        if score is None:
            raise UnreadableAnswer(
                "the text is too long for the model, and the server sent no scores for a part of it: labels of parts "
                "make no label of the whole without"
            )
        scores.setdefault(label, score)
    return scores


def _under_one_name(parts: Sequence[dict[str, float]]) -> Sequence[dict[str, float]]:
    """Scores of a server that names the best class only, and the others by their numbers, under the same names."""
    names: dict[str, str] = {}
    for scores in parts:
        numbered = {label for label in scores if _NUMBERED_LABEL.fullmatch(label)}
        missing = {f"LABEL_{at}" for at in range(len(scores))} - numbered
        named = scores.keys() - numbered
        if len(named) == len(missing) == 1:
            names[missing.pop()] = named.pop()
    if not names or any(label in scores and names[label] in scores for scores in parts for label in names):
        return parts
    return [{names.get(label, label): score for label, score in scores.items()} for scores in parts]


def _mean(values: Sequence[float], shares: Sequence[float]) -> float:
    mean = fsum(value * share for value, share in zip(values, shares, strict=True))
    return min(max(mean, min(values)), max(values))  # rounding could take it a little out of [0, 1]


def merge_vectors(read: Read, length_tolerance: float) -> Merge:
    """Merge vectors.

    Args:
        read: gives the vector of an answer; with ``pooling = 'none'`` one for each token.
        length_tolerance: what the length of a vector may differ from 1 where it was brought to 1.

    Returns:
        The function for ``Chunking.merge``. It makes the mean vector, where a part counts by its own length. It is
        brought to the length 1 where all parts are of it. With ``pooling = 'none'`` it makes the vectors of all tokens,
        part after part. It raises UnreadableAnswer where vectors are of several lengths.
    """

    def merge(parts: Sequence[Part], _item: Any, settings: Settings) -> object:
        ordered = in_order(parts)
        found = [read(part.answer, part.item, settings).value for part in ordered]
        if settings.pooling == "none":
            tokens = [token for each in found for token in each]
            _check_widths(tokens)
            return tokens
        _check_widths(found)
        if len(found) == 1:
            return found[0]
        shares = weights([part.span for part in ordered])
        mean = [
            sum(share * value for share, value in zip(shares, values, strict=True))
            for values in zip(*found, strict=True)
        ]
        length = hypot(*mean)
        is_normalized = all(abs(hypot(*vector) - 1) < length_tolerance for vector in found)
        return [value / length for value in mean] if is_normalized and length else mean

    return merge


def _check_widths(vectors: Sequence[Sequence[float]]) -> None:
    widths = sorted(set(map(len, vectors)))
    if len(widths) > 1:
        raise UnreadableAnswer(
            f"the text is too long for the model, and its parts were answered with vectors of {widths[0]} and of "
            f"{widths[-1]} numbers"
        )


def merge_summaries(read: Read, key: str) -> Merge:
    """Put the summaries of parts one after another.

    Args:
        read: gives the text of an answer.
        key: under which the whole is to stand.

    Returns:
        The function for ``Chunking.merge``. It makes ``{key: text}``, with a space between two summaries.
    """

    def merge(parts: Sequence[Part], _item: Any, settings: Settings) -> object:
        texts = [read(part.answer, part.item, settings).value for part in in_order(parts)]
        return {key: texts[0] if len(texts) == 1 else " ".join(filter(None, map(str.strip, texts)))}

    return merge


def summaries_to_shorten(key: str) -> Callable[[object, float, CountTokens, Settings], str | None]:
    """Find summaries that are too long together, so that they are summarised in their turn.

    Args:
        key: under which their text stands in what ``merge_summaries`` made.

    Returns:
        The function for ``Chunking.ask_again``. It gives the text where it has more tokens than the model reads, or
        than a person allows for a summary (``max_length`` or ``max_new_tokens``, also within ``generate_parameters``).
    """

    def ask_again(answer: object, most: float, count: CountTokens, settings: Settings) -> str | None:
        text = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(text, str) or not text.strip():
            return None
        return text if count(text) > min([most, *_given_lengths(settings.parameters)]) else None

    return ask_again


def _given_lengths(parameters: Mapping[str, Any]) -> list[float]:
    """Tokens that a person allows for one answer, and some more."""
    inner = parameters.get("generate_parameters")
    holders = [holder for holder in (parameters, inner) if isinstance(holder, Mapping)]
    given = [whole_number(holder.get(name)) for holder in holders for name in _LENGTH_PARAMETERS]
    return [value * _LENGTH_TOLERANCE for value in given if value is not None and value > 0]


def merge_translations(read: Read, key: str) -> Merge:
    """Put the translations of parts in the spans of what they translate.

    Args:
        read: gives the text of an answer.
        key: under which the whole is to stand.

    Returns:
        The function for ``Chunking.merge``. It makes ``{key: text}``, with the blanks and line breaks between two parts
        as they are in the source. A space is put in where the source was cut in a script without spaces, and the
        translation has another.
    """

    def merge(parts: Sequence[Part], item: str, settings: Settings) -> object:
        ordered = in_order(parts)
        texts = [read(part.answer, part.item, settings).value for part in ordered]
        if len(texts) == 1:
            return {key: texts[0]}
        # What a part has of blanks around it stands between the parts.
        spans = [_without_blanks(item, part.span) for part in ordered]
        texts = [text.strip() for text in texts]
        whole = item[: spans[0][0]] + texts[0]
        for text, (_, end), (start, _) in zip(texts[1:], spans, spans[1:], strict=False):
            between = item[end:start]
            if not between and _is_wide(item[end - 1 : end]) and not _is_wide(whole[-1:]) and not _is_wide(text[:1]):
                between = " "
            whole += between + text
        rest = item[spans[-1][1] :]
        return {key: whole if rest.strip() else whole + rest}

    return merge


def _without_blanks(text: str, span: Span) -> Span:
    part = text[slice(*span)]
    start = span[0] + len(part) - len(part.lstrip())
    return start, max(start, span[0] + len(part.rstrip()))


def _is_wide(character: str) -> bool:
    """Whether it is of Chinese or Japanese, which have no spaces between words."""
    return character != "" and east_asian_width(character) in "WF"


def with_parts(
    prediction: Prediction, parts: Sequence[Part], predictions: Sequence[Prediction], left_out: Mapping[str, int]
) -> Prediction:
    """Say in ``explain`` of which parts a prediction was made.

    Args:
        prediction: what was read of the answer that was merged.
        parts: of the text.
        predictions: what was read of the answer to each part.
        left_out: the character from which on nothing was read, by column; empty where all was read.

    Returns:
        The prediction with ``parts`` in its ``explain``: ``start`` and ``end`` of each in characters, and where the
        task has scores also ``value`` and ``confidence``. Pairs of texts have no ``parts``. ``left_out`` is there where
        something was left out. What ``explain`` held stays, but a label that is itself called ``parts`` or ``left_out``
        gives way: its score is in the target with ``output = 'scores'``.
    """
    explain = dict(prediction.explain) if isinstance(prediction.explain, Mapping) else {}
    if not any(isinstance(part.item, TextPair) for part in parts):
        is_scored = any(each.confidence is not None for each in predictions)
        explain["parts"] = [
            {"start": part.span[0], "end": part.span[1]}
            | ({"value": each.value, "confidence": each.confidence} if is_scored else {})
            for part, each in zip(parts, predictions, strict=True)
        ]
    if left_out:
        explain["left_out"] = dict(left_out)
    return prediction._replace(explain=explain or prediction.explain)
