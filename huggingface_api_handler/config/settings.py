"""USING clauses, checked and named: what an engine and a model were told, with defaults for the rest.

Every error is an ``InputError`` that names the argument, the value where it is no secret, and the nearest valid name.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
)

from ..tasks import TASKS, Task
from .normalize import (
    KEY_NAMES,
)
from .types import DirPath, Fields, FiniteFloat, Int, Key, Labels, Name, StrList, Url


class _Arguments(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True, protected_namespaces=()
    )


class EngineSettings(_Arguments):
    """CREATE ML_ENGINE ... USING."""

    api_key: Key | None = Field(None, validation_alias=AliasChoices(*KEY_NAMES))
    api_key_env: Name | None = Field(
        None, description="Name of the environment variable that holds the key, read at each query"
    )
    endpoint: Url | None = Field(
        None, description="Your own server: an Inference Endpoint, or a URL ending in /models for one with many"
    )
    provider: Name | None = Field(None, description="Inference provider: hf-inference, together, fal-ai, ..., or auto")
    bill_to: Name | None = Field(None, description="Organisation that pays")
    trusted_hosts: StrList = Field(default=[], description="More hosts that may get the key")
    max_concurrency: Int | None = Field(None, ge=1, le=10_000, description="Upper bound of requests in flight")
    media_dir: DirPath | None = Field(None, description="Folder whose files cells may name")
    output_dir: DirPath | None = Field(None, description="Folder for images, audio and video that are made")
    allow_private_media: bool = Field(False, description="Whether cells may name URLs of private addresses")
    cache: bool | None = Field(
        None, description="Whether answers are kept: by default those of tasks that answer the same twice"
    )
    cache_dir: DirPath | None = Field(None, description="Folder of the answer store")
    cache_ttl: FiniteFloat = Field(30 * 24 * 3600.0, gt=0, le=1e9, description="Seconds for which an answer is kept")
    requests_per_hour: Int | None = Field(None, ge=1, description="Most requests in an hour, over all queries")
    requests_per_month: Int | None = Field(None, ge=1, description="Most requests in a month, over all queries")
    timeout: FiniteFloat = Field(120.0, gt=0, le=3600, description="Seconds that one request may take")

    @property
    def has_own_key(self) -> bool:
        """Whether a key was given with this engine, rather than found on the machine."""
        return self.api_key is not None or self.api_key_env is not None


class Options(_Arguments):
    """``options = {...}`` of the former Inference API."""

    wait_for_model: bool = True
    use_cache: bool = True
    use_gpu: bool | None = None


class ModelSettings(_Arguments):
    """CREATE MODEL ... USING, and what a SELECT overrides of it."""

    task: str
    model: Name
    target: str = Field("prediction", min_length=1, max_length=1000)
    columns: dict[str, str | list[str]]
    parameters: dict[str, Any] = {}
    endpoint: Url | None = None
    provider: Name | None = None
    description: str | None = None
    labels: Labels | None = None
    threshold: FiniteFloat | None = Field(None, ge=0, le=1)
    below_threshold: str | None = "uncertain"
    output: Literal["label", "scores", "all"] = "label"
    pooling: Literal["mean", "cls", "none"] = "mean"
    mask_token: Name | None = None
    prompt_template: str | None = None
    system_prompt: str | None = None
    output_schema: Fields | None = None
    on_error: Literal["null", "raise"] = "null"
    max_requests: Int | None = Field(None, ge=1)
    max_seconds: FiniteFloat | None = Field(None, gt=0)
    cache: bool | None = None
    dry_run: bool = False
    options: Options = Options()

    @property
    def definition(self) -> Task:
        return TASKS[self.task]
