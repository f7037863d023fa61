"""What a task may read of a model's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, Union

JSON: TypeAlias = Union[bool, int, float, str, "Sequence[JSON]", "Mapping[str, JSON]", None]
"""What JSON can hold."""

JSONObject: TypeAlias = dict[str, JSON]


class Settings(Protocol):
    """What a task may read of a model's settings (see ``config.settings.ModelSettings``)."""

    @property
    def model(self) -> str:
        """The name of the model."""
        ...

    @property
    def columns(self) -> Mapping[str, str | list[str]]:
        """The columns that are read, by the argument that names them."""
        ...

    @property
    def parameters(self) -> Mapping[str, JSON]:
        """The request parameters, by name."""
        ...

    @property
    def long_text(self) -> str:
        """'auto', 'chunk', 'truncate' or 'error': what becomes of a text that is too long for the model."""
        ...

    @property
    def labels(self) -> Sequence[str] | Mapping[str, str] | None:
        """The person's names for the model's labels."""
        ...

    @property
    def threshold(self) -> float | None:
        """The score in [0, 1] under which a label does not count."""
        ...

    @property
    def below_threshold(self) -> str | None:
        """The target of a row under the threshold."""
        ...

    @property
    def output(self) -> str:
        """'label', 'scores' or 'all'."""
        ...

    @property
    def pooling(self) -> str:
        """'mean', 'cls' or 'none'."""
        ...

    @property
    def mask_token(self) -> str | None:
        """The mask of the model, where its name does not show it."""
        ...

    @property
    def prompt_template(self) -> str | None:
        """The prompt, with ``{{column}}`` for the cells of columns."""
        ...

    @property
    def system_prompt(self) -> str | None:
        """What comes before the conversation."""
        ...

    @property
    def candidate_labels(self) -> Sequence[str] | None:
        """The labels of which a chat model is to choose one."""
        ...

    @property
    def question(self) -> str | None:
        """What a chat model is asked about each text."""
        ...

    @property
    def output_schema(self) -> Mapping[str, Any] | None:
        """The fields of the answer with their types in short, or their JSON schema (see ``output_schema``)."""
        ...
