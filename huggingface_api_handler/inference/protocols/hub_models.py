"""Who serves a model: what the Hub says of it, asked once a process, and kept with the model from CREATE on.

A listing is plain JSON. What it says is of the Hub's, so names are checked before anything is made of them.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import SecretStr

from ...config.policies import split_choice
from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...redaction import preview
from ...tasks import Task
from ..threads import call_within
from .hf_inference import HF_INFERENCE
from .hub_api import QUESTION_TIMEOUT_S, model_info, served_models
from .key_policy import account_of, hub_key
from .provider_names import HELPER_TASKS

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ExpandModelProperty_T

logger = logging.getLogger(__name__)

_ASK_AGAIN_S = 300.0
"""Seconds after which a Hub that could not be asked is asked again."""

_AVOID_S = 600.0
"""Seconds for which a provider that failed for everybody comes after the others."""

_MAX_LISTED_PROVIDERS = 40
_MAX_SUGGESTED = 3
_ATTRIBUTES: list[ExpandModelProperty_T] = ["inferenceProviderMapping", "pipeline_tag"]
_LIVE = "live"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MAX_NAME_CHARS = 300

OTHER_WAYS = (
    "give an endpoint that serves it (an Inference Endpoint, or any server of yours), or serve it yourself: "
    "huggingface-api-handler serve"
)
"""What a person can do about a model or a task that Hugging Face does not serve."""

_PIPELINE_TAGS = {"chat-completion": "text-generation"}
"""What the pages of models call a task, where they have another name for it."""

_LISTED_AS = {
    "feature-extraction": {"feature-extraction", "sentence-similarity"},
    "sentence-similarity": {"feature-extraction", "sentence-similarity"},
    "text-ranking": {"text-ranking", "text-classification", "sentence-similarity"},
}
"""Tasks under which the Hub lists a model at hf-inference that answers this task there too. Others: their own name."""


class Listing(TypedDict, total=False):
    """What the Hub says of a model, or why it could not be asked.

    Attributes:
        model: The model's name on the Hub.
        asked: When it was asked: the date and time in UTC, as ISO 8601 writes them.
        task: The task that the model's page names, None where it names none.
        providers: The mapping at each provider, as ``hub_providers.plain_mapping`` gives it, in the Hub's order.
        problem: The class of the error by which the Hub could not be asked; not there where it answered.
    """

    model: str
    asked: str
    task: str | None
    providers: list[dict[str, str | None]]
    problem: str


class _Memory:
    """What this process was told of models: by the Hub, or by what was stored at CREATE."""

    def __init__(self) -> None:
        # By model and key, since what the Hub says to one, such as that there is no such model, is not for another.
        self.listings: dict[tuple[str, str], tuple[float, Listing]] = {}
        self.avoided: dict[tuple[str, str], float] = {}  # by model and provider: until when
        self.lock = threading.Lock()

    def put(self, model: str, account: str, listing: Listing) -> None:
        with self.lock:
            self.listings[model, account] = time.monotonic(), listing


_memory = _Memory()


def listing_of(model: str, engine: EngineSettings, *, again: bool = False) -> Listing:
    """What the Hub says of a model. Asks it once a process and key.

    Args:
        model: The model's name, perhaps with a choice behind it.
        engine: The settings of the engine, for its key.
        again: Whether to ask anew, since what is known has proved wrong.

    Returns:
        The listing; with ``problem`` where the Hub could not be asked, or said nothing of the model.

    Raises:
        InputError: The environment variable named for the key may not be read, or is not set.
    """
    name, key = split_choice(model)[0], hub_key(engine)
    listing = None if again else _remembered(name, key)
    if listing is None:
        listing = _ask(name, key)
        _memory.put(name, account_of(key), listing)
        _register(listing)
    return listing


def known_listing(model: str, engine: EngineSettings) -> Listing | None:
    """What this process knows of a model already.

    Args:
        model: As of ``listing_of``.
        engine: As of ``listing_of``.

    Returns:
        The listing; None where nobody was asked.

    Raises:
        InputError: As of ``listing_of``.
    """
    return _remembered(split_choice(model)[0], hub_key(engine))


def restore(listing: Listing, engine: EngineSettings) -> None:
    """Use here what another process was told. What was told later counts.

    Args:
        listing: What ``listing_of`` returned there, as it was stored.
        engine: The settings of the engine that it was told to, for its key.

    Raises:
        InputError: As of ``listing_of``.
    """
    model, now, account = str(listing.get("model")), _now(), account_of(hub_key(engine))
    # What says that it is of tomorrow would hide what is found out today.
    listing = {**listing, "asked": min(str(listing.get("asked", "")), now)}
    listing["providers"] = list(_plain(listing.get("providers") or (), model))
    _, held = _memory.listings.get((model, account), (0.0, None))
    is_later = held is not None and "problem" not in held and held.get("asked", "") >= listing["asked"]
    if "problem" in listing or is_later:
        return
    _memory.put(model, account, listing)
    _register(listing)


def providers_of(listing: Listing, task: Task) -> list[str]:
    """Who serves a task of a model, as far as this process can ask them.

    Args:
        listing: What the Hub says of the model.
        task: The task to ask for.

    Returns:
        The names of the providers, in the order of the Hub's mapping.
    """
    return [str(each["provider"]) for each in listing.get("providers", []) if _is_known(each, task)]


def is_served(listing: Listing, task: Task) -> bool:
    """Whether anybody serves a task of a model, though this process may not know how to ask them.

    Args:
        listing: What the Hub says of the model.
        task: The task to ask for.

    Returns:
        True where a provider has the model live for it.
    """
    return any(_serves(each, task) for each in listing.get("providers", []))


def failing_last(model: str, providers: Sequence[str]) -> list[str]:
    """Put those providers last that failed for everybody just now.

    Args:
        model: The model's name on the Hub.
        providers: Their names in the order in which they are asked.

    Returns:
        The names.
    """
    now = time.monotonic()
    return sorted(providers, key=lambda name: _memory.avoided.get((model, name), 0.0) > now)


def avoid(model: str, provider: str) -> None:
    """Ask the other providers of a model first, for the next ten minutes.

    Args:
        model: The model's name, perhaps with a choice behind it.
        provider: The provider that failed for everybody.
    """
    _memory.avoided[split_choice(model)[0], provider] = time.monotonic() + _AVOID_S


def not_served(listing: Listing, task: Task, engine: EngineSettings) -> InputError:
    """The error of a model that nobody serves. Asks the Hub for models that are served.

    Args:
        listing: What the Hub says of the model.
        task: The task that was asked for.
        engine: The settings of the engine, for its key.

    Returns:
        What is wrong and what to do.
    """
    import huggingface_hub

    model, mappings = preview(listing.get("model", "")), listing.get("providers", [])
    if is_served(listing, task):
        names = ", ".join(str(each["provider"]) for each in mappings if _serves(each, task))
        return InputError(
            f"{model} is served by {names}, which huggingface_hub {huggingface_hub.__version__} does not know. "
            "Upgrade huggingface_hub"
        )
    others = sorted({str(each["task"]) for each in mappings if each.get("status") == _LIVE})
    reason = f"it is served for {', '.join(others)}" if others else "no provider serves it"
    found: list[str] = []
    try:
        tag, key = _PIPELINE_TAGS.get(task.name, task.name), hub_key(engine)
        found = [preview(name) for name in call_within(QUESTION_TIMEOUT_S, served_models, tag, key, _MAX_SUGGESTED)]
    except Exception as error:  # whatever the Hub's client raises; the sentence is as true without the names
        logger.debug("the Hub could not be asked for models of %s (%s)", task.name, type(error).__name__)
    most_used = f" The most used models that are served for it: {', '.join(found)}." if found else ""
    return InputError(f"Hugging Face does not serve {model} for {task.name}: {reason}.{most_used} Or {OTHER_WAYS}")


def refuse_default_of_others(model: ModelSettings) -> None:
    """Refuse the default model of a task that Hugging Face does not serve: it is for servers of one's own.

    Args:
        model: The settings of a model without endpoint and provider.

    Raises:
        InputError: The task is none that Hugging Face serves, and no other model was named.
    """
    task = model.definition
    if task.is_on_hugging_face or model.model != task.default_model:
        return
    raise InputError(
        f"Hugging Face serves no model for {task.name} that could be the default. Name one that it serves, or "
        f"{OTHER_WAYS} (its model for this task: {task.default_model})"
    )


def warning_of(listing: Listing) -> str:
    """What DESCRIBE says of a model whose providers are not known.

    Args:
        listing: What is known of the model.

    Returns:
        A sentence; empty where the Hub was asked.
    """
    if "problem" not in listing:
        return ""
    return (
        f"the Hub could not be asked on {listing.get('asked', '')[:10]} who serves this model ({listing['problem']}), "
        "so its task's usual route is taken. It is asked again where that does not serve the model"
    )


def _serves(mapping: Mapping[str, str | None], task: Task) -> bool:
    """Whether a provider has the model live for a task."""
    helper_task = HELPER_TASKS.get(task.name, task.name)
    is_direct = mapping.get("provider") == HF_INFERENCE.name
    listed_as = _LISTED_AS.get(helper_task, {helper_task}) if is_direct else {helper_task}
    return mapping.get("status") == _LIVE and mapping.get("task") in listed_as


def _is_known(mapping: Mapping[str, str | None], task: Task) -> bool:
    """Whether a provider serves the task and can be asked: hf-inference without a helper, all others with one."""
    if not _serves(mapping, task):
        return False
    if mapping.get("provider") == HF_INFERENCE.name:
        return True
    from huggingface_hub.inference._providers import PROVIDERS

    helpers: Mapping[str, object] = PROVIDERS.get(mapping.get("provider"), {})  # type: ignore[call-overload]
    return HELPER_TASKS.get(task.name, task.name) in helpers


def _remembered(model: str, key: SecretStr | None) -> Listing | None:
    asked, listing = _memory.listings.get((model, account_of(key)), (0.0, None))
    is_old = listing is not None and "problem" in listing and time.monotonic() - asked >= _ASK_AGAIN_S
    return None if is_old else listing


def _ask(model: str, key: SecretStr | None) -> Listing:
    listing: Listing = {"model": model, "asked": _now()}
    try:
        info = model_info(model, key, expand=_ATTRIBUTES)
    except Exception as error:  # whatever the Hub's client raises; its text can hold URLs and headers
        return {**listing, "problem": type(error).__name__}
    from .hub_providers import plain_mapping

    tag = getattr(info, "pipeline_tag", None)
    mappings = map(plain_mapping, getattr(info, "inference_provider_mapping", None) or ())
    return {**listing, "task": tag if _is_name(tag) else None, "providers": list(_plain(mappings, model))}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _plain(mappings: Iterable[Mapping[str, Any]], model: str) -> Iterator[dict[str, str | None]]:
    """Those mappings that can be used, for the model that was asked for: the Hub answers with its new name."""
    for mapping in islice(mappings, _MAX_LISTED_PROVIDERS):
        provider_id = mapping.get("providerId")
        is_id = isinstance(provider_id, str) and 0 < len(provider_id) <= _MAX_NAME_CHARS and provider_id.isprintable()
        if is_id and all(_is_name(mapping.get(name)) for name in ("provider", "task", "status")):
            yield {**mapping, "hf_model_id": model}


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _register(listing: Listing) -> None:
    if not (mappings := listing.get("providers", [])):
        return
    from .hub_providers import replace_mapping

    for mapping in mappings:
        replace_mapping(mapping)
