"""The arguments of CREATE ML_ENGINE, with their types, defaults and descriptions."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from .normalize import KEY_NAMES
from .options import Arguments
from .types import DirPath, FiniteFloat, Int, Key, Name, PriceMap, StoreUrl, StrList, Url, Usd


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
