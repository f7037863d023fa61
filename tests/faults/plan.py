"""What goes wrong, and when: a pure function of (seed, input, attempt), which service and oracle share.

A request is known by its *lead*, the first input that it carries, and by how often that input has led a request
before. So a row meets the same faults in any order of arrival, and a batch is as likely to fail as one row is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

# What a fault calls for where one input was asked, by the table in docs/architecture.md.
RATE_LIMITED = ("429", "429 zero", "429 seconds", "429 date", "429 past", "429 negative", "429 huge", "429 words",
        "429 no date", "503 loading")  # fmt: skip
TRANSIENT = ("500", "502 page", "503", "504", "reset before headers", "reset in headers", "reset after headers",
         "closed early", "stall", "truncated", "invalid JSON", "endless")  # fmt: skip
STARTING = ("502 page", "503", "504")
"""Those of ``TRANSIENT`` that are waited for before the first answer, as a model may be starting."""
INPUT_REJECTED = ("wrong shape", "too few", "too many", "error in 200", "bomb", "endless at full speed")
FATAL = ("redirect",)
OF_BATCHES = ("flattened",)
"""Only a batch can be answered so: one input's labels lie flat by right."""

# One redirect ends a query by design, so it is tried alone and not among the rest.
# A stall holds a place for the whole timeout, and a bomb half a second of CPU: both come, and come less often.
_WEIGHTS = {
    **dict.fromkeys((*RATE_LIMITED, *TRANSIENT, *INPUT_REJECTED, *OF_BATCHES), 1.0),
    "stall": 0.1,
    "endless": 0.1,
    "endless at full speed": 0.0,
    "bomb": 0.002,
}

COMMON_SHARE = 0.9
"""The share of inputs that get the same answer where answers are coarse."""


class Rejection(NamedTuple):
    """What an input is refused with."""

    status: int
    body: Any


POISONED = (
    Rejection(400, {"error": "index out of range in self"}),
    Rejection(422, {"error": "index out of range in self"}),
)
FORBIDDEN = (
    Rejection(403, {"error": {"code": 403, "message": "Your input was flagged"}}),
    Rejection(403, "<html><head><title>Request blocked</title></head></html>"),
    Rejection(404, {"error": "no such page"}),
    Rejection(405, {"error": "method not allowed"}),
    Rejection(410, {"error": "gone"}),
)
"""What moderation and web firewalls answer to one row."""
TOO_LONG = (
    Rejection(413, {"error": "Input validation error: `inputs` must have less than 512 tokens"}),
    Rejection(400, {"error": "the sequence length is longer than the maximum 512"}),
)


@dataclass(frozen=True)
class Plan:
    """What one path of the service does. It travels in the path, so that each query has its own.

    ``share`` of the requests is faulty, with a fault of ``kinds`` (all, where none is named), but for the first
    ``quiet`` requests and, of each lead, those after its first ``faults_each``. ``poison`` is the share of inputs
    that are refused for good, ``forbidden`` and ``too_long`` the shares that a gateway and the model's length refuse.
    From request ``away_at`` on nobody is answered for ``away_s`` seconds, but met by ``away``. Where it is ``coarse``,
    there are two answers only. Where it ``spares_answered``, what was answered once meets no fault. ``takes_batches`` says whether the route takes several inputs in one request,
    ``largest`` of them at most.
    """

    seed: int = 0
    share: float = 0.3
    kinds: tuple[str, ...] = ()
    takes_batches: bool = False
    largest: int = 32
    poison: float = 0.0
    forbidden: float = 0.0
    too_long: float = 0.0
    quiet: int = 0
    faults_each: int = 1_000_000
    spares_answered: bool = False
    away: str = "503"
    away_at: int = -1
    away_s: float = 0.0
    coarse: bool = False
    tag: str = ""

    @property
    def path(self) -> str:
        """One path segment that ``Plan.of`` reads."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")

    @staticmethod
    def of(path: str) -> Plan:
        fields = json.loads(base64.urlsafe_b64decode(path + "=" * (-len(path) % 4)))
        return Plan(**{**fields, "kinds": tuple(fields["kinds"])})

    def fault(self, lead: str, attempt: int, *, together: bool) -> str | None:
        """The fault that the request led by ``lead`` meets at its ``attempt``, counted from 0, or None."""
        if attempt >= self.faults_each or self._chance("fault", lead, attempt) >= self.share:
            return None
        weights = {
            kind: _WEIGHTS[kind] for kind in _WEIGHTS if self.kinds == () and (together or kind not in OF_BATCHES)
        }
        weights = weights or dict.fromkeys(self.kinds, 1.0)
        position = self._chance("kind", lead, attempt) * sum(weights.values())
        for kind, weight in weights.items():
            position -= weight
            if position < 0:
                return kind
        return next(iter(weights))

    def refusal(self, text: str) -> Rejection | None:
        """What ``text`` is refused with each time, or None."""
        for share, what, refusals in (
            (self.poison, "poison", POISONED),
            (self.forbidden, "forbidden", FORBIDDEN),
            (self.too_long, "too long", TOO_LONG),
        ):
            if share and self._chance(what, text, 0) < share:
                return refusals[int(self._chance("status", text, 0) * len(refusals))]
        return None

    def answer(self, text: str) -> list[dict[str, Any]]:
        """The right answer: scores that no other input has, so that an answer in another's place is seen.

        Where they are ``coarse``, one of two answers, most of them the same.
        """
        share = fraction(text)
        if self.coarse:
            share = 0.999 if share < COMMON_SHARE else 0.001
        return [{"label": "POSITIVE", "score": share}, {"label": "NEGATIVE", "score": 1 - share}]

    def number(self, lead: str, attempt: int) -> int:
        """A number for the details of a fault."""
        return int(self._chance("detail", lead, attempt) * 1_000_000)

    def _chance(self, what: str, text: str, attempt: int) -> float:
        return fraction(f"{self.seed}|{what}|{attempt}|{text}")


def fraction(text: str) -> float:
    """A number in [0, 1) that is ``text``'s own."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def table(rows: int) -> list[str | None]:
    """A column of ``rows`` cells: texts of many lengths, some of them twice, some NULL."""
    cells: list[str | None] = []
    for number in range(rows):
        if number % 101 == 100:
            cells.append(None)
        elif number % 53 == 52:
            cells.append(cells[number // 2])
        else:
            cells.append(f"row {number} " + "of words " * (number * 7919 % 12))
    return cells
