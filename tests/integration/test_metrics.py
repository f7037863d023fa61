"""MindsDB's `/metrics` has this handler's metrics, from the processes in which it runs."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from huggingface_api_handler.demo.mindsdb_server import running_mindsdb


def samples(url: str) -> dict[tuple[str, str], float]:
    """Values by the name of the sample and the outcome, where it has one, summed over the others."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        text = response.read().decode()
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, sample.labels.get("outcome", "")
            found[key] = found.get(key, 0.0) + sample.value
    return found


def test_mindsdb_shows_the_metrics_where_its_own_are_on(
    handler_installed: None, inference: str, tmp_path: Path
) -> None:
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"), "HF_HOME": str(tmp_path / "hf")}
    with running_mindsdb(environment=variables) as mindsdb:
        assert ("huggingface_api_rows_total", "answered") not in samples(mindsdb.url)
        mindsdb.sql(f"CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = '{inference}/models'")
        mindsdb.sql(
            "CREATE MODEL mindsdb.mood PREDICT mood USING task = 'text-classification', column = 'text', engine = 'hf'"
        )
        mindsdb.wait_for_model("mood")
        for text in ("Good.", "Bad."):
            assert len(mindsdb.sql(f"SELECT mood FROM mindsdb.mood WHERE text = '{text}'").rows) == 1
        found = samples(mindsdb.url)
    assert found["huggingface_api_rows_total", "answered"] == 2
    assert found["huggingface_api_requests_total", "answered"] == 2
    assert found["huggingface_api_query_duration_seconds_count", ""] == 2
    assert found["huggingface_api_requests_in_flight", ""] == 0
    assert found["huggingface_api_slots", ""] >= 1
