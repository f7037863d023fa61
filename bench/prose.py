"""Texts of real prose, and their tokens as BERT's tokenizer counts them.

The sentences are those of ``training/held_out.tsv``: of reviews, editorials and tweets.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

SPECIAL_TOKENS = 2
"""[CLS] and [SEP], which the tokenizer puts around a text."""
MAX_TOKENS = 512
"""What the model takes, special tokens included. Most encoders take as many."""
LONG_SHARE = 0.1
"""The share of the rows that are too long."""
LONG_FACTOR = 20
"""The longest are so many times as long as the model takes."""
MIN_TOKENS = 8

_SENTENCES = Path(__file__).resolve().parents[1] / "training" / "held_out.tsv"
_KIND_SHARE = 0.25  # of the sentences, sorted by tokens a character, from which one row's are drawn
_PARAGRAPH_SENTENCES = 5
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
"""What the tokenizer splits a text into before it looks for word pieces, which are in one of these each."""


class _WordTokens(dict[str, int]):
    """The tokens of each word, counted once."""

    def __init__(self) -> None:
        super().__init__()
        from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

        from huggingface_api_handler.server.models.minilm import VOCABULARY_PATH

        self.tokenizer = BertWordPieceTokenizer(str(VOCABULARY_PATH), lowercase=True)

    def __missing__(self, word: str) -> int:
        self[word] = count = len(self.tokenizer.encode(word, add_special_tokens=False).ids)
        return count


@functools.cache
def token_counter() -> Callable[[str], int]:
    """A function that counts the tokens of a text, special tokens not included.

    It counts as the tokenizer does, word by word, since to tokenize each text anew takes minutes.
    """
    words = _WordTokens()
    find, count = _WORD.findall, words.__getitem__

    def count_tokens(text: str) -> int:
        return sum(map(count, find(text)))

    return count_tokens


class _Sentence(NamedTuple):
    text: str
    tokens: int


@functools.cache
def _sentences() -> list[_Sentence]:
    """All sentences, by how many tokens they have for a character: plain prose first, then names and smileys."""
    count = token_counter()
    texts = dict.fromkeys(line.partition("\t")[2] for line in _SENTENCES.read_text("utf-8").splitlines())
    sentences = [_Sentence(text, count(text)) for text in texts if text.isascii()]
    return sorted(sentences, key=lambda each: (each.tokens / len(each.text), each.text))


def prose(seed: int, rows: int) -> list[str]:
    """Texts of which one in ten is too long for the model, up to ``LONG_FACTOR`` times. All differ.

    Args:
        seed: Another one makes other texts.
        rows: How many.

    Returns:
        The texts. Each is of sentences of one kind, so that tokens a character differ from row to row.
    """
    chance = random.Random(seed)
    return [_row(chance, seed, number) for number in range(rows)]


def _row(chance: random.Random, seed: int, number: int) -> str:
    is_long = chance.random() < LONG_SHARE
    least, most = (MAX_TOKENS + 1, MAX_TOKENS * LONG_FACTOR) if is_long else (MIN_TOKENS, MAX_TOKENS)
    room = round(math.exp(chance.uniform(math.log(least), math.log(most)))) - SPECIAL_TOKENS
    sentences = _sentences()
    size = int(len(sentences) * _KIND_SHARE)
    first = chance.randrange(len(sentences) - size)
    pieces = [f"{seed}-{number}:"]
    room -= token_counter()(pieces[0])
    while room > 0:
        sentence = sentences[first + int(chance.random() * size)]
        if sentence.tokens > room:
            pieces += [" ", _beginning(sentence.text, room)]
            break
        pieces += ["\n\n" if chance.random() * _PARAGRAPH_SENTENCES < 1 else " ", sentence.text]
        room -= sentence.tokens
    return "".join(pieces).rstrip()


def _beginning(text: str, most: int) -> str:
    """As much of a sentence as has so many tokens."""
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    count = token_counter()
    tokens = accumulate(count(text[start:end]) for start, end in pairwise((0, *ends)))
    return text[: max((end for end, so_far in zip(ends, tokens, strict=True) if so_far <= most), default=0)]
