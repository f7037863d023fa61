"""The arguments of CREATE MODEL, with their types, defaults and descriptions.

The description of an argument is written here and nowhere else. ``creation_args.py``, DESCRIBE, the command
``tasks NAME`` and the reference pages are made of it (``tools/write_creation_args.py``, ``config/reference.py``,
``tools/write_reference.py``).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ..tasks import TASKS, Task
from ..tasks.chunking import WHERE_NEEDED, LongText
from ..tasks.output_schema import field_types
from ..tasks.prompts import template_columns
from .cascade import CascadeArguments as CascadeArguments
from .engine import EngineSettings as EngineSettings
from .options import Arguments
from .options import Options as Options
from .types import Choices, FiniteFloat, Int, Labels, ModelName, Name, OutputFields, PriceMap, Url, Usd


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
    cascade: CascadeArguments | None = Field(
        default=None,
        description="Ask this model only where a smaller one is not enough: a map such as {'model': 'small', "
        "'accuracy': 0.95}. At least that share of rows shows this model's answer, with a probability of 'confidence' "
        "(0.95 unless you say so). All other names in it are arguments of the smaller model. For labels. In a SELECT "
        "false turns it off. Default: every row is asked.",
    )
    proxy: SkipJsonSchema[Proxy | None] = Field(default=None, description="Who answers in a cascade, made of the map.")
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
        """The columns that are read: those of the column arguments, then of ``prompt_template``, then the proxy's."""
        named = [name for names in self.columns.values() for name in ([names] if isinstance(names, str) else names)]
        of_proxy = [] if self.proxy is None else self.proxy.model.column_names
        return named + template_columns(self.prompt_template or "") + of_proxy


class Proxy(BaseModel):
    """Who answers in the large model's place.

    Attributes:
        model: Of the smaller model, or of the one that makes vectors.
        engine: Its engine; None for the large model's.
        engine_id: By which stored answers of that engine are found; None where it has none of its own.
        is_free: Whether that engine's server costs nothing.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, protected_namespaces=())

    model: ModelSettings
    engine: EngineSettings | None = None
    engine_id: str | None = None
    is_free: bool = False

    def once_it_has_answered(self) -> Proxy:
        """The same proxy, of which it is known that it answers: rows that it all refuses end no query.

        Returns:
            What to ask; the large model answers what it refuses.
        """
        return self.model_copy(update={"model": self.model.model_copy(update={"on_error": "null"})})


ModelSettings.model_rebuild()
