"""The order in which a query sends prompts: what begins alike together, the rows and their frames as they were."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd

from huggingface_api_handler.inference import predict, predict_batches
from tests.conftest import Service

USING = {"task": "chat", "model": "m", "column": "text", "target": "y"}


def echo(body: Any, *_: Any) -> Any:
    return {"choices": [{"message": {"content": body["messages"][-1]["content"].upper()}, "finish_reason": "stop"}]}


def engine(service: Service) -> dict[str, Any]:
    service.answer = echo
    return {"endpoint": f"{service.url}/v1", "protocol": "openai", "max_concurrency": 1, "cache": False}


def asked(service: Service) -> list[str]:
    return [body["messages"][-1]["content"] for body in service.asked]


def shuffled(count: int) -> list[str]:
    prompts = [f"{product}: review {number:02d}" for product in "abc" for number in range(count // 3)]
    random.Random(3).shuffle(prompts)
    return prompts


def test_prompts_that_begin_alike_go_one_after_another_and_rows_keep_their_order(service: Service) -> None:
    prompts = shuffled(60)
    out = predict(pd.DataFrame({"text": prompts}), USING, engine(service))
    assert out["y"].tolist() == [prompt.upper() for prompt in prompts]
    first, *others = asked(service)  # the first request of a route goes alone
    assert others == [prompt for prompt in sorted(prompts) if prompt != first]


def test_no_prompt_of_a_later_frame_goes_before_one_of_a_frame_that_is_waited_for(service: Service) -> None:
    prompts = shuffled(60)
    frames = [pd.DataFrame({"text": prompts[start : start + 20]}) for start in (0, 20, 40)]
    outs = list(predict_batches(iter(frames), USING, engine(service)))
    assert pd.concat(outs)["y"].tolist() == [prompt.upper() for prompt in prompts]
    first, *others = asked(service)
    ordered = [prompt for frame in frames for prompt in sorted(frame["text"])]
    assert others == [prompt for prompt in ordered if prompt != first]
