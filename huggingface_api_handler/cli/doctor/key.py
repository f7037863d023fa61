"""The key of this machine: where it comes from, whose it is and what it may do. Its value is never shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from ...config.credentials import KEY_VARIABLES, resolve_api_key
from ...config.settings import EngineSettings
from ...config.types import key_problem
from ...errors import HuggingFaceAPIError
from ...inference.failures import classify_exception
from ...inference.protocols.key_policy import RequestKind, key_for
from ...inference.protocols.preflight import PREFLIGHT_TIMEOUT_S
from ...inference.runtime.session import Session
from ...printable import printable
from ...redaction import Secret, redact, secret_in_use
from .findings import Finding, State, Wanted

INFERENCE_PERMISSION = "inference.serverless.write"
"""What a fine-grained token needs. The page of tokens calls it 'Make calls to Inference Providers'."""

_FINE_GRAINED = "fineGrained"
_TOKENS_PAGE = "https://huggingface.co/settings/tokens"
_MAX_ANSWER_CHARS = 200
_REFUSED = (401, 403)
_SUCCESS = 200


class _Account(NamedTuple):
    """What whoami-v2 says, as far as it is of use; None where it does not say it."""

    name: str | None
    is_pro: bool | None
    role: str | None
    permissions: dict[str, list[str]]
    """For whom each permission of a fine-grained token holds, by the permission."""


def key(wanted: Wanted) -> Iterator[Finding]:
    """Look at the key.

    Args:
        wanted: Whether the Hub may be asked.

    Yields:
        Where it comes from, to whom it belongs, and what it may do.
    """
    found = resolve_api_key(EngineSettings())
    if found is None:
        yield Finding(
            "key",
            "none: Hugging Face answers few requests without one",
            State.ADVICE,
            f"Make one at {_TOKENS_PAGE} and set {KEY_VARIABLES[0]}. A server of your own may need none.",
        )
        return
    yield _source(found.get_secret_value())
    if wanted.is_offline:
        yield Finding("account", "not asked (--offline)")
        return
    with secret_in_use(Secret.of(found.get_secret_value())):
        findings = list(_asked())
    yield from findings


def _source(value: str) -> Finding:
    values = {name: os.environ[name].strip() for name in KEY_VARIABLES if os.environ.get(name, "").strip()}
    source = f"from the variable {next(iter(values))}" if values else "stored by `hf auth login`"
    data: dict[str, object] = {"variables": list(values), "is_stored_login": not values}
    if (problem := key_problem(value)) is not None:
        return Finding("key", f"{source}; it {problem}", State.PROBLEM, "Set the variable anew, or log in again.", data)
    if len(set(values.values())) > 1:
        ignored = ", ".join(list(values)[1:])
        advice = f"Unset {ignored}: {next(iter(values))} comes first, and they hold other keys."
        return Finding("key", f"{source}; {ignored} differ from it", State.ADVICE, advice, data)
    return Finding("key", source, data=data)


def _asked() -> Iterator[Finding]:
    """Ask the Hub whose the key is."""
    from huggingface_hub import constants

    url = f"{constants.ENDPOINT}/api/whoami-v2"
    decision = key_for(url, EngineSettings(), RequestKind.HUB)
    if decision.key is None:
        yield Finding(
            "account", f"not asked: the key does not go to {constants.ENDPOINT}", State.ADVICE, decision.advice
        )
        return
    try:
        with Session() as session:
            response = session.http.submit(session.http.get(url, decision.headers, PREFLIGHT_TIMEOUT_S)).result()
    except HuggingFaceAPIError as error:
        yield Finding("account", f"not known: {_shown(error)}", State.ADVICE)
        return
    except Exception as error:  # whatever HTTP raises is a finding; `hosts` says what to do
        reason = classify_exception(error, host=url.split("/")[2]).message
        yield Finding("account", f"not known: {reason}", State.ADVICE, "Look at the network below, then again.")
        return
    if response.status in _REFUSED:
        advice = f"Make another one at {_TOKENS_PAGE} with the permission 'Make calls to Inference Providers'."
        yield Finding("account", f"Hugging Face refuses the key ({response.status})", State.PROBLEM, advice)
        return
    account = _account(response.body) if response.status == _SUCCESS else None
    if account is None:
        advice = "Look again later: the Hub answers something else than usual."
        yield Finding("account", f"not known: the Hub answers with {response.status}", State.ADVICE, advice)
        return
    plan = {True: ", PRO", False: ", no PRO", None: ""}[account.is_pro]
    yield Finding(
        "account", f"{account.name or 'unnamed'}{plan}", data={"name": account.name, "is_pro": account.is_pro}
    )
    yield _permissions(account)


def _permissions(account: _Account) -> Finding:
    data = {"role": account.role, "permissions": account.permissions}
    if account.role is None:
        return Finding("permissions", "the Hub does not say them", data=data)
    if account.role != _FINE_GRAINED:
        return Finding("permissions", f"a token of the role '{account.role}', not a fine-grained one", data=data)
    owners = account.permissions.get(INFERENCE_PERMISSION)
    if owners:
        return Finding("permissions", f"fine-grained, with {INFERENCE_PERMISSION} for {', '.join(owners)}", data=data)
    return Finding(
        "permissions",
        f"fine-grained, without {INFERENCE_PERMISSION}: Hugging Face will refuse predictions",
        State.PROBLEM,
        f"Edit the token at {_TOKENS_PAGE}: allow 'Make calls to Inference Providers'.",
        data,
    )


def _account(body: bytes) -> _Account | None:
    try:
        answer = orjson.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    token = _map(_map(answer.get("auth")).get("accessToken"))
    name, is_pro, role = answer.get("name"), answer.get("isPro"), token.get("role")
    return _Account(
        _shown(name) if isinstance(name, str) else None,
        is_pro if isinstance(is_pro, bool) else None,
        _shown(role) if isinstance(role, str) else None,
        _permissions_of(_map(token.get("fineGrained"))),
    )


def _permissions_of(granted: Mapping[str, object]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    everywhere = granted.get("global")
    for permission in everywhere if isinstance(everywhere, list) else []:
        found.setdefault(_shown(permission), []).append("everybody")
    scoped = granted.get("scoped")
    for each in scoped if isinstance(scoped, list) else []:
        permissions, entity = _map(each).get("permissions"), _map(_map(each).get("entity"))
        for permission in permissions if isinstance(permissions, list) else []:
            found.setdefault(_shown(permission), []).append(_shown(entity.get("name", "?")))
    return found


def _map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _shown(value: object) -> str:
    return redact(printable(str(value)))[:_MAX_ANSWER_CHARS]
