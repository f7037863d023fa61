"""Who serves a model: the Hub asked at CREATE, routes, policies and failing over, against a stand-in of the Hub."""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pandas as pd
import pytest
from huggingface_hub.inference._providers import _common

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control import outage
from huggingface_api_handler.inference.protocols import discovery, hub_api, hub_models, preflight
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.inference.runtime import context
from huggingface_api_handler.inference.runtime.failover import is_for_everybody
from huggingface_api_handler.inference.runtime.session import default_session
from tests.support.hub import PNG, StandInHub, hub_of_a_test

ENGINE = {"api_key": "hf_AskedWithThis"}
SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
FLUX = "black-forest-labs/FLUX.1-dev"
SD3 = "stabilityai/stable-diffusion-3-medium-diffusers"
GPT = "openai/gpt-oss-120b"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    yield from hub_of_a_test(monkeypatch)


def create(task: str, engine: Any = None, **using: Any) -> discovery.Discovery:
    settings = engine_settings(ENGINE if engine is None else engine)
    model = model_settings({"task": task, "column": "t", **using}, settings)
    return discovery.discover(settings, model, default_session().http)


def ask(task: str, cells: list[Any], engine: Any = None, **using: Any) -> pd.DataFrame:
    using = {"task": task, "column": "t", "target": "y", **using}
    return predict(pd.DataFrame({"t": cells}), using, ENGINE if engine is None else engine)


def describe(task: str, engine: Any = None, **using: Any) -> dict[str, object]:
    settings = engine_settings(ENGINE if engine is None else engine)
    model = model_settings({"task": task, "column": "t", **using}, settings)
    return preflight.describe_model(settings, model, default_session().http)


def painters(out: pd.DataFrame) -> list[str]:
    """Which provider made each image."""
    return [base64.b64decode(cell.partition(",")[2]).removeprefix(PNG).decode() for cell in out["y"]]


def providers_asked(hub: StandInHub) -> list[str]:
    return [provider for provider, _, _ in hub.asked]


def in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process was told, as another one would not know it."""
    monkeypatch.setattr(hub_models, "_memory", hub_models._Memory())
    _common.HARDCODED_MODEL_INFERENCE_MAPPING.clear()


# The question


def test_create_asks_the_hub_once_for_task_and_providers(hub: StandInHub) -> None:
    task = preflight.task_of(SST2, engine_settings(ENGINE))
    found = create(task, model=SST2)
    assert task == "text-classification"
    assert len(hub.questions) == 1
    assert "inferenceProviderMapping" in hub.questions[0] and "pipeline_tag" in hub.questions[0]
    assert found["hub"]["model"] == SST2
    assert found["hub"]["asked"][:2] == "20"
    assert [each["provider"] for each in found["hub"]["providers"]] == ["hf-inference"]
    assert json.loads(json.dumps(found)) == found, "it is stored as JSON"


def test_the_question_carries_the_engines_key_and_never_the_machines(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_OfTheMachine")
    create("text-classification", model=SST2)
    with pytest.raises(InputError):
        create("text-classification", model="ann/nobody-serves-this")
    assert {token for _, token in hub.tokens} == {ENGINE["api_key"]}
    hub.tokens.clear()
    create("text-classification", {"api_key": "sk-of-a-server-12345"}, model="ProsusAI/finbert")
    assert {token for _, token in hub.tokens} == {"sk-of-a-server-12345"}


def test_a_stored_answer_of_the_hub_serves_another_process(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = create("text-to-image", model=FLUX)
    in_another_process(monkeypatch)
    hub.questions.clear()
    discovery.DetectedServers().restore(json.loads(json.dumps(found)), engine_settings(ENGINE))
    assert painters(ask("text-to-image", ["a cat"], model=FLUX)) == ["together"]
    assert hub.questions == []


def test_what_was_told_later_counts(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    older = create("text-to-image", model=FLUX)
    older["hub"]["asked"] = "2020-01-01T00:00:00+00:00"
    hub.forget(FLUX, "together")
    in_another_process(monkeypatch)
    newer = create("text-to-image", model=FLUX)
    in_another_process(monkeypatch)
    for found in (older, newer, older):
        discovery.DetectedServers().restore(found, engine_settings(ENGINE))
    assert painters(ask("text-to-image", ["a cat"], model=FLUX)) == ["nscale"]


def test_from_python_the_hub_is_asked_once_a_process(hub: StandInHub) -> None:
    for text in ("a cat", "a dog"):
        ask("text-to-image", [text], model=FLUX)
    assert len(hub.questions) == 1


def test_a_dry_run_asks_nobody(hub: StandInHub) -> None:
    ask("text-to-image", ["a cat"], model=FLUX, dry_run=True)
    assert not hub.questions and not hub.asked


def test_an_endpoint_or_a_named_provider_is_not_for_the_hub_to_choose(hub: StandInHub) -> None:
    assert "hub" not in create("text-classification", model=SST2, provider="hf-inference")
    assert create("text-classification", {"endpoint": hub.url}, model="x:y") == {}
    assert hub.questions == []
    found = create("text-to-image", model=FLUX, provider="nscale")
    assert list(found) == ["provider"]


# The route


def test_hf_inference_comes_first_where_it_is_listed_live(hub: StandInHub) -> None:
    assert painters(ask("text-to-image", ["a cat"], model=SD3)) == ["hf-inference"]


def test_else_the_first_live_provider_that_can_be_asked(hub: StandInHub) -> None:
    hub.models[FLUX]["inferenceProviderMapping"]["together"]["status"] = "staging"
    assert painters(ask("text-to-image", ["a cat"], model=FLUX)) == ["nscale"]
    assert hub.asked[0][2]["model"] == "nscale/flux-dev"


@pytest.mark.parametrize(
    ("task", "using"),
    [
        ("text-ranking", {"column2": "u", "model": "BAAI/bge-reranker-v2-m3"}),
        ("feature-extraction", {}),
        ("sentence-similarity", {"column2": "u"}),
        ("chat-completion", {}),
        ("text-generation", {}),
        ("text-classification", {}),
        ("text-to-image", {}),
    ],
)
def test_models_are_served_that_the_hub_lists_under_a_task_alike(
    hub: StandInHub, task: str, using: dict[str, str]
) -> None:
    assert "problem" not in create(task, **using)["hub"]


def test_a_model_that_nobody_serves_is_refused_with_those_that_are(hub: StandInHub) -> None:
    with pytest.raises(InputError) as error:
        create("text-classification", model="ann/nobody-serves-this")
    message = str(error.value)
    assert "does not serve 'ann/nobody-serves-this' for text-classification: no provider serves it" in message
    assert f"'{SST2}', 'cardiffnlp/twitter-roberta-base-sentiment', 'ProsusAI/finbert'." in message
    assert "unitary" not in message
    assert "give an endpoint" in message
    assert "huggingface-api-handler serve" in message
    assert "inference_provider=all" in hub.questions[-1]
    assert "pipeline_tag=text-classification" in hub.questions[-1]


@pytest.mark.parametrize(
    ("task", "model", "words"),
    [
        ("text-classification", "ann/still-staging", "no provider serves it"),
        ("text-classification", FLUX, "it is served for text-to-image"),
        ("image-text-to-text", "Qwen/Qwen2.5-VL-7B-Instruct", "no provider serves it"),
        ("chat-completion", SST2, "it is served for text-classification"),
        ("text-to-image", "ann/only-at-a-new-one", "a-new-one, which huggingface_hub .* does not know"),
    ],
)
def test_the_refusal_says_what_is_served(hub: StandInHub, task: str, model: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        create(task, model=model)


def test_the_refusal_stands_where_the_hub_lists_nothing(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ConnectionError("https://user:password@hub")

    monkeypatch.setattr(hub_models, "served_models", broken)
    with pytest.raises(InputError, match=r"no provider serves it\. Or give an endpoint") as error:
        create("text-classification", model="ann/nobody-serves-this")
    assert "password" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("audio-classification", {}),
        ("image-to-text", {}),
        ("visual-question-answering", {"question_column": "q"}),
        ("document-question-answering", {"question_column": "q"}),
        ("zero-shot-image-classification", {"candidate_labels": ["a"]}),
        ("zero-shot-object-detection", {"candidate_labels": ["a"]}),
        ("tabular-classification", {"column": None, "columns": ["n"]}),
        ("tabular-regression", {"column": None, "columns": ["n"]}),
    ],
)
def test_a_task_that_hugging_face_does_not_serve_says_so_at_create(
    hub: StandInHub, task: str, columns: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=rf"serves no model for {task} that could be the default.*endpoint.*serve"):
        create(task, **columns)
    assert hub.questions == [], "that is known without the Hub"
    assert create(task, {"endpoint": f"{hub.url}/models"}, **columns) == {}


# The Hub away


def test_a_hub_that_is_away_is_a_warning_and_the_usual_route(hub: StandInHub, caplog: pytest.LogCaptureFixture) -> None:
    hub.is_down = True
    found = create("text-classification", model=SST2)
    assert "problem" in found["hub"]
    assert "could not be asked" in caplog.text
    warning = str(describe("text-classification", model=SST2)["warning"])
    assert warning.startswith("the Hub could not be asked on 20")
    assert list(ask("text-classification", ["a"], model=SST2)["y"]) == ["hf-inference"]
    assert len(hub.questions) == 1, "a Hub that is away is not asked for each query"


def test_a_hub_that_hangs_is_waited_for_no_longer_than_its_time(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(hub_api, "QUESTION_TIMEOUT_S", 0.01)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: never.wait(30.0) and None)
    assert create("text-classification", model=SST2)["hub"]["problem"] == "TimeoutError"
    with pytest.raises(InferenceError, match="could not be asked where nscale serves"):
        ask("text-to-image", ["a cat"], model=FLUX, provider="nscale")
    never.set()


def test_a_model_that_was_renamed_is_asked_for_by_the_name_that_was_given(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub answers with the new name. What it says is of the name that was asked for, and of no other model."""
    hub.models["flux-of-old"] = {**hub.models[FLUX], "id": "ann/new-name"}
    for using in ({"model": "flux-of-old"}, {"model": "flux-of-old", "provider": "nscale"}):
        in_another_process(monkeypatch)
        found = create("text-to-image", **using)
        in_another_process(monkeypatch)
        hub.questions.clear()
        discovery.DetectedServers().restore(json.loads(json.dumps(found)), engine_settings(ENGINE))
        assert ask("text-to-image", ["a cat"], **using)["y"].notna().all()
        assert hub.questions == []
        assert all("ann/new-name" not in models for models in _common.HARDCODED_MODEL_INFERENCE_MAPPING.values())


@pytest.mark.parametrize(
    "odd",
    [
        {"providerId": None},
        {"providerId": ""},
        {"providerId": "x" * 200_000},
        {"providerId": "x\x1b[2J"},
        {"status": None},
        {"status": 7},
        {"task": None},
        {"task": "x" * 200_000},
    ],
)
def test_a_mapping_that_cannot_be_used_is_passed_over(hub: StandInHub, odd: dict[str, Any]) -> None:
    model = copy.deepcopy(hub.models[FLUX])
    model["inferenceProviderMapping"]["together"].update(odd)
    hub.models[FLUX] = {**model, "pipeline_tag": "\x1b[2J" * 50_000}
    found = create("text-to-image", model=FLUX)["hub"]
    assert found["task"] is None
    assert "together" not in [each["provider"] for each in found["providers"]]
    assert painters(ask("text-to-image", ["a cat"], model=FLUX)) == ["nscale"]


def test_what_is_stored_with_one_model_says_nothing_of_another(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = create("text-to-image", model=SD3)
    in_another_process(monkeypatch)
    for mapping in other["hub"]["providers"]:
        mapping.update(hf_model_id=FLUX, providerId="ann/of-somebody-else")
    discovery.DetectedServers().restore(other, engine_settings(ENGINE))
    ask("text-to-image", ["a cat"], model=FLUX, provider="together")
    assert "ann/of-somebody-else" not in json.dumps([body for _, _, body in hub.asked])


def test_what_was_told_to_one_key_is_kept_from_another(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = create("text-to-image", model=FLUX)
    in_another_process(monkeypatch)
    discovery.DetectedServers().restore(found, engine_settings(ENGINE))
    del hub.models[FLUX]
    another = {"api_key": "hf_OfSomebodyElse"}
    assert "providers" not in create("text-to-image", another, model=FLUX)["hub"]
    assert "provider together" not in describe("text-to-image", another, model=FLUX)
    assert painters(ask("text-to-image", ["a cat"], model=FLUX)) == ["together"]


def test_what_is_stored_as_of_tomorrow_does_not_hide_what_is_found_out_later(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = create("text-to-image", model=FLUX)
    in_another_process(monkeypatch)
    old = copy.deepcopy(found)
    old["hub"]["asked"] = "9999-01-01T00:00:00+00:00"
    discovery.DetectedServers().restore(old, engine_settings(ENGINE))
    held = hub_models.known_listing(FLUX, engine_settings(ENGINE))
    assert held is not None and held["asked"] < "9999"


def test_a_name_leads_nowhere_else_at_the_hub(hub: StandInHub) -> None:
    for name in (f"{SST2}?full=true", f"{SST2}#readme", "ann/..;/m"):
        with suppress(InputError):
            assert "problem" in create("text-classification", model=name)["hub"]
    assert hub.questions == []


def test_an_offline_machine_creates_models(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert create("text-classification", model=SST2)["hub"]["problem"] == "OfflineModeIsEnabled"
    assert hub.questions == []


@pytest.mark.parametrize("status", [404, 410, 400])
def test_the_hub_is_asked_again_where_the_usual_route_does_not_serve_the_model(hub: StandInHub, status: int) -> None:
    hub.is_down = True
    create("text-to-image", model=FLUX)
    hub.is_down = False
    hub.failing["hf-inference"] = status
    out = ask("text-to-image", ["a cat", "a dog"], model=FLUX)
    assert painters(out) == ["together", "together"]
    assert len(hub.questions) == 2
    assert out.attrs["usage"]["failovers"] == {f"hf-inference to together ({status})": 1}


def test_a_model_that_nobody_serves_is_told_where_the_route_does_not_serve_it(hub: StandInHub) -> None:
    hub.is_down = True
    create("text-classification", model="ann/nobody-serves-this")
    hub.is_down = False
    hub.failing["hf-inference"] = 404
    with pytest.raises(InferenceError, match="no provider serves it"):
        ask("text-classification", ["a"], model="ann/nobody-serves-this")


# Failing over


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is away is away for long enough at once."""
    monkeypatch.setattr(context, "MAX_AWAY_S", 0.0)
    monkeypatch.setattr(outage, "_FIRST_TRIAL_PAUSE_S", 0.0)


@pytest.mark.parametrize("status", [404, 410, 400, 500, 502, 503])
@pytest.mark.parametrize("rows", [1, 30])
def test_the_next_provider_is_asked_where_one_fails_for_everybody(
    hub: StandInHub, impatient: None, caplog: pytest.LogCaptureFixture, status: int, rows: int
) -> None:
    hub.failing["together"] = status
    out = ask("text-to-image", [f"a cat {row}" for row in range(rows)], model=FLUX)
    assert painters(out) == ["nscale"] * rows
    assert out.attrs["usage"]["failovers"] == {f"together to nscale ({status})": 1}
    assert "together fails for everybody" in caplog.text and "nscale is asked from now on" in caplog.text
    assert providers_asked(hub).count("nscale") == rows


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_or_an_account_that_is_refused_is_no_reason_to_ask_another(hub: StandInHub, status: int) -> None:
    hub.failing["together"] = status
    with pytest.raises(InferenceError):
        ask("text-to-image", ["a cat"], model=FLUX)
    assert set(providers_asked(hub)) == {"together"}


@pytest.mark.parametrize("using", [{"model": FLUX, "provider": "together"}, {"model": f"{FLUX}:together"}])
def test_a_provider_that_was_named_is_never_changed(hub: StandInHub, using: dict[str, str]) -> None:
    hub.failing["together"] = 404
    with pytest.raises(InferenceError):
        ask("text-to-image", ["a cat", "a dog"], **using)
    assert set(providers_asked(hub)) == {"together"}


@pytest.mark.parametrize("status", [404, 400, 422, 500])
def test_rows_that_were_answered_stay_so_and_all_others_are_asked_again(
    hub: StandInHub, impatient: None, status: int
) -> None:
    hub.failing["together"], hub.fails_after["together"] = status, 10
    out = ask("text-to-image", [f"a cat {row}" for row in range(60)], model=FLUX)
    assert sorted(set(painters(out))) == ["nscale", "together"]
    assert 1 <= painters(out).count("together") <= 10, "what was in flight may be asked of the next one"
    assert out["y_error"].isna().all()


def test_a_row_that_is_refused_for_its_own_sake_changes_no_provider(hub: StandInHub) -> None:
    cells = [f"a cat {row}" for row in range(40)]
    hub.refused = {cells[7], cells[21], cells[22]}
    out = ask("text-to-image", cells, model=FLUX)
    assert set(providers_asked(hub)) == {"together"}
    assert out.attrs["usage"]["failovers"] == {}
    assert [row for row in range(40) if out["y"][row] is None] == [7, 21, 22]
    assert out["y_error"][7].startswith("rejected input 404")


def test_errors_of_the_server_are_borne_for_30_s_where_another_can_be_asked() -> None:
    failing = Failure(FailureKind.TRANSIENT, "broken", 500)
    with_other = outage.Outage(300.0, wait_for_model=True, max_away_s=context.MAX_AWAY_S)
    assert with_other.is_cause(failing, 0, 0.0, has_answer=False, open_inputs=100)
    assert with_other.reason_to_stop(failing, 29.9, has_answer=False) is None
    stopped = with_other.reason_to_stop(failing, 30.0, has_answer=False)
    assert stopped is not None and is_for_everybody(stopped)
    alone = outage.Outage(300.0, wait_for_model=True)
    assert not alone.is_cause(failing, 0, 0.0, has_answer=False, open_inputs=100), "tried again, and its row's failure"
    starting = Failure(FailureKind.TRANSIENT, "starting", 503)
    assert alone.is_cause(starting, 0, 0.0, has_answer=False, open_inputs=100)
    assert alone.reason_to_stop(starting, 299.0, has_answer=False) is None


def test_a_model_that_is_gone_is_tried_at_once_where_another_can_be_asked() -> None:
    gone = Failure(FailureKind.FATAL, "gone", 404)
    with_other = outage.Outage(300.0, wait_for_model=True, max_away_s=context.MAX_AWAY_S)
    assert with_other.is_cause(gone, 0, 0.0, has_answer=True, open_inputs=100)
    said = Failure(FailureKind.FATAL, "no", 400, input_message="not supported by provider")
    stopped = with_other.reason_to_stop(said, context.MAX_AWAY_S, has_answer=True)
    assert stopped is not None and is_for_everybody(stopped)
    with_other.pause_s()
    with_other.on_trial_answered()
    assert not with_other.is_cause(gone, 1, 1.0, has_answer=True, open_inputs=100), "a trial has shown it is the input"
    assert not outage.Outage(300.0, wait_for_model=True).is_cause(gone, 0, 0.0, has_answer=True, open_inputs=100)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, False),
        (Failure(FailureKind.FATAL, "x", 404), True),
        (Failure(FailureKind.FATAL, "x", 410), True),
        (Failure(FailureKind.FATAL, "x", 400, input_message="not supported by provider"), True),
        (Failure(FailureKind.FATAL, "x", 502), True),
        (Failure(FailureKind.FATAL, "x", 400), False),
        (Failure(FailureKind.FATAL, "x", 401), False),
        (Failure(FailureKind.FATAL, "x", 402), False),
        (Failure(FailureKind.FATAL, "x", 403, input_message="x"), False),
        (Failure(FailureKind.FATAL, "x", 429), False),
        (Failure(FailureKind.FATAL, "unreachable"), False),
        (Failure(FailureKind.NOT_SENT, "cancelled", 500), False),
    ],
)
def test_what_fails_for_everybody(failure: Failure | None, expected: bool) -> None:
    assert is_for_everybody(failure) is expected


def test_the_answers_of_each_provider_are_found_again(hub: StandInHub) -> None:
    hub.failing["together"], hub.fails_after["together"] = 404, 10
    cells = [f"a cat {row}" for row in range(60)]
    first = ask("text-to-image", cells, model=FLUX, cache=True)
    hub.failing.clear()
    hub.asked.clear()
    hub_models._memory.avoided.clear()
    again = ask("text-to-image", [*cells, "a new one"], model=FLUX, cache=True)
    assert painters(again) == [*painters(first), "together"]
    assert providers_asked(hub) == ["together"]
    ask("text-to-image", cells, model=FLUX, cache=True, dry_run=True)


def test_an_answer_of_one_provider_is_none_of_another_that_was_named(hub: StandInHub) -> None:
    ask("text-to-image", ["a cat"], model=FLUX, cache=True)
    out = ask("text-to-image", ["a cat"], model=FLUX, cache=True, provider="nscale")
    assert painters(out) == ["nscale"]


def test_a_later_query_begins_with_a_provider_that_works(hub: StandInHub) -> None:
    hub.failing["together"] = 404
    ask("text-to-image", ["a cat"], model=FLUX)
    hub.asked.clear()
    ask("text-to-image", ["a dog"], model=FLUX)
    assert providers_asked(hub) == ["nscale"]


def test_the_last_provider_says_why_the_query_ends(hub: StandInHub) -> None:
    hub.failing.update(together=404, nscale=410)
    with pytest.raises(InferenceError, match="not supported by provider nscale"):
        ask("text-to-image", ["a cat", "a dog"], model=FLUX)
    assert providers_asked(hub) == ["together", "nscale"]


def test_requests_to_all_providers_count_as_one_query(hub: StandInHub) -> None:
    hub.failing["together"] = 404
    out = ask("text-to-image", [f"a cat {row}" for row in range(5)], model=FLUX, max_requests=3)
    assert out.attrs["usage"]["requests"] == len(hub.asked) == 3
    assert out["y"].notna().sum() == 2


def test_dollars_of_all_providers_count_in_one_budget(hub: StandInHub) -> None:
    hub.failing["together"], hub.fails_after["together"] = 404, 2
    rows = [f"a cat {row}" for row in range(9)]
    out = ask(
        "text-to-image", rows, {**ENGINE, "max_concurrency": 1}, model=FLUX, max_usd=0.05, prices={"request": 0.01}
    )
    assert set(providers_asked(hub)) == {"together", "nscale"}
    assert out["y"].notna().sum() == 5
    assert out.attrs["usage"]["usd"] == 0.05


def test_the_engines_budget_counts_requests_to_all_providers(hub: StandInHub) -> None:
    hub.failing["hf-inference"], hub.fails_after["hf-inference"] = 404, 0
    engine = {**ENGINE, "requests_per_hour": 3}
    out = ask("text-to-image", [f"a cat {row}" for row in range(6)], engine, model=SD3)
    assert set(providers_asked(hub)) == {"hf-inference", "together"}
    assert len(hub.asked) == 3
    assert out["y"].notna().sum() == 2


def test_many_frames_go_on_at_the_next_provider(hub: StandInHub) -> None:
    from huggingface_api_handler.inference import predict_batches

    hub.failing["together"], hub.fails_after["together"] = 404, 7
    frames = (pd.DataFrame({"t": [f"{number} {row}" for row in range(5)]}) for number in range(12))
    using = {"task": "text-to-image", "column": "t", "target": "y", "model": FLUX}
    out = pd.concat(list(predict_batches(frames, using, ENGINE)))
    assert len(out) == 60
    assert out["y"].notna().all()


# Policies


@pytest.mark.parametrize("policy", ["cheapest", "fastest", "preferred"])
def test_a_policy_goes_to_the_router_behind_the_models_name(hub: StandInHub, policy: str) -> None:
    engine = {**ENGINE, "provider": policy}
    for using, of_engine in (
        ({"model": f"{GPT}:{policy}"}, None),
        ({"model": GPT, "provider": policy}, None),
        ({"model": GPT}, engine),
    ):
        assert create("chat-completion", of_engine, **using)["hub"]["model"] == GPT
        for task in ("chat-completion", "text-generation"):
            assert list(ask(task, ["hello"], of_engine, **using)["y"]) == [f"{GPT}:{policy}"]
    assert {path for _, path, _ in hub.asked} == {"/v1/chat/completions"}


def test_a_provider_behind_the_name_is_that_provider(hub: StandInHub) -> None:
    assert list(ask("chat-completion", ["hello"], model=f"{GPT}:together")["y"]) == [f"{GPT}:together"]
    assert painters(ask("text-to-image", ["a cat"], model=f"{FLUX}:nscale")) == ["nscale"]
    assert painters(ask("text-to-image", ["a cat"], model=f"{SD3}:hf-inference")) == ["hf-inference"]


def test_preferred_is_the_order_of_the_mapping(hub: StandInHub) -> None:
    assert painters(ask("text-to-image", ["a cat"], model=SD3, provider="preferred")) == ["together"]
    assert painters(ask("text-to-image", ["a dog"], model=f"{SD3}:preferred")) == ["together"]


@pytest.mark.parametrize("policy", ["cheapest", "fastest"])
def test_other_tasks_have_no_figures_to_choose_by(hub: StandInHub, policy: str) -> None:
    for using in ({"model": SD3, "provider": policy}, {"model": f"{SD3}:{policy}"}):
        with pytest.raises(InputError, match=f"'{policy}' is for chat"):
            create("text-to-image", **using)
    of_engine = {**ENGINE, "provider": policy}
    assert painters(ask("text-to-image", ["a cat"], of_engine, model=SD3)) == ["hf-inference"]


def test_a_provider_is_said_once(hub: StandInHub) -> None:
    with pytest.raises(InputError, match="said twice"):
        create("chat-completion", model=f"{GPT}:cheapest", provider="together")


def test_a_name_with_a_colon_at_an_endpoint_is_the_models_own(hub: StandInHub) -> None:
    model = model_settings({"task": "chat-completion", "column": "t", "model": "llama3:8b", "endpoint": hub.url})
    route = resolve_route(engine_settings({"allow_private_endpoints": True}), model)
    assert route.model == "llama3:8b"
    assert route.fallbacks is None


@pytest.mark.parametrize("name", ["black-forest-labs", "clarifai", "hyperbolic", "nebius", "nvidia", "sambanova"])
def test_a_provider_that_was_removed_gets_a_sentence(hub: StandInHub, name: str) -> None:
    for using in ({"model": GPT, "provider": name}, {"model": f"{GPT}:{name}"}):
        with pytest.raises(
            InputError, match=f"removed the provider '{name}' on 2026-07-01. Providers of chat"
        ) as error:
            create("chat-completion", **using)
        assert "together" in str(error.value)
        assert "openai," not in str(error.value)


# DESCRIBE


def test_describe_shows_who_serves_a_chat_model_and_at_what_price(hub: StandInHub) -> None:
    shown = describe("chat-completion", model=f"{GPT}:fastest")
    assert shown["provider cerebras"] == {
        "USD per million tokens read": 0.35,
        "USD per million tokens written": 0.75,
        "status": "live",
        "context length": 131072,
        "structured output": False,
        "tools": True,
        "first token (ms)": 230,
        "tokens a second": 1400.5,
        "free": False,
    }
    assert shown["provider together"] == {"status": "error"}, "all but the name may be missing"
    assert str(shown["served as of"])[:2] == "20"


def test_describe_shows_the_hubs_mapping_of_other_models(hub: StandInHub) -> None:
    shown = describe("text-to-image", model=FLUX)
    assert shown["provider"] == "together"
    assert shown["provider nscale"] == {"status": "live", "task": "text-to-image", "name there": "nscale/flux-dev"}
    assert "served as of" in shown


def test_describe_shows_the_mapping_where_the_router_says_nothing(hub: StandInHub) -> None:
    shown = describe("chat-completion", model="meta-llama/Llama-3.1-8B-Instruct")
    assert shown["provider novita"]["status"] == "live"  # type: ignore[index]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"providers": "x"},
        {"providers": [1, {"provider": 7}, {"status": "live"}]},
        {"providers": [{"provider": "p", "pricing": "x", "status": {"a": 1}, "context_length": ["x"]}]},
        {"providers": [{"provider": "p" * 10_000, "status": "s" * 10_000}] * 1000},
        {"providers": [{"provider": ENGINE["api_key"], "status": ENGINE["api_key"]}]},
        {"providers": [{"provider": "p\x1b[2J", "status": "live\x1b[2J\u202e"}]},
    ],
)
def test_describe_shows_nothing_odd_of_the_router(hub: StandInHub, answer: Any) -> None:
    hub.router_models[GPT] = answer
    shown = describe("chat-completion", model=GPT)
    assert ENGINE["api_key"] not in str(shown)
    assert len(str(shown)) < 10_000
    assert "\\x1b" not in str(shown) and "\\u202e" not in str(shown)


def test_describe_of_an_endpoint_says_nothing_of_providers(hub: StandInHub) -> None:
    shown = describe("chat-completion", {"endpoint": hub.url}, model=GPT)
    assert not any(name.startswith(("provider", "served")) for name in shown)
