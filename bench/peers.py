"""3. Peers: the same rows on the same service with 50 ms latency, each client as its own documentation uses it.

Ray Data's HTTP processor runs in --ray-python, MindsDB's built-in handler in --mindsdb-python. What keeps a client from
running is its result.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_api_handler.demo.mindsdb_server import SQLError, running_mindsdb
from huggingface_api_handler.demo.processes import ServerError

from .baselines import HEADERS, MODEL, Answers, Job, parse_scores
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
SINGLES = Plan(latency=LATENCY_S, capacity=64, queue=4096)
LISTS = Plan(latency=LATENCY_S, per_item=0.001, capacity=64, queue=4096, largest_batch=None)
"""Takes lists of any length, since hugging-py-face and with it MindsDB's handler send a whole_table table in one."""


def hugging_py_face(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    """One call for each input, or with ``batch`` = 0 one for all of them, as its ``..._in_df`` does."""
    from hugging_py_face import NLP, ComputerVision

    if job.kind == "image":
        vision = ComputerVision("hf_bench")
        vision.api_url = job.url  # its constructor takes no other host than one that is gone
        answers = vision.image_classification(inputs)
    else:
        language = NLP("hf_bench", job.url)
        answers = language.text_classification(inputs) if not job.batch else []
        if job.batch:
            answers = [language.text_classification(item) for item in inputs]
    return lambda: Answers([parse_scores(answer)[0] for answer in answers])


def ray_data(job: Job, inputs: list[Any]) -> Callable[[], Answers]:
    """Ray Data's HttpRequestProcessor, 64 rows at a time. A list of texts has to be a row of its own."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    began = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    starting = time.perf_counter() - began  # of its cluster, which stays up between queries
    sent = [base64.b64encode(Path(each).read_bytes()).decode() for each in inputs] if job.kind == "image" else inputs
    batches = [sent[start : start + job.batch] for start in range(0, len(sent), job.batch)]
    rows = [{"row": number, "inputs": batch} for number, batch in enumerate(batches)]
    processor = build_processor(
        HttpRequestProcessorConfig(url=job.url, headers=HEADERS, max_retries=5, batch_size=64, concurrency=1),
        preprocess=lambda row: {
            "row": row["row"],
            "payload": {"inputs": list(row["inputs"]) if len(row["inputs"]) > 1 else row["inputs"][0]},
        },
        postprocess=lambda row: {"row": row["row"], "scores": parse_scores(row["http_response"])},
    )
    taken = sorted(processor(ray.data.from_items(rows)).take_all(), key=lambda row: row["row"])
    return lambda: Answers([share for row in taken for share in row["scores"]], {"startup_seconds": starting})


def clients(kind: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> client and what it is job_options, for 'text singles', 'text batches' or 'images'."""
    batch = 32 if kind == "text batches" else 1
    whole_table = 0 if kind == "text batches" else 1
    return {
        "ours": ("ours", {}),
        "AsyncInferenceClient, semaphore of 16": ("hub", {"in_flight": 16}),
        "AsyncInferenceClient, semaphore of 64": ("hub", {"in_flight": 64}),
        "hugging-py-face": ("peers:hugging_py_face", {"batch": whole_table}),
        "Ray Data HTTP processor": ("peers:ray_data", {"batch": batch}),
        "bare aiohttp, 64 in flight": ("bare", {"batch": batch}),
    }


def run(service: RemoteService, name: str, plan: Plan, job: Job, python: str) -> dict[str, Any]:
    """Seconds and rows a second. Raises ClientError."""
    service.set_plan(plan)
    taken = run_client(name, job, python=python if name.endswith("ray_data") else sys.executable)
    starting = taken["usage"].get("startup_seconds", 0.0)
    seconds = taken["seconds"] - starting
    return {
        "seconds": seconds,
        "startup_seconds": starting,
        "rows_per_second": job.rows / seconds,
        "requests": service.stats()["requests"],
        "wrong": taken["wrong"],
        "unanswered": taken["unanswered"],
    }


def run_builtin_handler(python: str, rows: int, service: RemoteService) -> dict[str, Any]:
    """MindsDB's own handler through SQL, or the error that it meets. The service also plays the Hub that it asks."""
    using = f"task = 'text-classification', input_column = 'review', endpoint = '{service.url}'"
    service.set_plan(LISTS)
    with running_mindsdb(python=python, environment={"HF_ENDPOINT": service.url}) as server:
        table = upload_texts(server, 0, rows)
        found: dict[str, Any] = {}
        # The first is the first example of its documentation, which names no model.
        for name, model in (("no_model_named", ""), ("model_named", f", model_name = '{MODEL}'")):
            try:
                made = create_model(server, name, "huggingface_api", using + model, api_key="hf_bench")
                seconds, answer = join_with_model(server, made, table)
                found[name] = {
                    "seconds": seconds,
                    "rows_per_second": rows / seconds,
                    "wrong": count_wrong(answer, rows),
                }
            except (SQLError, ServerError) as error:
                found[name] = {"error": str(error).strip().partition(", raised at")[0]}  # a path of this machine
        return found


def run_ours_through_sql(python: str, rows: int, service: RemoteService) -> dict[str, Any]:
    service.set_plan(LISTS)
    with installed_handlers(python), temporary_folder() as folder, running_mindsdb(python=python) as server:
        table = upload_texts(server, 0, rows)
        seconds, answer = join_with_model(server, create_our_model(server, service.url, folder), table)
    return {"seconds": seconds, "rows_per_second": rows / seconds, "wrong": count_wrong(answer, rows)}


def main() -> None:
    options = parse_arguments(
        __doc__ or "",
        ray_python={"default": sys.executable},
        mindsdb_python={"default": mindsdb_python()},
        only={"help": "the one scenario to run"},
    )
    results = Results("peers", options.quick)
    scenarios = {
        "text singles": (SINGLES, "text", 100 if options.quick else 2000),
        "text batches": (LISTS, "text", 1000 if options.quick else 20_000),
        "images": (SINGLES, "image", 100 if options.quick else 1000),
    }
    with running_service() as service:
        results.body["service"] = service_throughput(service, 2000 if options.quick else 20_000)
        for scenario, (plan, kind, rows) in scenarios.items():
            if options.only not in (None, scenario):
                continue
            taken: dict[str, Any] = {}
            for name, (function, job_options) in clients(scenario).items():
                if options.quick and function.endswith("ray_data") and scenario != "text batches":
                    continue  # its cluster alone takes longer to start than the others take
                job = Job(service.url, rows, kind=kind, **job_options)
                times = options.repeat if function in ("ours", "bare", "hub") else 1
                try:
                    taken[name] = median_of_runs(
                        times, partial(run, service, function, plan, job, options.ray_python), "seconds"
                    )
                except ClientError as error:
                    taken[name] = {"error": str(error)}
                    print(f"       {scenario}: {name}: {error}")
            ours = taken.pop("ours")
            for name, each in taken.items():
                if "error" not in each:
                    results.check(f"{scenario}: {name}, time over ours", each["seconds"] / ours["seconds"], None)
            results.body[scenario] = {"rows": rows, "clients": {"ours": ours, **taken}}
            results.check(f"{scenario}: rows of ours wrong or unanswered", ours["wrong"] + ours["unanswered"], 0)
        if options.mindsdb_python and not options.quick:
            rows = 20_000
            results.body["through SQL"] = {
                "rows": rows,
                "MindsDB's built-in": run_builtin_handler(options.mindsdb_python, rows, service),
                "ours": run_ours_through_sql(options.mindsdb_python, rows, service),
            }
            ours = results.body["through SQL"]["ours"]
            for name, each in results.body["through SQL"]["MindsDB's built-in"].items():
                if "error" not in each:
                    times = each["seconds"] / ours["seconds"]
                    results.check(f"through SQL: MindsDB's built-in ({name}), time over ours", times, None)
            results.check("through SQL: rows of ours wrong", ours["wrong"], 0)
    results.write()


if __name__ == "__main__":
    main()
