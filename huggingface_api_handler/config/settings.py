"""The arguments of CREATE ML_ENGINE and CREATE MODEL, with their types, defaults and descriptions.

The description of an argument is written here and nowhere else. ``creation_args.py``, DESCRIBE, the command
``tasks NAME`` and the reference pages are made of it (``tools/write_creation_args.py``, ``config/reference.py``,
``tools/write_reference.py``).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from ..tasks import TASKS, Task
from ..tasks.chunking import WHERE_NEEDED, LongText
from ..tasks.output_schema import field_types
from ..tasks.prompts import template_columns
from .normalize import KEY_NAMES
from .options import Arguments
from .options import Options as Options
from .types import (
    Choices,
    DirPath,
    FiniteFloat,
    Int,
    Key,
    Labels,
    ModelName,
    Name,
    OutputFields,
    PriceMap,
    StoreUrl,
    StrList,
    Url,
    Usd,
)


class EngineSettings(Arguments):
    """The arguments of CREATE ML_ENGINE ... USING. A field's ``title`` is its label in MindsDB's forms."""

    api_key: Key | None = Field(
        default=None,
        validation_alias=AliasChoices(*KEY_NAMES),
        title="API key",
        description="Your Hugging Face token (hf_...), or the key of your own endpoint (8 letters and digits or "
        "more). You may also write it as token, huggingface_api_key or huggingface_api_api_key. Without it, the "
        "variables HF_TOKEN, HUGGINGFACE_API_KEY, HUGGINGFACE_TOKEN and HUGGING_FACE_HUB_TOKEN are tried in this "
        "order, then the token that `hf auth login` stored; a key that is found so goes to Hugging Face only.",
    )
    api_key_env: Name | None = Field(
        default=None,
        title="Variable of the API key",
        description="Name of the variable in MindsDB's environment that holds the key: one that begins with HF_ or "
        "HUGGINGFACE_, or that the administrator lists in HUGGINGFACE_API_KEY_VARIABLES. It is read at each query, so "
        "you can change the key without a new engine.",
    )
    endpoint: Url | None = Field(
        default=None,
        title="Endpoint",
        description="URL of an Inference Endpoint, or of any server of yours that speaks the same protocol. A URL that "
        "ends in /models is a server of many models, each under its name; any other serves one. It may be a "
        "base address such as https://host/v1, or the full path of an operation. Default: Hugging Face's serverless "
        "Inference Providers.",
    )
    protocol: Name | None = Field(
        default=None,
        title="Protocol",
        description="What the server at an endpoint is: 'huggingface' (Inference Endpoints, the local server), 'tgi', "
        "'tei', 'openai' (any that is compatible), 'vllm', 'sglang', 'llama.cpp', 'infinity' or 'voyage'. With 'auto' "
        "its address shows it, or it is asked once. Default: 'auto'.",
    )
    provider: Name | None = Field(
        default=None,
        title="Inference provider",
        description="One of Hugging Face's Inference Providers (together, fal-ai, groq, ...), hf-inference, or auto; "
        "for chat also cheapest, fastest or preferred. Default: whoever serves the model, hf-inference first.",
    )
    bill_to: Name | None = Field(
        default=None,
        title="Bill to",
        description="Hugging Face organisation, or the id of a resource group, that pays for the requests. Default: "
        "the owner of the key pays.",
    )
    trusted_hosts: StrList = Field(
        default=[],
        title="Trusted hosts",
        description="Hosts, or hosts with ports such as gw.example:8443, that may get the key of api_key or "
        "api_key_env besides Hugging Face, over HTTPS only: your Inference Endpoints that models name, or a gateway. "
        "Default: none.",
    )
    max_concurrency: Int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        title="Requests in flight",
        description="Upper bound of requests in flight at once, from 1 to 10,000. Default: the engine finds by itself "
        "how many the service takes.",
    )
    media_dir: DirPath | None = Field(
        default=None,
        title="Media folder",
        description="Folder whose files the cells of image, audio and video columns may name. Default: cells may name "
        "no files.",
    )
    output_dir: DirPath | None = Field(
        default=None,
        title="Output folder",
        description="Folder for the images, audio and video that models make. Default: they come as data: URIs.",
    )
    allow_private_media: bool = Field(
        default=False,
        title="Private media",
        description="Whether cells may name URLs of private addresses. Set it only where everybody who writes SQL may "
        "reach those addresses. Default: false.",
    )
    allow_private_endpoints: bool = Field(
        default=False,
        title="Private endpoints",
        description="Whether a model's own endpoint may be at a private address. The engine's endpoint always may. Set "
        "it only where everybody who writes SQL may reach those addresses. Default: false.",
    )
    cache: bool | None = Field(
        default=None,
        title="Keep answers",
        description="Whether answers are stored, so that you do not pay twice for the same row: true for every task, "
        "false for none. Default: for the tasks that answer the same twice, so not for generation.",
    )
    cache_dir: DirPath | None = Field(
        default=None,
        title="Answer store",
        description="Folder of the answer store. Default: huggingface_api_handler in the folder HF_HOME.",
    )
    store: StoreUrl | None = Field(
        default=None,
        title="Shared store",
        description="Address of a Redis that several machines share, such as 'redis://host:6379/0' or 'rediss://host': "
        "answers, usage, quotas, pauses and rates. Its user and password come by the variable HUGGINGFACE_API_STORE "
        "alone, such as rediss://user:password@host:6379/0, and go to that host and port only. Default: the address in "
        "that variable; without it, what is shared stays on each machine.",
    )
    answers: Literal["shared", "local"] = Field(
        default="shared",
        title="Where answers are stored",
        description="With a store: 'shared' stores answers there, for all machines; 'local' on each machine, so that "
        "only usage, quotas, pauses and rates are shared. Default: 'shared'.",
    )
    cache_ttl: FiniteFloat = Field(
        default=30 * 24 * 3600.0,
        gt=0,
        le=1e9,
        title="Keep answers for (s)",
        description="Seconds for which an answer is stored. Default: 2592000, which is 30 days.",
    )
    requests_per_hour: Int | None = Field(
        default=None,
        ge=1,
        title="Requests per hour",
        description="Most requests in a clock hour (UTC), counted over all queries and processes of this engine. Each "
        "look at the job of a provider is one. It limits nobody who may create engines: they can create another. "
        "Default: no limit.",
    )
    requests_per_month: Int | None = Field(
        default=None,
        ge=1,
        title="Requests per month",
        description="Most requests in a calendar month (UTC), counted over all queries and processes of this engine. "
        "Each look at the job of a provider is one. It limits nobody who may create engines: they can create another. "
        "Default: no limit.",
    )
    usd_per_month: Usd | None = Field(
        default=None,
        title="USD per month",
        description="Most dollars in a calendar month (UTC), counted over all queries and processes of this engine, as "
        "max_usd of a model counts them. It limits nobody who may create engines: they can create another. Default: no "
        "limit.",
    )
    prices: PriceMap | None = Field(
        default=None,
        title="Prices",
        description="What the server costs, in USD: a map with 'input' and 'output' per million tokens, 'cached' per "
        "million tokens from its prefix cache, 'second' per second that it says it computed, and 'request' per "
        "answered request, such as {'input': 0.15, 'output': 0.6}. Default: for chat, what Hugging Face's router says "
        "of the provider that answers; else no costs are known.",
    )
    timeout: FiniteFloat = Field(
        default=120.0,
        gt=0,
        le=3600,
        title="Timeout (s)",
        description="Seconds that one request may take, and that the job of a provider may take, such as a video. Up "
        "to 3600. Default: 120.",
    )
    max_attempts: Int = Field(
        default=5,
        ge=1,
        le=100,
        title="Attempts",
        description="Attempts for a row whose requests fail in passing (a 5xx, a timeout, a broken connection), from 1 "
        "to 100. Default: 5.",
    )
    max_wait: FiniteFloat = Field(
        default=300.0,
        gt=0,
        le=86_400,
        title="Longest wait (s)",
        description="Seconds without any answer, while the service asks to wait, after which a query stops. Up to "
        "86400, which is a day. Default: 300.",
    )

    @property
    def has_own_key(self) -> bool:
        """Whether a key was given with this engine, rather than found on the machine."""
        return self.api_key is not None or self.api_key_env is not None


class ModelSettings(Arguments):
    """The arguments of CREATE MODEL ... USING, with what a SELECT overrides of them.

    ``target`` (from PREDICT), ``columns`` and ``parameters`` are gathered by ``validation.model_settings``.
    """

    task: str = Field(
        description="What the model does, such as 'text-classification'. Default: the model's own task, from the Hub.",
    )
    model: ModelName = Field(
        description="Name of the model on the Hub or on your server, such as 'owner/name'. Default: the task's default "
        "model, where Hugging Face or your server has one.",
    )
    target: str = Field(
        default="prediction",
        min_length=1,
        max_length=1000,
        description="Name of the column of predictions, which PREDICT gives. Default, from Python: 'prediction'.",
    )
    columns: dict[str, str | list[str]] = Field(
        description="The columns that the task reads, by the argument that names each.",
    )
    parameters: dict[str, Any] = Field(
        default={},
        description="Request parameters of the task, as a map such as {'top_k': 3}. You may also write each of them "
        "beside the other arguments. Default: the server's own.",
    )
    endpoint: Url | None = Field(
        default=None,
        description="URL of a server for this model alone, at a public address unless the engine has "
        "allow_private_endpoints. The engine's key goes there only below the engine's own endpoint, and to its "
        "trusted_hosts. Default: the engine's.",
    )
    provider: Name | None = Field(
        default=None,
        description="Inference provider for this model alone: together, fal-ai, groq, ..., hf-inference, or auto; for "
        "chat also cheapest, fastest or preferred. You may also write it behind the model: 'owner/name:cheapest'. "
        "Default: the engine's.",
    )
    prices: PriceMap | None = Field(
        default=None,
        description="What this model costs, in USD: a map such as {'input': 0.15, 'output': 0.6} per million tokens, "
        "with 'cached', 'second' and 'request' as the engine's. Default: the engine's.",
    )
    description: str | None = Field(default=None, description="A note for people. Nothing is done with it.")
    labels: Labels | None = Field(
        default=None,
        description="Your names for a classifier's labels, in its order, or as a map such as {'LABEL_0': 'ham'}. "
        "Default: the model's own names.",
    )
    threshold: FiniteFloat | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Lowest score that counts, from 0 to 1: a row below it gets below_threshold. Default: every score "
        "counts.",
    )
    below_threshold: str | None = Field(
        default="uncertain",
        description="The prediction of a row whose score is under the threshold. Default: 'uncertain'.",
    )
    output: Literal["label", "scores", "all"] = Field(
        default="label",
        description="What the prediction is: 'label', the best one; 'scores', a map of all labels to scores; 'all', a "
        "list of all labels with scores. Default: 'label'.",
    )
    pooling: Literal["mean", "cls", "none"] = Field(
        default="mean",
        description="How the vectors of tokens become one vector: 'mean', their mean; 'cls', the first; 'none', all of "
        "them stay. Default: 'mean'.",
    )
    mask_token: Name | None = Field(
        default=None,
        description="The mask of a fill-mask model, such as '[MASK]'. Default: as the model's name shows it.",
    )
    prompt_template: str | None = Field(
        default=None,
        description="A prompt made of several columns, such as '{{product}}: {{text}}'. With image-text-to-text it "
        "stands beside the image.",
    )
    system_prompt: str | None = Field(
        default=None, description="The system message that comes before each prompt. Default: none."
    )
    candidate_labels: Choices | None = Field(
        default=None,
        description="The labels of which a chat model puts one on each text, such as ['complaint', 'praise']. Default: "
        "'yes' and 'no', for a question.",
    )
    question: str | None = Field(
        default=None,
        description="What a chat model is asked about each text, such as 'Is this a complaint?'. Default: to classify "
        "the text.",
    )
    output_schema: OutputFields | None = Field(
        default=None,
        description="Typed columns from chat, as a map of names to types (str, int, float, bool, list), such as "
        "{'topic': 'str', 'urgency': 'int'}. A type may also be 'str?' (or null), 'list[int]', a map such as "
        "{'enum': ['good', 'bad'], 'description': '...'}, a map of fields or a list of one such map; the whole may be "
        "a JSON schema. An answer that does not fit is asked for once more.",
    )
    long_text: LongText = Field(
        default=WHERE_NEEDED,
        description="What becomes of a text that is too long for the model: 'auto', it is asked in parts where the "
        "server refuses it or said how much it takes; 'chunk', in parts of 512 tokens too where no length is known; "
        "'truncate', only its first part is asked; 'error', it is the row's error. Default: 'auto'.",
    )
    max_chunks: Int = Field(
        default=16,
        ge=1,
        le=10_000,
        description="Most parts in which one text is asked, from 1 to 10,000. What comes after them is not read, and "
        "the row's _explain column says from where. Default: 16.",
    )
    on_error: Literal["null", "raise"] | None = Field(
        default=None,
        description="What a row that fails does: 'null' leaves its prediction NULL, with the reason in its _error "
        "column; 'raise' stops the query at the first failed row. Default: as 'null', but a query that answers no row "
        "fails with the commonest reason.",
    )
    max_requests: Int | None = Field(
        default=None,
        ge=1,
        description="Most requests of one query. What is answered comes back, and the other rows carry the reason; "
        "stored answers to texts still come back when the requests are spent. Looks at the job of a provider count, "
        "and a job that was begun is seen to its end. Of CREATE MODEL and SELECT the lower counts. Default: no limit.",
    )
    max_usd: Usd | None = Field(
        default=None,
        description="Most dollars of one query. The most that a request can cost is reserved before it is sent, so it "
        "needs a price, and max_tokens where the model writes. Where the service does not say what a request took, "
        "that stays reserved. Of CREATE MODEL and SELECT the lower counts. Default: no limit.",
    )
    max_tokens_total: Int | None = Field(
        default=None,
        ge=1,
        le=10**12,
        description="Most tokens of one query, read and written, reserved and counted as dollars are for max_usd. Of "
        "CREATE MODEL and SELECT the lower counts. Default: no limit.",
    )
    max_seconds: FiniteFloat | None = Field(
        default=None,
        gt=0,
        description="Most seconds of one query. What is answered comes back, and the other rows carry the reason. "
        "Default: no limit.",
    )
    cache: bool | None = Field(
        default=None,
        description="Whether answers are stored, for this model alone: true or false. Default: the engine's.",
    )
    dry_run: bool = Field(
        default=False,
        description="For a SELECT: true sends nothing, and counts rows, NULLs, distinct inputs, stored answers, "
        "requests and seconds instead, and estimates the dollars. Default: false.",
    )
    options: Options = Field(
        default=Options(),
        description="Options of the former Inference API: {'wait_for_model': true, 'use_cache': true}. With "
        "wait_for_model = false a model that starts is waited for 30 s at most; with use_cache = false every row is "
        "asked again.",
    )

    @property
    def definition(self) -> Task:
        """The task's definition, which ``task`` names."""
        return TASKS[self.task]

    @property
    def output_fields(self) -> dict[str, str]:
        """The columns that ``output_schema`` makes, with their SQL types; none without it."""
        return field_types(self.output_schema) if self.output_schema else {}

    @property
    def column_names(self) -> list[str]:
        """The columns that are read: those of the column arguments, then those of ``prompt_template``."""
        named = [name for names in self.columns.values() for name in ([names] if isinstance(names, str) else names)]
        return named + template_columns(self.prompt_template or "")
