"""A Redis that several machines share: whatever becomes of it, no row is lost and no password is told."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import redis

from huggingface_api_handler import lifecycle
from huggingface_api_handler.config.store_address import StoreAddress, parse_store_address
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import Session, predict
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.storage import quota as quota_module
from huggingface_api_handler.inference.storage import redis_connection, response_cache
from huggingface_api_handler.inference.storage import redis_store as module
from huggingface_api_handler.inference.storage import redis_tables as tables_module
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.redis_store import RedisStore, open_redis_store
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from tests.conftest import Reply, Service
from tests.support.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

ROOT = Path(__file__).parents[4]
USING = {"task": "text-classification", "model": "m", "column": "text", "target": "y"}
SCOPE = Scope("e", "e m")
TEXTS = [f"text {number}" for number in range(400)]
PASSWORD = "quite-a-secret+of/redis"


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_logged", set())
    monkeypatch.setattr(module, "_CHECK_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "_CHECK_SHARE", float("inf"))
    monkeypatch.setattr(quota_module, "_last_counts", {})


@pytest.fixture
def new_store(redis_server: RedisServer) -> Iterator[Callable[[], RedisStore]]:
    """Makes the store of one more machine."""
    stores: list[RedisStore] = []

    def make() -> RedisStore:
        stores.append(store := RedisStore(parse_store_address(redis_server.url)))
        store.wait_until_open()
        return store

    yield make
    for store in stores:
        store.close()


def is_answered(store: RedisStore) -> bool:
    return store.run(lambda client: bool(client.ping()), False).result()


def label(body: Any, *_: Any) -> Any:
    """One request for each row, so that a query takes a while."""
    if isinstance(body["inputs"], list):
        return Reply({"error": "lists are not supported"}, 400)
    return [{"label": body["inputs"], "score": 0.75}]


def ask(service: Service, server: RedisServer, folder: Path, texts: list[str] = TEXTS, **engine: Any) -> int:
    """Predict as one of several machines, check every row, and count the requests."""
    before = len(service.asked)
    close_stores()  # as another process
    arguments = {"endpoint": service.url, "name": "mine", "cache_dir": str(folder), "store": server.url, **engine}
    with Session() as session:
        out = predict(pd.DataFrame({"text": texts}), USING, arguments, session=session)
    assert out["y_error"].isna().all()
    assert list(out["y"]) == texts
    return len(service.asked) - before


def once(service: Service, number: int, action: Callable[[], object]) -> None:
    """Let the service do something once, when it was asked so many times."""
    todo = [action]

    def answer(body: Any, *_: Any) -> Any:
        if len(service.asked) >= number and todo:
            todo.pop()()
        return label(body)

    service.answer = answer


def test_what_one_machine_was_answered_another_does_not_ask(
    service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    service.answer = label
    assert ask(service, redis_server, tmp_path / "one") > 0
    assert ask(service, redis_server, tmp_path / "two") == 0
    assert ask(service, redis_server, tmp_path / "two", ["another", *TEXTS[1:]]) == 1


def test_answers_of_local_stay_on_their_machine_and_usage_and_quotas_do_not(
    service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    service.answer = label
    model = model_settings(USING)
    for machine in ("one", "two", "one"):
        close_stores()
        using = {"endpoint": service.url, "cache_dir": str(tmp_path / machine), "store": redis_server.url}
        engine = engine_settings({**using, "answers": "local", "requests_per_month": 1000, "max_concurrency": 1})
        with Session() as session:
            predict_frame(pd.DataFrame({"text": ["a"]}), model, engine, scope=Scope("e", "e m"), session=session)
            shown = lifecycle.describe(
                "usage", USING, {"id": "m"}, engine, lifecycle.scope_of("e", {"id": "m"}), session
            )
    assert len(service.asked) == 2
    assert list(shown["requests"]) == [2, 0, 1, 1]
    keys = redis_server.cli("KEYS", "*").split("\n")
    assert sum(key.startswith("{hfapi:quota:") for key in keys) == 1
    assert not any(key.startswith(tuple(f"{{hfapi:{nibble:x}}}" for nibble in range(16))) for key in keys)


def test_a_redis_that_is_emptied_in_mid_query_loses_no_row_and_is_used_on(
    service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    def empty() -> None:
        while int(redis_server.cli("DBSIZE")) < 20:  # answers are on their way
            pass
        redis_server.cli("FLUSHALL")

    once(service, 100, empty)
    sent = ask(service, redis_server, tmp_path / "one", max_concurrency=4)
    service.answer = label
    again = ask(service, redis_server, tmp_path / "two")
    assert 0 < again < sent - 100, "what was stored after it was emptied is found, so the secret is the same"
    assert ask(service, redis_server, tmp_path / "three") == 0


def test_the_secret_of_all_machines_survives_what_empties_redis(
    new_store: Callable[[], RedisStore], redis_server: RedisServer
) -> None:
    stores = [new_store() for _ in range(3)]
    (secret,) = {store.secret for store in stores}
    redis_server.cli("FLUSHALL")
    stores[1].run(lambda _client: None, None).result()  # whoever works first puts it back
    assert new_store().secret == secret
    redis_server.cli("FLUSHALL")
    stranger = new_store()
    assert stranger.secret != secret
    for store in stores:
        store.run(lambda _client: None, None).result()
        assert store.secret == stranger.secret


def test_requests_counted_before_redis_was_emptied_count_after_it(
    service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    once(service, 30, lambda: redis_server.cli("FLUSHALL"))
    close_stores()
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "store": redis_server.url, "requests_per_month": 60}
    out = predict(
        pd.DataFrame({"text": [f"{'b' * 50_000} {n}" for n in range(600)]}), {**USING, "cache": False}, engine
    )
    assert len(service.asked) == 60
    assert out["y_error"].str.contains("requests_per_month = 60").any()


def test_a_redis_that_is_killed_in_mid_query_loses_no_row(
    service: Service, redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    once(service, 50, redis_server.kill)
    assert ask(service, redis_server, tmp_path / "one", max_concurrency=4) > 0
    assert caplog.text.count("cannot be used") == 1
    service.answer = label
    assert ask(service, redis_server, tmp_path / "two") > 0, "a query that begins without it goes on too"
    redis_server.start()
    assert ask(service, redis_server, tmp_path / "three") > 0
    assert ask(service, redis_server, tmp_path / "four") == 0


def test_a_store_comes_back_by_itself_and_a_broken_connection_is_made_anew_at_once(
    new_store: Callable[[], RedisStore], redis_server: RedisServer
) -> None:
    store = new_store()
    redis_server.cli("CLIENT", "KILL", "TYPE", "normal")
    assert is_answered(store)
    assert not store.is_away
    redis_server.kill()
    assert not is_answered(store)
    assert store.is_away
    redis_server.start()
    while store.is_away:
        pass
    assert is_answered(store)


def test_a_full_redis_takes_no_answers_and_goes_on_counting(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = label
    model, scope = model_settings(USING), Scope("e", "e m")
    with RedisServer(maxmemory="4mb") as server:
        using = {"endpoint": service.url, "cache_dir": str(tmp_path), "store": server.url, "requests_per_month": 600}
        engine = engine_settings({**using, "max_concurrency": 4})
        fill(server)
        for _ in range(2):
            with Session() as session:
                out = predict_frame(pd.DataFrame({"text": TEXTS[:100]}), model, engine, scope=scope, session=session)
                assert list(out["y"]) == TEXTS[:100]
                shown = lifecycle.describe("usage", USING, {"id": "m"}, engine, scope, session)
        assert len(service.asked) >= 200, "no answer was stored"
        assert shown["requests"][0] == len(service.asked)
        fields = server.cli("HVALS", server.cli("KEYS", "{hfapi:quota:*")).split()
        assert [int(used) for used in fields] == [len(service.asked)]
    assert len(caplog.records) == 1
    assert "refused an operation (it is full: maxmemory is used up)" in caplog.text


def fill(server: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="OOM"):
        while True:
            server.cli("EVAL", "for i = 1, 100 do redis.call('SET', ARGV[1] .. i, string.rep('x', 1000)) end", "0", os.urandom(4).hex())  # fmt: skip


def test_what_must_not_be_dropped_never_expires_and_answers_do(
    service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    service.answer = label
    using = {"endpoint": service.url, "cache_dir": str(tmp_path), "store": redis_server.url, "requests_per_hour": 100}
    engine = engine_settings({**using, "cache_ttl": 1000})
    with Session() as session:
        predict_frame(pd.DataFrame({"text": ["a"]}), model_settings(USING), engine, scope=SCOPE, session=session)
    script = """
    local left = {}
    for _, key in ipairs(redis.call('KEYS', '*')) do
        local is_claim = #key == 26 and string.sub(key, 10, 10) == '!'
        if not (is_claim and redis.call('PTTL', key) > 0) then
            table.insert(left, string.match(key, '^{hfapi:([^:}]+)') .. ' ' .. tostring(redis.call('TTL', key) > 900))
        end
    end
    return left
    """
    left = sorted(line for line in redis_server.cli("EVAL", script, "0").split("\n"))
    assert [line for line in left if line.endswith("false")] == ["quota false", "secret false"] + ["usage false"] * 3
    assert len(left) == 9, "and of the answer, its query, the route and its profile"


ANSWER_NAME_BYTES = len("{hfapi:0}") + response_cache.KEY_BYTES
"""Names of queries are a byte longer, and any byte may be in the others."""

DAMAGES = {
    "a byte is another": "redis.call('SETRANGE', key, 12, 'x')",
    "of somebody else": "redis.call('SET', key, string.rep('x', 80))",
    "short": "redis.call('SET', key, 'x')",
    "another answer's": "redis.call('COPY', other, key, 'REPLACE')",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_an_answer_that_somebody_else_wrote_or_changed_is_asked_again(
    how: str, service: Service, redis_server: RedisServer, tmp_path: Path
) -> None:
    service.answer = label
    assert ask(service, redis_server, tmp_path / "one", ["a", "b"]) > 0
    changed = f"""
    local other = nil
    for _, key in ipairs(redis.call('KEYS', '*')) do
        if string.match(key, '^{{hfapi:%x}}') and #key == {ANSWER_NAME_BYTES} then
            if other then {DAMAGES[how]} end
            other = key
        end
    end
    """
    redis_server.cli("EVAL", changed, "0")
    assert ask(service, redis_server, tmp_path / "two", ["a", "b"]) == 1


def test_an_answer_that_is_right_but_for_its_mac_is_asked_again(
    service: Service, redis_server: RedisServer, new_store: Callable[[], RedisStore], tmp_path: Path
) -> None:
    service.answer = label
    assert ask(service, redis_server, tmp_path / "one", ["a"]) == 1

    def forge(client: redis.Redis) -> int:
        (name,) = (key for key in cast("list[bytes]", client.keys("{hfapi:?}*")) if len(key) == ANSWER_NAME_BYTES)
        value = cast(bytes, client.get(name))
        times, answer, mac = value[:8], value[12:-16].replace(b'"a"', b'"b"'), value[-16:]
        forged = times + response_cache._checksum(name[len("{hfapi:0}") :], answer) + answer + mac
        client.set(name, forged)
        return len(forged) - len(value)

    assert new_store().run(forge, -1).result() == 0
    assert ask(service, redis_server, tmp_path / "two", ["a"]) == 1


def test_a_query_is_counted_once_where_the_connection_breaks_under_it(
    new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, broken = tables_module._insert_usage, [True]

    def breaking(*arguments: Any) -> Any:
        result = insert(*arguments)
        if broken and broken.pop():
            raise redis.ConnectionError("the answer is lost")
        return result

    monkeypatch.setattr(tables_module, "_insert_usage", breaking)
    table = redis_tables(new_store()).usage
    usage_log.record(table, SCOPE, Usage("t", "m", "h", rows=3))
    shown = usage_log.usage_table(table, "e m")
    assert list(shown["rows"]) == [3, 3]
    assert list(shown["queries"]) == [1, 1]


def test_a_wrong_password_loses_no_row_and_no_password_is_told(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = label
    with RedisServer(password=PASSWORD) as server:
        assert ask(service, server, tmp_path / "one") > 0, "without one"
        monkeypatch.setenv("HUGGINGFACE_API_STORE", server.url.replace("//", "//:wrong-of-redis@"))
        assert ask(service, server, tmp_path / "two") > 0
        assert "Authentication required" in caplog.text
        assert "invalid username-password pair" in caplog.text
        assert "wrong-of-redis" not in caplog.text
        escaped = PASSWORD.replace("+", "%2B").replace("/", "%2F")
        monkeypatch.setenv("HUGGINGFACE_API_STORE", server.url.replace("//", f"//:{escaped}@"))
        assert ask(service, server, tmp_path / "three") > 0
        assert ask(service, server, tmp_path / "four") == 0
        assert ask(service, server, tmp_path / "four", store=None) == 0, "the variable alone names the store too"
        address = open_redis_store(parse_store_address(os.environ["HUGGINGFACE_API_STORE"])).address
        for told in (repr(address), str(address), caplog.text):
            assert PASSWORD not in told
            assert escaped not in told


def test_an_error_that_repeats_the_password_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(password=PASSWORD) as server:
        escaped = PASSWORD.replace("+", "%2B").replace("/", "%2F")
        store = RedisStore(parse_store_address(server.url.replace("//", f"//:{escaped}@")))

        def fail(_client: redis.Redis) -> None:
            raise redis.ResponseError(f"AUTH {PASSWORD} {escaped} was wrong")

        store.run(fail, None).result()
        store.close()
    assert "AUTH ... ... was wrong" in caplog.text


def test_a_redis_that_never_answers_holds_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "_TIMEOUT_S", 0.2)
    asked = 0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = RedisStore(StoreAddress("127.0.0.1", silent.getsockname()[1]))
        store.wait_until_open()
        assert store.is_away

        def operation(_client: Any) -> bool:
            nonlocal asked
            asked += 1
            return True

        assert [store.run(operation, False).result() for _ in range(100)] == [False] * 100
        assert asked == 0
        store.close()


def test_whatever_else_listens_there_gets_no_answers(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def speak() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        store = RedisStore(StoreAddress("127.0.0.1", other.getsockname()[1]))
        store.wait_until_open()
        thread.join()
        assert store.is_away
        store.close()
    assert "cannot be used" in caplog.text


def test_a_key_of_somebody_else_in_place_of_the_secret_is_said(
    redis_server: RedisServer, new_store: Callable[[], RedisStore], caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.cli("SET", "{hfapi:secret}", "short")
    assert new_store().is_away
    assert "Delete that key" in caplog.text


@pytest.mark.parametrize("policy", ["noeviction", "volatile-ttl", "allkeys-lru"])
def test_a_policy_that_may_drop_what_is_counted_is_warned_of_once(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with RedisServer(maxmemory="100mb", policy=policy) as server:
        for _ in range(2):
            store = RedisStore(parse_store_address(server.url))
            store.wait_until_open()
            assert not store.is_away
            store.close()
    assert [policy in record.getMessage() for record in caplog.records] == [True] * (policy == "allkeys-lru")


def test_an_encrypted_redis_is_asked_where_its_certificate_is_trusted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(tls=True) as server:
        for is_trusted in (False, True):
            if is_trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
            store = RedisStore(parse_store_address(server.url))
            store.wait_until_open()
            assert store.is_away is not is_trusted
            store.close()
    assert "certificate verify failed" in caplog.text


def test_an_error_of_one_operation_costs_a_warning_and_the_next_one_is_run(
    new_store: Callable[[], RedisStore], caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store()
    for _ in range(3):
        assert store.run(lambda client: bool(client.eval("nonsense", 0)), None).result() is None
    assert store.run(lambda client: 1 // 0, -1).result() == -1
    assert is_answered(store)
    assert caplog.text.count("refused") == 2
    store.close()
    assert not is_answered(store)


def test_sessions_share_a_store_and_the_last_one_closes_it(service: Service, redis_server: RedisServer) -> None:
    engine = engine_settings({"endpoint": service.url, "store": redis_server.url})
    with Session() as one:
        with Session() as two:
            store = one.shared_store(engine)
            assert store is not None
            assert store is two.shared_store(engine)
            query = Query.of(model_settings(USING), engine, two, None)
            assert query.shared_store is store
            assert query.store is two.store(None)
        assert is_answered(store)
    assert not is_answered(store)


def test_a_forked_child_has_a_connection_of_its_own(redis_server: RedisServer) -> None:
    code = f"""
import os
from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.storage.redis_store import open_redis_store
def number():
    store = open_redis_store(parse_store_address({redis_server.url!r}))
    return store.run(lambda client: client.client_id(), None).result()
first = number()
if (child := os.fork()) == 0:
    os._exit(0 if number() not in (None, first) else 1)
assert os.waitpid(child, 0)[1] == 0
assert number() == first
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_without_a_store_redis_is_not_imported(tmp_path: Path) -> None:
    code = f"""
import sys, pandas
from huggingface_api_handler.inference import predict
using = {{**{USING!r}, "dry_run": True}}
predict(pandas.DataFrame({{"text": ["a"]}}), using, {{"endpoint": "http://127.0.0.1:1", "cache_dir": {str(tmp_path)!r}}})
assert "redis" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_where_the_package_is_missing_the_query_says_what_to_install(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(InputError, match=r"pip install 'huggingface_api_handler\[redis\]'"):
        predict(pd.DataFrame({"text": ["a"]}), USING, {"endpoint": service.url, "store": "redis://127.0.0.1:1"})
    assert service.asked == []
