"""The stores: where answers are, how many, how old, and how many inputs they answered."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...console import in_bytes
from ...errors import InputError
from ...inference.storage.sqlite import FILE_NAME, store_folder
from ...inference.storage.sqlite_upkeep import open_file
from ...inference.storage.upkeep import AnswerSums, Upkeep, sums_by_owner, total_of
from ...inference.telemetry.usage_log import UsageByDay, usage_by_day
from ..known_names import KnownNames, owner_names
from ..open_store import open_shared
from ..store.command import in_words
from ..usage_figures import Figures, figures_by
from .findings import Finding, State, Wanted

if TYPE_CHECKING:
    from ...config.store_address import StoreAddress

_MIN_FREE_BYTES = 1_000_000_000
"""Less room on a disk than this is worth a word: the store may grow to 2 GB."""

_EXPIRED_SHARE = 0.5
"""Of the answers, from which it is worth to delete those that have expired. Queries delete them too, bit by bit."""

_MAX_LOOK_S = 10.0
"""Time to count answers. What a person waits for must end."""

_LISTED_OWNERS = 5


def stores(wanted: Wanted, names: KnownNames) -> Iterator[Finding]:
    """Look at the file of this machine, and at the shared store where there is one.

    Args:
        wanted: Which ones.
        names: Of engines.

    Yields:
        Findings of each.
    """
    yield from _file(wanted.cache_dir, names)
    if wanted.store is None:
        yield Finding("shared store", "none, since HUGGINGFACE_API_STORE is not set")
    elif wanted.is_offline:
        yield Finding("shared store", f"{wanted.store}, not asked (--offline)")
    else:
        yield from _shared(wanted.store, names)


def _file(folder: str | None, names: KnownNames) -> Iterator[Finding]:
    path = store_folder(folder) / FILE_NAME
    try:
        if not path.exists():
            yield Finding("answer store", f"{path}, not there yet: the first query begins it", data={"path": str(path)})
            return
        with open_file(folder) as store:
            size = store.size()
            extra = f" The file has {in_bytes(size.file)}, {in_bytes(size.free)} of it free."
            data = {"file_bytes": size.file, "free_bytes": size.free}
            yield from _answers("answer store", store, names, extra, data)
            is_read_only = store.is_read_only
        if is_read_only:
            advice = f"Let yourself write to it: chmod u+w {path} and its folder."
            yield Finding("answer store, writing", "read-only: no answer is kept", State.ADVICE, advice)
        yield _room(path)
    except (InputError, OSError) as error:
        advice = "Do what the reason says. Until then queries work, and answers are paid for again."
        yield Finding("answer store", str(error), State.PROBLEM, advice, {"path": str(path)})


def _shared(address: StoreAddress, names: KnownNames) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        with open_shared(address) as store:
            seconds = time.monotonic() - began
            extra = f" It answers after {seconds:.2f} s."
            yield from _answers("shared store", store, names, extra, {"seconds": round(seconds, 3)})
    except InputError as error:
        advice = "Start it, or look at its address and password. Until then each machine works by itself."
        yield Finding("shared store", str(error), State.PROBLEM, advice, {"address": str(address)})


def _answers(title: str, store: Upkeep, names: KnownNames, extra: str, data: Mapping[str, object]) -> Iterator[Finding]:
    """How many answers there are, whose they are, and how many inputs they answered."""
    sums, is_whole = sums_by_owner(store, _MAX_LOOK_S)
    total = total_of(sums.values())
    least = "" if is_whole else f" Not all were counted in {_MAX_LOOK_S:.0f} s."
    is_stale = total.expired > total.answers * _EXPIRED_SHARE
    yield Finding(
        title,
        f"{store.place}: {in_words(total)}{least}{extra}",
        State.ADVICE if is_stale else State.OK,
        "Most have expired: `huggingface-api-handler store prune --expired` deletes them." if is_stale else "",
        {"place": store.place, **vars(total), "is_whole": is_whole, **data},
    )
    usage = list(usage_by_day(store))
    if (secret := store.secret) is not None:
        owners = owner_names(secret, names, usage)
        named: dict[str, AnswerSums] = {}
        for owner, each in sums.items():
            if owner is not None:  # a shared store does not tell it
                named.setdefault(owners.get(owner, f"owner {owner.hex()}"), AnswerSums()).merge(each)
        if named:
            yield Finding("answers of", _listed(named), data={name: each.answers for name, each in named.items()})
    yield _hits(usage, names)


def _listed(named: Mapping[str, AnswerSums]) -> str:
    largest = sorted(named.items(), key=lambda item: item[1].answers, reverse=True)
    shown = [f"{name}: {each.answers:,}" for name, each in largest[:_LISTED_OWNERS]]
    more = len(named) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")


def _hits(usage: list[UsageByDay], names: KnownNames) -> Finding:
    """The share of inputs whose answer was stored. Only queries of models are counted, not those of predict()."""
    by_engine = figures_by("engine", usage, names)
    shares = {name: figures.share_of_hits for name, figures in by_engine.items()}
    shares_known = {name: share for name, share in shares.items() if share is not None}
    if not shares_known:
        return Finding("hits", "no query of a model was counted yet")
    total = Figures()
    for figures in by_engine.values():
        total = total.plus(figures)
    shown = [f"{name}: {share:.0%}" for name, share in list(shares_known.items())[:_LISTED_OWNERS]]
    each = f" ({'; '.join(shown)})" if len(shares_known) > 1 or "?" not in shares_known else ""
    share = total.share_of_hits or 0.0
    return Finding(
        "hits",
        f"{share:.0%} of {total.distinct:,} inputs were answered by the store{each}",
        data={"inputs": total.distinct, "stored": total.stored, "by_engine": shares_known},
    )


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    if free >= _MIN_FREE_BYTES:
        return Finding("room on its disk", in_bytes(free), data={"free_bytes": free})
    advice = "Make room, or delete old answers: `huggingface-api-handler store prune --older-than 30d`."
    return Finding("room on its disk", in_bytes(free), State.ADVICE, advice, {"free_bytes": free})
