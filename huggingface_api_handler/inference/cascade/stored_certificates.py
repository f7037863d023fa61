"""StoredCertificates: what a proxy was certified to answer of a table, for the same query again.

A certificate is stored as an answer is, beside those of the large model. So the same query asks nothing and shows the
same rows, and draws no second time. It holds as long as the proxy's answers are those that were certified. Those of a
learned proxy are stored with it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from ...config.cascade import OF_THE_WHOLE_QUERY
from ...tasks import Prediction
from ..runtime.context import Query
from ..runtime.results import Results
from .answer_codes import AnswerCodes
from .draws import Floats, Ints, Mask
from .input_table import INPUT_DIGEST_BYTES, InputTable

logger = logging.getLogger(__name__)

_FORMAT = 1


class StoredCertificate(NamedTuple):
    """What is stored.

    Attributes:
        by_proxy: Which inputs show the proxy's answer.
        fingerprint: Of these answers.
        answers: They themselves, where the proxy was learned: each different one, then their codes and scores.
    """

    by_proxy: Mask
    fingerprint: str
    answers: tuple[list[Any], Ints, Floats] | None


class StoredCertificates:
    """Those of one table.

    Args:
        query: Of the large model.
        table: Its inputs.
    """

    def __init__(self, query: Query, table: InputTable) -> None:
        self._query, self._table = query, table
        proxy, cascade = query.model.proxy, query.model.cascade
        self._is_learned = cascade is not None and cascade.is_learned
        settings = {
            "accuracy": cascade and cascade.accuracy,
            "confidence": cascade and cascade.confidence,
            "shown": [query.model.labels, query.model.threshold, query.model.below_threshold],
            "proxy": proxy and proxy.model.model_dump(mode="json", exclude=set(OF_THE_WHOLE_QUERY)),
            "engine": proxy and proxy.engine and [proxy.engine.endpoint, proxy.engine.provider, proxy.engine_id],
        }
        text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS, default=str)
        self._digest = hashlib.blake2b(text + table.digest, digest_size=INPUT_DIGEST_BYTES).digest()

    def seed(self, inputs: Ints) -> bytes:
        """What determines the draws, which nobody can know who has not the secret of the store.

        Args:
            inputs: Indexes of those that are drawn from.

        Returns:
            A keyed hash.
        """
        secret = self._query.tables.answers.secret()
        hashed = hashlib.blake2b(self._digest, key=secret, digest_size=32)
        is_in = np.zeros(len(self._table), dtype=bool)
        is_in[inputs] = True
        hashed.update(np.packbits(is_in[self._table.by_digest]).tobytes())
        return hashed.digest()

    def find(self) -> StoredCertificate | None:
        """Find what the same query was shown before.

        Returns:
            The certificate; None where nothing is stored.
        """
        answers = self._query.answers
        key = answers.key_of_table(self._digest)
        found = self._query.session.http.submit(answers.lookup([key])).result().get(key)
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            return None
        try:
            return self._read(found)
        except (KeyError, TypeError, ValueError, zlib.error):
            logger.warning("a stored certificate of a cascade cannot be read, so the inputs are drawn again")
            return None

    def _read(self, found: Mapping[str, Any]) -> StoredCertificate:
        """Read what is stored. Raises one of several errors where it is not what ``put`` stored."""
        by_proxy = np.zeros(len(self._table), dtype=bool)
        packed = _unpacked(found["by_proxy"], np.uint8)
        if len(packed) != -(-len(self._table) // 8):
            raise ValueError("a bit for each input was expected")
        by_proxy[self._table.by_digest] = np.unpackbits(packed, count=len(self._table)).astype(bool)
        learned = found["learned"]
        if (learned is not None) != self._is_learned:
            raise ValueError("learned answers were expected, or none")
        if learned is None:
            return StoredCertificate(by_proxy, found["fingerprint"], None)
        values, codes = learned["values"], _unpacked(learned["codes"], np.int64)
        scores = _unpacked(learned["scores"], np.float32).astype(np.float64)
        if not len(codes) == len(scores) == by_proxy.sum() or not ((codes >= 0) & (codes < len(values))).all():
            raise ValueError("an answer for each input was expected")
        return StoredCertificate(by_proxy, found["fingerprint"], (values, codes, scores))

    def restore(self, stored: StoredCertificate, guesses: Results) -> bool:
        """Whether the proxy's answers are still those that were certified.

        Args:
            stored: The certificate.
            guesses: The answers; gets those of a learned proxy.

        Returns:
            True where they are.
        """
        if stored.answers is not None:
            for index, code, score in zip(self._in_order(stored.by_proxy), *stored.answers[1:], strict=True):
                guesses.put(index, Prediction(stored.answers[0][code], float(score)))
        return self._fingerprint(guesses, stored.by_proxy) == stored.fingerprint

    def put(self, guesses: Results, by_proxy: Mask) -> None:
        """Store a certificate.

        Args:
            guesses: The proxy's answers.
            by_proxy: Which of them are shown.
        """
        packed = np.packbits(by_proxy[self._table.by_digest])
        value = {
            "format": _FORMAT,
            "by_proxy": _packed(packed),
            "fingerprint": self._fingerprint(guesses, by_proxy),
            "learned": self._learned(guesses, by_proxy) if self._is_learned else None,
        }
        self._query.session.http.submit(self._put(value)).result()

    def _learned(self, guesses: Results, by_proxy: Mask) -> dict[str, object]:
        codes, indexes = AnswerCodes(), self._in_order(by_proxy)
        numbers, scores = codes.of(guesses, indexes), np.array(guesses.scores, dtype=np.float32)[indexes]
        return {"values": codes.values, "codes": _packed(numbers), "scores": _packed(scores)}

    async def _put(self, value: dict[str, object]) -> None:
        answers = self._query.answers
        answers.put(answers.key_of_table(self._digest), value)
        await answers.flush()

    def _fingerprint(self, guesses: Results, by_proxy: Mask) -> str:
        """A hash of the proxy's answers, whatever the order of the rows."""
        hashed = hashlib.blake2b(digest_size=INPUT_DIGEST_BYTES)
        for index in self._in_order(by_proxy):
            guess = guesses[index]
            hashed.update(orjson.dumps(guess.value if isinstance(guess, Prediction) else None) + b"\0")
        return hashed.hexdigest()

    def _in_order(self, by_proxy: Mask) -> Ints:
        """Indexes in the order of the digests."""
        chosen: Ints = self._table.by_digest[by_proxy[self._table.by_digest]]
        return chosen


def _packed(numbers: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(numbers.tobytes())).decode()


def _unpacked(text: str, kind: type[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=kind)
