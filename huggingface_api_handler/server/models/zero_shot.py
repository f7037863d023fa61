"""zero-shot-classification: how near a text's MiniLM vector is to "This text is about {label}."."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..protocol.errors import HTTPError, invalid_field
from ..protocol.inputs import MAX_REQUEST_INPUTS, parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import LabelScore, ZeroShotScores
from ..protocol.parameters import get_bool, get_candidate_labels, get_choice, reject_unknown
from ..protocol.zero_shot_forms import OUTPUT_FORMAT, OUTPUT_FORMATS, former_scores
from . import minilm

DEFAULT_TEMPLATE = "This text is about {}."
# Cosines of a right and a wrong topic lie some 0.1 to 0.3 apart; at 0.05 that is odds of 7 to 400.
TEMPERATURE = 0.05
# The cosine that separates right from wrong topics where each label is judged alone.
MULTI_LABEL_THRESHOLD = 0.15
_CACHED_LABEL_SETS = 64
_PARAMETERS = ("candidate_labels", "hypothesis_template", "multi_label", "truncate")
MAX_HYPOTHESIS_CHARS = 10_000


ScoredLabels: TypeAlias = list[LabelScore] | ZeroShotScores
"""The labels of one text, in either form."""


class ZeroShotClassifier:
    """A text to `[{"label", "score"}, ...]`, the highest score first."""

    def __init__(self, encoder: minilm.SentenceEncoder) -> None:
        """Wrap the encoder.

        Args:
            encoder: The loaded encoder.
        """
        self._encoder = encoder
        # A table asks every row for the same labels, so their vectors are cached.
        self._encode_hypotheses = functools.lru_cache(maxsize=_CACHED_LABEL_SETS)(self._encode)

    def predict(self, inputs: list[str], parameters: Parameters) -> list[ScoredLabels]:
        """Score labels.

        Scores are a softmax of cosine / 0.05; with `multi_label`, for each label the logistic function of
        (cosine - 0.15) / 0.05.

        Args:
            inputs: The texts.
            parameters: `candidate_labels` (a list, or labels joined by commas), `hypothesis_template`, `multi_label`;
                `output_format` (list, or object for `{"sequence", "labels", "scores"}`); `truncate` (default true).

        Returns:
            The scored labels of each text.

        Raises:
            HTTPError: 400 for bad parameters, 422 for a template without {}, 413 for a text, or a template with its
                label, of over 256 tokens when `truncate` is false.
        """
        reject_unknown(parameters, CARD.task, (*_PARAMETERS, OUTPUT_FORMAT))
        as_object = get_choice(parameters, OUTPUT_FORMAT, OUTPUT_FORMATS) == "object"
        labels = _labels(parameters)
        template = _template(parameters)
        multi_label = get_bool(parameters, "multi_label", False)
        _reject_long_hypotheses(template, labels)
        sentences = tuple(template.replace("{}", label) for label in labels)
        if not get_bool(parameters, "truncate", True):
            self._encoder.reject_long([*inputs, *sentences])
        hypotheses = self._encode_hypotheses(sentences)
        embeddings = self._encoder.encode(inputs)
        # One product a row: a product of all rows may round differently by their number.
        pairs_by_text = [
            _sorted_pairs(labels, _scores(hypotheses @ embedding, multi_label)) for embedding in embeddings
        ]
        return [
            former_scores(text, pairs) if as_object else pairs
            for text, pairs in zip(inputs, pairs_by_text, strict=True)
        ]

    def _encode(self, hypotheses: tuple[str, ...]) -> minilm.Embeddings:
        return self._encoder.encode(hypotheses)


def _scores(cosines: npt.NDArray[np.float32], multi_label: bool) -> list[float]:
    scaled = cosines.astype(np.float64) / TEMPERATURE
    if multi_label:
        independent: list[float] = (1 / (1 + np.exp(MULTI_LABEL_THRESHOLD / TEMPERATURE - scaled))).tolist()
        return independent
    powers = np.exp(scaled - scaled.max())
    softmax: list[float] = (powers / powers.sum()).tolist()
    return softmax


def _sorted_pairs(labels: Sequence[str], scores: Sequence[float]) -> list[LabelScore]:
    pairs: list[LabelScore] = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
    return sorted(pairs, key=lambda pair: pair["score"], reverse=True)


def _labels(parameters: Parameters) -> list[str]:
    labels = get_candidate_labels(parameters)
    if len(labels) > MAX_REQUEST_INPUTS:
        raise invalid_field("parameters.candidate_labels", f"{len(labels)} labels, {MAX_REQUEST_INPUTS} is the most")
    return labels


def _reject_long_hypotheses(template: str, labels: Sequence[str]) -> None:
    """Refuse what would become many megabytes by repeating a label."""
    longest = len(template) + template.count("{}") * max(map(len, labels))
    if longest > MAX_HYPOTHESIS_CHARS:
        problem = f"with its label it has {longest} characters, {MAX_HYPOTHESIS_CHARS} is the most"
        raise invalid_field("parameters.hypothesis_template", problem)


def _template(parameters: Parameters) -> str:
    template = parameters.get("hypothesis_template")
    if template is None:
        return DEFAULT_TEMPLATE
    if not isinstance(template, str):
        raise invalid_field("parameters.hypothesis_template", f"expected a string, got {template!r:.80}")
    if "{}" not in template:
        raise HTTPError(
            422,
            f"Template error: hypothesis_template {template!r:.80} has no {{}} where the label goes",
            error_type="template_error",
        )
    return template


CARD = minilm.model_card(
    "local/zero-shot-minilm",
    "zero-shot-classification",
    ZeroShotClassifier,
    parse_texts,
    quality=(
        "Not an NLI model: it compares the topic of sentence vectors, so it is right on clear topics and unfit "
        "for stance, negation or entailment. No accuracy measured; scores are not probabilities."
    ),
    hub_alias="facebook/bart-large-mnli",
)
