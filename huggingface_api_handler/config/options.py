"""What all groups of arguments have in common, and the options of the former Inference API."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Arguments(BaseModel):
    """Arguments that a person gives. A name that is none of them is refused, and errors show no value."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True, protected_namespaces=()
    )


class Options(Arguments):
    """``options = {...}`` of the former Inference API."""

    wait_for_model: bool = Field(
        default=True,
        description="Whether to wait for a model that starts, for up to 5 minutes without any answer. Default: true; "
        "false waits 30 seconds, and not at all where the server says that the model is loading.",
    )
    use_cache: bool = Field(
        default=True,
        description="Whether answers that are stored, here or on the server, may be used. Default: true; false asks "
        "again for every row.",
    )
    use_gpu: bool | None = Field(
        default=None, description="Accepted because older statements have it, and ignored: the server decides."
    )
