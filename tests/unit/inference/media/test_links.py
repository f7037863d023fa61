"""The model server as a fetcher: what conversations name is held to what cells may name."""

from __future__ import annotations

import json
import socket
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from tests.conftest import Service

USING = {"task": "chat-completion", "messages_column": "m", "target": "y", "model": "m"}
CHAT = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}


def image(url: str) -> str:
    return json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])


def lookups(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> list[str]:
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if str(host).startswith("127."):
            return real(host, port, *arguments, **named)
        asked.append(host)
        if host not in names:
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_table_sends_the_model_server_nowhere_that_a_cell_may_not_name(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = lookups(monkeypatch, {"good.example": "1.1.1.1", "inward.example": "10.0.0.5"})
    service.answer = lambda *_: CHAT
    cells = [
        image("https://good.example/a.png"),
        image("data:image/png;base64,AAAA"),
        json.dumps([{"role": "user", "content": "see http://169.254.169.254/"}]),
        image("http://169.254.169.254/latest/meta-data"),
        image("https://169.254.169.254/latest/meta-data"),
        image("file:///etc/passwd"),
        image("/etc/passwd"),
        image("https://inward.example/a.png"),
        image("https://unknown.example/a.png"),
        image("https://good.example:8443/a.png"),
    ]
    out = predict(pd.DataFrame({"m": cells}), USING, {"endpoint": service.url, "cache": False})
    assert list(out["y"].isna()) == [False] * 3 + [True] * 7
    assert all("the model server may not be sent to" in error for error in out["y_error"][3:])
    assert "private" in out["y_error"][7]
    sent = json.dumps(service.asked)
    for refused in ("latest/meta-data", "/etc/passwd", "inward.example", "unknown.example", "8443"):
        assert refused not in sent
    assert sorted(asked) == ["good.example", "inward.example", "unknown.example"]


def test_an_engine_that_allows_private_media_lets_messages_name_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups(monkeypatch, {"files.company.example": "10.0.0.5"})
    service.answer = lambda *_: CHAT
    engine = {"endpoint": service.url, "cache": False, "allow_private_media": True}
    cells = [image("http://files.company.example:9000/a.png"), image("file:///etc/passwd")]
    out = predict(pd.DataFrame({"m": cells}), USING, engine)
    assert list(out["y"].isna()) == [False, True]
