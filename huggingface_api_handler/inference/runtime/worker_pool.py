"""The tasks of one query: as many workers as there is work for, one of them idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class WorkerPool:
    """Tasks that end with their query. One that fails by a defect of ours ends the query, and the defect shows.

    Args:
        on_defect: is called once a task has failed.
    """

    def __init__(self, on_defect: Callable[[], None]) -> None:
        self._on_defect = on_defect
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_workers: set[asyncio.Task[None]] = set()

    @property
    def has_idle(self) -> bool:
        """Whether a worker waits for a slot."""
        return bool(self._idle_workers)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run something beside the workers, until it or the query ends.

        Args:
            work: what is to be done.

        Returns:
            The task, which ``close`` cancels.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def spawn_worker(self, work: Coroutine[None, None, None]) -> None:
        """Start a worker, which is idle until it says otherwise.

        Args:
            work: the worker's loop.
        """
        self._idle_workers.add(self.start(work))

    def mark_busy(self, worker: asyncio.Task[None]) -> None:
        """Note that a worker has a slot.

        Args:
            worker: the task of it.
        """
        self._idle_workers.discard(worker)

    def mark_idle(self, worker: asyncio.Task[None]) -> None:
        """Note that a worker waits for a slot again. Where another does so already, that one is cancelled.

        Two that wait mean that there are fewer slots than there were.

        Args:
            worker: the task of it.
        """
        if len(self._idle_workers) > 1:
            self._idle_workers.pop().cancel()
        self._idle_workers.add(worker)

    async def close(self) -> None:
        """Cancel all tasks and wait for them.

        Raises:
            BaseException: the defect by which a task failed, or what a hook raised to end the process.
        """
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                raise ended

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
        else:  # it stays, so that ``close`` raises its exception
            self._on_defect()
