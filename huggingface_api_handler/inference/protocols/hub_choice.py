"""Which provider a person wants where there is no endpoint: one by name, by a policy, or whoever serves the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from ...config.policies import POLICIES, PREFERRED, split_choice, with_choice
from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...redaction import preview
from ...tasks import Input, Settings, Task
from .base import Body
from .hf_inference import HF_INFERENCE
from .openai_chat import OpenAIChat
from .provider_names import REMOVED_PROVIDERS, removed_provider

_ROUTER_CHAT = OpenAIChat()


class Choice(NamedTuple):
    """What a person said of the provider, in ``provider`` or behind the model's name.

    Attributes:
        model: The model's name on the Hub; for the router as the person wrote it, with what stands behind it.
        provider: The provider that is named, or ``auto``; None where none is.
        policy: The policy that is to be sent to the router behind the model's name; None where none is.
        is_for_hub: Whether the Hub is asked who serves the model.
        is_preferred: Whether the order of the Hub's mapping stands.
    """

    model: str
    provider: str | None = None
    policy: str | None = None
    is_for_hub: bool = False
    is_preferred: bool = False


@dataclass(frozen=True)
class RouterChat(OpenAIChat):
    """Chat completions at Hugging Face's router, with a policy behind the model's name.

    Attributes:
        policy: One of ``policies.POLICIES``.
    """

    policy: str = ""

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: As of ``OpenAIChat.encode``.
            settings: The settings of the model.

        Returns:
            The body, ready to send.
        """
        renamed = {"model": with_choice(settings.model, self.policy)}
        return super().encode(task, inputs, cast("ModelSettings", settings).model_copy(update=renamed))


def choice_of(engine: EngineSettings, model: ModelSettings) -> Choice:
    """Read what a person said of the provider of a model without endpoint.

    Args:
        engine: The settings of the engine.
        model: The settings of the model. Its provider comes before the engine's.

    Returns:
        The choice.

    Raises:
        InputError: It was said twice, or a policy does not exist for the task.
    """
    name, suffix = split_choice(model.model)
    if suffix and model.provider:
        raise InputError(
            f"the provider is said twice, in model {preview(model.model)} and in provider = {preview(model.provider)}. "
            "Say it once"
        )
    is_router_task = _ROUTER_CHAT.supports(model.definition)
    if suffix in REMOVED_PROVIDERS:
        raise removed_provider(suffix, model.definition)
    if suffix and is_router_task:
        return Choice(model.model)
    wanted = suffix or model.provider
    if wanted in POLICIES and not is_router_task:
        return _for_hub(name, wanted, model.definition)
    wanted = wanted or engine.provider
    if wanted in POLICIES and is_router_task:
        return Choice(name, policy=wanted)
    if wanted in POLICIES:  # of an engine, which may have models for chat beside this one
        return Choice(name, is_for_hub=True, is_preferred=wanted == PREFERRED)
    return Choice(name, wanted, is_for_hub=wanted is None and not is_router_task)


def in_order(providers: Sequence[str], choice: Choice) -> list[str]:
    """The providers of a model in the order in which they are asked.

    Args:
        providers: Their names, in the order of the Hub's mapping.
        choice: What the person said.

    Returns:
        hf-inference first, unless the order of the mapping is preferred.
    """
    return list(providers) if choice.is_preferred else sorted(providers, key=lambda name: name != HF_INFERENCE.name)


def _for_hub(name: str, policy: str, task: Task) -> Choice:
    if policy != PREFERRED:
        raise InputError(
            f"{policy!r} is for chat: Hugging Face tells no prices and no speed of providers for {task.name}. Use "
            f"{PREFERRED!r}, which is your order of providers, name a provider, or leave it out"
        )
    return Choice(name, is_for_hub=True, is_preferred=True)
