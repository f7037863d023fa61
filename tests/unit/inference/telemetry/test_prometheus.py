"""What Prometheus reads adds up to the usage of the queries, under the names that the documentation has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import huggingface_api_handler
from huggingface_api_handler import predict
from huggingface_api_handler.inference.telemetry import prometheus
from huggingface_api_handler.inference.telemetry.events import QueryEnded
from huggingface_api_handler.inference.telemetry.hooks import Hooks
from huggingface_api_handler.inference.telemetry.prometheus import PrometheusHook
from tests.conftest import Reply, Service
from tests.support.hooks import QUERY
from tests.unit.inference.runtime.test_executor import TEXTS, Run
from tests.unit.inference.telemetry.test_hooks import SERVICES, USING

ROOT = Path(huggingface_api_handler.__file__).parents[1]
KEY = "hf_SecretOfTheMetrics0123456789"


def samples(registry: CollectorRegistry) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The exposition text, parsed: values by the name of the sample and its labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(registry: CollectorRegistry, name: str) -> float:
    return sum(samples(registry).get(f"huggingface_api_{name}", {}).values())


def by_outcome(registry: CollectorRegistry, name: str) -> dict[str, float]:
    return {dict(labels)["outcome"]: value for labels, value in samples(registry)[f"huggingface_api_{name}"].items()}


@pytest.mark.parametrize("name", SERVICES)
def test_metrics_of_requests_add_up_to_the_usage(name: str) -> None:
    registry = CollectorRegistry()
    run = Run(SERVICES[name](), TEXTS, hooks=Hooks([PrometheusHook(registry)], QUERY))
    usage = run.usage
    assert total(registry, "requests_total") == usage.requests == total(registry, "request_duration_seconds_count")
    assert total(registry, "retries_total") == usage.retries
    assert total(registry, "pauses_total") == usage.rate_limit_waits
    assert total(registry, "tokens_total") == usage.tokens
    assert total(registry, "requests_in_flight") == 0


def test_metrics_of_several_queries_add_up_to_their_usage(service: Service) -> None:
    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if "bad" in body["inputs"]:
            return Reply({"error": "this input is bad"}, 422)
        return Reply([{"label": "POS", "score": 0.5}], headers={"x-total-tokens": "3"})

    service.answer = answer
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    engine = {"endpoint": service.url, "api_key": KEY}
    usages = [
        predict(pd.DataFrame({"text": texts}), USING, engine, hooks=[hook]).attrs["usage"]
        for texts in (["a", "b", None, "a"], ["a", "bad", "c"], [None, None])
    ]
    assert total(registry, "rows_total") == sum(usage["rows"] for usage in usages) == 9
    assert by_outcome(registry, "rows_total") == {"answered": 5, "null": 3, "rejected input": 1}
    assert total(registry, "cache_hits_total") == sum(usage["stored"] for usage in usages) == 1
    assert by_outcome(registry, "requests_total") == {"answered": 3, "rejected input": 1}
    assert total(registry, "requests_total") == sum(usage["requests"] for usage in usages)
    assert total(registry, "tokens_total") == sum(usage["tokens"] for usage in usages) == 9
    assert total(registry, "query_duration_seconds_count") == 3
    seconds = sum(usage["seconds"] for usage in usages)
    assert total(registry, "query_duration_seconds_sum") == pytest.approx(seconds)
    assert total(registry, "slots") >= 1

    text = generate_latest(registry).decode()
    assert KEY not in text and "bad" not in text and USING["task"] in text


def test_labels_are_bounded(service: Service) -> None:
    """The model's name, which is any text, is no label."""
    service.answer = lambda *_: [{"label": "POS", "score": 0.5}]
    registry = CollectorRegistry()
    hook = PrometheusHook(registry)
    for number in range(5):
        using = {**USING, "model": f"some/model-{number}"}
        predict(pd.DataFrame({"text": ["a"]}), using, {"endpoint": f"{service.url}/models"}, hooks=[hook])
    assert len(samples(registry)["huggingface_api_requests_total"]) == 1
    names = {label for values in samples(registry).values() for labels in values for label, _ in labels}
    assert names == {"host", "task", "outcome", "le"}


def test_the_time_of_pauses_is_counted() -> None:
    registry = CollectorRegistry()
    run = Run(SERVICES["every third asks to wait"](), TEXTS)
    PrometheusHook(registry).on_query_ended(QueryEnded(QUERY, run.usage, None))
    assert total(registry, "paused_seconds_total") == run.usage.seconds_waited > 0


def test_the_default_registry_is_used_once() -> None:
    """In a process of its own, since registries keep what they are given."""
    code = (
        "from huggingface_api_handler.inference.telemetry import hooks, prometheus as p\n"
        "assert p.register_default() is p.register_default() and hooks._registered == [p.register_default()]\n"
        "from prometheus_client import REGISTRY, generate_latest\n"
        "assert 'huggingface_api_rows_total' in generate_latest(REGISTRY).decode()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, prometheus.__name__)
    with pytest.raises(ModuleNotFoundError, match=r"huggingface_api_handler\[metrics\]"):
        __import__(prometheus.__name__)


def test_predict_imports_neither_prometheus_nor_opentelemetry() -> None:
    code = (
        "import sys\nfrom huggingface_api_handler import predict\nassert 'prometheus_client' not in sys.modules\n"
        "assert not [name for name in sys.modules if name.endswith(('telemetry.prometheus', 'telemetry.opentelemetry'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
