"""Where a key may go: a table of where it was given and where the request goes, walked over real connections.

Each name leads to one listener on loopback, which counts as public here. It speaks TLS as those names, and keeps the
host, path and key of all that it is asked.
"""

from __future__ import annotations

import ast
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp.connector
import huggingface_hub
import pandas as pd
import pytest
import trustme
from aiohttp import web

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import HuggingFaceAPIError, InputError
from huggingface_api_handler.inference import Session, predict, public_addresses
from huggingface_api_handler.inference.name_resolver import NameResolver
from huggingface_api_handler.inference.protocols import discovery, hub_providers, preflight
from tests.support.web_server import WebServer

PACKAGE = Path(__file__).resolve().parents[4] / "huggingface_api_handler"
ADDRESS = "127.0.0.9"

DESTINATIONS: dict[str, dict[str, str]] = {
    "own": {},
    "below": {"endpoint": "https://mine.test/team-a/models/o/m"},
    "admin": {"endpoint": "https://mine.test/admin/users"},
    "port": {"endpoint": "https://mine.test:8443/team-a/models"},
    "router": {"endpoint": "https://router.huggingface.co/hf-inference/models"},
    "api": {"endpoint": "https://huggingface.co/api/whoami-v2"},
    "cloud": {"endpoint": "https://x.endpoints.huggingface.cloud"},
    "evil": {"endpoint": "https://huggingface.co.evil.test/models"},
    "gw": {"endpoint": "https://gw.test/tei"},
    "else": {"endpoint": "https://else.test"},
    "clear": {"endpoint": "http://else.test"},
    "together": {"provider": "together", "task": "chat-completion"},
    "hf": {"provider": "hf-inference"},
}
"""Where a model is asked, by what its CREATE MODEL says."""

HF, OWN, GROUP = "hf_GivenWithTheEngine00", "key-of-my-own-server-00", "tgp_KeyOfTheProvider00"
MACHINE, TEAM = "hf_FoundOnTheMachine00", "team-key-in-a-variable0"
MINE = {"endpoint": "https://mine.test/team-a/models"}
VARIABLES = {"HF_TOKEN": MACHINE, "HF_TEAM": TEAM, "CLOUD_SECRET": "AKIA-secret-of-process"}


class Source(NamedTuple):
    """Where a key is given: the engine's arguments, variables, and the key itself."""

    engine: dict[str, Any]
    key: str
    variables: Mapping[str, str] = MappingProxyType({})
    login: bool = False


SOURCES = {
    "given": Source({"api_key": HF}, HF),
    "given, gw trusted": Source({"api_key": HF, "trusted_hosts": "gw.test"}, HF),
    "given, cloud trusted": Source({"api_key": HF, "trusted_hosts": "x.endpoints.huggingface.cloud"}, HF),
    "given with endpoint": Source({"api_key": HF, **MINE}, HF),
    "another's with endpoint": Source({"api_key": OWN, **MINE}, OWN),
    "with endpoint, gw trusted": Source({"api_key": OWN, "trusted_hosts": "gw.test", **MINE}, OWN),
    "provider's": Source({"api_key": GROUP, "provider": "together"}, GROUP),
    "provider's, gw trusted": Source({"api_key": GROUP, "provider": "together", "trusted_hosts": "gw.test"}, GROUP),
    "given with provider": Source({"api_key": HF, "provider": "together"}, HF),
    "found": Source({}, MACHINE, VARIABLES),
    "found, gw trusted": Source({"trusted_hosts": "gw.test"}, MACHINE, VARIABLES),
    "found, with endpoint": Source(MINE, MACHINE, VARIABLES),
    "logged in": Source({}, MACHINE, login=True),
    "logged in, with endpoint": Source(MINE, MACHINE, login=True),
    "HF_TOKEN named, with endpoint": Source({"api_key_env": "HF_TOKEN", **MINE}, MACHINE, VARIABLES),
    "HF_TOKEN named, gw trusted": Source({"api_key_env": "HF_TOKEN", "trusted_hosts": "gw.test"}, MACHINE, VARIABLES),
    "HF_TOKEN listed, with endpoint": Source({"api_key_env": "HF_TOKEN", **MINE}, MACHINE, {**VARIABLES, "HUGGINGFACE_API_KEY_VARIABLES": "HF_TOKEN"}),
    "HF_TEAM named": Source({"api_key_env": "HF_TEAM"}, TEAM, VARIABLES),
    "HF_TEAM named, with endpoint": Source({"api_key_env": "HF_TEAM", **MINE}, TEAM, VARIABLES),
    "a secret named, with endpoint": Source({"api_key_env": "CLOUD_SECRET", **MINE}, VARIABLES["CLOUD_SECRET"], VARIABLES),
    "none": Source({}, ""),
}  # fmt: skip

# K: the key goes along. A dot: the request goes without it. x: it is refused before anything is sent.
TABLE = """
                                 own below admin port router api cloud evil gw else clear together hf  Hub check
given                            K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
given, gw trusted                K   .     .     .    K      .   .     .    K  .    .     K        K   K   Hub
given, cloud trusted             K   .     .     .    K      .   K     .    .  .    .     K        K   K   Hub
given with endpoint              K   K     .     .    .      .   .     .    .  .    .     x        K   .   own
another's with endpoint          K   K     .     .    .      .   .     .    .  .    .     x        K   .   own
with endpoint, gw trusted        K   K     .     .    .      .   .     .    .  .    .     x        K   .   own
provider's                       K   .     .     .    .      .   .     .    .  .    .     K        .   .   -
provider's, gw trusted           K   .     .     .    .      .   .     .    .  .    .     K        .   .   -
given with provider              K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
found                            K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
found, gw trusted                K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
found, with endpoint             .   .     .     .    .      .   .     .    .  .    .     x        .   .   -
logged in                        K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
logged in, with endpoint         .   .     .     .    .      .   .     .    .  .    .     x        .   .   -
HF_TOKEN named, with endpoint    .   .     .     .    .      .   .     .    .  .    .     x        .   .   -
HF_TOKEN named, gw trusted       K   .     .     .    K      .   .     .    .  .    .     K        K   K   Hub
HF_TOKEN listed, with endpoint   K   K     .     .    .      .   .     .    .  .    .     x        K   .   own
HF_TEAM named                    K   .     .     .    K      .   .     .    .  .    .     x        K   K   Hub
HF_TEAM named, with endpoint     K   K     .     .    .      .   .     .    .  .    .     x        K   .   own
a secret named, with endpoint    x   x     x     x    x      x   x     x    x  x    x     x        x   x   x
none                             .   .     .     .    .      .   .     .    .  .    .     x        .   .   -
"""


def rows() -> dict[str, dict[str, str]]:
    head, *lines = TABLE.strip("\n").splitlines()
    columns = head.split()
    width = len(head) - len(head.lstrip())
    return {line[:width].strip(): dict(zip(columns, line[width:].split(), strict=True)) for line in lines}


class Asked(NamedTuple):
    host: str
    path: str
    key: str


class Listener(WebServer):
    """The internet: answers as each of its servers would, and keeps what it was asked, with the key."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.asked: list[Asked] = []
        super().__init__(ADDRESS, [tls, None])
        self.tls_port, self.plain_port = self.ports

    async def _handle(self, request: web.Request) -> web.Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append(Asked(request.host.removesuffix(f":{self.plain_port}"), request.path, key))
        if request.path.endswith("/chat/completions"):
            return web.json_response({"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]})
        if request.method == "POST":
            return web.json_response([[{"label": "A", "score": 0.9}]])
        if request.path.startswith("/api/models/"):
            mapping = {"together": {"providerId": "their/m", "status": "live", "task": "conversational"}}
            mapping["hf-inference"] = {"providerId": "o/m", "status": "live", "task": "text-classification"}
            return web.json_response({"id": "o/m", "pipeline_tag": "text-classification", "inferenceProviderMapping": mapping})  # fmt: skip
        return web.json_response({"name": "ann"}, status=404 if request.path.endswith("/info") else 200)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def listener(authority: trustme.CA) -> Iterator[Listener]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = ["mine.test", "router.huggingface.co", "huggingface.co", "x.endpoints.huggingface.cloud"]
    names += ["huggingface.co.evil.test", "gw.test", "else.test", "api.together.xyz"]
    authority.issue_cert(*names).configure_cert(context)
    running = Listener(context)
    yield running
    running.close()


@pytest.fixture
def internet(listener: Listener, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Every name leads to the listener, whose address counts as public; the Hub is the listener too, by its address."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    real_reason, real_lookup = public_addresses.non_public_reason, socket.getaddrinfo

    async def resolve(_: Any, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        to = listener.plain_port if port == 80 else listener.tls_port
        return [{"hostname": host, "host": ADDRESS, "port": to, "family": socket.AF_INET, "proto": 6, "flags": 0}]

    def lookup(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        """What huggingface_hub's client asks."""
        if str(host)[:4] == "127.":
            return real_lookup(host, port, *arguments, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, listener.plain_port))]

    monkeypatch.setattr(NameResolver, "resolve", resolve)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(
        public_addresses, "non_public_reason", lambda address: None if address == ADDRESS else real_reason(address)
    )
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://{ADDRESS}:{listener.plain_port}")
    mappings: dict[str, Any] = {}
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", mappings)
    monkeypatch.setattr("huggingface_hub.inference._providers._common.HARDCODED_MODEL_INFERENCE_MAPPING", mappings)  # fmt: skip
    listener.asked.clear()
    yield listener


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened


def given(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in source.variables.items():
        monkeypatch.setenv(name, value)
    if source.login:
        monkeypatch.setattr("huggingface_hub.get_token", lambda: MACHINE)


def ask(statement: str, source: Source, using: dict[str, str], session: Session) -> None:
    engine = engine_settings(source.engine)
    task = "chat-completion" if engine.provider and not using else "text-classification"
    arguments = {"task": task, "model": "o/m", "column": "t", "target": "y", **using}
    if statement == "SELECT":
        predict(pd.DataFrame({"t": ["a"]}), arguments, {**source.engine, "cache": False}, session=session)
        return
    model = model_settings(arguments, engine)
    if statement == "DESCRIBE":
        preflight.describe_model(engine, model, session.http, session.servers)
    else:
        discovery.discover(engine, model, session.http)


def outcome(source: Source, using: dict[str, str], asked: list[Asked]) -> str:
    """What arrived at servers: K where the key did, at that destination alone, a dot where none did."""
    found = {(each.host, each.key) for each in asked if each.key}
    if not found:
        return "."
    at_provider = source.key == GROUP and using.get("provider") != "hf-inference"
    ours = "api.together.xyz" if at_provider else "router.huggingface.co"
    named = using.get("endpoint") or source.engine.get("endpoint")
    return "K" if found == {(urlsplit(named).netloc if named else ours, source.key)} else f"elsewhere: {found}"


def is_of_hub(asked: Asked) -> bool:
    return asked.path.startswith("/api/models/") or asked.path.startswith("/o/m/resolve/main/")


@pytest.mark.parametrize("name", SOURCES)
def test_a_key_goes_where_the_table_says(
    name: str, internet: Listener, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, expected = SOURCES[name], rows()[name]
    given(source, monkeypatch)
    wrong: dict[tuple[str, ...], str] = {}
    for destination, using in DESTINATIONS.items():
        for statement in ("CREATE MODEL", "SELECT", "DESCRIBE"):
            internet.asked.clear()
            try:
                ask(statement, source, using, session)
            except InputError:
                found = "x" if internet.asked == [] else f"too late, after {internet.asked}"
            else:
                asked = [each for each in internet.asked if not is_of_hub(each)]
                if asked == [] and statement != "SELECT":  # these two ask only some servers
                    continue
                found = outcome(source, using, asked) if asked else "nothing was asked"
            if found != expected[destination]:
                wrong[destination, statement] = found
            at_hub = {each.key for each in internet.asked if is_of_hub(each)}
            if at_hub - {source.key if expected["Hub"] == "K" else ""}:
                wrong["Hub", destination, statement] = str(at_hub)
    assert wrong == {}


@pytest.mark.parametrize("name", SOURCES)
def test_the_requests_of_create_carry_a_key_only_where_the_table_says(
    name: str, internet: Listener, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, expected = SOURCES[name], rows()[name]
    given(source, monkeypatch)
    engine = engine_settings(source.engine)
    if expected["check"] == "x":
        with pytest.raises(InputError):
            preflight.check_engine(engine, session.http)
        with pytest.raises(InputError):
            preflight.task_of("o/m", engine)
        assert internet.asked == []
        return
    preflight.check_engine(engine, session.http)
    carried = {(asked.path, asked.key) for asked in internet.asked if asked.key}
    paths = {"Hub": {("/api/whoami-v2", source.key)}, "own": {("/team-a/health", source.key)}, "-": set()}
    assert carried == paths[expected["check"]]
    internet.asked.clear()
    assert preflight.task_of("o/m", engine) == "text-classification"
    assert [asked.key for asked in internet.asked] == [source.key if expected["Hub"] == "K" else ""]


@pytest.mark.parametrize(
    "hub",
    ["https://huggingface.co.evil.test", "http://else.test", "https://else.test:8443"],
)
def test_no_address_that_begins_as_the_hubs_is_taken_for_it(
    hub: str, internet: Listener, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.removesuffix(".evil.test").removesuffix(":8443"))
    with suppress(HuggingFaceAPIError):
        preflight.check_engine(engine_settings({"endpoint": f"{hub}/models"}), session.http)
    assert [asked.key for asked in internet.asked] == [""]


def test_a_mirror_of_the_hub_gets_a_key_only_where_nobody_reads_on_the_way(
    internet: Listener, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://else.test")
    assert "neither https nor on this machine" in preflight.check_engine(engine_settings({}), session.http)
    assert preflight.task_of("o/m", engine_settings({})) == "text-classification"
    assert {asked.key for asked in internet.asked} == {""}


@pytest.mark.parametrize(("excepted", "key"), [("", ""), (ADDRESS, MACHINE)])
def test_a_proxy_that_can_read_it_gets_no_key_for_the_hub(
    internet: Listener, monkeypatch: pytest.MonkeyPatch, excepted: str, key: str
) -> None:
    """huggingface_hub's client asks it for addresses of this machine too, where NO_PROXY does not except them."""
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    monkeypatch.setenv("http_proxy", f"http://{ADDRESS}:{internet.plain_port}")
    monkeypatch.setenv("no_proxy", excepted)
    huggingface_hub.close_session()  # which has read the proxies of another environment
    assert preflight.task_of("o/m", engine_settings({})) == "text-classification"
    huggingface_hub.close_session()
    assert {asked.key for asked in internet.asked if "/models/" in asked.path} == {key}


@pytest.mark.parametrize(
    "host", ["https://gw.test", "gw.test/tei", "me@gw.test", "*.gw.test", "gw.test:", "gw.test?", ""]
)
def test_what_is_no_host_is_trusted_with_nothing_and_refused_at_create(
    internet: Listener, session: Session, host: str
) -> None:
    engine = {"api_key": HF, "trusted_hosts": [host], "cache": False}
    with pytest.raises(InputError, match="trusted_hosts names hosts such as"):
        preflight.check_engine(engine_settings(engine), session.http)
    with suppress(HuggingFaceAPIError):
        predict(
            pd.DataFrame({"text": ["a"]}),
            {"task": "text-classification", "column": "text", "model": "m", **DESTINATIONS["gw"]},
            engine,
            session=session,
        )
    assert not any(asked.key for asked in internet.asked)


# --- how the package is cut -------------------------------------------------------------------------------------------


def modules_with(pattern: str) -> set[str]:
    return {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if re.search(pattern, code_of(path))}


@cache
def code_of(path: Path) -> str:
    """The module without its docstrings and comments."""
    module = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [each for each in node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))] or [ast.Pass()]  # fmt: skip
    return ast.unparse(module)


def test_only_the_policy_makes_a_header_of_a_key() -> None:
    policy = "inference/protocols/key_policy.py"
    in_server = {"server/auth.py", "server/__init__.py"}  # the local server reads headers, and sends none
    assert modules_with(r"(?i)['\"](authorization|api-key|bearer )|bearer \{") - in_server - {
        "config/normalize.py"
    } == {policy}
    # What a person at this machine's shell is told of it. It is sent by headers of the policy alone.
    of_the_shell = {"cli/doctor/key.py", "cli/doctor/command.py", "cli/known_names.py"}
    assert modules_with(r"\bresolve_api_key\(") - of_the_shell == {policy, "config/credentials.py"}
    revealing = {policy, "config/types.py", "inference/protocols/hub_providers.py", "inference/protocols/hub_api.py"}
    # Whose password goes to no service.
    of_the_store = {f"inference/storage/redis_{part}.py" for part in ("store", "connection", "upkeep")}
    elsewhere = {"inference/protocols/routing.py"} | of_the_store | of_the_shell
    assert modules_with(r"get_secret_value") - elsewhere == revealing
    showing = {"installation/status.py"}  # it says whether a token is there, to whoever has the machine
    assert modules_with(r"HfApi\(|get_token\(") - showing == {"inference/protocols/hub_api.py", "config/credentials.py"}
