"""A unit is one process's at a time. That of a process that is gone may be taken over, by one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from huggingface_api_handler.runners.parquet import claims as module
from huggingface_api_handler.runners.parquet.claims import CLAIM_LEASE_S, Claims, Owner, is_alive, renewing

TAKE = """
import sys
from pathlib import Path
from huggingface_api_handler.runners.parquet.claims import Claims
print(Claims(Path(sys.argv[1])).take(3), flush=True)
sys.stdin.readline()
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def held_elsewhere(folder: Path, unit: int, **changes: object) -> Path:
    """The claim of a process of another machine."""
    path = folder / f"{unit}.1"
    path.write_bytes(orjson.dumps({**Owner.current()._asdict(), "machine": "another one", **changes}))
    return path


def test_one_of_many_gets_a_unit(tmp_path: Path) -> None:
    won: list[int] = []
    ready = threading.Barrier(8)

    def run(number: int) -> None:
        claims = Claims(tmp_path)
        ready.wait()
        won.extend(number for _ in range(50) if claims.take(0))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_what_is_given_back_can_be_taken_once(tmp_path: Path) -> None:
    first, second, third = Claims(tmp_path), Claims(tmp_path), Claims(tmp_path)
    (tmp_path / ".nfs0001").touch()  # what a file system leaves of files that were removed
    assert first.take(0)
    assert not second.take(0)
    first.give_back(0)
    assert third.free([0]) == [0]
    assert second.take(0)
    assert not third.take(0)
    assert third.free([0, 1]) == [1]


def test_a_unit_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    claims = Claims(tmp_path)
    assert claims.free([3, 4]) == [4]
    process.kill()
    process.communicate()
    assert claims.free([3]) == [3]
    assert claims.take(3)


def test_a_process_of_the_same_id_is_another_one() -> None:
    this = Owner.current()
    assert is_alive(this)
    if this.started is not None:
        assert not is_alive(this._replace(started=this.started - 1))


@pytest.mark.parametrize("clock_of_the_others", [-300, 0, 300])
def test_another_machine_counts_as_gone_when_its_claim_stays_as_it_is(tmp_path: Path, clock_of_the_others: int) -> None:
    path, clock = held_elsewhere(tmp_path, 0), Clock()
    claims = Claims(tmp_path, clock)
    for renewal in range(4):
        at = path.stat().st_mtime + clock_of_the_others + renewal
        os.utime(path, (at, at))
        assert claims.free([0]) == []
        clock.now += CLAIM_LEASE_S - 1
        assert claims.free([0]) == []
    clock.now += 1
    assert claims.free([0]) == [0]


def test_two_that_see_a_lost_claim_do_not_both_take_it(tmp_path: Path) -> None:
    held_elsewhere(tmp_path, 0)
    clock = Clock()
    both = [Claims(tmp_path, clock), Claims(tmp_path, clock)]
    assert [claims.free([0]) for claims in both] == [[], []]
    clock.now += CLAIM_LEASE_S
    assert [claims.free([0]) for claims in both] == [[0], [0]]
    assert [claims.take(0) for claims in both] == [True, False]
    clock.now += CLAIM_LEASE_S
    assert both[1].free([0]) == [], "the new owner lives, however old the first claim is"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"machine": 1}'])
def test_a_claim_that_says_nothing_is_lost_in_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.1").write_bytes(content)
    clock = Clock()
    claims = Claims(tmp_path, clock)
    assert claims.free([0]) == []
    clock.now += CLAIM_LEASE_S
    assert claims.free([0]) == [0]


def test_claims_are_renewed_and_those_of_done_units_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLAIM_RENEW_INTERVAL_S", 0.001)
    claims, renewed = Claims(tmp_path), threading.Event()
    assert claims.take(0)
    assert claims.take(1)
    claims.finish(1)
    paths = [tmp_path / "0.1", tmp_path / "1.1"]
    for path in paths:
        os.utime(path, (1, 1))
    with renewing(claims, renewed.set):
        assert renewed.wait(10)
    assert [path.stat().st_mtime == 1 for path in paths] == [False, True]
    paths[0].unlink()  # the job was finished by others
    claims.renew()


def test_the_order_of_turns_is_that_of_numbers(tmp_path: Path) -> None:
    taken: Sequence[bool] = []
    for _ in range(12):
        claims = Claims(tmp_path)
        taken = [*taken, claims.take(5)]
        claims.give_back(5)
    assert all(taken)
    assert (tmp_path / "5.12").exists()
    assert Claims(tmp_path).free([5]) == [5]
