"""text-classification: POSITIVE or NEGATIVE, by a linear head on MiniLM vectors and n-grams."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from ..model_card import ModelCard
from ..protocol.parameters import get_choice, get_positive_int, reject_unknown
from ..protocol.request_body import parse_texts
from . import linear_head, minilm


class SentimentClassifier:
    """Text to `[{"label", "score"}, ...]`, the higher score first."""

    def __init__(self, encoder: minilm.SentenceEncoder, head: linear_head.LinearHead) -> None:
        self._encoder = encoder
        self._head = head

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`top_k` (default both labels), `function_to_apply` (softmax, sigmoid or none)."""
        reject_unknown(parameters, CARD.task, ("top_k", "function_to_apply"))
        top_k = get_positive_int(parameters, "top_k")
        function = get_choice(parameters, "function_to_apply", ("softmax", "sigmoid", "none"))
        logits = self._head.logits(inputs, self._encoder.encode(inputs))
        return [_labels(logit, function)[:top_k] for logit in logits]


def _labels(log_odds: float, function: str) -> list[dict[str, Any]]:
    """Both labels; their logits are half the log-odds each way, so that softmax gives the probability."""
    half = log_odds / 2
    scores = {"POSITIVE": _score(half, function), "NEGATIVE": _score(-half, function)}
    return [
        {"label": label, "score": score}
        for label, score in sorted(scores.items(), key=lambda pair: pair[1], reverse=True)
    ]


def _score(logit: float, function: str) -> float:
    if function == "none":
        return logit
    # softmax over (logit, -logit) is the logistic function of their difference.
    return 1 / (1 + math.exp(-2 * logit if function == "softmax" else -logit))


def _quality() -> str:
    facts = linear_head.metadata()
    return (
        f"{facts['held_out_accuracy']:.1%} right on {facts['held_out_sentences']:,} held-out English sentences "
        f"(film and product reviews, tweets, editorials), mean calibration error "
        f"{facts['held_out_calibration_error']:.1%}. Linear head on MiniLM vectors and n-grams, trained on "
        f"{facts['training_sentences']:,} human-rated sentences of vaderSentiment 3.3.2 (MIT). "
        "Weaker on complaints and praise told by facts alone ('arrived in pieces'); has no neutral label."
    )


def _digest() -> str:
    """Both files decide the answer, so both are in the digest."""
    return hashlib.sha256(f"{minilm.WEIGHTS_SHA256} {linear_head.metadata()['sha256']}".encode()).hexdigest()


CARD = ModelCard(
    name="local/sentiment",
    task="text-classification",
    load=lambda: SentimentClassifier(minilm.shared_encoder(), linear_head.load_head()),
    parse_inputs=parse_texts,
    package=f"huggingface_api_handler (head) on {minilm.PACKAGE}",
    version=minilm.PACKAGE_VERSION,
    license="Apache-2.0 (vectors), MIT (training data)",
    quality=_quality(),
    sha=_digest,
    hub_alias="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    wrap_single=True,
)
