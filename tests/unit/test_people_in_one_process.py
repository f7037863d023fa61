"""Several people in one process, each with a key: what one does neither reaches the others nor tells them anything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.protocols import preflight
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


@pytest.mark.parametrize("label", ["a\\nb", "\\u00e9t\\u00e9", "C:\\\\path\\/to", "\\u003cb\\u003e", "\\", "\\u00"])
def test_other_escapes_spoil_no_answer(label: str) -> None:
    for key in KEYS:
        assert not Secret(key).is_in(b'[[{"label": "%s"}]]' % label.encode())


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
        with pytest.raises(InferenceError, match=rf"^\.\.\. cannot read {guess}\. The key was not accepted"):
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
    service.answer = lambda _, headers, __: labelled(f"of {headers.get('authorization', 'nobody')[-3:]}")
    engine = {"endpoint": service.url, "name": "prod"}
    frame = pd.DataFrame({"text": ["a"]})
    keys = {"api_key": KEYS[0]}, {"api_key": "hf_BobWrongKey999"}, {}
    for _ in range(2):
        assert [predict(frame, USING, {**engine, **key})["y"][0] for key in keys] == ["of Zq9", "of 999", "of ody"]
    assert len(service.asked) == 3


def test_a_limit_holds_for_a_name_whatever_the_key(service: Service) -> None:
    service.answer = lambda *_: labelled("ok")
    engine = {"name": "limited", "requests_per_hour": 2}
    ask(service, KEYS[0], "a", **engine)
    ask(service, "hf_BobWrongKey999", "b", **engine)
    with pytest.raises(InferenceError, match="requests_per_hour = 2 was reached"):
        ask(service, "hf_AThirdKey12345", "c", **engine)
    assert len(service.asked) == 2
