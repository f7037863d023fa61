"""The kinds of servers that a person may run, as data: what each speaks, and how it is recognised.

A new kind is one line in ``KINDS`` and, where it speaks something new, one module with its protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ...config.settings import EngineSettings
from ...errors import InputError
from ...redaction import preview
from ...tasks import Task
from ...urls import without_slash
from .addresses import add_path, api_url, is_api_root, path_of, remove_path
from .base import WireProtocol
from .hf_inference import HF_INFERENCE
from .infinity import SILENT_CUT, InfinityClassify
from .openai_audio import OpenAISpeech, OpenAITranscriptions
from .openai_chat import OpenAIChat
from .openai_completions import OpenAICompletions
from .openai_embeddings import OpenAIEmbeddings
from .openai_images import OpenAIImages
from .parameters import SilentCut
from .rerank import Rerank
from .tei import DEFAULT_MAX_BATCH_SIZE, Tei, from_info
from .text_as_chat import TextAsChat
from .vllm import VllmClassify, VllmPooling, VllmScore

INFO = "/info"
OPENAI_MODELS = "/v1/models"
MODELS = "/models"

AUTO = "auto"
"""The engine argument ``protocol`` for a server that is to be found out."""

Protocols = tuple[WireProtocol, ...]
Info = Mapping[str, object]
"""The JSON object that a server tells of itself."""


@dataclass(frozen=True)
class ServerKind:
    """A kind of server.

    Attributes:
        name: The value of the engine argument ``protocol`` that says it.
        protocols: What it speaks. The first that supports a task serves it.
        info_paths: Where it says what it is, below its root; empty where it is not recognised so.
        read: Reads what it says there: what this server speaks, None for another kind of server.
        operations: Ends of paths. An endpoint with one of them is that operation of such a server, or of another that
            has the same.
        tasks: The tasks that it serves, where its protocols support more.
        task_paths: The path of a task's operation, where the protocol would put it elsewhere.
        is_at_root: Whether it has operations beside ``/v1``, so that they are put after the root.
    """

    name: str
    protocols: Protocols
    info_paths: tuple[str, ...] = ()
    read: Callable[[Info], Protocols | None] = field(default=lambda _info: None, repr=False)
    operations: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    task_paths: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_at_root: bool = False

    def protocols_for(self, task: Task) -> Protocols:
        """What a task can be asked in.

        Args:
            task: The task to ask for.

        Returns:
            The protocols that support the task, the best first; none where such a server does not serve it.
        """
        if self.tasks and task.name not in self.tasks:
            return ()
        fitting = tuple(protocol for protocol in self.protocols if protocol.supports(task))
        # hf-inference has a form for every task, and is meant where nothing else is.
        return fitting if len(fitting) == 1 else tuple(each for each in fitting if each is not HF_INFERENCE)

    def has_operation(self, endpoint: str, task: Task) -> bool:
        """Whether an endpoint is the full path of an operation of such a server, by which it serves a task.

        Args:
            endpoint: The address as it was given.
            task: The task to ask for.

        Returns:
            True where the path ends so.
        """
        if operation_of(endpoint) not in (*self.operations, *self.task_paths.values()):
            return False
        urls = [self.url(protocol, endpoint, "", task) for protocol in self.protocols_for(task)]
        return self is not HUGGING_FACE and path_of(endpoint) in map(path_of, urls)

    def url(self, protocol: WireProtocol, base: str, model: str, task: Task) -> str:
        """The address of every request to a server of this kind.

        Args:
            protocol: One of those that it speaks.
            base: The endpoint as it was given, or the address that the server was found at.
            model: The model's name.
            task: The task to ask for.

        Returns:
            The URL to POST to; ``base`` where its path is already that of the operation.
        """
        own, root = without_operation(base), server_root(base) if self.is_at_root else without_operation(base)
        if (path := self.task_paths.get(task.name)) is not None:
            url = api_url(base if path_of(base).endswith(path) else own, path, version="")
        elif self.is_at_root and operation_of(base) not in self.operations:
            url = protocol.url(root, model, task)
        else:
            url = protocol.url(base, model, task)
            if path_of(url) != path_of(base):  # ``base`` is not that operation, but perhaps another beside it
                url = protocol.url(root, model, task)
        # Operations that are known have no slash at their end; what serves hf-inference at any address may have one.
        return url if protocol is HF_INFERENCE else without_slash(url)


def _owned_by(name: str, protocols: Protocols) -> Callable[[Info], Protocols | None]:
    """Recognise a server by who owns the models of its list; any list of models for an empty name."""

    def read(info: Info) -> Protocols | None:
        models = info.get("data")
        if not isinstance(models, list) or not all(isinstance(model, dict) and "id" in model for model in models):
            return None
        return protocols if not name or any(model.get("owned_by") == name for model in models) else None

    return read


def _read_tei(info: Info) -> Protocols | None:
    found = from_info(info)
    return None if found is None else (found,)


CHAT = OpenAIChat()
"""The one instance of chat, so that kinds that share it need no asking."""

_EMBEDDINGS = OpenAIEmbeddings()
_RERANK = Rerank()
_COMPLETIONS: Protocols = (OpenAICompletions(), TextAsChat())
_AUDIO: Protocols = (OpenAITranscriptions(), OpenAISpeech())

_HUGGING_FACE: Protocols = (CHAT, HF_INFERENCE)
_OPENAI: Protocols = (CHAT, _EMBEDDINGS, _RERANK, *_COMPLETIONS, *_AUDIO, OpenAIImages())
_VLLM: Protocols = (*_OPENAI, VllmClassify(), VllmScore(), VllmPooling())
_SGLANG: Protocols = (*_OPENAI, VllmClassify("/v1"))  # its /v1/score says how likely tokens are
_INFINITY: Protocols = (OpenAIEmbeddings(silent_cut=SILENT_CUT), Rerank(silent_cut=SILENT_CUT), InfinityClassify())
_VOYAGE_CUT = SilentCut("Voyage", "truncation")
_VOYAGE: Protocols = (
    OpenAIEmbeddings(silent_cut=_VOYAGE_CUT),
    Rerank(count_parameter="top_k", silent_cut=_VOYAGE_CUT),
)

_OPENAI_OPERATIONS = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/rerank",
    "/audio/transcriptions",
    "/audio/speech",
    "/images/generations",
)

HUGGING_FACE = ServerKind("huggingface", _HUGGING_FACE, operations=("/embed", "/predict", "/similarity"))
"""What an endpoint is taken for that shows nothing else."""

OPENAI = ServerKind("openai", _OPENAI, (OPENAI_MODELS,), _owned_by("", _OPENAI), _OPENAI_OPERATIONS)
"""What an address with the version of an API is taken for."""

TEI = ServerKind(
    "tei",
    (Tei(DEFAULT_MAX_BATCH_SIZE),),
    (INFO,),
    _read_tei,
    ("/embed", "/predict", "/rerank", "/similarity"),
    is_at_root=True,
)
"""Its batch size is known once it was asked."""

KINDS = (
    TEI,
    ServerKind(
        "tgi",
        _HUGGING_FACE,
        (INFO,),
        lambda info: _HUGGING_FACE if "max_total_tokens" in info else None,
        ("/generate",),
        tasks=("text-generation", "summarization", "translation", "chat-completion", "image-text-to-text"),
        is_at_root=True,
    ),
    ServerKind(
        "vllm",
        _VLLM,
        (OPENAI_MODELS,),
        _owned_by("vllm", _VLLM),
        (*_OPENAI_OPERATIONS, "/classify", "/score", "/pooling"),
        is_at_root=True,
    ),
    ServerKind(
        "sglang",
        _SGLANG,
        (OPENAI_MODELS,),
        _owned_by("sglang", _SGLANG),
        (*_OPENAI_OPERATIONS, "/classify"),
    ),
    ServerKind("llama.cpp", _OPENAI, (OPENAI_MODELS,), _owned_by("llamacpp", _OPENAI), _OPENAI_OPERATIONS),
    ServerKind(
        "infinity",
        _INFINITY,
        (OPENAI_MODELS, MODELS),  # the first where it was started with the prefix /v1
        _owned_by("infinity", _INFINITY),
        task_paths={
            "feature-extraction": "/embeddings",
            "sentence-similarity": "/embeddings",
            "text-ranking": "/rerank",
            "text-classification": "/classify",
        },
    ),
    ServerKind("voyage", _VOYAGE),
    OPENAI,
    HUGGING_FACE,
)
"""All of them. Of several that fit, the first that is recognised is taken, else the last."""

INFO_PATHS = (INFO, OPENAI_MODELS, MODELS)
"""Where servers say what they are, in the order in which they are asked."""

OPERATIONS = sorted(
    {path for kind in KINDS for path in (*kind.operations, *kind.task_paths.values())},
    key=lambda path: (-len(path), path),
)
"""Ends of paths that are those of one operation of a server, the longest first."""


def said_kind(engine: EngineSettings) -> ServerKind | None:
    """The kind of server that the engine argument ``protocol`` says.

    Args:
        engine: The settings of the engine.

    Returns:
        The kind; None where it is to be found out.

    Raises:
        InputError: There is none of that name.
    """
    name = AUTO if engine.protocol is None else engine.protocol.lower()
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None and name != AUTO:
        names = ", ".join(repr(kind.name) for kind in KINDS)
        raise InputError(f"protocol must be 'auto' or one of {names}, got {preview(engine.protocol)}")
    return kind


def operation_of(endpoint: str) -> str:
    """The operation whose full path an endpoint has.

    Args:
        endpoint: The address as it was given.

    Returns:
        One of ``OPERATIONS``, empty for a base address.

    >>> operation_of("https://example.com/v1/embeddings"), operation_of("https://example.com/v1")
    ('/embeddings', '')
    """
    path = path_of(endpoint)
    return next((operation for operation in OPERATIONS if path.endswith(operation)), "")


def without_operation(endpoint: str) -> str:
    """The base address of an endpoint.

    Args:
        endpoint: The address as it was given.

    Returns:
        The address without the path of an operation at its end.
    """
    return remove_path(endpoint, operation_of(endpoint))


def server_root(endpoint: str) -> str:
    """Where a server is that has an endpoint: beside it is what the server says of itself.

    Args:
        endpoint: The address as it was given.

    Returns:
        The address without the path of an operation, and without ``/v1``, at its end.

    >>> server_root("https://example.com/x/v1/embeddings"), server_root("https://example.com/x/predict/?key=1")
    ('https://example.com/x', 'https://example.com/x?key=1')
    """
    return remove_path(without_operation(endpoint), "/v1")


def info_url(endpoint: str, info_path: str) -> str:
    """Where the server of an endpoint says what it is.

    Args:
        endpoint: The address as it was given.
        info_path: One of ``INFO_PATHS``.

    Returns:
        The URL to GET.
    """
    return add_path(server_root(endpoint), info_path)


def _is_openai(task: Task) -> bool:
    """Whether a task is served by an operation of OpenAI's own, which servers of every kind have below ``/v1``."""
    return OPENAI.protocols_for(task)[0] is not _RERANK


class Choice(NamedTuple):
    """Which server an endpoint is taken for.

    Attributes:
        kind: What it is taken for, before it was asked.
        is_known: Whether that needs no asking: its address shows it, or nothing else could serve the task there.
        info_paths: Where to ask it, in this order.
    """

    kind: ServerKind
    is_known: bool
    info_paths: tuple[str, ...] = ()


def choose(endpoint: str, task: Task) -> Choice:
    """Decide by its address which server an endpoint of one model is, or what to ask it.

    Args:
        endpoint: The address as it was given.
        task: The task to ask for.

    Returns:
        The kind, and what to ask where several kinds could serve the task there, each in another protocol.
    """
    serving = [kind for kind in KINDS if kind.protocols_for(task)]
    operation, base = operation_of(endpoint), without_operation(endpoint)
    fitting = [kind for kind in serving if kind.has_operation(endpoint, task)]
    if operation in HUGGING_FACE.operations:
        fitting = [kind for kind in (TEI, HUGGING_FACE) if kind in serving]
    elif fitting and is_api_root(base):
        fitting = [kind for kind in fitting if kind is not TEI]  # its own operations are below no version
    elif is_api_root(base) and OPENAI in serving:
        # Below their version other servers have what is OpenAI's own as well. Rerank is not.
        is_v1 = path_of(base).endswith("/v1")
        fitting = [TEI, OPENAI] if is_v1 and TEI in serving and not _is_openai(task) else [OPENAI]
    elif not fitting:
        fitting = serving
    kind = fitting[-1]
    protocol = kind.protocols_for(task)[0]
    others = [number for number, each in enumerate(fitting) if each.protocols_for(task)[0] != protocol]
    if not others:
        return Choice(kind, kind is not HUGGING_FACE)
    # Those before the last of them are asked about too: they are not to be taken for it.
    asked = {path for each in fitting[: others[-1] + 1] for path in each.info_paths}
    return Choice(kind, False, tuple(path for path in INFO_PATHS if path in asked))
