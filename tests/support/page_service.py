"""Who answers the blocks of a page: the local server, or a stand-in that also takes what goes to Hugging Face.

The stand-in answers as ``sql_service`` does. A page may have answers of its own, in ``tests/recorded/pages/NAME.json``: a
list of objects with ``contains``, which is looked for in what is asked, and ``answer``: the text of a chat's answer, or
the JSON of any other. The first that is contained answers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from huggingface_api_handler.inference.protocols import hub_description, key_policy, routing
from tests.conftest import Answer, Service
from tests.support.page_blocks import ROOT, Page
from tests.support.sql_service import running_service

FOLDER = ROOT / "tests" / "recorded" / "pages"


@contextlib.contextmanager
def page_service(page: Page, local_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run who answers a page.

    Args:
        page: The page.
        local_server: Its URL.
        monkeypatch: Leads what this process sends to Hugging Face to the stand-in, and back.

    Yields:
        The URL of who answers, without a path.
    """
    if page.service == "local":
        yield local_server
        return
    service = running_service()
    if page.answers:
        service.answer = _with_answers(json.loads((FOLDER / f"{page.answers}.json").read_text("utf-8")), service)
    with monkeypatch.context() as patch:
        for module in (key_policy, routing, hub_description):
            patch.setattr(module, "ROUTER", service.url)
        patch.setattr(routing, "_HF_INFERENCE_BASE", f"{service.url}/models")
        yield service.url
    service.close()


def _with_answers(answers: list[dict[str, Any]], service: Service) -> Answer:
    others = service.answer

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        is_chat = path.endswith("/chat/completions")
        asked = str(body["messages"][-1]["content"]) if is_chat else json.dumps(body, ensure_ascii=False)
        found = next((each["answer"] for each in answers if each["contains"] in asked), None)
        if found is None:
            return others(body, headers, path)
        if not is_chat:
            return found
        content = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}

    return answer
