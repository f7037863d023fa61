"""Where requests go, and that a key goes only where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference.protocols.key_policy import RequestKind, key_for, without_key
from huggingface_api_handler.inference.protocols.routing import resolve_route

HF = "https://router.huggingface.co/hf-inference/models"
KEY = "a-key-of-the-engine"


def routed(engine: dict[str, Any], **using: Any) -> Any:
    checked = engine_settings(engine)
    given = {"task": "text-classification", "column": "t", "target": "y", **using}
    return resolve_route(checked, model_settings(given, checked))


@pytest.mark.parametrize(
    ("engine", "using", "url"),
    [
        ({}, {"model": "a/b"}, f"{HF}/a/b"),
        ({}, {"model": "a/b", "task": "feature-extraction"}, f"{HF}/a/b/pipeline/feature-extraction"),
        ({}, {"model": "a/b", "task": "sentence-similarity", "column2": "u"}, f"{HF}/a/b/pipeline/sentence-similarity"),
        ({}, {"model": "a/b:fastest", "task": "chat-completion"}, "https://router.huggingface.co/v1/chat/completions"),
        ({}, {"model": "a/b", "task": "text-generation"}, "https://router.huggingface.co/v1/chat/completions"),
        ({"endpoint": "https://x.endpoints.huggingface.cloud/"}, {}, "https://x.endpoints.huggingface.cloud"),
        ({"endpoint": "http://127.0.0.1:8900/models"}, {"model": "a/b"}, "http://127.0.0.1:8900/models/a/b"),
        ({"endpoint": "http://127.0.0.1:1/models"}, {"model": "a/b", "task": "embeddings"}, "http://127.0.0.1:1/models/a/b/pipeline/feature-extraction"),
        ({"endpoint": "http://127.0.0.1:1"}, {"task": "chat"}, "http://127.0.0.1:1/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1/v1"}, {"task": "chat"}, "http://127.0.0.1:1/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1/models"}, {"task": "chat", "model": "a/b"}, "http://127.0.0.1:1/models/a/b/v1/chat/completions"),
        ({"endpoint": "http://127.0.0.1:1"}, {"endpoint": "https://other.example/x"}, "https://other.example/x"),
        ({}, {"model": "etc/passwd?x=1#y"}, f"{HF}/etc/passwd%3Fx%3D1%23y"),
        ({"endpoint": "http://127.0.0.1:1"}, {"task": "chat", "model": "/data/llama"}, "http://127.0.0.1:1/v1/chat/completions"),
        ({"endpoint": "https://bücher.example/models"}, {"model": "a/b"}, "https://xn--bcher-kva.example/models/a/b"),
    ],
)  # fmt: skip
def test_urls(engine: dict[str, Any], using: dict[str, Any], url: str) -> None:
    assert routed(engine, **using).url == url


@pytest.mark.parametrize(
    ("engine", "using", "goes"),
    [
        ({"api_key": KEY}, {}, True),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {}, True),
        ({"api_key": KEY, "endpoint": "http://127.0.0.1:1"}, {}, True),
        ({"api_key": KEY}, {"endpoint": "https://x.endpoints.huggingface.cloud"}, False),
        (
            {"api_key": KEY, "trusted_hosts": "x.endpoints.huggingface.cloud"},
            {"endpoint": "https://x.endpoints.huggingface.cloud"},
            True,
        ),
        ({"api_key": KEY, "endpoint": "https://x.endpoints.huggingface.cloud"}, {}, True),
        ({"api_key": KEY}, {"endpoint": "https://huggingface.co/api/whoami-v2"}, False),
        ({"api_key": KEY}, {"endpoint": "https://api.endpoints.huggingface.cloud/v2/endpoint/acme/prod/resume"}, False),
        ({"api_key": KEY}, {"endpoint": "https://router.huggingface.co/hf-inference/models"}, True),
        ({"api_key": KEY}, {"endpoint": "https://router.huggingface.co:8443/hf-inference/models"}, False),
        ({"api_key": KEY}, {"endpoint": "https://elsewhere.example"}, False),
        ({"api_key": KEY, "allow_private_endpoints": True}, {"endpoint": "http://127.0.0.1:1"}, False),
        ({"api_key": KEY}, {"endpoint": "http://huggingface.co"}, False),
        ({"api_key": KEY}, {"endpoint": "https://huggingface.co.evil.example"}, False),
        ({"api_key": KEY}, {"endpoint": "https://evilhuggingface.co"}, False),
        ({"api_key": KEY}, {"endpoint": "https://evil.example/huggingface.co"}, False),
        ({"api_key": KEY, "trusted_hosts": "gw.example"}, {"endpoint": "https://gw.example/tei"}, True),
        ({"api_key": KEY, "trusted_hosts": "GW.example."}, {"endpoint": "https://gw.example/tei"}, True),
        ({"api_key": KEY, "trusted_hosts": "gw.example"}, {"endpoint": "https://gw.example:8443/tei"}, False),
        ({"api_key": KEY, "trusted_hosts": "gw.example:8443"}, {"endpoint": "https://gw.example:8443/tei"}, True),
        ({"api_key": KEY, "trusted_hosts": "gw.example"}, {"endpoint": "https://a.gw.example/tei"}, False),
        ({"api_key": KEY, "trusted_hosts": ["gw.example"]}, {"endpoint": "http://gw.example/tei"}, False),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://router.huggingface.co/x"}, False),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://mine.example/other"}, True),
        ({"api_key": KEY, "endpoint": "https://mine.example"}, {"endpoint": "https://mine.example:8443"}, False),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/team-a/models"},
            {"endpoint": "https://mine.example/team-a/models/x/y"},
            True,
        ),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/team-a/models"},
            {"endpoint": "https://MINE.example:443/team-a/v1"},
            True,
        ),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/team-a/models"},
            {"endpoint": "https://mine.example/team-a/models2"},
            False,
        ),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/team-a/models"},
            {"endpoint": "https://mine.example/team-a/admin"},
            False,
        ),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/team-a/models"},
            {"endpoint": "https://mine.example/admin/users"},
            False,
        ),
        (
            {"api_key": KEY, "endpoint": "https://mine.example/models"},
            {"endpoint": "https://mine.example/admin/users"},
            False,
        ),
        (
            {"api_key": "tgp_KeyOfTogether", "provider": "together"},
            {"endpoint": "https://router.huggingface.co/x"},
            False,
        ),
        (
            {"api_key": "tgp_KeyOfTogether", "provider": "together", "trusted_hosts": "gw.example"},
            {"endpoint": "https://gw.example"},
            False,
        ),
        ({"api_key": "tgp_KeyOfTogether", "provider": "together"}, {"provider": "hf-inference"}, False),
        ({"api_key": "hf_KeyOfTheHub", "provider": "together"}, {"provider": "hf-inference"}, True),
    ],
)
def test_a_key_goes_only_to_the_place_it_was_given_with(engine: dict[str, Any], using: dict[str, Any], goes: bool) -> None:  # fmt: skip
    where = routed(engine, **using)
    assert where.has_key is goes
    assert ("authorization" in where.headers) is goes
    assert KEY not in repr(where)


@pytest.mark.parametrize("sign", ["\\", "%2f", "%5c", "%23", "%40", "%00", "%EF%BC%8F", ";", "&", "#", "?", "/", "。"])
def test_a_host_that_two_parsers_could_read_two_ways_gets_no_key(sign: str) -> None:
    for host in (f"evil.example{sign}.huggingface.co", f"evil.example{sign}router.huggingface.co"):
        try:
            route = routed({"api_key": KEY}, endpoint=f"https://{host}")
        except InputError:
            continue
        assert not route.has_key


def test_the_machines_own_token_stays_with_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    assert routed({}).headers["authorization"] == "Bearer hf_ambient"
    for engine in (
        {"endpoint": "http://127.0.0.1:1"},
        {"endpoint": "https://mine.example"},
        {"endpoint": "https://x.endpoints.huggingface.cloud"},
        {"endpoint": "http://127.0.0.1:1", "api_key_env": "HF_TOKEN"},
    ):
        assert not routed(engine).has_key
        assert "hf_ambient" not in str(routed(engine).headers)


def test_the_stored_login_is_found_last_and_stays_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_stored")
    assert routed({}).headers["authorization"] == "Bearer hf_stored"
    assert "hf_stored" not in str(routed({"endpoint": "http://127.0.0.1:1"}).headers)


def test_headers_say_who_pays_and_what_the_options_ask() -> None:
    headers = routed({"api_key": KEY, "bill_to": "my-org"}, options={"use_cache": False}).headers
    assert headers["x-hf-bill-to"] == "my-org"
    assert headers["x-use-cache"] == "false"
    assert headers["x-wait-for-model"] == "true"
    assert routed({}, options={"wait_for_model": False}).headers["x-wait-for-model"] == "false"


def test_an_engine_without_endpoint_asks_hugging_face_only_over_https() -> None:
    engine = engine_settings({"api_key": KEY})
    assert key_for("https://router.huggingface.co/v1", engine).key is not None
    assert key_for("http://router.huggingface.co/v1", engine).key is None


def test_the_machines_token_stays_home_where_an_engine_trusts_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    engine = {"trusted_hosts": "gw.example, 127.0.0.1:1", "allow_private_endpoints": True}
    for endpoint in ("https://gw.example", "http://127.0.0.1:1"):
        for given in ({}, {"api_key_env": "HF_TOKEN"}):
            assert "hf_ambient" not in str(routed({**engine, **given}, endpoint=endpoint).headers)


def test_no_key_of_an_engine_with_an_endpoint_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    for endpoint in ("https://evil.us-east-1.aws.endpoints.huggingface.cloud", "https://router.huggingface.co/x"):
        assert not routed({"endpoint": "https://mine.example/models"}, endpoint=endpoint).has_key


def test_a_key_that_stays_home_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"endpoint": "https://x.endpoints.huggingface.cloud"}
    assert "name x.endpoints.huggingface.cloud in trusted_hosts" in routed({"api_key": KEY}, **elsewhere).key_advice
    monkeypatch.setenv("HF_TOKEN", "hf_ambient")
    assert "a key of its own" in routed({**elsewhere}).key_advice
    listed = routed({**elsewhere, "api_key_env": "HF_TOKEN"}).key_advice
    assert "HUGGINGFACE_API_KEY_VARIABLES=HF_TOKEN" in listed
    monkeypatch.setenv("HUGGINGFACE_API_KEY_VARIABLES", "HF_TOKEN")
    assert routed({**elsewhere, "api_key_env": "HF_TOKEN"}).has_key
    assert routed({}).key_advice == ""


def test_what_only_looks_like_this_machine_gets_no_key_in_clear() -> None:
    with pytest.raises(InputError):
        routed({"endpoint": "http://127.0.0.\u0661:9", "api_key": "hf_clear"})
    engine = engine_settings({"api_key": "hf_clear"})
    for host in ("127.0.0.\u0661", "127.1", "0x7f000001", "2130706433", "localhost.example", "127.0.0.1.example"):
        assert key_for(f"http://{host}:9/x", engine, RequestKind.SERVER).key is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://192.168.1.7:8080",
        "http://vllm:8000/v1",
        "http://host.docker.internal:8080",
        "http://172.17.0.1:8080",
        "http://10.0.0.5/models",
    ],
)
def test_an_engines_own_endpoint_may_be_anywhere_on_the_companys_network(endpoint: str) -> None:
    route = routed({"endpoint": endpoint}, model="a/b")
    assert route.url.startswith(endpoint)
    assert not route.is_public_only
    own = routed({"endpoint": endpoint}, model="a/b", endpoint=f"{endpoint}/")
    assert not own.is_public_only


@pytest.mark.parametrize(
    ("engine", "endpoint", "reason"),
    [
        ({}, "http://127.0.0.1:9", "loopback"),
        ({}, "http://localhost:9", "loopback"),
        ({}, "http://[::1]:9", "loopback"),
        ({}, "http://[::ffff:127.0.0.1]:9", "loopback"),
        ({}, "http://169.254.169.254/latest/meta-data", "link-local"),
        ({}, "http://168.63.129.16", "metadata"),
        ({}, "http://10.0.0.5:8080", "private"),
        ({}, "https://192.168.1.7", "private"),
        ({"endpoint": "https://mine.example"}, "http://127.0.0.1:9", "loopback"),
        ({"endpoint": "http://10.0.0.5:8080"}, "http://10.0.0.5:8081", "private"),
        ({"endpoint": "http://10.0.0.5:8080"}, "http://127.0.0.1:8080", "loopback"),
        ({"endpoint": "http://127.0.0.1:8080"}, "http://169.254.169.254", "link-local"),
    ],
)  # fmt: skip
def test_a_models_endpoint_at_a_private_address_is_refused(engine: dict[str, Any], endpoint: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        routed(engine, endpoint=endpoint)
    assert "allow_private_endpoints = true" in str(refused.value)
    assert not routed({**engine, "allow_private_endpoints": True}, endpoint=endpoint).is_public_only


def test_within_this_machine_a_model_may_have_another_port_than_its_engine() -> None:
    assert not routed({"endpoint": "http://127.0.0.1:8900/models"}, endpoint="http://localhost:8901").is_public_only


def test_a_models_endpoint_elsewhere_is_judged_by_the_address_that_its_name_leads_to() -> None:
    assert routed({}, endpoint="https://elsewhere.example").is_public_only
    assert routed({"endpoint": "http://127.0.0.1:9"}, endpoint="https://elsewhere.example").is_public_only
    assert not routed({}).is_public_only


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://x.openai.azure.com/openai/deployments/gpt?api-version=2024-06-01",
        "https://x.openai.azure.com/openai/v1",
        "https://gateway.example/openai/deployments/gpt?api-version=2024-06-01",
    ],
)
def test_azure_gets_the_key_in_its_own_header_and_nobody_else_does(endpoint: str) -> None:
    engine = engine_settings({"endpoint": endpoint, "api_key": "key-of-azure-1"})
    headers = key_for(endpoint, engine).headers
    assert headers == {"authorization": "Bearer key-of-azure-1", "api-key": "key-of-azure-1"}
    assert without_key({**headers, "accept": "a"}) == {"accept": "a"}
    model = model_settings({"task": "chat", "column": "t", "model": "gpt"}, engine)
    route = resolve_route(engine, model)
    assert (route.headers["api-key"], route.account) == ("key-of-azure-1", "Bearer key-of-azure-1")
    other = engine_settings({"endpoint": "https://x.example/v1", "api_key": "key-of-azure-1"})
    assert "api-key" not in key_for("https://x.example/v1", other).headers
