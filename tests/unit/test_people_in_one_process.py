"""Several people in one process, each with a key: what one does neither reaches the others nor tells them anything."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import _common

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, MediaError
from huggingface_api_handler.inference import Session, predict
from huggingface_api_handler.inference.media import files, loader
from huggingface_api_handler.inference.protocols import hub_providers, preflight
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.redaction import Secret
from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
KEYS = ["hf_AliceSecretZq9Zq9Zq9", "ab+cd/EF==0123456789"]


def ask(service: Service, key: str, text: str = "a", **engine: Any) -> pd.DataFrame:
    return predict(pd.DataFrame({"text": [text]}), USING, {"endpoint": service.url, "api_key": key, **engine})


def labelled(label: str) -> Reply:
    """An answer in whose JSON the label stands as it is written here."""
    return Reply(b'[[{"label": "%s", "score": 0.9}]]' % label.encode())


ESCAPES: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "signs, as .NET writes them": lambda key: key.replace("+", "\\u002B").replace("/", "\\/").replace("hf_", "\\u0068f_"),
    "the first letter": lambda key: f"\\u{ord(key[0]):04x}{key[1:]}",
    "every letter": lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    "every second letter, in capitals": lambda key: "".join(f"\\u{ord(sign):04X}" if at % 2 else sign for at, sign in enumerate(key)),
    "as a URL has it, in lower case": lambda key: "".join(f"%{ord(sign):02x}" if not sign.isalnum() else sign for sign in key),
    "as a URL may have it": lambda key: "".join(f"%{ord(sign):02X}" for sign in key),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key.replace("h", "\u0448")).replace("/", "\\/")[1:-1].replace("\\u0448", "\\u0068"))[1:-1],
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("escape", ESCAPES)
def test_a_key_is_found_in_an_answer_whatever_escapes_hide_it(
    service: Service, tmp_path: Path, key: str, escape: str
) -> None:
    said = ESCAPES[escape](key)
    service.answer = lambda *_: labelled(f"Bearer {said}")
    out = predict(
        pd.DataFrame({"text": ["a"]}),
        {**USING, "on_error": "null"},
        {"endpoint": service.url, "api_key": key, "cache_dir": str(tmp_path)},
    )
    assert out["y"].isna()[0] and "repeats the key" in out["y_error"][0]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Bearer" not in stored


@pytest.mark.parametrize("escape", ESCAPES)
def test_nor_does_the_size_of_an_answer(escape: str) -> None:
    for key in KEYS:
        for filling in (b"", b"a" * 262_140, b"a" * 2_000_000):
            assert Secret(key).is_in(b'["' + filling + ESCAPES[escape](key).encode() + b"b" * len(filling) + b'"]')


@pytest.mark.parametrize("label", ["a\\nb", "\\u00e9t\\u00e9", "C:\\\\path\\/to", "\\u003cb\\u003e", "\\", "\\u00"])
def test_other_escapes_spoil_no_answer(label: str) -> None:
    for key in KEYS:
        assert not Secret(key).is_in(b'[[{"label": "%s"}]]' % label.encode())


@pytest.mark.parametrize("escape", ESCAPES)
def test_nor_does_any_escape_carry_a_key_through_an_error(service: Service, escape: str) -> None:
    for key in KEYS:
        said = ESCAPES[escape](key)
        service.answer = lambda *_, said=said: Reply(f"Bearer {said} is no good".encode(), 401)
        with pytest.raises(InferenceError, match=r"^Bearer \.\.\. is no good\."):
            ask(service, key)


def test_a_server_that_refuses_one_key_is_recognised_by_another(service: Service) -> None:
    tei = {"model_type": {"embedding": {"pooling": "cls"}}, "model_id": "m", "max_client_batch_size": 7}

    def answer(body: Any, headers: dict[str, str], _: str) -> Any:
        if KEYS[0] not in headers.get("authorization", ""):
            return Reply({"error": "no"}, 401)
        return [[0.1, 0.2] for _ in body["inputs"]]

    service.answer = answer
    using = {"task": "feature-extraction", "column": "text", "target": "y", "model": "m"}
    service.info = lambda: Reply({"error": "no"}, 401)
    with pytest.raises(InferenceError):
        predict(pd.DataFrame({"text": ["a"]}), using, {"endpoint": service.url, "api_key": "hf_BobWrongKey999"})
    service.info = tei
    predict(pd.DataFrame({"text": ["a"]}), using, {"endpoint": service.url, "api_key": KEYS[0]})
    assert service.paths[-1] == "/embed"


@pytest.mark.parametrize("key", KEYS)
def test_describe_shows_no_key_that_escapes_hide(service: Service, key: str) -> None:
    said = ESCAPES["every letter"](key)
    service.answer = lambda *_: Reply(b'{"model_id": "m", "sha": "%s", "config": ["%s"]}' % ((said.encode(),) * 2))
    engine = engine_settings({"endpoint": service.url, "api_key": key})
    described = preflight.describe_model(engine, model_settings(USING, engine), default_session().http)
    assert described["model_id"] == "m" and key not in str(described)


def test_another_persons_key_in_an_answer_is_just_text(service: Service) -> None:
    service.answer = lambda *_: labelled("ok")
    ask(service, "hf_ofBobZq9Zq9Zq9Zq9")
    service.answer = lambda *_: labelled("hf_ofBobZq9Zq9Zq9Zq9")
    assert list(ask(service, KEYS[0])["y"]) == ["hf_ofBobZq9Zq9Zq9Zq9"]


def test_an_error_does_not_tell_what_others_have_for_a_key(service: Service) -> None:
    guess = "the-key-of-somebody"
    running, over = threading.Event(), asyncio.Event()

    async def waits(*_: Any) -> Any:
        running.set()
        await over.wait()
        return labelled("ok")

    service.answer = waits
    alice = threading.Thread(target=ask, args=(service, guess), kwargs={"cache": False})
    alice.start()
    assert running.wait(20)
    service.answer = lambda *_: Reply({"error": f"{KEYS[0]} cannot read {guess}"}, 401)
    try:
        with pytest.raises(InferenceError, match=rf"^\.\.\. cannot read {guess}\. This server did not accept the key"):
            ask(service, KEYS[0])
    finally:
        service._loop.call_soon_threadsafe(over.set)
        alice.join(20)


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_is_known_as_long_as_its_request_is_out(service: Service, status: int) -> None:
    running, over = threading.Event(), asyncio.Event()
    key, said = "the-key-of-alice-0123", []

    async def waits(_: Any, headers: dict[str, str], __: str) -> Any:
        running.set()
        await over.wait()
        told = f"you are {headers['authorization']}!"
        return Reply({"error": told}, 401) if status == 401 else labelled(told)

    def alice() -> None:
        try:
            said.append(ask(service, key).to_csv())
        except InferenceError as error:
            said.append(str(error))

    service.answer = waits
    thread = threading.Thread(target=alice)
    thread.start()
    assert running.wait(20)
    service.answer = lambda *_: labelled("ok")
    for number in range(40):
        ask(service, f"another-key-of-others-{number}", cache=False)
    service._loop.call_soon_threadsafe(over.set)
    thread.join(20)
    assert said and key not in said[0]
    assert ("repeats the key" if status == 200 else "you are Bearer ...!") in said[0]


def test_people_who_chose_one_name_share_no_answers(service: Service) -> None:
    service.answer = lambda _, headers, __: labelled(f"of {headers.get('authorization', 'no key')[-3:]}")
    engine = {"endpoint": service.url, "name": "prod"}
    frame = pd.DataFrame({"text": ["a"]})
    keys: list[dict[str, str]] = [{"api_key": KEYS[0]}, {"api_key": "hf_BobWrongKey999"}, {}]
    for _ in range(2):
        assert [predict(frame, USING, {**engine, **key})["y"][0] for key in keys] == ["of Zq9", "of 999", "of key"]
    assert len(service.asked) == 3


def test_a_limit_holds_for_a_name_whatever_the_key(service: Service) -> None:
    service.answer = lambda *_: labelled("ok")
    engine = {"name": "limited", "requests_per_hour": 2}
    ask(service, KEYS[0], "a", **engine)
    ask(service, "hf_BobWrongKey999", "b", **engine)
    with pytest.raises(InferenceError, match="requests_per_hour = 2 was reached"):
        ask(service, "hf_AThirdKey12345", "c", **engine)
    assert len(service.asked) == 2


# --- threads ---------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
SHARED_THREADS = 2
"""Threads of the event loop's own pool in these tests; else there are a few more than processors."""


@pytest.fixture
def session() -> Iterator[Session]:
    async def use_small_pool() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(SHARED_THREADS))

    with Session() as opened:
        opened.http.submit(use_small_pool()).result()
        yield opened


class Stuck:
    """Work that does not come back before it is let go."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.begun = threading.Semaphore(0)
        self._over = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.begun.release()
        self._over.wait(60)
        raise self._error

    @contextmanager
    def held(self, function: Callable[[threading.Event], object], count: int, calls: int = 1) -> Iterator[None]:
        """Call a function on threads, and go on once so much of its work is stuck. It ends with the block."""
        cancel = threading.Event()
        threads = [threading.Thread(target=function, args=(cancel,)) for _ in range(calls)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(count):
                assert self.begun.acquire(timeout=20)
            yield
        finally:
            cancel.set()
            self._over.set()
            for thread in threads:
                thread.join(20)
        assert not any(thread.is_alive() for thread in threads)


IMAGES = {"task": "image-classification", "column": "image", "target": "y", "model": "m", "on_error": "null"}


@pytest.mark.parametrize("what", ["names", "a disk"])
def test_work_of_one_engine_that_is_stuck_leaves_the_others_their_threads(
    service: Service, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    gone = OSError() if what == "names" else MediaError("gone")
    stuck, look_up, read = Stuck(gone), socket.getaddrinfo, files.read_file
    service.answer = lambda *_: labelled("ok")
    for folder in ("slow", "fast"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(PNG)

    def reads(cell: str, folder: Path, size: int) -> bytes:
        return stuck() if folder.name == "slow" else read(cell, folder, size)

    def looks_up(host: str, *more: Any, **named: Any) -> Any:
        return stuck() if host.startswith("slow") else look_up(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", looks_up)
    monkeypatch.setattr(loader, "read_file", reads)
    cells = [f"https://slow{at}.example/x.png" if what == "names" else f"{'./' * at}x.png" for at in range(40)]

    def bob(cancel: threading.Event) -> None:
        engine = {"endpoint": service.url, "api_key": KEYS[1], "media_dir": str(tmp_path / "slow")}
        predict(pd.DataFrame({"image": cells}), IMAGES, engine, session=session, cancel=cancel)

    alices = {"endpoint": f"http://localhost:{service.port}", "api_key": KEYS[0], "media_dir": str(tmp_path / "fast")}
    with stuck.held(bob, SHARED_THREADS):
        out = predict(pd.DataFrame({"image": ["x.png"]}), {**IMAGES, "max_seconds": 20}, alices, session=session)
    assert list(out["y"]) == ["ok"], out["y_error"][0]


def test_an_engine_holds_no_more_threads_than_its_own(
    service: Service, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stuck = Stuck(MediaError("gone"))
    monkeypatch.setattr(loader, "read_file", stuck)

    def bob(cancel: threading.Event) -> None:
        engine = {"endpoint": service.url, "media_dir": str(tmp_path)}
        cells = [f"{'./' * at}x.png" for at in range(8)]
        predict(pd.DataFrame({"image": cells}), IMAGES, engine, session=session, cancel=cancel)

    with stuck.held(bob, 16, calls=4):
        working = [thread for thread in threading.enumerate() if thread.name == "huggingface-api-work"]
        assert len(working) == 16
        assert not stuck.begun.acquire(blocking=False)


def test_jobs_that_are_never_done_leave_the_others_their_threads(
    service: Service, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = Stuck(OSError())
    hub(monkeypatch, service)
    monkeypatch.setattr("time.sleep", stuck)  # by which helpers wait between two looks

    def answer(body: Any, *_: Any) -> Any:
        if isinstance(body, dict) and "prompt" in body:
            return {
                "request_id": "7",
                "status": "IN_QUEUE",
                "response_url": "https://queue.example/fal-ai/m/requests/7",
            }
        return labelled("ok")

    service.answer = answer
    using = {"task": "text-to-video", "column": "text", "target": "y", "model": "o/m", "provider": "fal-ai"}

    def bob(cancel: threading.Event) -> None:
        frame = pd.DataFrame({"text": [f"{at} cats" for at in range(40)]})
        predict(frame, {**using, "on_error": "null"}, {"api_key": KEYS[0]}, session=session, cancel=cancel)

    alices = {"endpoint": f"http://localhost:{service.port}", "api_key": KEYS[1]}
    with stuck.held(bob, SHARED_THREADS):
        out = predict(pd.DataFrame({"text": ["a"]}), {**USING, "max_seconds": 20}, alices, session=session)
    assert list(out["y"]) == ["ok"]


def hub(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    """The Hub knows one model at fal-ai; the router is the test's service."""
    mapping = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider="fal-ai", hf_model_id="o/m", providerId="fal-ai/m", status="live", task="text-to-video"
    )
    models = {"fal-ai": {"o/m": mapping}}
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", models)
    monkeypatch.setattr(hub_providers, "HARDCODED_MODEL_INFERENCE_MAPPING", models)
    monkeypatch.setattr("huggingface_hub.constants.INFERENCE_PROXY_TEMPLATE", service.url + "/{provider}")
