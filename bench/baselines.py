"""Clients that the benchmarks compare, each run in a process of its own.

``python -m bench.baselines CLIENT`` reads a ``Job`` as JSON from stdin and prints a ``ClientResult`` as JSON. The
clock starts when the inputs are in memory and stops with the last answer. Imports are not part of ``seconds``: their
CPU time is ``startup_cpu_seconds``.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import importlib
import json
import math
import pstats
import resource
import struct
import sys
import threading
import time
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from .prose import prose
from .service import DECIMALS, Item, Plan, score

if TYPE_CHECKING:
    import aiohttp
    import pandas as pd

HEADERS = {"content-type": "application/json", "authorization": "Bearer hf_bench"}
MODEL = "bench/model"
SCORE_TOLERANCE = 2e-6
"""Scores are compared within this: the service sends six decimals."""

InputKind = Literal["text", "prose", "image"]


@dataclass(frozen=True)
class Job:
    """The rows that a client has to predict, and settings for clients that do not find them out.

    Attributes:
        url: Where the service is.
        rows: How many rows.
        kind: Texts, texts of prose of which some are too long (see ``bench.prose``), or paths of PNG files.
        seed: Rows of another seed have other texts.
        distinct: How many of the rows differ. 0: all.
        changed: The number of a row whose text gets another ending.
        poisoned: The number of a row that the service rejects. See ``Plan.poison``.
        refused: Whether one row in a hundred is flagged and another too long. See ``Plan.flagged``.
        batch: Inputs per request. Ours does not read it.
        in_flight: Concurrent requests. Ours does not read it.
        plan: How the service behaves. Only the ideal client reads it.
        decimals: Of the right scores. See ``Plan.decimals``.
        cache: Whether ours stores responses. None: its default.
        path: The path of the endpoint that ours is given.
        folder: Where ours stores responses and where images are written.
        frame_rows: Rows of each frame that ours gets as they are made. 0: all are in memory before the clock starts.
        profile: Whether the client prints a profile to stderr.
    """

    url: str
    rows: int
    kind: InputKind = "text"
    seed: int = 0
    distinct: int = 0
    changed: int | None = None
    poisoned: int | None = None
    refused: bool = False
    batch: int = 1
    in_flight: int = 64
    plan: Plan | None = None
    decimals: int = DECIMALS
    cache: bool | None = None
    path: str = ""
    folder: str | None = None
    frame_rows: int = 0
    profile: bool = False

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that ``to_json`` wrote."""
        fields = json.loads(text)
        plan = fields.pop("plan")
        return cls(**fields, plan=None if plan is None else Plan(**plan))

    def to_json(self) -> str:
        """This job as JSON, for the stdin of a client's process."""
        return json.dumps(asdict(self))

    def inputs(self) -> list[str]:
        """The text of each row, or the path of its image. The same job always has the same inputs."""
        if self.kind == "image":
            return write_images(Path(self.folder or "") / "images", self.rows)
        if self.kind == "prose":
            return prose(self.seed, self.rows)
        texts = [review_text(self.seed, number) for number in range(self.distinct or self.rows)]
        texts = [texts[row % len(texts)] for row in range(self.rows)]
        if self.changed is not None:
            texts[self.changed] += " Changed."
        if self.poisoned is not None:
            texts[self.poisoned] += " POISON"
        return [_refused(text) for text in texts] if self.refused else texts


FLAGGED = " FLAGGED"
"""What a text that is flagged ends with."""
LONG_CHARS = 1000
"""Texts that are too long have at least so many characters, and no other has."""


def _refused(text: str) -> str:
    """The text, which in two cases of a hundred is made one that is refused."""
    further, case = divmod(zlib.crc32(text[::-1].encode()), 100)
    return text + FLAGGED if case == 0 else text.ljust(LONG_CHARS + further % 500, "x") if case == 1 else text


class ClientScores(NamedTuple):
    """What a client returns.

    Attributes:
        scores: The score of 'POSITIVE' for each input, None where there is none.
        usage: What the client itself reports, such as its first error.
    """

    scores: Sequence[float | None]
    usage: Mapping[str, Any] = MappingProxyType({})


Client = Callable[[Job, list[str]], Callable[[], ClientScores]]
"""Sends all requests, and returns a function that reads the answers after the clock has stopped."""


@dataclass(frozen=True)
class MemoryUse:
    """Resident memory of a client's process, in bytes: after the imports, with the inputs, and at most."""

    startup_bytes: int
    loaded_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class ClientResult:
    """One run of a client.

    Attributes:
        seconds: From the first request to the last answer.
        cpu_seconds: CPU time of the process in that time.
        startup_cpu_seconds: CPU time of the process before, mostly imports.
        memory: Resident memory.
        frame_bytes: Size of a DataFrame column that holds the inputs.
        unanswered: Rows without a score.
        wrong: Rows with a score that is not their input's.
        usage: What the client itself reports.
    """

    seconds: float
    cpu_seconds: float = 0.0
    startup_cpu_seconds: float = 0.0
    memory: MemoryUse = MemoryUse(0, 0, 0)
    frame_bytes: int = 0
    unanswered: int = 0
    wrong: int = 0
    usage: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> ClientResult:
        """The result that ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "memory": MemoryUse(**fields["memory"])})

    def to_json(self) -> str:
        """This result as one line of JSON."""
        return json.dumps(asdict(self))

    def raise_if_incomplete(self, name: str, unanswered: int = 0) -> None:
        """Check that every row has its answer.

        Args:
            name: The client, for the message.
            unanswered: How many rows are expected to have none.

        Raises:
            RuntimeError: A row has a wrong answer, or another number of rows has none.
        """
        if self.wrong or self.unanswered != unanswered:
            error = self.usage.get("first_error")
            raise RuntimeError(f"{name}: {self.wrong} rows wrong, {self.unanswered} unanswered ({error})")


_SENTENCE = "the parcel came late but staff were kind and it works as told so we would order again at this price"
_WORDS = _SENTENCE.split()


def review_text(seed: int, number: int) -> str:
    """A review of 40 to 160 characters. Each pair of arguments has another."""
    mixed = zlib.crc32(b"%d %d" % (seed, number))
    words = [_WORDS[(mixed >> shift) % len(_WORDS)] for shift in range(3, 3 + 6 + mixed % 20)]
    return f"{seed}-{number}: {' '.join(words)}."


def write_images(folder: Path, count: int) -> list[str]:
    """Write different grey PNG files of 32 by 32 pixels. Files that exist are kept.

    Args:
        folder: Where to write. It is created if its parent exists.
        count: How many files.

    Returns:
        Their paths.
    """
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


def request_body(kind: InputKind, batch: Sequence[str]) -> bytes:
    """The body of a request for one input, or for a list of texts."""
    if kind == "image":
        return Path(batch[0]).read_bytes()
    return orjson.dumps({"inputs": batch[0] if len(batch) == 1 else list(batch)})


def parse_scores(answer: Any) -> list[float | None]:
    """The score of 'POSITIVE' for each input of a response, None where it has none."""
    parts = answer if isinstance(answer[0], list) else [answer]
    return [next((item["score"] for item in part if item["label"] == "POSITIVE"), None) for part in parts]


def has_setting(name: str) -> bool:
    """Whether CREATE ML_ENGINE takes an argument of this name."""
    from huggingface_api_handler.config.settings import EngineSettings

    return name in EngineSettings.model_fields


def ours(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """This package's ``predict``. Concurrency, batch size and rate are not configured."""
    import pandas as pd

    from huggingface_api_handler.inference import predict

    out = predict(pd.DataFrame({"input": inputs}), _using(job), engine_arguments(job))
    return lambda: _read_frame(out)


def ours_embeddings(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """This package's ``predict``, on a service whose answers are vectors that begin with the score."""
    import pandas as pd

    from huggingface_api_handler.inference import predict

    using = {**_using(job), "task": "feature-extraction"}
    out = predict(pd.DataFrame({"input": inputs}), using, engine_arguments(job))
    return lambda: ClientScores([None if each is None else each[0] for each in out["y"]], out.attrs["usage"])


def ours_in_frames(job: Job, _inputs: list[str]) -> Callable[[], ClientScores]:
    """This package's ``predict_batches``, on frames of ``job.frame_rows`` rows that are made as they are read."""
    import pandas as pd

    from huggingface_api_handler.inference import predict_batches

    frames = (
        pd.DataFrame({"input": [review_text(job.seed, number) for number in range(start, start + job.frame_rows)]})
        for start in range(0, job.rows, job.frame_rows)
    )
    scores, usage = array("d"), {}
    for out in predict_batches(frames, _using(job), engine_arguments(job)):
        read = _read_frame(out)
        scores.extend(math.nan if score is None else score for score in read.scores)
        usage = dict(read.usage)
    return lambda: ClientScores([None if score != score else score for score in scores], usage)


def _using(job: Job) -> dict[str, str]:
    using = {"task": f"{job.kind}-classification", "column": "input", "model": MODEL, "target": "y"}
    return {**using, "long_text": "error"} if job.refused else using


def engine_arguments(job: Job) -> dict[str, object]:
    """What CREATE ML_ENGINE gets of a job."""
    wanted = {"cache": job.cache, "cache_dir": job.folder, "media_dir": job.folder}
    return {
        "endpoint": job.url + job.path,
        **{name: value for name, value in wanted.items() if has_setting(name) and value is not None},
    }


def _read_frame(out: pd.DataFrame) -> ClientScores:
    scores = [None if each is None else each.get("POSITIVE") for each in out["y_explain"]]
    for label, confidence, positive in zip(out["y"], out["y_confidence"], scores, strict=True):
        best = None if positive is None else ("POSITIVE", positive) if positive >= 0.5 else ("NEGATIVE", 1 - positive)
        if best is not None and (label != best[0] or abs(confidence - best[1]) > SCORE_TOLERANCE):
            raise AssertionError(f"{label} {confidence} was chosen, but the best label is {best}")
    errors = out["y_error"].dropna()
    return ClientScores(
        scores, {**out.attrs["usage"], "first_error": str(errors.iloc[0])[:300] if len(errors) else None}
    )


def bare(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """A loop over aiohttp with ``job.in_flight`` workers and ``job.batch`` inputs per request. It handles no error."""
    import aiohttp

    scores: list[float | None] = [None] * len(inputs)
    starts = iter(range(0, len(inputs), job.batch))

    async def worker(session: aiohttp.ClientSession) -> None:
        for start in starts:
            batch = inputs[start : start + job.batch]
            async with session.post(job.url, data=request_body(job.kind, batch), headers=HEADERS) as response:
                scores[start : start + len(batch)] = parse_scores(orjson.loads(await response.read()))

    async def run() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(job.in_flight)))

    asyncio.run(run())
    return lambda: ClientScores(scores)


def hub(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """huggingface_hub's AsyncInferenceClient with ``gather`` and a semaphore. It cannot send a list."""
    from huggingface_hub import AsyncInferenceClient

    async def run() -> list[Any]:
        semaphore = asyncio.Semaphore(job.in_flight)
        async with AsyncInferenceClient(model=job.url, token="hf_bench") as client:
            classify = client.image_classification if job.kind == "image" else client.text_classification

            async def one(item: str) -> Any:
                async with semaphore:
                    return await classify(item)

            return await asyncio.gather(*map(one, inputs))

    answers = asyncio.run(run())
    return lambda: ClientScores([next(item.score for item in each if item.label == "POSITIVE") for each in answers])


_IMPORTS = {
    "ours": ("huggingface_api_handler.inference",),
    "ours_embeddings": ("huggingface_api_handler.inference",),
    "ours_in_frames": ("huggingface_api_handler.inference",),
    "hub": ("huggingface_hub.inference._generated._async_client",),
    "hugging_py_face": ("hugging_py_face",),
    "ray_data": ("ray.data.llm",),
}
"""Modules that a client imports when it runs. They are imported before the clock starts. Default: aiohttp."""


def _load_client(name: str) -> Client:
    """A client of this module, or of another one as 'module:function', with its imports done."""
    module, _, function = name.rpartition(":")
    client: Client = getattr(importlib.import_module(f"bench.{module}") if module else sys.modules[__name__], function)
    for module_name in _IMPORTS.get(function, ("aiohttp",)):
        importlib.import_module(module_name)
    return client


def memory_bytes(line: str) -> int:
    """Resident memory of this process.

    ``ru_maxrss`` will not do: a forked process starts with the peak of its parent.

    Args:
        line: 'VmRSS' for now, 'VmHWM' for the peak since the last ``reset_memory_peak``.
    """
    status = Path("/proc/self/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith(line))) * 1024


def reset_memory_peak() -> None:
    """Let the peak of this process be what it has now."""
    Path("/proc/self/clear_refs").write_text("5")


def cpu_seconds() -> float:
    """CPU time of this process and of all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _start_profilers() -> list[cProfile.Profile]:
    """Profile this thread and every thread that starts later. The list grows with them."""
    profilers = [cProfile.Profile()]

    def profile_thread(*_event: object) -> None:
        profilers.append(cProfile.Profile())
        profilers[-1].enable()

    threading.setprofile(profile_thread)
    profilers[0].enable()
    return profilers


def main() -> None:
    """Run one client on the job from stdin and print its result."""
    job = Job.from_json(sys.stdin.read())
    client = _load_client(sys.argv[1])
    startup_cpu_seconds, startup_bytes = cpu_seconds(), memory_bytes("VmRSS")
    inputs = [] if job.frame_rows else job.inputs()
    gc.collect()
    loaded_bytes = memory_bytes("VmRSS")
    reset_memory_peak()
    profilers = _start_profilers() if job.profile else []
    cpu_started, started = cpu_seconds(), time.perf_counter()
    read = client(job, inputs)
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu_started
    peak_bytes = memory_bytes("VmHWM")
    answers, inputs = read(), inputs or job.inputs()
    items: Sequence[Item] = [Path(each).read_bytes() for each in inputs] if job.kind == "image" else inputs
    result = ClientResult(
        seconds=seconds,
        cpu_seconds=cpu,
        startup_cpu_seconds=startup_cpu_seconds,
        memory=MemoryUse(startup_bytes, loaded_bytes, peak_bytes),
        frame_bytes=sum(map(sys.getsizeof, inputs)) + 8 * len(inputs),
        unanswered=sum(positive is None for positive in answers.scores),
        wrong=sum(
            positive is not None and abs(positive - score(item, job.decimals)) > SCORE_TOLERANCE
            for positive, item in zip(answers.scores, items, strict=True)
        ),
        usage=dict(answers.usage),
    )
    print(result.to_json())
    if profilers:
        pstats.Stats(*profilers, stream=sys.stderr).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
