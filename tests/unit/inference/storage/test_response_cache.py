"""Never pay twice: which rows find a stored answer, and which may not."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.storage import response_cache as module
from huggingface_api_handler.inference.storage import response_table as table
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteAnswers
from huggingface_api_handler.inference.storage.tables import PendingRows
from huggingface_api_handler.tasks import Media
from huggingface_api_handler.tasks.input_types import LabelledText, TableRow, TextPair
from tests.conftest import Reply, Service

SENTIMENT = {"task": "text-classification", "model": "m", "column": "text", "target": "y"}
GENERATED = {"task": "chat-completion", "model": "m", "column": "text", "target": "y"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def scores(body: Any, *_: Any) -> Any:
    inputs = body["inputs"] if isinstance(body, dict) else "media"
    texts = inputs if isinstance(inputs, list) else [inputs]
    return [[{"label": "POSITIVE", "score": 0.75}, {"label": "NEGATIVE", "score": 0.25}] for _ in texts]


def chat(body: Any, *_: Any) -> Any:
    return {"choices": [{"message": {"role": "assistant", "content": body["messages"][-1]["content"].upper()}}]}


def sent(service: Service, texts: list[Any], using: dict[str, Any], **engine: Any) -> int:
    """Requests that a query of ``texts`` sends."""
    before = len(service.asked)
    predict(pd.DataFrame({"text": texts}), using, {"endpoint": f"{service.url}/models", **engine})
    return len(service.asked) - before


def test_a_second_run_sends_nothing_and_one_changed_row_is_one_request(service: Service) -> None:
    service.answer = scores
    texts = [f"text {number}" for number in range(100)]
    first = predict(pd.DataFrame({"text": texts}), SENTIMENT, {"endpoint": service.url})
    before = len(service.asked)
    second = predict(pd.DataFrame({"text": texts}), SENTIMENT, {"endpoint": service.url})
    assert len(service.asked) == before
    assert second.attrs["usage"]["stored"] == 100
    pd.testing.assert_frame_equal(first, second)
    predict(pd.DataFrame({"text": ["changed", *texts[1:]]}), SENTIMENT, {"endpoint": service.url})
    assert len(service.asked) == before + 1


def test_a_later_process_finds_them(service: Service) -> None:
    service.answer = scores
    assert sent(service, ["a", "b"], SENTIMENT) == 2
    close_stores()
    assert sent(service, ["a", "b"], SENTIMENT) == 0


def test_what_a_query_was_answered_is_indexed_after_it_and_it_does_not_wait(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = scores
    index, order, returned = table.index, list[str](), threading.Event()

    def later(connection: sqlite3.Connection) -> None:
        returned.wait(5)
        order.append("indexed")
        index(connection)

    monkeypatch.setattr(table, "index", later)
    sent(service, ["a", "b"], SENTIMENT, cache_dir=str(tmp_path))
    order.append("answered")
    returned.set()
    close_stores()
    assert order == ["answered", "indexed"]
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    assert connection.execute("SELECT count(*) FROM answers_by_key").fetchone() == (2,)
    connection.close()


OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "scope": ({}, {"name": "another"}),
    "model": ({"model": "n"}, {}),
    "task": ({"task": "zero-shot-classification", "candidate_labels": ["a"]}, {}),
    "a parameter": ({"parameters": {"top_k": 2}}, {}),
    "another parameter": ({"function_to_apply": "sigmoid"}, {}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_question_is_asked(what: str, service: Service) -> None:
    service.answer = lambda body, *_: scores(body) if "candidate_labels" not in str(body) else {"labels": ["a"], "scores": [1.0]}  # fmt: skip
    assert sent(service, ["a"], SENTIMENT, name="one", cache=True) == 1
    assert sent(service, ["a"], SENTIMENT, name="one", cache=True) == 0
    using, engine = OTHERS[what]
    assert sent(service, ["a"], {**SENTIMENT, **using}, **{"name": "one", "cache": True, **engine}) == 1


def test_another_route_another_input_and_another_preprocessing_are_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = scores
    assert sent(service, ["a"], SENTIMENT, name="one") == 1
    assert sent(service, ["b"], SENTIMENT, name="one") == 1
    assert sent(service, ["a"], SENTIMENT, name="one", endpoint=f"{service.url}/elsewhere") == 1
    monkeypatch.setattr(module, "PREPROCESSING_VERSION", module.PREPROCESSING_VERSION + 1)
    assert sent(service, ["a"], SENTIMENT, name="one") == 1


@pytest.mark.parametrize("argument", ["system_prompt", "output_schema"])
def test_what_is_sent_beside_the_parameters_counts_too(argument: str, service: Service) -> None:
    service.answer = lambda body, *_: {"choices": [{"message": {"role": "assistant", "content": '{"n": 1}'}}]}
    value = {"system_prompt": "Be short.", "output_schema": {"n": "int"}}[argument]
    using = {**GENERATED, "cache": True}
    assert sent(service, ["a"], using) == 1
    assert sent(service, ["a"], {**using, argument: value}) == 1
    assert sent(service, ["a"], {**using, argument: value}) == 0


@pytest.mark.parametrize(
    "using",
    [
        {"threshold": 0.9},
        {"threshold": 0.9, "below_threshold": "?"},
        {"labels": {"POSITIVE": "good", "NEGATIVE": "bad"}},
        {"output": "scores"},
        {"on_error": "raise"},
        {"description": "what it is for"},
        {"max_requests": 5},
        {"target": "z"},
    ],
    ids=str,
)
def test_what_is_not_sent_finds_the_answer_and_reads_it_anew(using: dict[str, Any], service: Service) -> None:
    service.answer = scores
    assert sent(service, ["a"], SENTIMENT) == 1
    before = len(service.asked)
    again = {**SENTIMENT, **using}
    out = predict(pd.DataFrame({"text": ["a"]}), again, {"endpoint": f"{service.url}/models"})
    assert len(service.asked) == before
    read = {"threshold": "uncertain", "labels": "good", "output": {"POSITIVE": 0.75, "NEGATIVE": 0.25}}
    expected = using.get("below_threshold", next((read[name] for name in using if name in read), "POSITIVE"))
    assert out[again["target"]][0] == expected


def test_a_new_key_finds_the_answers_of_the_engine_in_mindsdb_alone(service: Service) -> None:
    service.answer = scores
    frame, model = pd.DataFrame({"text": ["a"]}), model_settings(SENTIMENT)
    for key, scope, asked in (("hf_one", "e", 1), ("hf_two", "e", 1), ("hf_two", "f", 2)):
        engine = engine_settings({"endpoint": service.url, "api_key": key})
        predict_frame(frame, model, engine, scope=Scope(scope, "m"))
        assert len(service.asked) == asked
    by_name = {"endpoint": service.url, "name": "mine"}
    predict(frame, SENTIMENT, {**by_name, "api_key": "hf_one"})
    predict(frame, SENTIMENT, {**by_name, "api_key": "hf_two"})
    assert len(service.asked) == 4, "a name that a person chose may be another's too"


def test_without_a_name_another_account_finds_nothing(service: Service) -> None:
    service.answer = scores
    assert sent(service, ["a"], SENTIMENT, api_key="hf_one") == 1
    assert sent(service, ["a"], SENTIMENT, api_key="hf_two") == 1


def test_media_is_known_by_its_bytes_and_not_by_its_place(service: Service, tmp_path: Path) -> None:
    service.answer = scores
    (tmp_path / "one.png").write_bytes(PNG)
    (tmp_path / "two.png").write_bytes(PNG)
    using = {"task": "image-classification", "model": "m", "column": "text", "target": "y"}
    engine = {"media_dir": str(tmp_path)}
    assert sent(service, ["one.png"], using, **engine) == 1
    assert sent(service, ["two.png"], using, **engine) == 0
    assert sent(service, [PNG], using, **engine) == 0
    assert sent(service, ["data:image/png;base64," + base64.b64encode(PNG).decode()], using, **engine) == 0
    (tmp_path / "two.png").write_bytes(PNG + b"\0")
    assert sent(service, ["two.png"], using, **engine) == 1


def test_neither_null_nor_error_is_stored(service: Service, tmp_path: Path) -> None:
    service.answer = lambda body, *_: scores(body) if "good" in body["inputs"] else Reply({"error": "bad input"}, 400)
    engine = {"cache_dir": str(tmp_path)}
    assert sent(service, ["good", None, "", "bad"], SENTIMENT, **engine) == 2
    close_stores()
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    connection.close()
    assert sent(service, ["good", None, "", "bad"], SENTIMENT, **engine) == 1


DAMAGES = {
    "a digit": "UPDATE answers SET answer = CAST(replace(CAST(answer AS TEXT), '0.75', '0.15') AS BLOB)",
    "empty": "UPDATE answers SET answer = x''",
    "no bytes": "UPDATE answers SET answer = 7",
    "another row's": "CREATE TEMP TABLE t AS SELECT id, answer FROM answers; UPDATE answers SET answer = (SELECT answer FROM t WHERE t.id <> answers.id)",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_answer_is_asked_again(how: str, service: Service, tmp_path: Path) -> None:
    def answer(body: Any, *_: Any) -> Any:
        return [{"label": body["inputs"], "score": 0.75}]

    service.answer = answer
    frame = pd.DataFrame({"text": ["A", "B"]})
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path)}
    predict(frame, SENTIMENT, engine)
    close_stores()
    with sqlite3.connect(tmp_path / "answers.sqlite") as connection:
        connection.executescript(DAMAGES[how])
    connection.close()
    out = predict(frame, SENTIMENT, engine)
    assert list(out["y"]) == ["A", "B"]
    assert list(out["y_confidence"]) == [0.75, 0.75]
    assert len(service.asked) == 4


def test_an_answer_that_this_version_cannot_read_is_asked_again(service: Service, tmp_path: Path) -> None:
    service.answer = scores
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path)}
    frame = pd.DataFrame({"text": ["a"]})
    predict(frame, SENTIMENT, engine)
    store = open_store(str(tmp_path))
    (key,) = store.run(lambda connection: connection.execute("SELECT key FROM answers").fetchone(), None).result()
    data = module._to_bytes(key, {"an": "older form"})
    store.run(lambda connection: connection.execute("UPDATE answers SET answer = ?", (data,)).rowcount, 0).result()
    assert list(predict(frame, SENTIMENT, engine)["y"]) == ["POSITIVE"]
    assert len(service.asked) == 2


def test_use_cache_false_asks_again_and_what_came_is_found_after(service: Service) -> None:
    service.answer = scores
    fresh = {**SENTIMENT, "options": {"use_cache": False}}
    assert [sent(service, ["a"], using) for using in (fresh, fresh, SENTIMENT)] == [1, 1, 0]
    assert service.headers[0]["x-use-cache"] == "false"


def test_generation_is_stored_only_where_that_was_asked_for(service: Service) -> None:
    service.answer = chat
    assert [sent(service, ["a"], GENERATED) for _ in range(2)] == [1, 1]
    assert [sent(service, ["a"], {**GENERATED, "cache": True}) for _ in range(2)] == [1, 0]
    assert [sent(service, ["a"], GENERATED, cache=True) for _ in range(2)] == [0, 0]
    assert sent(service, ["a"], {**GENERATED, "cache": False}, cache=True) == 1


def test_cache_false_neither_finds_nor_keeps(service: Service, tmp_path: Path) -> None:
    service.answer = scores
    assert [sent(service, ["a"], {**SENTIMENT, "cache": False}) for _ in range(2)] == [1, 1]
    assert [sent(service, ["a"], SENTIMENT, cache=False) for _ in range(2)] == [1, 1]
    assert sent(service, ["a"], SENTIMENT) == 1


def test_a_text_and_a_list_that_looks_like_it_are_two_inputs(tmp_path: Path) -> None:
    cache = new_cache(open_store(str(tmp_path)))
    items = ('["a"]', TableRow(("a",)), "a", LabelledText("a", ("b",)), TextPair("a", "b"), Media(b"a", "image/png"), Media(b"a", "image/gif"))  # fmt: skip
    keys = {cache.key(item) for item in items}
    assert len(keys) == 7


class OneSecret(SqliteAnswers):
    """A table whose keys can be foretold."""

    def __init__(self) -> None:
        pass

    def secret(self) -> bytes:
        return b"s" * 32


def key_of(**using: Any) -> str:
    model = model_settings({"task": "feature-extraction", "model": "m", "column": "t", "target": "y", **using})
    return ResponseCache(OneSecret(), "scope", "http://here", model, 1.0, read=False).key("a text").hex()


def test_the_keys_of_models_whose_servers_may_cut_are_what_they_were() -> None:
    """Else nobody would find what was stored by an earlier version."""
    assert {key_of(long_text=way) for way in ("auto", "chunk", "truncate")} == {"d02d5d3a6830343cca949fa9f3545513"}
    assert key_of(task="chat-completion", long_text="error") == "f6dc6a2f375d2c11c9eacfbe770c4704"
    told = key_of(truncate=False)
    assert key_of(truncate=False, long_text="error") == told, "the server was told not to cut before, too"
    assert len({key_of(), key_of(long_text="error"), told}) == 3


def new_cache(store: Store, ttl: float = 100.0) -> ResponseCache:
    return ResponseCache(SqliteAnswers(store), "scope", "http://here", model_settings(SENTIMENT), ttl, read=True)


def test_a_query_that_looks_again_finds_what_another_process_was_answered_meanwhile(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))

    async def scenario() -> None:
        mine, theirs = new_cache(store), new_cache(store)
        key = mine.key("a")
        assert await mine.lookup([key]) == {}
        assert mine.is_known_empty
        theirs.put(key, [1])
        theirs._write(1)  # and it is killed before it indexes
        assert await mine.lookup([key]) == {}
        mine.look_again()
        assert not mine.is_known_empty
        assert await mine.lookup([key]) == {key: [1]}

    asyncio.run(scenario())


def test_answers_expire_after_cache_ttl(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer = scores
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    assert sent(service, ["a"], SENTIMENT, cache_ttl=60) == 1
    now += 59
    assert sent(service, ["a"], SENTIMENT, cache_ttl=60) == 0
    now += 2
    assert sent(service, ["a"], SENTIMENT, cache_ttl=60) == 1


def test_an_expired_answer_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    store = open_store(str(tmp_path))

    async def put(item: str) -> None:
        cache = new_cache(store)
        cache.put(cache.key(item), [1])
        await cache.flush()

    asyncio.run(put("old"))
    now += 101
    asyncio.run(put("new"))
    assert store.run(lambda connection: connection.execute("SELECT count(*) FROM answers").fetchone()[0], 0).result() == 1  # fmt: skip


def test_over_the_size_bound_the_oldest_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 2_000_000
    monkeypatch.setattr(table, "MAX_STORE_BYTES", bound)
    store = open_store(str(tmp_path))

    async def fill() -> tuple[list[bytes], dict[bytes, Any]]:
        cache = new_cache(store)
        keys = [cache.key(f"text {number}") for number in range(2000)]
        for number, key in enumerate(keys):
            cache.put(key, "x" * 4000)
            if number % 50 == 0:
                await cache.flush()
        await cache.flush()
        return keys, await new_cache(store).lookup(keys)

    keys, answers = asyncio.run(fill())
    close_stores()
    size = (tmp_path / "answers.sqlite").stat().st_size
    assert size < bound * 1.5, f"{size} bytes"
    assert 100 < len(answers) < 2000
    assert set(answers) == set(keys[-len(answers) :]), "the newest are kept"


def test_what_lands_while_others_are_written_is_written_after_them_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, written, begun, slow = open_store(str(tmp_path)), list[int](), threading.Event(), threading.Event()
    append = table.append

    def slowly(connection: sqlite3.Connection, rows: PendingRows, **others: Any) -> None:
        written.append(len(rows) // 2)
        begun.set()
        slow.wait(10)
        append(connection, rows, **others)

    monkeypatch.setattr(table, "append", slowly)

    async def put() -> dict[bytes, Any]:
        cache = new_cache(store)
        keys = [cache.key(f"text {number}") for number in range(5)]
        cache.put(keys[0], 0)
        await asyncio.to_thread(begun.wait, 10)
        for number in range(1, 5):
            cache.put(keys[number], number)
            await asyncio.sleep(2 * module._WRITE_DELAY_S)
        slow.set()
        await cache.flush()
        return await new_cache(store).lookup(keys)

    assert sorted(asyncio.run(put()).values()) == [0, 1, 2, 3, 4]
    assert written == [1, 4]


@pytest.mark.parametrize(("each_turn", "written"), [([40, 24], [32, 32]), ([100, 100, 100], [256, 32])])
def test_few_answers_are_written_soon_and_many_in_whole_statements(
    each_turn: list[int], written: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITE_DELAY_S", 1e6)
    store, sizes, append = open_store(str(tmp_path)), list[int](), table.append

    def recorded(connection: sqlite3.Connection, rows: PendingRows, **others: Any) -> None:
        sizes.append(len(rows) // 2)
        append(connection, rows, **others)

    monkeypatch.setattr(table, "append", recorded)

    async def put() -> None:
        cache = new_cache(store)
        for turn, count in enumerate(each_turn):
            for number in range(count):
                cache.put(cache.key(f"{turn} {number}"), number)
            await asyncio.gather(*(asyncio.wrap_future(writing) for writing, _ in cache._writes))
            cache._on_timer()
        pending = sum(each_turn) - sum(sizes)
        await cache.flush()
        assert pending < max(each_turn), "one more turn at most"

    asyncio.run(put())
    assert sizes[: len(written)] == written
    assert sum(sizes) == sum(each_turn)


def test_an_answer_of_media_comes_back_as_it_was(tmp_path: Path) -> None:
    media = Media(bytes(range(256)) * 100, "image/png")

    async def there_and_back() -> Any:
        cache = new_cache(open_store(str(tmp_path)))
        cache.put(cache.key("a cat"), media)
        await cache.flush()
        return await new_cache(open_store(str(tmp_path))).lookup([cache.key("a cat")])

    assert list(asyncio.run(there_and_back()).values()) == [media]


def test_what_is_no_json_is_not_kept_and_the_query_goes_on(tmp_path: Path) -> None:
    async def put() -> dict[bytes, Any]:
        cache = new_cache(open_store(str(tmp_path)))
        cache.put(cache.key("a"), object())
        cache.put(cache.key("b"), 1)
        await cache.flush()
        return await new_cache(open_store(str(tmp_path))).lookup([cache.key("a"), cache.key("b")])

    assert list(asyncio.run(put()).values()) == [1]


def test_one_loop_of_a_cancelled_query_keeps_what_it_has(service: Service) -> None:
    service.answer = scores
    texts = [f"text {number}" for number in range(300)]

    class Later:
        def is_set(self) -> bool:
            return len(service.asked) >= 20

    out = predict(pd.DataFrame({"text": texts}), SENTIMENT, {"endpoint": service.url}, cancel=Later())
    answered = int(out["y_error"].isna().sum())
    assert answered > 0
    again = predict(pd.DataFrame({"text": texts}), SENTIMENT, {"endpoint": service.url})
    assert again.attrs["usage"]["stored"] == answered


@pytest.mark.parametrize("answer", [Media(b"x" * 3_000_000, "image/png"), {"image": "a" * 3_000_000}])
def test_a_large_answer_is_made_bytes_of_and_read_off_the_loop(
    answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def noting(function: Any) -> Any:
        def noted(*arguments: Any) -> Any:
            threads.append(threading.current_thread().name)
            return function(*arguments)

        return noted

    monkeypatch.setattr(module, "_to_bytes", noting(module._to_bytes))
    monkeypatch.setattr(module, "_from_bytes", noting(module._from_bytes))

    async def there_and_back() -> Any:
        cache = new_cache(open_store(str(tmp_path)))
        cache.put(b"k" * 16, "small")
        threads.clear()
        await cache.put_large(cache.key("a cat"), answer)
        await cache.put_large(cache.key("no JSON"), object())
        await cache.flush()
        return await new_cache(open_store(str(tmp_path))).lookup([cache.key("a cat")])

    assert list(asyncio.run(there_and_back()).values()) == [answer]
    assert len(threads) == 3
    assert all(name.startswith("huggingface-api-large") for name in threads)


def test_large_answers_that_are_not_written_yet_hold_up_the_next_requests(tmp_path: Path) -> None:
    async def put() -> list[bool]:
        store, may_write = open_store(str(tmp_path)), threading.Event()
        cache, backlogged = new_cache(store), []
        store.run_untransacted(lambda _connection: may_write.wait(), None)
        for number in range(5):
            await cache.put_large(cache.key(str(number)), "a" * 20_000_000)
            backlogged.append(cache.is_backlogged)
        may_write.set()
        await cache.flush()
        return backlogged

    assert asyncio.run(put()) == [False, False, False, True, True]
