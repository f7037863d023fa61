"""A pause is seen by all processes of a machine in one look, and nobody else's file is believed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from huggingface_api_handler.inference.flow_control import sqlite_ledger
from huggingface_api_handler.inference.flow_control.route_key import route_key
from huggingface_api_handler.inference.flow_control.route_ledger import MAX_PLAUSIBLE_PAUSE_S
from huggingface_api_handler.inference.flow_control.signal_file import SignalFile
from huggingface_api_handler.inference.flow_control.sqlite_ledger import SqliteLedger
from huggingface_api_handler.inference.storage.sqlite import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signals"


def untouched_since(path: Path) -> None:
    """Wait until a further change has another time: file systems count it in steps of some milliseconds."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.chmod(0o600)


def test_a_pause_is_seen_once_by_each_process(path: Path) -> None:
    one, two = SignalFile(path), SignalFile(path)
    assert two.look() is None
    one.signal(30.0)
    assert two.look() == pytest.approx(30.0, abs=5.0)
    assert two.look() is None


def test_a_pause_that_ends_later_is_not_shortened(path: Path) -> None:
    one, two = SignalFile(path), SignalFile(path)
    one.signal(60.0)
    two.signal(30.0)
    assert one.pause_s() == pytest.approx(60.0, abs=5.0)
    two.signal(90.0)
    assert one.pause_s() == pytest.approx(90.0, abs=5.0)


def test_a_signal_without_a_pause_is_seen_and_leaves_the_pause_as_it_was(path: Path) -> None:
    one, two = SignalFile(path), SignalFile(path)
    one.signal()
    assert two.look() == 0.0
    one.signal(30.0)
    two.look()
    untouched_since(path)
    two.look()
    before = path.stat().st_mtime_ns
    untouched_since(path)
    one.signal()
    assert two.look() == pytest.approx(30.0, abs=5.0)
    assert path.stat().st_mtime_ns == before


def test_a_pause_that_nobody_can_mean_is_none_and_can_be_replaced(path: Path) -> None:
    one = SignalFile(path)
    one.signal()
    os.utime(path, (0.0, time.time() + MAX_PLAUSIBLE_PAUSE_S + 60))
    assert one.pause_s() == 0.0
    one.signal(30.0)
    assert one.pause_s() == pytest.approx(30.0, abs=5.0)


def test_a_clock_that_was_set_back_makes_no_pause_longer(path: Path) -> None:
    one = SignalFile(path)
    one.signal(5.0)
    os.utime(path, (time.time() + 600, time.time() + 605))  # as it was signalled before the clock was set back
    assert one.pause_s() == 0.0
    one.signal(30.0)
    assert one.pause_s() == pytest.approx(30.0, abs=5.0)


def test_what_others_may_have_written_is_not_believed(path: Path) -> None:
    one, target = SignalFile(path), path.with_name("another")
    SignalFile(target).signal(30.0)
    path.symlink_to(target)
    assert one.pause_s() == 0.0
    one.signal(60.0)
    assert SignalFile(target).pause_s() == pytest.approx(30.0, abs=5.0), "a link is not followed"
    path.unlink()
    one.signal(30.0)
    path.chmod(0o666)
    assert one.pause_s() == 0.0


def test_a_folder_that_is_gone_costs_nothing_but_the_signal(tmp_path: Path) -> None:
    one = SignalFile(tmp_path / "gone" / "signals")
    one.signal(30.0)
    assert one.look() is None
    one.remove()


def test_a_pause_is_seen_where_the_file_system_counts_time_in_large_steps(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = os.lstat

    def status_in_steps(of: Path) -> os.stat_result:
        fields = lstat(of)
        return os.stat_result([*fields[:9], 0, *fields[10:13]], {"st_ctime_ns": 0, "st_mtime_ns": fields.st_mtime_ns})

    monkeypatch.setattr(os, "lstat", status_in_steps)
    one, two = SignalFile(path), SignalFile(path)
    one.signal()
    assert two.look() == 0.0
    one.signal(30.0)
    assert two.look() == pytest.approx(30.0, abs=5.0)
    assert two.look() is None


def test_two_threads_that_name_the_file_at_once_name_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves a route removes its file, which must never be the store itself."""
    store = Store(tmp_path)
    store.wait_until_open()
    ledger = SqliteLedger(store, "a route")
    named: list[Path] = []

    def name_while_another_thread_leaves(secret: bytes, name: str) -> bytes:
        monkeypatch.setattr(sqlite_ledger, "route_key", route_key)
        ledger._signals.remove()
        named.append(ledger._signals._path)
        return route_key(secret, name)

    monkeypatch.setattr(sqlite_ledger, "route_key", name_while_another_thread_leaves)
    named.append(ledger._signals._path)
    assert store.path.exists()
    assert len(set(named)) == 1
    store.close()


@pytest.mark.parametrize("when", ["before it is removed", "once it is removed", "while it is opened"])
def test_a_pause_signalled_while_another_process_leaves_the_route_is_kept(
    when: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = SignalFile(path), SignalFile(path)
    two.signal()
    if when == "while it is opened":
        fstat = os.fstat

        def fstat_while_the_other_leaves(descriptor: int) -> os.stat_result:
            monkeypatch.setattr(os, "fstat", fstat)
            two.remove()
            return fstat(descriptor)

        monkeypatch.setattr(os, "fstat", fstat_while_the_other_leaves)
        one.signal(30.0)
    else:
        rename = Path.rename

        def rename_while_the_other_signals(source: Path, target: Path) -> Path:
            if when == "before it is removed":
                one.signal(30.0)
            renamed = rename(source, target)
            if when == "once it is removed":
                one.signal(30.0)
            return renamed

        monkeypatch.setattr(Path, "rename", rename_while_the_other_signals)
        two.remove()
    assert SignalFile(path).pause_s() == pytest.approx(30.0, abs=5.0)
    assert [file.name for file in path.parent.iterdir()] == ["signals"]


def test_a_file_without_a_pause_is_removed(path: Path) -> None:
    one = SignalFile(path)
    one.signal()
    one.remove()
    assert list(path.parent.iterdir()) == []
