"""The two forms in which zero-shot classification is answered.

Hugging Face's clients read a list of labels with scores. The former Inference API, and transformers' pipelines, say
`{"sequence", "labels", "scores"}`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .outputs import LabelScore, ZeroShotScores

OUTPUT_FORMAT = "output_format"
"""The parameter that names the form."""

OUTPUT_FORMATS = ("list", "object")
"""Its values, the default first."""


def former_scores(text: str, pairs: Sequence[LabelScore]) -> ZeroShotScores:
    """Make the former form of the current one.

    Args:
        text: The text that was classified.
        pairs: Its labels, the highest score first.

    Returns:
        Labels and scores in lists of their own, beside the text.
    """
    labels, scores = [pair["label"] for pair in pairs], [pair["score"] for pair in pairs]
    return {"sequence": text, "labels": labels, "scores": scores}
