"""Questions to the Hub's API, by huggingface_hub. The key comes of ``key_policy.hub_key``, and no other is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from ..threads import call_within

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ExpandModelProperty_T, ModelInfo

QUESTION_TIMEOUT_S = 5.0
"""Seconds that the Hub may take: a person waits for the statement, and a Hub that is up answers at once."""


def model_info(
    model: str,
    key: SecretStr | None,
    *,
    expand: list[ExpandModelProperty_T] | None = None,
) -> ModelInfo:
    """Ask the Hub about a model, and wait for it no longer than ``QUESTION_TIMEOUT_S``.

    Args:
        model: The model's name on the Hub.
        key: Of ``hub_key``.
        expand: What to ask for, None for what the Hub tells by default.

    Returns:
        What the Hub says.

    Raises:
        Exception: Whatever huggingface_hub raises; its text can hold URLs and headers. ``TimeoutError`` of
            ``concurrent.futures`` where it takes longer.
    """
    from huggingface_hub import HfApi

    def ask() -> ModelInfo:
        """One question, on a thread: an answer that comes in drops is no answer in time."""
        # False where there is none: with None, huggingface_hub would send the machine's. In no local, which reports
        # show.
        return HfApi().model_info(
            model, expand=expand, timeout=QUESTION_TIMEOUT_S, token=False if key is None else key.get_secret_value()
        )

    return call_within(QUESTION_TIMEOUT_S, ask)


def served_models(task: str, key: SecretStr | None, limit: int) -> list[str]:
    """Ask the Hub for models that Inference Providers serve.

    Args:
        task: The task that the models' pages name.
        key: Of ``hub_key``.
        limit: The most of them.

    Returns:
        The names of the models, the most used first.

    Raises:
        Exception: Whatever huggingface_hub raises; its text can hold URLs and headers.
    """
    from huggingface_hub import HfApi

    token = False if key is None else key.get_secret_value()
    models = HfApi().list_models(
        inference_provider="all", pipeline_tag=task, sort="downloads", limit=limit, token=token
    )
    return [str(model.id) for model in models]
