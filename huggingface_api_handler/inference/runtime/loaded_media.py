"""The media of inputs that are on their way, held only as long as they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ...errors import MediaError
from ...tasks import Input, MediaRef
from ...tasks.input_types import links_in, loaded_media, media_in, with_media
from .context import CheckLink, Load

_MAX_LOOKUPS = 4  # at once: look-ups of names share their threads with all else
_MAX_MEDIA_BYTES = 64 * 1024 * 1024


class LoadedMedia:
    """Inputs with their media loaded, by their index.

    Args:
        inputs: the inputs of the query, with references to their media.
        load: loads the media of a reference.
        on_error: is given the index of an input whose media cannot be had, and why.

    Attributes:
        is_needed: whether the inputs that were taken last have media.
    """

    def __init__(self, inputs: Mapping[int, Input], load: Load, on_error: Callable[[int, MediaError], None]) -> None:
        self._inputs, self._load, self._on_error = inputs, load, on_error
        self._items: dict[int, Input] = {}
        self._size_bytes = 0
        self.is_needed = False

    @property
    def is_full(self) -> bool:
        """Whether no more should be loaded for now."""
        return self._size_bytes >= _MAX_MEDIA_BYTES

    def items(self, indexes: Sequence[int]) -> list[Input]:
        """Inputs as they are sent.

        Args:
            indexes: of the inputs.

        Returns:
            The inputs with their media; with the reference to it where the media is not loaded.
        """
        inputs, loaded = self._inputs, self._items
        return [loaded.get(index) or inputs[index] for index in indexes] if loaded else [inputs[i] for i in indexes]

    async def load(self, indexes: Sequence[int]) -> list[int]:
        """Load the media of several inputs at once.

        Args:
            indexes: of the inputs.

        Returns:
            Those that can be sent.
        """
        loaded = await asyncio.gather(*map(self._load_one, indexes))
        return [index for index, is_loaded in zip(indexes, loaded, strict=True) if is_loaded]

    async def check_links(self, indexes: Sequence[int], check_link: CheckLink) -> list[int]:
        """Look whether the model server may be sent to what conversations name.

        Args:
            indexes: of the inputs.
            check_link: raises MediaError for an address that it may not be sent to.

        Returns:
            Those that can be sent.
        """
        linked = {index: links for index in indexes if (links := links_in(self._inputs[index]))}
        if not linked:
            return list(indexes)
        distinct = list(dict.fromkeys(link for links in linked.values() for link in links))
        slots = asyncio.Semaphore(_MAX_LOOKUPS)

        async def check(link: str) -> MediaError | None:
            """Why the model server may not be sent there, None where it may."""
            async with slots:
                try:
                    await check_link(link)
                except MediaError as error:
                    return error
            return None

        errors = dict(zip(distinct, await asyncio.gather(*map(check, distinct)), strict=True))
        refused = set()
        for index, links in linked.items():
            error = next((found for link in links if (found := errors[link]) is not None), None)
            if error is not None:
                refused.add(index)
                self._on_error(index, error)
        return [index for index in indexes if index not in refused]

    def drop(self, index: int) -> bool:
        """Forget the media of an input.

        Args:
            index: of the input.

        Returns:
            Whether there was any.
        """
        item = self._items.pop(index, None) if self._items else None
        if item is None:
            return False
        self._size_bytes -= len(loaded_media(item).data)
        return True

    async def _load_one(self, index: int) -> bool:
        item = self._inputs[index]
        reference = media_in(item)
        if not isinstance(reference, MediaRef):
            return True
        try:
            media = await self._load(reference)
        except MediaError as error:
            self._on_error(index, error)
            return False
        self._items[index] = with_media(item, media)
        self._size_bytes += len(media.data)
        return True
