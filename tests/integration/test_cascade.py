"""A cascade through a real MindsDB: the proxy on another engine, what is stored and shown, tables in partitions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.conftest import Service
from tests.integration.conftest import rows_of
from tests.support.agreeing_models import AgreeingModels

ROWS = 900
FAR_KEY = "hf_cascadeFarKey0123456789"
NEAR_KEY = "hf_cascadeNearKey0123456789"


@pytest.fixture
def near() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


@pytest.fixture
def model(mindsdb: MindsDB, service: Service, near: Service, tmp_path: Path) -> Iterator[str]:
    """A model whose proxy is on an engine of its own, beside a table of numbered texts."""
    file = tmp_path / "numbered.csv"
    pd.DataFrame({"text": [f"text {number}" for number in range(ROWS)]}).to_csv(file, index=False)
    mindsdb.upload(file, "cascade_numbered")
    for name, at, key in (("cascade_far", service, FAR_KEY), ("cascade_near", near, NEAR_KEY)):
        mindsdb.sql(
            f"CREATE ML_ENGINE {name} FROM huggingface_api USING endpoint = '{at.url}/models', api_key = '{key}', "
            f"cache_dir = '{tmp_path}'"
        )
    mindsdb.sql(
        "CREATE MODEL mindsdb.cascaded PREDICT mood USING engine = 'cascade_far', task = 'text-classification', "
        "model = 'large', column = 'text', cascade = {'model': 'small', 'engine': 'cascade_near', 'accuracy': 0.9, "
        "'confidence': 0.9999}"
    )
    mindsdb.wait_for_model("cascaded")
    yield "mindsdb.cascaded"
    mindsdb.sql("DROP MODEL mindsdb.cascaded")
    for name in ("cascade_far", "cascade_near"):
        mindsdb.sql(f"DROP ML_ENGINE IF EXISTS {name}")
    mindsdb.sql("DROP TABLE files.cascade_numbered")


def share_right(rows: list[list[str]]) -> float:
    return sum(mood == AgreeingModels.truth(int(text.split()[1])) for text, mood, *_ in rows) / len(rows)


def test_most_rows_are_asked_of_the_other_engine_with_its_own_key(
    mindsdb: MindsDB, service: Service, near: Service, model: str
) -> None:
    far, close = AgreeingModels(service), AgreeingModels(near)
    select = f"SELECT t.text, m.mood, m.mood_model FROM files.cascade_numbered AS t JOIN {model} AS m"
    rows = rows_of(mindsdb, select)
    assert len(rows) == ROWS
    assert share_right(rows) >= 0.9
    by = Counter(row[2] for row in rows)
    assert by["small"] > ROWS / 10  # 265 as a rule, and 167 in the worst of 3,000 draws
    assert by["large"] == len(far.asked["large"])
    assert set(close.asked["small"]) == set(range(ROWS))
    assert not far.asked["small"] and not close.asked["large"]
    assert {headers.get("authorization") for headers in service.headers} == {f"Bearer {FAR_KEY}"}
    assert {headers.get("authorization") for headers in near.headers} == {f"Bearer {NEAR_KEY}"}
    far.forget()
    close.forget()
    assert sorted(rows_of(mindsdb, select)) == sorted(rows)
    assert not far.asked["large"] and not close.asked["small"]
    usage = mindsdb.sql("DESCRIBE mindsdb.cascaded.usage")
    shown = [dict(zip(usage.columns, row, strict=True)) for row in usage.rows]
    receipts = [json.loads(str(row["cascade"])) for row in shown if row["cascade"]]
    assert any(receipt["proxy_rows"] == by["small"] for receipt in receipts)
    settings = str(rows_of(mindsdb, "DESCRIBE mindsdb.cascaded.settings"))
    assert "cascade_near" in settings
    assert FAR_KEY not in settings and NEAR_KEY not in settings


def test_each_partition_is_certified_for_itself(mindsdb: MindsDB, service: Service, near: Service, model: str) -> None:
    AgreeingModels(service), AgreeingModels(near)
    rows = rows_of(
        mindsdb,
        f"SELECT t.text, m.mood, m.mood_model FROM files.cascade_numbered AS t JOIN {model} AS m "
        "USING partition_size = 450",
    )
    assert sorted(int(row[0].split()[1]) for row in rows) == list(range(ROWS))
    assert share_right(rows) >= 0.9
    usage = mindsdb.sql("DESCRIBE mindsdb.cascaded.usage")
    total = dict(zip(usage.columns, usage.rows[0], strict=True))
    receipt = json.loads(str(total["cascade"]))
    assert receipt["parts"] + receipt["straight_parts"] == 2
    assert receipt["rows"] == ROWS


def test_one_row_is_the_large_models(mindsdb: MindsDB, service: Service, near: Service, model: str) -> None:
    far, close = AgreeingModels(service), AgreeingModels(near)
    rows = rows_of(mindsdb, f"SELECT mood, mood_model FROM {model} WHERE text = 'text 7'")
    assert rows == [[AgreeingModels.truth(7), "large"]]
    assert far.asked["large"] == Counter([7]) and not close.asked["small"]


def test_an_engine_that_is_no_more_or_another_handlers_is_told_of(
    mindsdb: MindsDB, service: Service, near: Service, model: str
) -> None:
    AgreeingModels(service)
    with pytest.raises(SQLError, match="nowhere"):
        mindsdb.sql(
            "CREATE MODEL mindsdb.never PREDICT mood USING engine = 'cascade_far', task = 'text-classification', "
            "model = 'large', column = 'text', cascade = {'model': 'small', 'engine': 'nowhere', 'accuracy': 0.9}"
        )
    mindsdb.sql("DROP ML_ENGINE cascade_near")
    with pytest.raises(SQLError, match="cascade_near"):
        mindsdb.sql(f"SELECT t.text, m.mood FROM files.cascade_numbered AS t JOIN {model} AS m")
