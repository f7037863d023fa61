"""docs/tasks.md, which says what each task rests on, is in step with the tests."""

from __future__ import annotations

from tools import generated, task_matrix


def test_the_page_says_what_the_tests_do() -> None:
    outdated = generated.outdated({task_matrix.PAGE: task_matrix.page()})
    assert outdated == [], "run `python -m tools.task_matrix`"
