"""3. Other clients: the same rows on the same service with 50 ms latency.

Each client is used as its own documentation shows. Ray Data's HTTP processor runs in the Python of ``--ray-python``,
MindsDB's built-in handler in that of ``--mindsdb-python``. If a client cannot run, its error is the result.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from huggingface_api_handler.demo.mindsdb_server import SQLError, running_mindsdb
from huggingface_api_handler.demo.processes import ServerError

from .baselines import HEADERS, MODEL, ClientScores, InputKind, Job, parse_scores
from .measure import (
    ClientError,
    RemoteService,
    Results,
    median_of_runs,
    parse_arguments,
    run_client,
    running_service,
    service_throughput,
    temporary_folder,
)
from .service import Plan
from .through_sql import (
    count_wrong,
    create_model,
    create_our_model,
    installed_handlers,
    join_with_model,
    mindsdb_python,
    upload_texts,
)

LATENCY_S = 0.05
BATCH_SIZE = 32
WHOLE_TABLE = 0
"""As ``Job.batch`` of hugging-py-face: all inputs in one call."""
SINGLES = Plan(latency=LATENCY_S, capacity=64, queue=4096)
LISTS = Plan(latency=LATENCY_S, per_item=0.001, capacity=64, queue=4096, largest_batch=None)
"""Accepts lists of any length: hugging-py-face, and so MindsDB's handler, sends a whole table in one."""
RAY_BATCH_SIZE = 64
THROUGH_SQL = "through SQL"
SQL_ROWS = 20_000


def hugging_py_face(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """hugging-py-face: one call for each input, or one for all of them, as its ``..._in_df`` functions do."""
    from hugging_py_face import NLP, ComputerVision

    if job.kind == "image":
        vision = ComputerVision("hf_bench")
        vision.api_url = job.url  # its constructor uses no other host than one that no longer exists
        answers = vision.image_classification(inputs)
    else:
        language = NLP("hf_bench", job.url)
        if job.batch == WHOLE_TABLE:
            answers = language.text_classification(inputs)
        else:
            answers = [language.text_classification(item) for item in inputs]
    return lambda: ClientScores([parse_scores(answer)[0] for answer in answers])


def ray_data(job: Job, inputs: list[str]) -> Callable[[], ClientScores]:
    """Ray Data's HttpRequestProcessor, 64 rows at a time. A list of ``job.batch`` texts is one of its rows."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    started = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    startup_seconds = time.perf_counter() - started  # of the cluster, which would stay up between queries
    encoded = [base64.b64encode(Path(each).read_bytes()).decode() for each in inputs] if job.kind == "image" else inputs
    batches = [encoded[start : start + job.batch] for start in range(0, len(encoded), job.batch)]
    rows = [{"row": number, "inputs": batch} for number, batch in enumerate(batches)]
    processor = build_processor(
        HttpRequestProcessorConfig(
            url=job.url, headers=HEADERS, max_retries=5, batch_size=RAY_BATCH_SIZE, concurrency=1
        ),
        preprocess=lambda row: {
            "row": row["row"],
            "payload": {"inputs": list(row["inputs"]) if len(row["inputs"]) > 1 else row["inputs"][0]},
        },
        postprocess=lambda row: {"row": row["row"], "scores": parse_scores(row["http_response"])},
    )
    answers = sorted(processor(ray.data.from_items(rows)).take_all(), key=lambda row: int(row["row"]))
    scores = [positive for row in answers for positive in row["scores"]]
    return lambda: ClientScores(scores, {"startup_seconds": startup_seconds})


class Scenario(NamedTuple):
    """What all clients predict, and the batch size of those that have to be told."""

    plan: Plan
    kind: InputKind
    rows: int
    quick_rows: int
    batch: int = 1


SCENARIOS = {
    "text singles": Scenario(SINGLES, "text", 2000, 100),
    "text batches": Scenario(LISTS, "text", 20_000, 1000, BATCH_SIZE),
    "images": Scenario(SINGLES, "image", 1000, 100),
}


class Contender(NamedTuple):
    """A client, as in ``run_client``, and what has to be configured for it."""

    client: str
    batch: int = 1
    in_flight: int = 64

    @property
    def uses_ray(self) -> bool:
        """Whether it runs in the Python that has Ray."""
        return self.client == "peers:ray_data"

    @property
    def runs_once(self) -> bool:
        """Whether it takes too long to be run several times."""
        return self.client not in ("ours", "bare", "hub")


def contenders(batch: int) -> dict[str, Contender]:
    """The clients by their names in the results."""
    return {
        "ours": Contender("ours"),
        "AsyncInferenceClient, semaphore of 16": Contender("hub", in_flight=16),
        "AsyncInferenceClient, semaphore of 64": Contender("hub", in_flight=64),
        "hugging-py-face": Contender("peers:hugging_py_face", batch=WHOLE_TABLE if batch > 1 else 1),
        "Ray Data HTTP processor": Contender("peers:ray_data", batch=batch),
        "bare aiohttp, 64 in flight": Contender("bare", batch=batch),
    }


class Run(TypedDict):
    """One run of a client. ``seconds`` are without those in which it starts a cluster."""

    seconds: float
    startup_seconds: float
    rows_per_second: float
    requests: int
    wrong: int
    unanswered: int


def run(service: RemoteService, client: str, plan: Plan, job: Job, python: str) -> Run:
    """Run a client once.

    Args:
        service: The service. Its plan is replaced.
        client: The client, as in ``run_client``.
        plan: How the service behaves.
        job: What to predict.
        python: The interpreter to run.

    Raises:
        ClientError: The client cannot run.
    """
    service.set_plan(plan)
    result = run_client(client, job, python=python)
    startup_seconds = result.usage.get("startup_seconds", 0.0)
    seconds = result.seconds - startup_seconds
    return {
        "seconds": seconds,
        "startup_seconds": startup_seconds,
        "rows_per_second": job.rows / seconds,
        "requests": service.stats()["requests"],
        "wrong": result.wrong,
        "unanswered": result.unanswered,
    }


def run_builtin_handler(python: str, rows: int, service: RemoteService) -> dict[str, Any]:
    """Run MindsDB's own handler through SQL. The service also answers what the handler asks the Hub.

    Args:
        python: An interpreter with MindsDB.
        rows: How many rows to predict.
        service: The service. Its plan is replaced.

    Returns:
        For a model without and with ``model_name``: the figures, or the error.
    """
    using = f"task = 'text-classification', input_column = 'review', endpoint = '{service.url}'"
    service.set_plan(LISTS)
    with running_mindsdb(python=python, environment={"HF_ENDPOINT": service.url}) as server:
        table = upload_texts(server, 0, rows)
        runs: dict[str, Any] = {}
        # The first is the first example of its documentation, which names no model.
        for name, model_name in (("no_model_named", ""), ("model_named", f", model_name = '{MODEL}'")):
            try:
                model = create_model(server, name, "huggingface_api", using + model_name, api_key="hf_bench")
                seconds, answer = join_with_model(server, model, table)
                runs[name] = _sql_run(seconds, answer, rows)
            except (SQLError, ServerError) as error:
                runs[name] = {"error": str(error).strip().partition(", raised at")[0]}  # a path of this machine
        return runs


def run_ours_through_sql(python: str, rows: int, service: RemoteService) -> dict[str, Any]:
    """Run ours through SQL, with the arguments of ``run_builtin_handler``."""
    service.set_plan(LISTS)
    with installed_handlers(python), temporary_folder() as folder, running_mindsdb(python=python) as server:
        table = upload_texts(server, 0, rows)
        seconds, answer = join_with_model(server, create_our_model(server, service.url, folder), table)
    return _sql_run(seconds, answer, rows)


def _sql_run(seconds: float, answer: list[list[Any]], rows: int) -> dict[str, Any]:
    return {"seconds": seconds, "rows_per_second": rows / seconds, "wrong": count_wrong(answer, rows)}


def run_scenario(results: Results, service: RemoteService, name: str, *, repeat: int, ray_python: str) -> None:
    """Run all clients on one scenario, then store and check their figures.

    Args:
        results: Where to store them. In a quick run Ray runs on 'text batches' alone, since its cluster takes longer
            to start than all other clients take.
        service: The service.
        name: A key of ``SCENARIOS``.
        repeat: How often fast clients run.
        ray_python: An interpreter with Ray.
    """
    scenario = SCENARIOS[name]
    rows = scenario.quick_rows if results.quick else scenario.rows
    runs: dict[str, dict[str, Any]] = {}
    for label, contender in contenders(scenario.batch).items():
        if results.quick and contender.uses_ray and name != "text batches":
            continue
        job = Job(service.url, rows, scenario.kind, batch=contender.batch, in_flight=contender.in_flight)
        python = ray_python if contender.uses_ray else sys.executable
        run_once = partial(run, service, contender.client, scenario.plan, job, python)
        try:
            runs[label] = median_of_runs(1 if contender.runs_once else repeat, run_once, "seconds")
        except ClientError as error:
            runs[label] = {"error": str(error)}
            print(f"      {name}: {label}: {error}")
    results.body[name] = {"rows": rows, "clients": runs}
    ours = runs["ours"]
    for label, each in runs.items():
        if label != "ours" and "error" not in each:
            results.check(f"{name}: {label}: time, relative to ours", each["seconds"] / ours["seconds"], None)
    results.check(f"{name}: ours: rows wrong or unanswered", ours["wrong"] + ours["unanswered"], 0)


def run_through_sql(results: Results, service: RemoteService, python: str) -> None:
    """Run MindsDB's handler and ours through SQL, then store and check their figures."""
    builtin = run_builtin_handler(python, SQL_ROWS, service)
    ours = run_ours_through_sql(python, SQL_ROWS, service)
    results.body[THROUGH_SQL] = {"rows": SQL_ROWS, "MindsDB's built-in": builtin, "ours": ours}
    for name, each in builtin.items():
        if "error" not in each:
            ratio = each["seconds"] / ours["seconds"]
            results.check(f"{THROUGH_SQL}: MindsDB's built-in ({name}): time, relative to ours", ratio, None)
    results.check(f"{THROUGH_SQL}: ours: rows wrong", ours["wrong"], 0)


def main() -> None:
    """Run the benchmark and write its results."""
    options = parse_arguments(
        __doc__ or "",
        ray_python={"default": sys.executable, "help": "an interpreter with Ray"},
        mindsdb_python={"default": mindsdb_python(), "help": "an interpreter with MindsDB"},
        only={"choices": [*SCENARIOS, THROUGH_SQL], "help": "the one scenario to run"},
    )
    results = Results("peers", options.quick)
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        for name in SCENARIOS:
            if options.only in (None, name):
                run_scenario(results, service, name, repeat=options.repeat, ray_python=options.ray_python)
        if options.mindsdb_python and not options.quick and options.only in (None, THROUGH_SQL):
            run_through_sql(results, service, options.mindsdb_python)
    results.write()


if __name__ == "__main__":
    main()
