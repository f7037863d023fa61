"""What a person is told while a cascade runs: the phases in their order, and numbers that only rise."""

from __future__ import annotations

import functools
import io
import itertools
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from tqdm import tqdm

from huggingface_api_handler.inference import Phase, checked_settings, predict, predict_batches
from huggingface_api_handler.inference.cascade.learner import most_labels
from huggingface_api_handler.inference.cascade.phases import ALL, CHECKS, LABELS, READS, REST, VECTORS, Phases, Step
from huggingface_api_handler.inference.cascade.run import predict_frames
from huggingface_api_handler.inference.runtime import query_run
from huggingface_api_handler.inference.runtime.context import Query
from huggingface_api_handler.inference.runtime.progress import show_in_bar, with_phase
from tests.conftest import Service
from tests.support.agreeing_models import AgreeingModels
from tests.unit.inference.cascade.test_endings import Vectors, learned
from tests.unit.inference.cascade.test_run import table, using

PLAIN = {name: value for name, value in using().items() if name != "cascade"}


class Told(NamedTuple):
    """What a progress function was told once."""

    done: int
    total: int
    phase: Phase


class Listener:
    """A progress function that notes what it is told, and on which threads at once."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def __call__(self, done: int, total: int, phase: Phase | None = None) -> None:
        assert phase is not None
        self.told.append(Told(done, total, phase))

    @property
    def names(self) -> list[str]:
        """The phases in their order."""
        return [name for name, _ in itertools.groupby(each.phase.name for each in self.told)]

    def last(self, name: str) -> Phase:
        """The last that was told of a phase."""
        return [each.phase for each in self.told if each.phase.name == name][-1]


def check(told: Sequence[Told]) -> None:
    """What holds of the numbers of one part, however it ends."""
    for before, after in itertools.pairwise(told):
        assert before.done <= after.done
        assert before.total >= after.total
    assert all(each.done <= each.total for each in told)
    phases: dict[str, Phase] = {}
    for _, _, phase in told:
        assert 0 <= phase.done <= phase.total
        if (was := phases.get(phase.name)) is not None:
            assert was.done <= phase.done and was.total >= phase.total and was.seconds <= phase.seconds
        phases[phase.name] = phase


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_cascade_has_three_phases_and_each_ends_complete(
    models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    predict(table(1000), using(), engine, progress=listener)
    check(listener.told)
    assert listener.names == [READS.name, CHECKS.name, REST.name]
    ends = [listener.last(name) for name in listener.names]
    assert all(end.done == end.total and not end.is_most for end in ends)
    assert ends[0].done == 1000
    assert ends[1].done + ends[2].done == len(models.asked["large"])
    assert listener.told[-1][:2] == (1000 + len(models.asked["large"]),) * 2
    first_of_rest = next(each for each in listener.told if each.phase.name == REST.name)
    assert first_of_rest.total - first_of_rest.done == first_of_rest.phase.total
    first_check = next(each.phase for each in listener.told if each.phase.name == CHECKS.name)
    assert first_check.is_most and ends[1].done < first_check.total < 1000


def test_the_whole_is_not_done_before_the_last_phase_is(
    models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    predict(table(1000), using(), engine, progress=listener)
    rest = listener.last(REST.name).total
    for done, total, phase in listener.told:
        assert done < total or (phase.name, phase.done) == (REST.name, rest)


def test_a_learned_proxy_has_phases_of_its_vectors_and_its_labels(
    models: AgreeingModels, engine: dict[str, Any], service: Service, listener: Listener
) -> None:
    Vectors(service, models)
    predict(table(2000), learned(), engine, progress=listener)
    check(listener.told)
    assert listener.names[:4] == [VECTORS.name, LABELS.name, VECTORS.name, CHECKS.name]
    assert listener.last(VECTORS.name)[1:3] == (2000, 2000)
    labels = listener.last(LABELS.name)
    assert (labels.done, labels.total, labels.is_most) == (100, most_labels(2000, 0), True)
    after = [listener.last(name).done for name in listener.names[3:]]  # checks, and the rest where there is one
    assert labels.done + sum(after) == len(models.asked["large"])
    assert listener.told[-1][:2] == (2000 + len(models.asked["large"]),) * 2


def test_few_rows_have_one_phase(models: AgreeingModels, engine: dict[str, Any], listener: Listener) -> None:
    predict(table(10), using(), engine, progress=listener)
    check(listener.told)
    assert listener.names == [ALL.name]
    assert listener.told[-1][:2] == (10, 10)


def test_the_same_query_again_checks_nothing(
    models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    out = predict(table(1000), using(), engine)
    predict(table(1000), using(), engine, progress=listener)
    check(listener.told)
    assert listener.names == [READS.name, REST.name]
    assert listener.last(READS.name).total == (out["mood_model"] == "small").sum()
    assert listener.told[-1].done == listener.told[-1].total == 1000


@pytest.mark.parametrize("step", [CHECKS, REST])
def test_a_cancelled_query_ends_where_it_is(
    step: Step, models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    cancel = threading.Event()

    def progress(done: int, total: int, phase: Phase | None) -> None:
        listener(done, total, phase)
        if phase is not None and phase.name == step.name:
            cancel.set()

    models.on_large = lambda: time.sleep(0.3)  # longer than the query takes to see it
    out = predict(table(1000), using(), engine, cancel=cancel, progress=progress)
    check(listener.told)
    assert listener.names == [READS.name, CHECKS.name, REST.name][: step.stage + 1]
    end = listener.told[-1]
    assert end.phase.done < end.phase.total and end.phase.is_most == step.has_rounds
    assert end.done < end.total
    if step is REST:
        assert end.phase.total - end.phase.done == out["mood_error"].notna().sum()


@pytest.mark.parametrize("most", [1, 10])
def test_a_budget_that_ends_leaves_the_numbers_where_they_are(
    most: int, models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    predict(table(1000), {**PLAIN, "model": "small"}, engine)  # so that all requests are the large model's
    predict(table(1000), using(max_requests=most, on_error="null"), engine, progress=listener)
    check(listener.told)
    end = listener.told[-1]
    assert end.phase.name == CHECKS.name
    assert 0 < end.phase.done < end.phase.total
    assert end.phase.done == len(models.asked["large"])
    assert end[:2] == (1000 + end.phase.done, 2000)


def test_a_proxy_that_a_budget_ends_leaves_the_large_model_what_it_may_ask(
    models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    predict(table(1000), using(max_requests=3, on_error="null"), engine, progress=listener)
    check(listener.told)
    assert listener.names == [READS.name, REST.name]
    reads = listener.last(READS.name)
    assert 0 < reads.done < reads.total == 1000
    assert listener.told[-1][:2] == (reads.done, reads.done + 1000)


def test_parts_of_a_query_go_on_where_the_one_before_ended(
    models: AgreeingModels, engine: dict[str, Any], listener: Listener
) -> None:
    settings = checked_settings(using(), engine)
    query = Query.of(settings.model, settings.engine, None, settings.scope, ())
    parts = [table(600), None, table(500, 600)]
    list(predict_frames(parts, query, progress=listener))
    assert listener.names == [READS.name, CHECKS.name, REST.name] * 2
    second = [number for number, each in enumerate(listener.told) if each.phase.name == READS.name and number > 0]
    start = next(number for number in second if listener.told[number - 1].phase.name == REST.name)
    check(listener.told[:start])
    check(listener.told[start:])
    assert listener.told[start].done == listener.told[start - 1].done == listener.told[start - 1].total
    assert listener.told[-1].done == listener.told[-1].total == 1100 + len(models.asked["large"])


def test_a_function_of_two_numbers_is_called_with_two(models: AgreeingModels, engine: dict[str, Any]) -> None:
    seen: list[tuple[int, int]] = []
    list(
        predict_batches(
            [table(400), table(400, 400)], using(), engine, progress=lambda done, total: seen.append((done, total))
        )
    )
    assert seen[0] == (0, 1600)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_without_a_cascade_there_is_no_phase(service: Service, engine: dict[str, Any]) -> None:
    AgreeingModels(service)
    seen: list[Phase | None] = []

    def progress(_done: int, _total: int, *, phase: Phase | None) -> None:
        seen.append(phase)

    predict(table(5), PLAIN, engine, progress=progress)
    assert seen and set(seen) == {None}


PHASE = Phase("large model checks", 62, 312, 1.5, is_most=True)


def test_only_a_parameter_of_that_name_gets_the_phase() -> None:
    seen: list[Any] = []

    def named(done: int, total: int, phase: Phase | None = None) -> None:
        seen.append((done, total, phase))

    def other(done: int, total: int, step: str = "mine") -> None:
        seen.append((done, total, step))

    def of_model(model: str, done: int, total: int, *, phase: Phase | None) -> None:
        seen.append((model, done, total, phase))

    class Mine:
        def __call__(self, done: int, total: int) -> None:
            seen.append((done, total))

    for function in (named, other, functools.partial(of_model, "topic"), Mine()):
        with_phase(function)(1, 2, phase=PHASE)
    assert seen == [(1, 2, PHASE), (1, 2, "mine"), ("topic", 1, 2, PHASE), (1, 2)]


def test_what_is_told_late_or_of_the_other_model_changes_nothing() -> None:
    listener = Listener()
    phases = Phases(listener)
    phases.begin_part(10)
    assert phases.now() is None
    phases.begin(READS, 10, 0)
    phases.tick(4, is_large=False)
    phases.tick(3, is_large=False)
    phases.tick(9, is_large=True)
    assert listener.told[-1][:2] == (4, 20)
    phases.settle(10)
    phases.expect(CHECKS, 8)
    phases.begin(CHECKS, 3, 0)
    phases.tick(10, is_large=False)
    phases.tick(2, is_large=True)
    assert listener.told[-1][:2] == (12, 20)
    phases.settle(3)
    phases.begin(CHECKS, 2, 3)
    phases.tick(3, is_large=True)
    assert listener.told[-1][:2] == (13, 20)
    phases.settle(2)
    phases.tick(5, is_large=True)
    phases.end_part()
    check(listener.told)
    assert listener.told[-1][:2] == (15, 15)
    assert listener.told[-1].phase[:3] == (CHECKS.name, 5, 5)


def printed(lines: Iterator[str]) -> list[str]:
    """What a bar has printed, without what it wiped."""
    return [line.strip() for line in lines if line.strip()]


def test_a_bar_names_the_phase_and_never_goes_back(
    models: AgreeingModels, engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    models.on_large = lambda: time.sleep(0.02)
    predict(table(1000), using(), {**engine, "max_concurrency": 4}, progress=True)
    lines = printed(iter(capsys.readouterr().err.replace("\n", "\r").split("\r")))
    lines = [line for line in lines if "%|" in line]
    assert lines[0].startswith("small model reads: 0 of 1,000")
    assert any(line.startswith("large model checks: ") and " of at most " in line for line in lines)
    assert lines[-1].startswith("large model answers the rest: ") and "100%|" in lines[-1]
    shares = [int(line.partition("%|")[0].split()[-1]) for line in lines]
    assert shares == sorted(shares)
    assert [share for share in shares if share == 100] == [100] * sum(
        "the rest" in line for line in lines if "100%|" in line
    )


def test_the_bar_of_a_cancelled_query_ends_where_it_is(
    models: AgreeingModels, engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cancel = threading.Event()

    def on_large() -> None:
        cancel.set()
        time.sleep(0.3)  # longer than the query takes to see it

    models.on_large = on_large
    predict(table(1000), using(), engine, cancel=cancel, progress=True)
    last = printed(iter(capsys.readouterr().err.replace("\n", "\r").split("\r")))[-1]
    assert last.startswith("large model checks: ") and " 50%|" in last


def test_a_bar_without_a_phase_is_as_it_was() -> None:
    shown = io.StringIO()
    with tqdm(total=None, unit="input", file=shown, mininterval=0, miniters=1) as bar:
        show_in_bar(bar, "", 2, 4, None)
        show_in_bar(bar, "", 4, 4, None)
    last = shown.getvalue().split("\r")[-1]
    assert last.startswith("100%|") and "4/4 [" in last


def test_the_widget_of_a_notebook_gets_each_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a total of its own, which only reset() sets."""
    with tqdm(total=None, file=io.StringIO()) as bar:
        totals: list[float] = []
        reset = bar.reset

        def reset_widget(total: float) -> None:
            totals.append(total)
            reset(total)

        monkeypatch.setattr(bar, "container", None, raising=False)
        monkeypatch.setattr(bar, "reset", reset_widget)
        started = bar.start_t
        show_in_bar(bar, "", 1000, 2000, Phase("small model reads", 1000, 1000, 1.0))
        show_in_bar(bar, "", 1000, 2000, Phase("large model checks", 0, 852, 1.0))
        show_in_bar(bar, "", 1000, 1676, Phase("large model answers the rest", 0, 425, 0.0))
        assert totals == [2000, 1676]
        assert (bar.total, bar.n, bar.start_t) == (1676, 1000, started)


def test_the_log_names_the_phase(
    models: AgreeingModels,
    engine: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """These are the lines that MindsDB shows."""
    monkeypatch.setattr(query_run, "_LOG_INTERVAL_S", 0.05)
    models.on_large = lambda: time.sleep(0.05)
    with caplog.at_level(logging.INFO, logger=query_run.__name__):
        predict(table(1000), using(), {**engine, "max_concurrency": 2})
    lines = [record.getMessage() for record in caplog.records if "inputs answered" in record.getMessage()]
    assert any(line.startswith("cascade, large model checks: ") and " of at most " in line for line in lines)
    assert any(line.startswith("cascade, large model answers the rest: ") for line in lines)
    assert all(line.startswith("cascade, ") for line in lines)
