"""Inputs on their way to requests, in bounded windows: media loaded, stored answers found, the rest packed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ...errors import MediaError
from ...tasks import Input, Media, MediaRef, Task
from ...tasks.input_types import loaded_media, media_in, text_length, with_media
from ..flow_control.batching import can_batch, next_batch
from ..flow_control.route_profile import RouteProfile
from ..storage.response_cache import NoResponseCache, ResponseCache

_TEXT_WINDOW, _MEDIA_WINDOW = 2048, 8
_MOST_WAITING = 8192
_MOST_MEDIA_BYTES = 64 * 1024 * 1024

Load = Callable[[MediaRef], Awaitable[Media]]


class InputQueue:
    """The positions of ``inputs`` that are still to be asked, a few windows of them at a time.

    ``found(position, part)`` is told of a stored answer and says whether it could be read; ``refused(position,
    error)`` of media that cannot be had. ``changed()`` is called whenever there may be more to take.
    """

    def __init__(
        self,
        task: Task,
        inputs: list[Input],
        profile: RouteProfile,
        answers: ResponseCache | NoResponseCache,
        load: Load,
        found: Callable[[int, Any], Awaitable[bool]],
        refused: Callable[[int, MediaError], None],
        changed: Callable[[], None],
    ) -> None:
        self.waiting: deque[int] = deque()
        self.finished = False
        self._task, self._inputs, self._profile, self._answers = task, inputs, profile, answers
        self._load, self._found, self._refused, self._changed = load, found, refused, changed
        self._loaded: dict[int, Any] = {}
        self._keys: dict[int, bytes] = {}
        self._bytes = 0
        self._has_media = any(media_in(item) is not None for item in inputs[:1])
        self._only_stored = False
        self._room = asyncio.Event()

    async def fill(self) -> None:
        """Bring window after window, as fast as they are taken."""
        window = _MEDIA_WINDOW if self._has_media else _TEXT_WINDOW
        for start in range(0, len(self._inputs), window):
            while not self._only_stored and (len(self.waiting) >= _MOST_WAITING or self._bytes >= _MOST_MEDIA_BYTES):
                self._room.clear()
                await self._room.wait()
            positions = list(range(start, min(start + window, len(self._inputs))))
            if self._has_media:
                positions = await self._with_media(positions)
            unanswered = await self._unanswered(positions)
            if self._only_stored:
                for position in unanswered:
                    self.drop(position)
                continue
            self.waiting.extend(self._in_order(unanswered))
            self._changed()
        self.finished = True
        self._changed()

    def only_cached(self) -> None:
        """From now on bring nothing to ask, and find what is stored; not of media, which would have to be loaded."""
        if self._has_media or self._answers.is_known_empty:
            self.finished = True
        else:
            self._only_stored = True
            self._room.set()

    def ready(self) -> bool:
        """Whether a whole batch can be taken, or what is left of the last."""
        if not self.waiting:
            return False
        if self.finished or not can_batch(self._task, self._profile):
            return True
        return len(self.waiting) >= 2 * self._profile.batch_size.best

    def take(self) -> Sequence[int]:
        """The positions of the next request."""
        taken = next_batch(self._task, self._inputs, self.waiting, self._profile)
        self._room.set()
        return taken

    def item(self, position: int) -> Any:
        """An input as it is sent."""
        return self._loaded.get(position, self._inputs[position])

    def replace_input(self, position: int, item: Input) -> None:
        """Ask something else for this position. Its answer is still stored under what was asked first."""
        self._inputs[position] = item

    def answered(self, position: int, part: Any) -> None:
        """Keep what was answered, and nothing else of this input."""
        key = self._keys.pop(position, None)
        if key is not None:
            self._answers.put(key, part)
        if self._loaded:
            self.drop(position)

    def drop(self, position: int) -> None:
        """Forget all of an input that is done with."""
        self._keys.pop(position, None)
        item = self._loaded.pop(position, None)
        if item is not None:
            self._bytes -= len(loaded_media(item).data)
            self._room.set()

    async def _with_media(self, positions: Sequence[int]) -> list[int]:
        loaded = await asyncio.gather(*(self._one_loaded(position) for position in positions))
        return [position for position, present in zip(positions, loaded, strict=True) if present]

    async def _one_loaded(self, position: int) -> bool:
        item = self._inputs[position]
        reference = media_in(item)
        if not isinstance(reference, MediaRef):
            return True
        try:
            media = await self._load(reference)
        except MediaError as error:
            self._refused(position, error)
            return False
        self._loaded[position] = with_media(item, media)
        self._bytes += len(media.data)
        return True

    async def _unanswered(self, positions: Sequence[int]) -> list[int]:
        """Those of ``positions`` that no stored answer serves."""
        if isinstance(self._answers, NoResponseCache):
            return list(positions)
        key = self._answers.key
        keys = {position: key(self.item(position)) for position in positions}
        stored = await self._answers.lookup(list(keys.values()))
        self._keys.update(keys)
        if not stored:
            return list(positions)
        left = []
        for position in positions:
            part = stored.get(keys[position], stored)
            if part is not stored and await self._found(position, part):
                self.drop(position)
            else:
                left.append(position)
        return left

    def _in_order(self, positions: list[int]) -> list[int]:
        """Those of one group together, and like lengths together, since a batch is as slow as its longest."""
        if not can_batch(self._task, self._profile) and self._profile.accepts_batches is False:
            return positions
        group, inputs = self._task.group, self._inputs
        groups: dict[Any, list[int]] = {}
        for position in positions:
            groups.setdefault(group(inputs[position]), []).append(position)
        most = self._profile.batch_size.best
        for members in groups.values():
            if len(members) <= most:
                continue
            members.sort(key=lambda position: text_length(inputs[position]))
        return [position for members in groups.values() for position in members]
