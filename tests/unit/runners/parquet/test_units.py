"""Units have all rows of a file, each once, and none spans two row groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.runners.parquet.units import units_of


@given(st.lists(st.integers(0, 50)), st.integers(1, 20))
def test_units_have_each_row_once_and_in_order(row_groups: list[int], unit_rows: int) -> None:
    units = units_of(row_groups, unit_rows)
    found = [(unit.row_group, row) for unit in units for row in range(unit.start, unit.start + unit.rows)]
    assert found == [(row_group, row) for row_group, rows in enumerate(row_groups) for row in range(rows)]
    assert [unit.number for unit in units] == list(range(len(units)))
    assert all(0 < unit.rows <= unit_rows for unit in units)
