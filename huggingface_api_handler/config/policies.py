"""Who serves a model, as people say it: a provider, or a policy by which Hugging Face chooses one.

It is said as the argument ``provider``, or behind the model's name: ``model = 'owner/name:cheapest'``.
"""

from __future__ import annotations

CHEAPEST = "cheapest"
"""The lowest price of output tokens."""

PREFERRED = "preferred"
"""The order of the person's settings at Hugging Face."""

POLICIES = (CHEAPEST, "fastest", PREFERRED)
"""By price of output tokens, by tokens a second, and by the person's order."""

_SEPARATOR = ":"


def split_choice(model: str) -> tuple[str, str | None]:
    """Tell a model's name on the Hub from the choice behind it. Names on the Hub have no colon.

    Args:
        model: The model, as the person named it for Hugging Face.

    Returns:
        The name, and the policy or provider behind it; None where there is none.

    >>> split_choice("openai/gpt-oss-120b:cheapest")
    ('openai/gpt-oss-120b', 'cheapest')
    >>> split_choice("openai/gpt-oss-120b")
    ('openai/gpt-oss-120b', None)
    """
    name, _, choice = model.partition(_SEPARATOR)
    return name, choice.strip().lower() or None


def with_choice(model: str, choice: str) -> str:
    """The name of a model as Hugging Face's router takes it.

    Args:
        model: The model's name on the Hub.
        choice: A policy, or a provider.

    Returns:
        The name with the choice behind it.
    """
    return f"{model}{_SEPARATOR}{choice}"
