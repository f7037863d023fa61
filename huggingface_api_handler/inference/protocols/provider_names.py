"""What Hugging Face's inference providers are called, and their tasks."""

from __future__ import annotations

from ...errors import InputError
from ...tasks import Task

CHAT = "conversational"
"""What the helpers of huggingface_hub call chat, with images or without."""

HELPER_TASKS = {"chat-completion": CHAT, "image-text-to-text": CHAT, "chat-classification": CHAT}
"""Our name of a task, and the name that the helpers and the Hub's mappings use for it, if they differ."""

REMOVED_PROVIDERS = ("black-forest-labs", "clarifai", "hyperbolic", "nebius", "nvidia", "sambanova")
"""Those that Hugging Face has not routed to since 2026-07-01. One is still asked with a key of its own, where
huggingface_hub has its helper."""

_OWN_KEYS_ONLY = ("openai",)
"""Providers that Hugging Face does not route to."""


def removed_provider(name: str, task: Task) -> InputError:
    """The error of a provider that Hugging Face does not route to any more.

    Args:
        name: One of ``REMOVED_PROVIDERS``.
        task: The task to ask for.

    Returns:
        What happened, and which providers there are for the task.
    """
    from huggingface_hub.inference._providers import PROVIDERS

    helper_task = HELPER_TASKS.get(task.name, task.name)
    gone = (*REMOVED_PROVIDERS, *_OWN_KEYS_ONLY)
    others = sorted(other for other, tasks in PROVIDERS.items() if helper_task in tasks and other not in gone)
    now = f"Providers of {task.name} now: {', '.join(others)}" if others else f"None of its providers does {task.name}"
    return InputError(
        f"Hugging Face removed the provider {name!r} on 2026-07-01. {now}. Leave provider out, and the Hub is asked "
        "who serves the model"
    )
