"""What the catalogue knows about a model before it is loaded, and what a loaded model can do."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .protocol.request_body import ModelInputs


class Model(Protocol):
    """A loaded model."""

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """One answer for each input, in order, ready for JSON.

        Runs in a thread of the model's own, one call at a time. Raises HTTPError for parameters it cannot honour.
        """


@dataclass(frozen=True)
class ModelCard:
    """One task of one model: its names, its way from JSON to answer, and what may honestly be said of it."""

    name: str
    """The model's own id, `local/...`."""
    task: str
    load: Callable[[], Model]
    """Slow, called once, in a thread. Raises WeightsError or ImportError with the way to repair it."""
    parse_inputs: Callable[[Any], ModelInputs]
    """Checks `inputs`. Raises HTTPError."""
    package: str
    version: str
    license: str
    quality: str
    """How good it is, in figures where there are figures."""
    sha: Callable[[], str]
    """SHA-256 of the weights, hexadecimal, as pinned; sent as `x-sha`."""
    hub_alias: str | None
    """The id of the Hub's default model for the task, where there is one; this model answers under it too."""
    wrap_single: bool = False
    """A single input's answer is sent as a list of one answer (text-classification does so)."""
    required_modules: tuple[str, ...] = ()
    """Modules beyond those of the extra `local`."""
    extra: str = "local"
    """The extra that installs `required_modules`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id the model answers under."""
        return (self.name, self.hub_alias) if self.hub_alias else (self.name,)

    def missing_requirements(self) -> str | None:
        """What to install before this model can be loaded, or None."""
        absent = [module for module in self.required_modules if importlib.util.find_spec(module) is None]
        if not absent:
            return None
        return f'{", ".join(absent)} not installed: run pip install "huggingface_api_handler[{self.extra}]"'

    def metadata(self, model_id: str) -> dict[str, Any]:
        """What GET /models/{id} tells."""
        facts: dict[str, Any] = {
            "id": model_id,
            "pipeline_tag": self.task,
            "task": self.task,
            "package": self.package,
            "version": self.version,
            "license": self.license,
            "quality": self.quality,
            "sha": self.sha(),
            "local_stand_in": model_id != self.name,
        }
        if model_id != self.name:
            facts["note"] = (
                f"Local stand-in: this is not {model_id} but {self.name}, from the package {self.package} "
                f"{self.version}. Its answers differ from those of {model_id}."
            )
        if missing := self.missing_requirements():
            facts["unavailable"] = missing
        return facts
