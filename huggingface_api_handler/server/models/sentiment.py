"""text-classification: POSITIVE or NEGATIVE, by a linear head on MiniLM vectors and n-grams."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..model_card import ModelCard
from ..protocol.errors import input_too_long
from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import LabelScore
from ..protocol.parameters import get_bool, get_choice, get_positive_int, reject_unknown
from ..weights import combined_sha256
from . import linear_head, minilm

# Its n-grams take some 200 bytes for a character.
MAX_SENTIMENT_CHARS = 1_000_000


@dataclass(frozen=True)
class SentimentClassifier:
    """A text to `[{"label", "score"}, ...]`, the higher score first.

    Attributes:
        encoder: The loaded encoder.
        head: The loaded head.
    """

    encoder: minilm.SentenceEncoder
    head: linear_head.LinearHead

    def predict(self, inputs: list[str], parameters: Parameters) -> list[list[LabelScore]]:
        """Classify texts.

        Args:
            inputs: The texts.
            parameters: `top_k` (default both labels), `function_to_apply` (softmax, sigmoid or none), `truncate`
                (default true).

        Returns:
            The labels of each text.

        Raises:
            HTTPError: 400 for bad parameters, 413 for a text of over 1,000,000 characters, or of over 256 tokens when
                `truncate` is false.
        """
        reject_unknown(parameters, CARD.task, ("top_k", "function_to_apply", "truncate"))
        top_k = get_positive_int(parameters, "top_k")
        function = get_choice(parameters, "function_to_apply", ("softmax", "sigmoid", "none"))
        longest = max(map(len, inputs))
        if longest > MAX_SENTIMENT_CHARS:
            raise input_too_long(f"a text has {longest} characters, {MAX_SENTIMENT_CHARS} is the most")
        if not get_bool(parameters, "truncate", True):
            self.encoder.reject_long(inputs)
        log_odds = self.head.log_odds(inputs, self.encoder.encode(inputs))
        return [_label_scores(value, function)[:top_k] for value in log_odds]


def _label_scores(log_odds: float, function: str) -> list[LabelScore]:
    """Score both labels; their logits are half the log-odds each way, so that softmax gives the probability."""
    logit = log_odds / 2
    scores = {"POSITIVE": _score(logit, function), "NEGATIVE": _score(-logit, function)}
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
    metadata = linear_head.metadata()
    return (
        f"{metadata['held_out_accuracy']:.1%} right on {metadata['held_out_sentences']:,} held-out English sentences "
        f"(film and product reviews, tweets, editorials), mean calibration error "
        f"{metadata['held_out_calibration_error']:.1%}. Linear head on MiniLM vectors and n-grams, trained on "
        f"{metadata['training_sentences']:,} human-rated sentences of vaderSentiment 3.3.2 (MIT). "
        "Weaker on complaints and praise told by facts alone ('arrived in pieces'); has no neutral label."
    )


def _sha() -> str:
    # Both files decide the answer, so both are in the digest.
    return combined_sha256((minilm.WEIGHTS_SHA256, linear_head.metadata()["sha256"]))


CARD: ModelCard[str, list[LabelScore]] = ModelCard(
    name="local/sentiment",
    task="text-classification",
    load=lambda: SentimentClassifier(minilm.shared_encoder(), linear_head.load_head()),
    parse_inputs=parse_texts,
    package=replace(
        minilm.PACKAGE,
        name=f"huggingface_api_handler (head) on {minilm.PACKAGE.name}",
        license="Apache-2.0 (vectors), MIT (training data)",
    ),
    quality=_quality(),
    sha=_sha,
    hub_alias="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    wrap_single=True,
    # The n-grams are those of the whole text, but its vector is that of its beginning.
    max_input_length=lambda: minilm.MAX_TOKENS,
)
