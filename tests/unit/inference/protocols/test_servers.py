"""Kinds of servers: what an address shows, what it is asked, and what the engine's protocol says."""

from __future__ import annotations

from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference.protocols.preflight import check_engine
from huggingface_api_handler.inference.protocols.routing import Evidence, Route, resolve_route
from huggingface_api_handler.inference.protocols.servers import INFO_PATHS, KINDS, OPERATIONS, server_root
from huggingface_api_handler.inference.runtime.session import default_session

COLUMNS = {
    "text-ranking": {"column": "q", "column2": "t"},
    "sentence-similarity": {"column": "q", "column2": "t"},
    "automatic-speech-recognition": {"column": "a"},
}
H = "https://host.example"
ASK_ALL = ("/info", "/v1/models", "/models")


def route_of(endpoint: str, task: str, **engine: Any) -> Route:
    settings = engine_settings({"endpoint": endpoint, **engine})
    using = {"task": task, "model": "m", **COLUMNS.get(task, {"column": "t"})}
    return resolve_route(settings, model_settings(using, settings))


@pytest.mark.parametrize(
    ("endpoint", "task", "url", "protocol"),
    [
        # OpenAI's, by the version of its API
        (f"{H}/v1", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        (f"{H}/v1/", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        (f"{H}/v1beta/openai", "embeddings", f"{H}/v1beta/openai/embeddings", "openai-embeddings"),
        (f"{H}/v1beta/openai/", "chat", f"{H}/v1beta/openai/chat/completions", "openai-chat"),
        (f"{H}/v1/openai", "chat", f"{H}/v1/openai/chat/completions", "openai-chat"),
        (f"{H}/api/v3", "chat", f"{H}/api/v3/chat/completions", "openai-chat"),
        (f"{H}/api/paas/v4", "chat", f"{H}/api/paas/v4/chat/completions", "openai-chat"),
        (f"{H}/serving-endpoints", "chat", f"{H}/serving-endpoints/chat/completions", "openai-chat"),
        (f"{H}/v1beta1/projects/p/locations/l/endpoints/openapi", "chat", f"{H}/v1beta1/projects/p/locations/l/endpoints/openapi/chat/completions", "openai-chat"),
        (f"{H}/openai/deployments/g?api-version=2024-06-01", "chat", f"{H}/openai/deployments/g/chat/completions?api-version=2024-06-01", "openai-chat"),
        (f"{H}/openai/deployments/g/?api-version=1", "embeddings", f"{H}/openai/deployments/g/embeddings?api-version=1", "openai-embeddings"),
        (f"{H}/openai/deployments/g/chat/completions?api-version=1", "chat", f"{H}/openai/deployments/g/chat/completions?api-version=1", "openai-chat"),
        (f"{H}/v1", "sentence-similarity", f"{H}/v1/embeddings", "openai-embeddings"),
        (f"{H}/v2", "text-ranking", f"{H}/v2/rerank", "rerank"),
        (f"{H}/v1", "text-generation", f"{H}/v1/completions", "openai-completions"),
        (f"{H}/v1", "automatic-speech-recognition", f"{H}/v1/audio/transcriptions", "openai-transcriptions"),
        (f"{H}/v1", "text-to-image", f"{H}/v1/images/generations", "openai-images"),
        # A full path, which says which operation is meant
        (f"{H}/v1/embeddings", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        (f"{H}/x/embeddings", "embeddings", f"{H}/x/embeddings", "openai-embeddings"),
        (f"{H}/v1/embeddings?key=1", "embeddings", f"{H}/v1/embeddings?key=1", "openai-embeddings"),
        (f"{H}/v1/rerank", "text-ranking", f"{H}/v1/rerank", "rerank"),
        (f"{H}/v2/rerank/", "text-ranking", f"{H}/v2/rerank", "rerank"),
        (f"{H}/score", "text-ranking", f"{H}/score", "vllm-score"),
        (f"{H}/score", "sentence-similarity", f"{H}/score", "vllm-score"),
        (f"{H}/pooling", "embeddings", f"{H}/pooling", "vllm-pooling"),
        (f"{H}/v1/completions", "text-generation", f"{H}/v1/completions", "openai-completions"),
        (f"{H}/v1/chat/completions", "text-generation", f"{H}/v1/chat/completions", "openai-chat (one message)"),
        (f"{H}/v1/chat/completions/", "chat", f"{H}/v1/chat/completions", "openai-chat"),
        (f"{H}/v1/audio/transcriptions", "automatic-speech-recognition", f"{H}/v1/audio/transcriptions", "openai-transcriptions"),
        (f"{H}/images/generations", "text-to-image", f"{H}/images/generations", "openai-images"),
        (f"{H}/generate", "text-generation", f"{H}/generate", "hf-inference"),
        # The full path of another operation: that of the task is beside it
        (f"{H}/v1/embeddings", "chat", f"{H}/v1/chat/completions", "openai-chat"),
        (f"{H}/v1/chat/completions", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
    ],
)  # fmt: skip
def test_an_address_that_shows_its_server_is_asked_there_and_nothing_is_asked_before(
    endpoint: str, task: str, url: str, protocol: str
) -> None:
    route = route_of(endpoint, task)
    assert (route.url, route.protocol.name) == (url, protocol)
    assert route.info_paths == ()
    assert route.evidence is Evidence.ADDRESS


@pytest.mark.parametrize(
    ("endpoint", "task", "url", "info_paths"),
    [
        # A base address: what could serve the task is asked, in the order that ends soonest
        (H, "embeddings", H, ASK_ALL),
        (f"{H}/x", "sentence-similarity", f"{H}/x", ASK_ALL),
        (f"{H}/x/", "text-classification", f"{H}/x/", ASK_ALL),
        (H, "text-generation", H, ("/info", "/v1/models")),
        (H, "automatic-speech-recognition", H, ("/v1/models",)),
        (H, "text-to-image", H, ("/v1/models",)),
        # Nothing else serves these, or all kinds serve them in the same protocol
        (H, "token-classification", H, ()),
        (H, "summarization", H, ()),
        (f"{H}/v1", "token-classification", f"{H}/v1", ()),
        (H, "chat", f"{H}/v1/chat/completions", ()),
        # Many models are Hugging Face's protocol
        (f"{H}/models", "embeddings", f"{H}/models/m/pipeline/feature-extraction", ()),
        (f"{H}/models/?key=1", "text-classification", f"{H}/models/m?key=1", ()),
        ("https://router.huggingface.co/hf-inference/models/a/b", "embeddings", "https://router.huggingface.co/hf-inference/models/a/b", ()),
        # Two kinds of servers have a path of this name
        (f"{H}/predict", "text-classification", f"{H}/predict", ("/info",)),
        (f"{H}/predict/", "text-classification", f"{H}/predict/", ("/info",)),
        (f"{H}/predict/", "token-classification", f"{H}/predict/", ()),
        (f"{H}/predict", "text-generation", f"{H}/predict", ()),
        (f"{H}/embed", "embeddings", f"{H}/embed", ("/info",)),
        (f"{H}/embed", "text-ranking", f"{H}/embed", ("/info",)),
        (f"{H}/similarity", "sentence-similarity", f"{H}/similarity", ("/info",)),
        (f"{H}/rerank", "text-ranking", f"{H}/rerank", ("/info",)),
        (f"{H}/classify", "text-classification", f"{H}/classify", ("/v1/models",)),
        # Below /v1 Text Embeddings Inference has OpenAI's embeddings, and no rerank
        (f"{H}/v1", "text-ranking", f"{H}/v1/rerank", ("/info",)),
        (f"{H}/v1/embeddings", "text-ranking", f"{H}/v1/rerank", ("/info",)),
        (f"{H}/v1", "text-classification", f"{H}/v1", ASK_ALL),
    ],
)  # fmt: skip
def test_only_what_could_make_a_difference_is_asked(
    endpoint: str, task: str, url: str, info_paths: tuple[str, ...]
) -> None:
    route = route_of(endpoint, task)
    assert route.url == url
    assert route.info_paths == info_paths


@pytest.mark.parametrize(
    ("protocol", "endpoint", "task", "url", "spoken"),
    [
        ("huggingface", f"{H}/v1", "embeddings", f"{H}/v1", "hf-inference"),
        ("huggingface", f"{H}/predict/", "embeddings", f"{H}/predict/", "hf-inference"),
        ("huggingface", H, "chat", f"{H}/v1/chat/completions", "openai-chat"),
        ("huggingface", f"{H}/models", "text-classification", f"{H}/models/m", "hf-inference"),
        ("tei", f"{H}/v1", "embeddings", f"{H}/embed", "text-embeddings-inference"),
        ("tei", f"{H}/embed/?x=1", "embeddings", f"{H}/embed?x=1", "text-embeddings-inference"),
        ("tei", f"{H}/embed", "text-classification", f"{H}/predict", "text-embeddings-inference"),
        ("tei", H, "text-ranking", f"{H}/rerank", "text-embeddings-inference"),
        ("TEI", f"{H}/x", "sentence-similarity", f"{H}/x/similarity", "text-embeddings-inference"),
        ("tgi", f"{H}/v1", "text-generation", H, "hf-inference"),
        ("tgi", f"{H}/v1", "chat", f"{H}/v1/chat/completions", "openai-chat"),
        ("openai", H, "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        ("openai", f"{H}/predict", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        ("openai", H, "text-ranking", f"{H}/v1/rerank", "rerank"),
        ("vllm", f"{H}/v1", "text-classification", f"{H}/classify", "vllm-classify"),
        ("vllm", f"{H}/v1/?x=1", "text-classification", f"{H}/classify?x=1", "vllm-classify"),
        ("vllm", H, "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        ("vllm", f"{H}/v1", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        ("vllm", f"{H}/pooling", "embeddings", f"{H}/pooling", "vllm-pooling"),
        ("vllm", f"{H}/x/v1/embeddings", "text-classification", f"{H}/x/classify", "vllm-classify"),
        ("sglang", f"{H}/v1", "text-classification", f"{H}/v1/classify", "vllm-classify"),
        ("llama.cpp", H, "text-generation", f"{H}/v1/completions", "openai-completions"),
        ("infinity", H, "embeddings", f"{H}/embeddings", "openai-embeddings"),
        ("infinity", f"{H}/v1", "embeddings", f"{H}/v1/embeddings", "openai-embeddings"),
        ("infinity", f"{H}/x/", "text-ranking", f"{H}/x/rerank", "rerank"),
        ("infinity", f"{H}/embeddings", "text-classification", f"{H}/classify", "infinity-classify"),
    ],
)  # fmt: skip
def test_what_the_engine_says_is_asked_so_and_nothing_before(
    protocol: str, endpoint: str, task: str, url: str, spoken: str
) -> None:
    route = route_of(endpoint, task, protocol=protocol)
    assert (route.url, route.protocol.name) == (url, spoken)
    assert route.info_paths == ()
    assert route.evidence is Evidence.SAID


def test_the_protocol_of_an_engine_holds_for_the_endpoint_of_a_model_too() -> None:
    engine = engine_settings({"protocol": "infinity"})
    using = {"task": "embeddings", "model": "m", "column": "t", "endpoint": "https://model.example"}
    assert resolve_route(engine, model_settings(using, engine)).url == "https://model.example/embeddings"


@pytest.mark.parametrize(
    ("engine", "using", "words"),
    [
        ({"endpoint": H, "protocol": "tei"}, {"task": "text-generation"}, "'tei' does not serve text-generation. Those that do: 'tgi', 'vllm', 'sglang', 'llama.cpp'"),
        ({"endpoint": H, "protocol": "openai"}, {"task": "token-classification"}, "Those that do: 'huggingface'"),
        ({"endpoint": H, "protocol": "tgi"}, {"task": "embeddings"}, "'tei', 'vllm'"),
        ({"endpoint": H, "protocol": "opnai"}, {"task": "embeddings"}, "protocol must be 'auto' or one of"),
        ({"protocol": "openai"}, {"task": "embeddings"}, "neither the engine nor the model has one. Give endpoint"),
        ({"protocol": "nonsense"}, {"task": "embeddings"}, "protocol must be 'auto' or one of"),
        ({"endpoint": f"{H}/models", "protocol": "vllm"}, {"task": "embeddings"}, "Give the address without /models"),
        ({"provider": "together", "protocol": "openai"}, {"task": "embeddings"}, "give protocol or provider, not both"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(engine: dict[str, Any], using: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as refused:
        settings = engine_settings(engine)
        resolve_route(settings, model_settings({"model": "m", "column": "t", **using}, settings))
    assert words in str(refused.value)


def test_a_protocol_that_there_is_not_is_refused_where_the_engine_is_created() -> None:
    with pytest.raises(InputError, match=r"protocol must be 'auto' or one of .*'openai'.*, got 'opnai'"):
        check_engine(engine_settings({"endpoint": H, "protocol": "opnai"}), default_session().http)


@pytest.mark.parametrize("suffix", ["", "/v1", "/v1/", *OPERATIONS, *(f"/v1{path}" for path in OPERATIONS)])
def test_a_server_says_what_it_is_beside_its_own_base(suffix: str) -> None:
    assert server_root(f"{H}/x{suffix}?key=1") == f"{H}/x?key=1"


def test_every_kind_has_a_name_of_its_own_and_is_asked_only_where_servers_are_asked() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert {path for kind in KINDS for path in kind.info_paths} == set(INFO_PATHS)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://host.example/", "https://host.example"),
        ("https://host.example/predict/", "https://host.example/predict/"),
        ("https://host.example/predict//", "https://host.example/predict/"),
        ("https://host.example/predict/?a=/", "https://host.example/predict/?a=/"),
        ("https://host.example/models/", "https://host.example/models"),
        ("https://host.example/models/a/b/", "https://host.example/models/a/b"),
        ("https://host.example/v1/", "https://host.example/v1/"),
    ],
)  # fmt: skip
def test_a_slash_at_the_end_is_kept_where_it_can_mean_another_address(given: str, kept: str) -> None:
    assert engine_settings({"endpoint": given}).endpoint == kept
