"""Clients, each run in a process of its own: `python -m bench.baselines CLIENT` with a job as JSON on stdin.

What is measured is from the first line of work to the last answer, imports aside, which are told beside it.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import importlib
import json
import pstats
import resource
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from .service import score

HEADERS = {"content-type": "application/json", "authorization": "Bearer hf_bench"}
MODEL = "bench/model"


@dataclass(frozen=True)
class Job:
    """Rows to ask for: ``kind`` is 'text' or 'image'. ``seed`` sets the inputs of one run apart from another's.

    ``distinct`` of the rows are different (0: all); ``changed`` and ``poisoned`` name a row to be so. ``batch``,
    ``in_flight`` and ``plan`` are for clients that must be told; ours is not. ``cache`` is the answer store, None for
    what it is by default; ``folder`` holds it and the images.
    """

    url: str
    rows: int
    kind: str = "text"
    seed: int = 0
    distinct: int = 0
    changed: int | None = None
    poisoned: int | None = None
    batch: int = 1
    in_flight: int = 64
    plan: dict[str, Any] = field(default_factory=dict)
    cache: bool | None = None
    folder: str | None = None
    profile: bool = False

    def inputs(self) -> list[Any]:
        """The rows' texts, or paths of their images, all in one order."""
        if self.kind == "image":
            return write_images(Path(self.folder or "") / "images", self.rows)
        texts = [review_text(self.seed, number) for number in range(self.distinct or self.rows)]
        texts = [texts[row % len(texts)] for row in range(self.rows)]
        if self.changed is not None:
            texts[self.changed] += " Changed."
        if self.poisoned is not None:
            texts[self.poisoned] += " POISON"
        return texts


class Answers(NamedTuple):
    """What a client got: a score of 'POSITIVE' for each input, None where it has none, and its own usage."""

    scores: Sequence[float | None]
    usage: Mapping[str, Any] = MappingProxyType({})


Client = Callable[[Job, list[Any]], Callable[[], Answers]]
"""Does the work, and returns what reads the answers when the clock has stopped."""

_SENTENCE = "the parcel came late but staff were kind and it works as told so we would order again at this price"
_WORDS = _SENTENCE.split()


def review_text(seed: int, number: int) -> str:
    """One review of 40 to 160 characters, unlike every other."""
    mixed = zlib.crc32(b"%d %d" % (seed, number))
    words = [_WORDS[(mixed >> shift) % len(_WORDS)] for shift in range(3, 3 + 6 + mixed % 20)]
    return f"{seed}-{number}: {' '.join(words)}."


def write_images(folder: Path, count: int) -> list[str]:
    """Paths of ``count`` different PNG files of 32 by 32 grey pixels, made once."""
    paths = []
    folder.mkdir(exist_ok=True)
    for number in range(count):
        path = folder / f"{number}.png"
        if not path.exists():
            pixels = b"".join(b"\0" + bytes((number * 31 + row * 7 + x) % 256 for x in range(32)) for row in range(32))
            chunks = [
                (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)),
                (b"tEXt", b"Comment\0%d" % number),
                (b"IDAT", zlib.compress(pixels)),
                (b"IEND", b""),
            ]
            packed = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
        paths.append(str(path))
    return paths


def request_body(kind: str, batch: Sequence[Any]) -> bytes:
    """The request for one input or a list of them."""
    if kind == "image":
        return Path(batch[0]).read_bytes()
    return orjson.dumps({"inputs": batch[0] if len(batch) == 1 else list(batch)})


def parse_scores(answer: Any) -> list[float | None]:
    """The score of 'POSITIVE' for each part of an answer."""
    parts = answer if isinstance(answer[0], list) else [answer]
    return [next((item["score"] for item in part if item["label"] == "POSITIVE"), None) for part in parts]


def has_setting(name: str) -> bool:
    """Whether CREATE ML_ENGINE takes an argument."""
    from huggingface_api_handler.config.settings import EngineSettings

    return name in EngineSettings.model_fields


def ours(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    """``predict``, with nothing said of concurrency, batches or rates."""
    import pandas as pd

    from huggingface_api_handler.inference import predict

    wanted = {"cache": job.cache, "cache_dir": job.folder, "media_dir": job.folder}
    engine = {name: value for name, value in wanted.items() if has_setting(name) and value is not None}
    using = {"task": f"{job.kind}-classification", "column": "input", "model": MODEL, "target": "y"}
    out = predict(pd.DataFrame({"input": inputs}), using, {"endpoint": job.url, **engine})
    return lambda: _read_frame(out)


def _read_frame(out: Any) -> Answers:
    scores = [None if each is None else each.get("POSITIVE") for each in out["y_explain"]]
    for label, confidence, positive in zip(out["y"], out["y_confidence"], scores, strict=True):
        best = None if positive is None else ("POSITIVE", positive) if positive >= 0.5 else ("NEGATIVE", 1 - positive)
        if best is not None and (label != best[0] or abs(confidence - best[1]) > 2e-6):
            raise AssertionError(f"{label} {confidence} was chosen, and {best} is right")
    errors = out["y_error"].dropna()
    return Answers(scores, {**out.attrs["usage"], "first_error": str(errors.iloc[0])[:300] if len(errors) else None})


def bare(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    """An aiohttp loop: so many in flight, so many inputs in each, no care taken of anything."""
    import aiohttp

    scores: list[float | None] = [None] * len(inputs)
    waiting = iter(range(0, len(inputs), job.batch))

    async def worker(session: aiohttp.ClientSession) -> None:
        for start in waiting:
            batch = inputs[start : start + job.batch]
            async with session.post(job.url, data=request_body(job.kind, batch), headers=HEADERS) as response:
                scores[start : start + len(batch)] = parse_scores(orjson.loads(await response.read()))

    async def run() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(job.in_flight)))

    asyncio.run(run())
    return lambda: Answers(scores)


def hub(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    """huggingface_hub's AsyncInferenceClient with ``gather`` and a semaphore. It has no way to send a list."""
    from huggingface_hub import AsyncInferenceClient

    async def run() -> list[Any]:
        gate = asyncio.Semaphore(job.in_flight)
        async with AsyncInferenceClient(model=job.url, token="hf_bench") as client:
            ask = client.image_classification if job.kind == "image" else client.text_classification

            async def one(item: Any) -> Any:
                async with gate:
                    return await ask(item)

            return await asyncio.gather(*map(one, inputs))

    answers = asyncio.run(run())
    return lambda: Answers([next(item.score for item in each if item.label == "POSITIVE") for each in answers])


_IMPORTS = {
    "ours": ("huggingface_api_handler.inference",),
    "hub": ("huggingface_hub.inference._generated._async_client",),
    "hugging_py_face": ("hugging_py_face",),
    "ray_data": ("ray.data.llm",),
}


def _load_client(name: str) -> Client:
    """A client of this module, or of another as 'module:function', with what it needs imported already."""
    module, _, function = name.rpartition(":")
    client: Client = getattr(importlib.import_module(f"bench.{module}") if module else sys.modules[__name__], function)
    for module_name in _IMPORTS.get(function, ("aiohttp",)):
        importlib.import_module(module_name)
    return client


def _memory_bytes(line: str) -> int:
    """Bytes now ('VmRSS') or at most ('VmHWM'). Unlike ru_maxrss this knows nothing of the process that forked us."""
    status = Path("/proc/self/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith(line))) * 1024


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _start_profilers() -> list[cProfile.Profile]:
    """Profilers of this thread and of each that starts from now on."""
    profilers = [cProfile.Profile()]

    def follow(*_event: Any) -> None:
        profilers.append(cProfile.Profile())
        profilers[-1].enable()

    threading.setprofile(follow)
    profilers[0].enable()
    return profilers


def main() -> None:
    """Do the job on stdin and print what it took."""
    job = Job(**json.load(sys.stdin))
    client = _load_client(sys.argv[1])
    startup, empty = _cpu_seconds(), _memory_bytes("VmRSS")
    inputs = job.inputs()
    gc.collect()
    loaded = _memory_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    profilers = _start_profilers() if job.profile else []
    cpu, began = _cpu_seconds(), time.perf_counter()
    read = client(job, inputs)
    seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu
    peak = _memory_bytes("VmHWM")
    answers = read()
    right = [Path(each).read_bytes() for each in inputs] if job.kind == "image" else inputs
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu,
                "startup_cpu_seconds": startup,
                "rss": {"empty": empty, "loaded": loaded, "peak": peak},
                "frame": sum(map(sys.getsizeof, inputs)) + 8 * len(inputs),
                "unanswered": sum(positive is None for positive in answers.scores),
                "wrong": sum(
                    positive is not None and abs(positive - score(item)) > 2e-6
                    for positive, item in zip(answers.scores, right, strict=True)
                ),
                "usage": dict(answers.usage),
            }
        )
    )
    if profilers:
        pstats.Stats(*profilers, stream=sys.stderr).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
