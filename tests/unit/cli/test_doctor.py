"""The command `doctor`, with a Hub, stores and a Redis that are real as far as a test can have them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import __version__, cli
from huggingface_api_handler.cli.doctor import command, hosts
from huggingface_api_handler.cli.doctor.budgets import budgets
from huggingface_api_handler.cli.doctor.findings import Finding, State, Wanted, worst
from huggingface_api_handler.cli.doctor.key import INFERENCE_PERMISSION
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.flow_control.route_registry import route_name
from huggingface_api_handler.inference.flow_control.stored_profile import SqliteProfileRecord, StoredProfile
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.runtime.budgets import engine_quotas
from huggingface_api_handler.inference.storage import quota
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.sqlite import Store, store_folder
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport.client import proxy_url
from huggingface_api_handler.installation import status as installation_status
from huggingface_api_handler.installation.status import ImportOutcome, Status
from tests.conftest import Reply, Service
from tests.support.redis_server import RedisServer

KEY = "hf_TheKeyOfThisMachine0"
HEALTHY = Status("26.1.0", Path("/site"), "ours", __version__, True, "none", ImportOutcome(__version__, None))


def whoami(role: str = "fineGrained", permissions: tuple[str, ...] = (INFERENCE_PERMISSION,)) -> dict[str, Any]:
    """As the Hub answers."""
    scoped = [{"entity": {"_id": "0", "type": "user", "name": "ann"}, "permissions": list(permissions)}]
    fine = {"fineGrained": {"canReadGatedRepos": True, "global": [], "scoped": scoped}} if role == "fineGrained" else {}
    token = {"displayName": "mine", "role": role, "createdAt": "2026-01-01T00:00:00.000Z", **fine}
    return {
        "type": "user",
        "name": "ann",
        "isPro": True,
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }


@pytest.fixture(autouse=True)
def everything_is_well(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A healthy MindsDB, and a Hub and a router that answer."""
    monkeypatch.setattr(installation_status, "status", lambda **_: HEALTHY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", service.url)
    monkeypatch.setattr(hosts, "ROUTER", service.url)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    service.lists["/v1/models"] = {"object": "list", "data": []}
    service.answer = lambda body, headers, path: whoami() if path.endswith("whoami-v2") else []
    yield
    assert logging.getLogger("huggingface_api_handler").level == logging.NOTSET  # what comes after it is logged again
    proxy_url.cache_clear()


class Told:
    """What the doctor says.

    Attributes:
        status: The exit status.
        text: All that it printed.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        self.document: Mapping[str, Any] = json.loads(text)

    def finding(self, name: str) -> dict[str, Any]:
        """The one finding of a name."""
        (found,) = [each for each in self.document["findings"] if each["name"] == name]
        return dict(found)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Told:
        close_stores()  # the doctor is a process of its own
        status = cli.main(["doctor", "--json", *arguments])
        out, err = capsys.readouterr()
        assert KEY not in out + err and "Traceback" not in out + err
        return Told(status, out)

    return run


def test_where_all_is_well_it_says_so(
    doctor: Any, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    told = doctor()
    assert told.status == 0 and told.document["state"] == "ok", told.text
    assert told.finding("key")["value"] == "from the variable HF_TOKEN"
    assert told.finding("account")["data"] == {"name": "ann", "is_pro": True}
    assert "inference.serverless.write for ann" in told.finding("permissions")["value"]
    for name in ("Hub", "router"):
        assert told.finding(name)["data"]["status"] == 200 and told.finding(name)["data"]["seconds"] >= 0
    assert sorted(service.fetched) == ["/api/models", "/api/whoami-v2", "/v1/models"] and not service.asked
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("Everything works.\n") and KEY not in out
    assert max(map(len, out.splitlines())) <= 110
    assert not store_folder(None).exists(), "a look makes no store"


@pytest.mark.parametrize(
    ("answer", "name", "state", "status", "words"),
    [
        (whoami(permissions=("repo.content.read",)), "permissions", "problem", 1, "without inference.serverless.write"),
        (whoami("read"), "permissions", "ok", 0, "role 'read'"),
        (whoami("write"), "permissions", "ok", 0, "role 'write'"),
        (Reply({"error": "no"}, 401), "account", "problem", 1, "refuses the key (401)"),
        (Reply({"error": "no"}, 429), "account", "advice", 0, "429"),
        (Reply(b"<html>", 200), "account", "advice", 0, "200"),
        ([1], "account", "advice", 0, "200"),
        ({"name": 7, "auth": [], "isPro": "x"}, "permissions", "ok", 0, "does not say"),
        ({**whoami(), "auth": {"accessToken": {"role": "fineGrained", "fineGrained": {"scoped": [7], "global": {}}}}},
         "permissions", "problem", 1, "without"),
        ({**whoami(), "name": f"ann {KEY} \x1b[31m"}, "account", "ok", 0, "ann ..."),
    ],
)  # fmt: skip
def test_what_the_hub_says_of_the_key(
    answer: Any, name: str, state: str, status: int, words: str,
    doctor: Any, service: Service, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", KEY)
    service.answer = lambda body, headers, path: answer if path.endswith("whoami-v2") else []
    told = doctor()
    assert told.status == status
    assert told.finding(name)["state"] == state and words in told.finding(name)["value"]
    assert (told.finding(name)["advice"] != "") == (state != "ok")


def test_the_key_goes_to_the_hub_alone(doctor: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    seen: dict[str, str] = {}

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        seen[path] = headers.get("authorization", "")
        return whoami() if path.endswith("whoami-v2") else []

    service.answer = answer
    service.lists.pop("/v1/models")
    doctor()
    assert seen == {"/api/whoami-v2": f"Bearer {KEY}", "/api/models": "", "/v1/models": ""}


def test_keys_in_several_variables(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor().finding("key")["state"] == "advice", "none"
    monkeypatch.setenv("HUGGINGFACE_API_KEY", KEY)
    monkeypatch.setenv("HUGGINGFACE_TOKEN", KEY)
    assert doctor().finding("key")["state"] == "ok"
    monkeypatch.setenv("HUGGINGFACE_TOKEN", "hf_AnotherKey00000000")
    told = doctor()
    assert told.finding("key")["state"] == "advice" and "HUGGINGFACE_TOKEN" in told.finding("key")["advice"]
    assert "hf_AnotherKey00000000" not in told.text
    monkeypatch.setenv("HUGGINGFACE_API_KEY", "short")
    told = doctor("--offline")
    assert told.status == 1 and told.finding("key")["state"] == "problem"


def test_offline_nothing_is_asked(doctor: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    with socket.create_server(("127.0.0.1", 0)) as redis:
        redis.settimeout(0.1)
        monkeypatch.setenv("HUGGINGFACE_API_STORE", f"redis://127.0.0.1:{redis.getsockname()[1]}/0")
        told = doctor("--offline")
        with pytest.raises(TimeoutError):
            redis.accept()
    assert told.status == 0 and service.fetched == [] and service.connections == set()
    assert all("--offline" in told.finding(name)["value"] for name in ("account", "Hub", "router", "shared store"))


def test_hosts_that_are_away_are_findings(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(hosts, "ROUTER", f"http://127.0.0.1:{port}")
    told = doctor()
    assert told.status == 1
    for name in ("Hub", "router"):
        assert told.finding(name)["state"] == "problem" and str(port) in told.finding(name)["value"]
    assert told.finding("account")["state"] == "advice"
    assert told.finding("HF_ENDPOINT")["state"] == "ok"


def test_a_service_with_a_problem_is_one(doctor: Any, service: Service) -> None:
    service.lists["/v1/models"] = Reply({"error": "down"}, 503)
    told = doctor()
    assert told.status == 1 and "503" in told.finding("router")["value"] and told.finding("Hub")["state"] == "ok"


def test_the_login_of_a_proxy_is_not_shown(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.test")
    monkeypatch.setattr(hosts, "ROUTER", "https://router.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:s3cretpassw0rd@127.0.0.1:1")
    told = doctor()
    assert told.finding("proxy")["value"] == "hub.test by http://127.0.0.1:1, router.test by http://127.0.0.1:1"
    assert "s3cretpassw0rd" not in told.text and "bob" not in told.text
    assert told.finding("Hub")["state"] == "problem" and told.status == 1


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (Status(None, None, "none", None, False, "local"), 0, None),
        (Status("26.1.0", Path("/site"), "shipped", None, False, "none", ImportOutcome("0", None)), 1, "MindsDB's own"),
        (Status("26.1.0", Path("/site"), "ours", "0.0.1", True, "none", ImportOutcome("0", None)), 1, "version 0.0.1"),
        (Status("26.1.0", Path("/site"), "ours", __version__, True, "none", ImportOutcome(None, "E: x")), 1, "E: x"),
        (Status("26.1.0", Path("/site"), "ours", __version__, True, "local", ImportOutcome("0", None)), 0, "version"),
    ],
)
def test_homes(found: Status, status: int, words: str | None, doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation_status, "status", lambda **_: found)
    told = doctor()
    assert told.status == status
    if words is None:
        assert told.finding("MindsDB")["value"] == "not installed in this environment"
        return
    handler = told.finding("handler huggingface_api")
    assert words in handler["value"] and (handler["advice"] != "") == (status == 1)
    cache = told.finding("MindsDB's prediction cache")
    assert cache["state"] == ("advice" if found.prediction_cache == "local" else "ok")


def test_the_store_and_its_hits(doctor: Any, service: Service, tmp_path: Path) -> None:
    labelled = lambda body, *_: [{"label": "A", "score": 1.0}]  # noqa: E731
    service.answer = labelled
    using = {"task": "text-classification", "column": "text"}
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path)}
    predict(pd.DataFrame({"text": [f"text {number}" for number in range(40)]}), using, engine)
    usage = Usage("text-classification", "org/model", "h", rows=8, distinct=8, cache_hits=6, requests=2)
    store = Store(tmp_path)
    usage_log.record(sqlite_tables(store).usage, Scope("e1", "e1 m1"), usage)
    store.close()
    told = doctor("--cache-dir", str(tmp_path))
    assert told.status == 0
    answers = told.finding("answer store")
    assert answers["data"]["answers"] == 40 and "40 answers" in answers["value"]
    assert time.time() - 60 < answers["data"]["oldest"] <= time.time()
    assert answers["data"]["file_bytes"] == (tmp_path / "answers.sqlite").stat().st_size
    assert told.finding("hits")["data"] == {"inputs": 8, "stored": 6, "by_engine": {"engine e1": 0.75}}
    assert "75% of 8 inputs" in told.finding("hits")["value"]
    (route,) = [each for each in told.document["findings"] if each["subject"] == "routes"]
    assert route["name"].startswith("route ") and "requests at once" in route["value"]


def test_a_store_that_cannot_be_used_is_a_problem(doctor: Any, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.wait_until_open()
    store.close()
    (tmp_path / "answers.sqlite").chmod(0o644)
    told = doctor("--cache-dir", str(tmp_path))
    found = told.finding("answer store")
    assert told.status == 1 and found["state"] == "problem" and "chmod 600" in found["value"]


def test_the_shared_store(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(password="hunter2-hunter2") as server:
        address = server.url.replace("//", "//:hunter2-hunter2@")
        monkeypatch.setenv("HUGGINGFACE_API_STORE", address)
        shared = RedisStore(parse_store_address(address))
        usage = Usage("t", "m", "h", distinct=4, cache_hits=1)
        tables = redis_tables(shared)
        usage_log.record(tables.usage, Scope("e", "e m"), usage)
        tables.usage.select("e m", 0)
        shared.close()
        told = doctor()
        assert told.status == 0 and "no answers" in told.finding("shared store")["value"]
        assert told.finding("hits")["data"]["inputs"] == 4
        monkeypatch.setenv("HUGGINGFACE_API_STORE", server.url.replace("//", "//:not-the-password-0@"))
        told = doctor()
        assert told.status == 1 and told.finding("shared store")["state"] == "problem"
        assert "not-the-password-0" not in told.text and "hunter2" not in told.text
    monkeypatch.setenv("HUGGINGFACE_API_STORE", "redis://127.0.0.1:x")
    told = doctor()
    assert told.status == 1 and "HUGGINGFACE_API_STORE" in told.finding("shared store")["value"]


def test_a_route_of_a_model_that_was_used_is_named(
    doctor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    engine = EngineSettings()
    model = model_settings({"task": "text-classification", "model": "org/model", "column": "text"}, engine)
    route = resolve_route(engine, model, may_ask=False)
    store = Store(tmp_path)
    store.wait_until_open()
    StoredProfile(SqliteProfileRecord(store, route_name(route))).save(RouteProfile(), {"places": 12.0, "rate": 3.5})
    used = Usage("text-classification", "org/model", "router.huggingface.co", rows=1)
    usage_log.record(sqlite_tables(store).usage, Scope("e", "e m"), used)
    store.close()
    told = doctor("--cache-dir", str(tmp_path))
    found = told.finding("org/model at router.huggingface.co")
    assert "12 requests at once, 3.50 requests a second" in found["value"] and "0 min ago" in found["value"]


@pytest.mark.parametrize("where", ["SQLite", "Redis"])
def test_what_is_left_of_a_budget(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_last_counts", {})
    arguments = {"requests_per_month": 100, "usd_per_month": 2.5}
    engine: Any = SimpleNamespace(name="hf", id="0123", arguments=arguments)
    full: Any = SimpleNamespace(name="full", id="4567", arguments={"requests_per_hour": 1})
    own: Any = SimpleNamespace(name="own", id="89", arguments={**arguments, "cache_dir": "/somewhere"})
    free: Any = SimpleNamespace(name="free", id="ab", arguments={})

    async def reserve(tables: Any) -> None:
        for each, count in ((engine, 85), (full, 1)):
            (first, *_) = engine_quotas(engine_settings(each.arguments), tables.quotas, each.id.encode())
            for _ in range(count):
                await first.reserve()
            await first.release()

    def found(store: Any, wanted: Wanted) -> dict[str, Finding]:
        asyncio.run(reserve(sqlite_tables(store) if isinstance(store, Store) else redis_tables(store)))
        store.close()
        return {each.name: each for each in budgets(wanted, [engine, full, own, free])}

    if where == "SQLite":
        said = found(Store(tmp_path), Wanted(False, str(tmp_path), None, [Path("x")]))
    else:
        with RedisServer() as server:
            address = parse_store_address(server.url)
            said = found(RedisStore(address), Wanted(False, None, address, [Path("x")]))
    assert said["requests_per_month of hf"].value.startswith("15 of 100 are left")
    assert said["requests_per_month of hf"].state is State.ADVICE
    assert said["usd_per_month of hf"].value.startswith("2.5 of 2.5 are left")
    assert said["requests_per_hour of full"].state is State.PROBLEM
    assert "cache_dir" in said["budgets of own"].value and len(said) == 4


def test_what_goes_wrong_in_one_subject_is_a_finding(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(**_: object) -> Status:
        raise ZeroDivisionError("with the details")

    monkeypatch.setattr(installation_status, "status", breaks)
    told = doctor()
    assert told.status == 1 and "ZeroDivisionError" in told.finding("homes")["value"]
    assert "with the details" not in told.text and told.finding("Hub")["state"] == "ok"


def test_a_file_that_cannot_be_read_is_a_finding(doctor: Any, tmp_path: Path) -> None:
    told = doctor("--database", str(tmp_path / "no.duckdb"))
    assert told.status == 1 and told.finding(str(tmp_path / "no.duckdb"))["state"] == "problem"


def test_the_worst_counts() -> None:
    assert worst([]) is State.OK
    assert worst([Finding("a", "", State.ADVICE), Finding("b", "", State.PROBLEM)]) is State.PROBLEM
    assert command._MARKS.keys() == set(State)
