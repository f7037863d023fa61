"""The models that are compared: their arguments, checked before any of them is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..config.normalize import Using, task_named
from ..config.settings import EngineSettings
from ..config.validation import engine_settings
from ..errors import InputError
from ..inference import Settings, checked_settings
from ..inference.protocols.preflight import task_of
from ..inference.runtime.columns import column_types
from ..redaction import preview
from ..tasks import TASKS, Task

GivenModel = str | Using
"""A model's name; or its arguments, with ``name`` for its row where several are of one model."""

_CANDIDATE_LABELS = "candidate_labels"
_COMPARABLE = ("VARCHAR", "BOOLEAN", "BIGINT")
"""SQL types of predictions that are labels, or can be."""


class Candidate(NamedTuple):
    """One of the models.

    Attributes:
        name: Of its row.
        settings: Its checked arguments; None where its task could not be found out.
        problem: Why there are none.
    """

    name: str
    settings: Settings | None
    problem: str | None = None


def candidates(
    models: Sequence[GivenModel], shared: Using, engine: Using | None, labels: Sequence[str]
) -> list[Candidate]:
    """Check the models.

    Args:
        models: What is compared.
        shared: Arguments of all of them, which those of one override.
        engine: As for ``inference.predict``.
        labels: The labels, for models that are told which there are; none where nobody says them.

    Returns:
        One for each model, in their order. Where no ``task`` is given, it is the model's own on the Hub; of a model for
        chat, where there are labels, the task that chooses one of them.

    Raises:
        InputError: There is none, two have one name, or an argument cannot be used.
    """
    if isinstance(models, (str, Mapping)) or not models:
        raise InputError("models takes a list of models, such as models=['owner/name', 'owner/other']")
    for model in models:
        if not isinstance(model, (str, Mapping)):
            raise InputError(f"models takes names, and maps of arguments, and not {preview(model)}")
    checked = [_candidate(model, shared, engine, labels) for model in models]
    names: set[str] = set()
    for each in checked:
        if each.name in names:
            raise InputError(
                f"two of the models are called {preview(each.name)}. Give their arguments as maps, with a name each: "
                "{'name': 'with a prompt', 'model': '...', 'system_prompt': '...'}"
            )
        names.add(each.name)
    return checked


def _candidate(model: GivenModel, shared: Using, engine: Using | None, labels: Sequence[str]) -> Candidate:
    own: dict[str, object] = {"model": model} if isinstance(model, str) else dict(model)
    name = own.pop("name", None)
    # What is compared now is often run over the whole table next: also the answers of generation are stored.
    using = {"cache": None if engine and engine.get("cache") is not None else True, **shared, **own, "dry_run": False}
    if using.get("task") is None:
        if not using.get("model"):
            raise InputError(
                "one of the models has no name. Give it, {'model': 'owner/name'}; or the task, where the endpoint has "
                "one model"
            )
        try:
            using["task"] = _own_task(str(using.get("model")), engine_settings(_unnamed(engine)), labels).name
        except InputError as error:
            return Candidate(str(name or using.get("model")), None, str(error))
    task = task_named(using["task"])
    takes_labels = _CANDIDATE_LABELS in {*task.required_parameters, *task.arguments}
    if labels and takes_labels and "candidate_labels_column" not in using:
        using.setdefault(_CANDIDATE_LABELS, list(labels))
    settings = checked_settings(using, engine)
    kind = column_types(settings.model)[settings.model.target]
    if kind not in _COMPARABLE:
        raise InputError(
            f"{settings.model.model} predicts {kind}, and only labels can be compared. Leave out what makes lists of "
            "them, such as output = 'all', or take another task"
        )
    return Candidate(str(name or settings.model.model), settings)


def _own_task(model: str, engine: EngineSettings, labels: Sequence[str]) -> Task:
    task = task_named(task_of(model, engine))
    generates = not task.deterministic and {column.data_type for column in task.columns} <= {"text", "messages"}
    if labels and generates:
        return next(each for each in TASKS.values() if _CANDIDATE_LABELS in each.arguments)
    return task


def _unnamed(engine: Using | None) -> Using:
    return {name: value for name, value in (engine or {}).items() if name != "name"}
