"""zero-shot-classification: how near a text's MiniLM vector is to "This text is about {label}."."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..model_card import ModelCard
from ..protocol.errors import HTTPError, invalid_field
from ..protocol.parameters import get_bool, reject_unknown
from ..protocol.request_body import MAX_BATCH_SIZE, parse_texts
from . import minilm

DEFAULT_TEMPLATE = "This text is about {}."
# Cosines of a right and a wrong topic lie some 0.1 to 0.3 apart; at 0.05 that is odds of 7 to 400.
TEMPERATURE = 0.05
# The cosine that separates right from wrong topics where each label is judged alone.
MULTI_LABEL_THRESHOLD = 0.15


class ZeroShotClassifier:
    """Text to `{"sequence", "labels", "scores"}`, the highest score first."""

    def __init__(self, encoder: minilm.SentenceEncoder) -> None:
        self._encoder = encoder
        # A table asks every row for the same labels: their vectors are kept.
        self._hypotheses = functools.lru_cache(maxsize=64)(self._encode)

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`candidate_labels` (a list, or labels joined by commas), `hypothesis_template`, `multi_label`.

        Scores are a softmax of cosine / 0.05; with `multi_label`, for each label the logistic function of
        (cosine - 0.15) / 0.05.
        """
        reject_unknown(parameters, CARD.task, ("candidate_labels", "hypothesis_template", "multi_label"))
        labels = _labels(parameters)
        template = _template(parameters)
        multi_label = get_bool(parameters, "multi_label", False)
        hypotheses = self._hypotheses(tuple(template.replace("{}", label) for label in labels))
        vectors = self._encoder.encode(inputs)
        # One product a row: a product of all rows may round differently by their number.
        return [
            _ranked(text, labels, _scores(hypotheses @ vector, multi_label))
            for text, vector in zip(inputs, vectors, strict=True)
        ]

    def _encode(self, hypotheses: tuple[str, ...]) -> minilm.Embeddings:
        return self._encoder.encode(hypotheses)


def _scores(cosines: minilm.Embeddings, multi_label: bool) -> list[float]:
    scaled = cosines.astype(np.float64) / TEMPERATURE
    if multi_label:
        alone: list[float] = (1 / (1 + np.exp(MULTI_LABEL_THRESHOLD / TEMPERATURE - scaled))).tolist()
        return alone
    odds = np.exp(scaled - scaled.max())
    shares: list[float] = (odds / odds.sum()).tolist()
    return shares


def _ranked(text: str, labels: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    order = sorted(range(len(labels)), key=lambda position: scores[position], reverse=True)
    return {
        "sequence": text,
        "labels": [labels[position] for position in order],
        "scores": [scores[position] for position in order],
    }


def _labels(parameters: Mapping[str, Any]) -> list[str]:
    given = parameters.get("candidate_labels")
    if given is None:
        raise invalid_field("parameters.candidate_labels", "field required")
    listed = given.split(",") if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        raise invalid_field("parameters.candidate_labels", f"expected a list of strings, got {given!r:.80}")
    labels = [label.strip() for label in listed if label.strip()]
    if not labels:
        raise invalid_field("parameters.candidate_labels", "no label given, name at least one")
    if len(labels) > MAX_BATCH_SIZE:
        raise invalid_field("parameters.candidate_labels", f"{len(labels)} labels, {MAX_BATCH_SIZE} is the most")
    return labels


def _template(parameters: Mapping[str, Any]) -> str:
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


CARD = ModelCard(
    name="local/zero-shot-minilm",
    task="zero-shot-classification",
    load=lambda: ZeroShotClassifier(minilm.shared_encoder()),
    parse_inputs=parse_texts,
    package=minilm.PACKAGE,
    version=minilm.PACKAGE_VERSION,
    license="Apache-2.0",
    quality=(
        "Not an NLI model: it compares the topic of sentence vectors, so it is right on clear topics and unfit "
        "for stance, negation or entailment. No accuracy measured; scores are not probabilities."
    ),
    sha=lambda: minilm.WEIGHTS_SHA256,
    hub_alias="facebook/bart-large-mnli",
)
