"""Where a key may go, by exact origin and path. Every request that can carry one asks here, and nothing else adds one.

To whom a key belongs says where it may go (``_PLACES``):

- One given with an engine that has an ``endpoint``: below that endpoint.
- One given with an engine that names a provider, and not Hugging Face's: to that provider.
- Any other that was given with an engine: to Hugging Face, and to ``trusted_hosts``.
- One found on the machine: to Hugging Face.

An engine with an ``endpoint`` sends no key of any owner elsewhere. None goes unencrypted over a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import SecretStr

from ...config.credentials import ALLOWED_VARIABLES, is_machine_key, resolve_api_key
from ...config.policies import POLICIES
from ...config.settings import EngineSettings
from ...errors import InputError
from ...redaction import Secret
from ...urls import has_detour, is_host_with_port, is_same_origin, is_secure_url, origin_of
from .addresses import add_path, is_azure, remove_path
from .servers import INFO_PATHS, OPERATIONS, server_root

ROUTER = "https://router.huggingface.co"
"""Where requests go that name no endpoint."""

_SERVER_PATHS = ("/models", "/v1", "/health", "/info")
"""What a server has beside its ``/models`` or ``/v1``: these, and what is below them, count as the endpoint's own."""

_OPERATION_PATHS = (*INFO_PATHS, "/health", *OPERATIONS, *(f"/v1{operation}" for operation in OPERATIONS))
"""What a server has beside its ``/v1`` or one of its operations: exactly these count as the endpoint's own."""

_ROUTED_PROVIDERS = (None, "hf-inference", "auto", *POLICIES)
"""Providers of an engine that are Hugging Face's own router."""

_KEY_HEADERS = ("authorization", "api-key")

_HUGGING_FACE_KEY = "hf_"
"""How keys of Hugging Face begin."""


class RequestKind(Enum):
    """What sends a request, since one address may be asked for several reasons."""

    SERVER = "an endpoint, or Hugging Face's router"
    HUB = "the Hub's API, at an address that is made here"
    PROVIDER = "a provider, by its helper"


class KeyOwner(Enum):
    """To whom a key belongs."""

    ENDPOINT = "the engine's endpoint"
    PROVIDER = "the engine's provider"
    HUGGING_FACE = "Hugging Face"
    MACHINE = "this machine"


class KeyDecision(NamedTuple):
    """Whether a request carries a key.

    Attributes:
        key: The key, None where none goes along.
        advice: What to do for one to go along; empty where one does, or where there is none.
        is_for_azure: Whether it goes to Azure's OpenAI, which wants it in ``api-key`` and takes a token as well.
    """

    key: SecretStr | None
    advice: str = ""
    is_for_azure: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers that carry the key, by their lower-case names; none where none goes along."""
        if self.key is None:
            return {}
        key = self.key.get_secret_value()
        return {"authorization": f"Bearer {key}", **({"api-key": key} if self.is_for_azure else {})}

    @property
    def account(self) -> str:
        """Whose the requests are. Stored answers are found by it, so it stays as it is."""
        return self.headers.get("authorization", "")

    @property
    def secret(self) -> Secret | None:
        """The key as it is looked for in answers and messages; None where none goes along."""
        return Secret.of(None if self.key is None else self.key.get_secret_value())


class _Request(NamedTuple):
    url: str
    kind: RequestKind
    engine: EngineSettings
    provider: str | None


def key_for(
    url: str, engine: EngineSettings, kind: RequestKind = RequestKind.SERVER, provider: str | None = None
) -> KeyDecision:
    """Decide which key a request carries.

    Args:
        url: The address of the request.
        engine: The settings of the engine.
        kind: What sends it.
        provider: The provider that is asked, where ``kind`` is ``PROVIDER``.

    Returns:
        The engine's key where it may go there, else what to do about it.

    Raises:
        InputError: The environment variable named for the key may not be read, or is not set.
    """
    request = _Request(url, kind, engine, provider)
    if not engine.has_own_key and not _may_go(KeyOwner.MACHINE, request):
        return KeyDecision(None, _advice(KeyOwner.MACHINE, request))  # the machine is not searched in vain
    key = resolve_api_key(engine)
    if key is None:
        return KeyDecision(None)
    owner = key_owner(key, engine)
    may_go = _may_go(owner, request)
    return KeyDecision(key, is_for_azure=is_azure(url)) if may_go else KeyDecision(None, _advice(owner, request))


def without_key(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request to where the key may not go.

    Args:
        headers: Those of a request that carries it, by lower-case name.

    Returns:
        The others.
    """
    return {name: value for name, value in headers.items() if name not in _KEY_HEADERS}


def hub_key(engine: EngineSettings) -> SecretStr | None:
    """The key for the Hub's API.

    Args:
        engine: The settings of the engine.

    Returns:
        The engine's key where it may go to the Hub, else None.

    Raises:
        InputError: The environment variable named for the key may not be read, or is not set.
    """
    from huggingface_hub import constants

    url = f"{constants.ENDPOINT}/api"
    return None if _goes_to_proxy_in_clear(url) else key_for(url, engine, RequestKind.HUB).key


def account_of_one_budget(account: str) -> str:
    """Whose a budget is that counts at several providers: hf-inference has the key in another form than the others.

    Args:
        account: As of ``Route.account``.

    Returns:
        The account in the form of hf-inference, by which budgets were always counted.
    """
    return account and f"Bearer {account.removeprefix('Bearer ')}"


def account_of(key: SecretStr | None) -> str:
    """Tell keys apart without keeping them.

    Args:
        key: A key, None for none.

    Returns:
        A hash of it, the same for the same key.
    """
    return "nobody" if key is None else sha256(key.get_secret_value().encode()).hexdigest()


def _goes_to_proxy_in_clear(url: str) -> bool:
    """Whether huggingface_hub's client hands a request to a proxy that can read it: it does so for this machine too."""
    parts, proxies = urlsplit(url), getproxies()
    has_proxy = "http" in proxies or "all" in proxies
    return parts.scheme == "http" and has_proxy and not proxy_bypass(parts.netloc)


def provider_key(engine: EngineSettings, provider: str) -> SecretStr | None:
    """The key for a provider's helper, which knows by its form whom to ask: the provider, or Hugging Face's router.

    What the helper makes of it is asked about in turn (``key_for``, ``PROVIDER``), before it is sent.

    Args:
        engine: The settings of the engine.
        provider: The provider that is to be asked.

    Returns:
        The key, None where there is none.

    Raises:
        InputError: The key may not go to that provider, or its environment variable may not be read or is not set.
    """
    key = resolve_api_key(engine)
    if key is None:
        return None
    if engine.endpoint is not None:
        raise InputError(
            f"the engine's key belongs to its endpoint, and would go to provider {provider!r}. Create another engine "
            "for the provider, with a key of Hugging Face's or of the provider's own"
        )
    if _is_hugging_face_key(key):
        return key
    if is_machine_key(engine):
        raise InputError(
            f"the key that was found on the machine is not Hugging Face's (hf_...), so it does not go to {provider!r}. "
            "Give the engine the provider's key: api_key, or api_key_env with a variable of its own"
        )
    if engine.provider != provider:
        raise InputError(
            f"the engine's key is not Hugging Face's, so it belongs to one provider: name {provider!r} in CREATE "
            "ML_ENGINE beside it, and not in CREATE MODEL"
        )
    return key


def key_owner(key: SecretStr, engine: EngineSettings) -> KeyOwner:
    """To whom the key of an engine belongs, by where it was given.

    Args:
        key: The key, as ``resolve_api_key`` found it.
        engine: The settings of the engine.

    Returns:
        The owner.
    """
    if is_machine_key(engine):
        return KeyOwner.MACHINE
    if engine.endpoint is not None:
        return KeyOwner.ENDPOINT
    is_hugging_face = _is_hugging_face_key(key) or engine.provider in _ROUTED_PROVIDERS
    return KeyOwner.HUGGING_FACE if is_hugging_face else KeyOwner.PROVIDER


def _is_hugging_face_key(key: SecretStr) -> bool:
    return key.get_secret_value().startswith(_HUGGING_FACE_KEY)


def health_url(endpoint: str) -> str:
    """Where an endpoint says whether it is up.

    Args:
        endpoint: The engine's.

    Returns:
        ``/health`` beside its ``/models``, its ``/v1`` or the path of an operation, or below it.
    """
    return add_path(server_root(remove_path(endpoint, "/models")), "/health")


def _may_go(owner: KeyOwner, request: _Request) -> bool:
    try:
        origin_of(request.url)
    except ValueError:  # where it would lead cannot be told
        return False
    path = urlsplit(request.url).path.strip("/")
    if not is_secure_url(request.url) or (path and has_detour(path)):
        return False
    if request.engine.endpoint is not None and not _is_below_endpoint(request):
        return False
    return any(is_place(request) for is_place in _PLACES[owner])


def _is_below_endpoint(request: _Request) -> bool:
    endpoint = request.engine.endpoint
    if endpoint is None or request.kind is not RequestKind.SERVER or not is_same_origin(endpoint, request.url):
        return False
    asked, own = _path(request.url), _path(endpoint)
    if _is_below(asked, own):
        return True
    base = _path(server_root(remove_path(endpoint, "/models")))
    if base == own:
        return False
    has_operation = not own.endswith("/models")
    if has_operation and asked in [f"{base}{path}" for path in _OPERATION_PATHS]:
        return True
    return own.endswith(("/models", "/v1")) and any(_is_below(asked, f"{base}{path}") for path in _SERVER_PATHS)


def _is_below(asked: str, own: str) -> bool:
    return asked == own or asked.startswith(f"{own}/")


def _is_router(request: _Request) -> bool:
    if request.kind is RequestKind.PROVIDER:
        from huggingface_hub import constants

        return is_same_origin(request.url, constants.INFERENCE_PROXY_TEMPLATE)
    return request.kind is RequestKind.SERVER and is_same_origin(request.url, ROUTER)


def _is_hub(request: _Request) -> bool:
    if request.kind is not RequestKind.HUB:
        return False
    from huggingface_hub import constants

    return is_same_origin(request.url, constants.ENDPOINT)


def _is_trusted_host(request: _Request) -> bool:
    if request.kind is not RequestKind.SERVER:
        return False
    scheme = urlsplit(request.url).scheme
    hosts = [host for host in request.engine.trusted_hosts if is_host_with_port(host)]
    return any(is_same_origin(request.url, f"{scheme}://{host}") for host in hosts)


def _is_own_provider(request: _Request) -> bool:
    return request.kind is RequestKind.PROVIDER and request.provider == request.engine.provider


_PLACES: Mapping[KeyOwner, tuple[Callable[[_Request], bool], ...]] = {
    KeyOwner.ENDPOINT: (_is_below_endpoint,),
    KeyOwner.PROVIDER: (_is_own_provider,),
    KeyOwner.HUGGING_FACE: (_is_router, _is_hub, _is_trusted_host),
    KeyOwner.MACHINE: (_is_router, _is_hub),
}
"""Where the key of each owner may go."""


def _path(url: str) -> str:
    """The path without empty segments, which no key goes to, and without a slash at its end."""
    return "".join(f"/{segment}" for segment in urlsplit(url).path.split("/") if segment)


def _advice(owner: KeyOwner, request: _Request) -> str:
    """What to do for a key to go along with a request that may carry none."""
    host, engine = urlsplit(request.url).netloc, request.engine
    if not is_secure_url(request.url):
        return f"No key went along, since {host} is neither https nor on this machine"
    if owner is KeyOwner.MACHINE and engine.api_key_env is not None:
        return (
            f"No key went along: api_key_env names {engine.api_key_env}, the machine's own key, which goes to Hugging "
            f"Face only. Where {host} may have it, set {ALLOWED_VARIABLES}={engine.api_key_env} in the environment of "
            "this program, or give the engine a key of its own"
        )
    if owner is KeyOwner.MACHINE:
        return (
            "No key went along: one that is found on the machine goes to Hugging Face only. Give this engine a key of "
            "its own, with api_key or api_key_env"
        )
    if owner is KeyOwner.HUGGING_FACE:
        return (
            f"No key went along: the engine's key is Hugging Face's. Where {host} may have it, name {host} in "
            "trusted_hosts of CREATE ML_ENGINE, or create an engine with this endpoint and the key"
        )
    return f"No key went along: the engine's key belongs to {owner.value}. Create another engine for {host}"
