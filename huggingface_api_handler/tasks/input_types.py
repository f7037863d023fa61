"""The canonical input of one row: what a task asks about, in a type of its own. Equal inputs are sent once.

A text is a plain ``str``, and an image, sound or video alone a ``MediaRef`` (``Media`` once it is loaded). Where a task
reads several columns, a small named type holds one cell of each.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias


class InvalidCell(NamedTuple):
    """A cell that cannot be sent. It costs no request, and ``reason`` becomes its row's error."""

    reason: str


@dataclass(frozen=True)
class Media:
    """An image, sound or video: its bytes and its content type, such as ``image/png``."""

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True)
class MediaRef:
    """A cell that names or holds media, not yet loaded: bytes, a ``data:`` URI, a URL or a path.

    ``kind`` is 'image', 'audio' or 'video'.
    """

    cell: str | bytes = field(repr=False)
    kind: str


class TextPair(NamedTuple):
    """Two texts that are compared. ``source`` is the query of text-ranking; texts of one source go in one request."""

    source: str
    text: str


class LabelledText(NamedTuple):
    """A text with the labels of its own row."""

    text: str
    labels: tuple[str, ...]


class ContextQuestion(NamedTuple):
    """A question, and the text that holds its answer."""

    question: str
    context: str


class TableQuestion(NamedTuple):
    """A question, and the table that holds its answer as JSON text: ``{column: [text, ...]}``."""

    question: str
    table: str


class LabelledMedia(NamedTuple):
    """Media with the labels of its own row."""

    media: MediaRef | Media
    labels: tuple[str, ...]


class MediaQuestion(NamedTuple):
    """An image and a question on it."""

    media: MediaRef | Media
    question: str


class PromptedMedia(NamedTuple):
    """Media and the prompt of its own row."""

    media: MediaRef | Media
    prompt: str


@dataclass(frozen=True)
class TableRow:
    """One row of a table: the text of each of its columns, in the order of the argument ``columns``."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Conversation:
    """The messages of one row, ``[{"role", "content"}, ...]``, as JSON text, and the addresses that they name."""

    messages: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptFields:
    """A prompt of several cells of a row, each as ``(name of its column, text)``, in the order in which they are sent.

    A stored answer is found by the fields in whatever order (``cells_of``). The best order is another for each table,
    and no table is there when a model is made: the first query may read one row, and each worker of a cluster a part.
    Were the order part of what is found, the same row would be paid for again in another table.
    """

    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self.fields)


@dataclass(frozen=True)
class Repair:
    """A prompt with the answer that did not fit, and what was wrong with it."""

    prompt: str | PromptFields | Conversation
    answer: str
    complaint: str


SeveralCells: TypeAlias = (
    TextPair | LabelledText | ContextQuestion | TableQuestion | LabelledMedia | MediaQuestion | PromptedMedia
)
Input: TypeAlias = str | MediaRef | Media | SeveralCells | TableRow | Conversation | PromptFields | Repair

_WITH_MEDIA = (LabelledMedia, MediaQuestion, PromptedMedia)


def media_in(item: Input) -> MediaRef | Media | None:
    """The media of an input, loaded or not.

    Args:
        item: the input of one row.

    Returns:
        Its image, sound or video; None where it has none.
    """
    if isinstance(item, (MediaRef, Media)):
        return item
    return item.media if isinstance(item, _WITH_MEDIA) else None


def links_in(item: Input) -> tuple[str, ...]:
    """The addresses that an input names for the model server to fetch.

    Args:
        item: the input of one row.

    Returns:
        Those of a conversation's parts, none for any other input.
    """
    return item.links if isinstance(item, Conversation) else ()


def loaded_media(item: Input) -> Media:
    """The media of an input on its way into a request.

    Args:
        item: an input that has media, already loaded (see ``with_media``).

    Returns:
        Its bytes with their content type.

    Raises:
        TypeError: it has none, or it is not loaded.
    """
    media = media_in(item)
    if not isinstance(media, Media):
        raise TypeError(f"{type(item).__name__} has no loaded media")
    return media


def with_media(item: Input, media: Media) -> Input:
    """The same input with its media loaded.

    Args:
        item: an input that has media (see ``media_in``).
        media: what its reference was loaded as.

    Returns:
        A copy of the input with ``media`` in it; ``media`` itself for an input that is nothing else.
    """
    return item._replace(media=media) if isinstance(item, _WITH_MEDIA) else media


def to_base64(media: Media) -> str:
    """The bytes of media as base64 text, as JSON carries them.

    Args:
        media: of which the bytes are taken.

    Returns:
        The text, without line breaks.
    """
    return b64encode(media.data).decode("ascii")


def data_uri(media: Media) -> str:
    """Media as a ``data:`` URI, which carries its content type.

    Args:
        media: what the URI is to hold.

    Returns:
        The URI, in base64.
    """
    return f"data:{media.content_type};base64,{to_base64(media)}"


def text_length(item: Input) -> int:
    """Characters of an input's text, by which inputs of like length are batched together.

    Args:
        item: the input of one row.

    Returns:
        The number of characters of its text or texts, more or less.
    """
    return len(item) if isinstance(item, str) else len(str(cells_of(item)))


def prompt_text(item: Input) -> str:
    """The text of a prompt as it is sent, from its beginning, by which prompts that begin alike are found.

    Args:
        item: the input of a row of a chat.

    Returns:
        The prompt; of a conversation its messages, of a repair those of the prompt that is repaired.
    """
    if isinstance(item, Repair):
        item = item.prompt
    return item.messages if isinstance(item, Conversation) else str(item)


def cells_of(item: Input) -> Hashable:
    """The cells of an input as plain values, which a stored answer is found by. It must not change between versions.

    Args:
        item: the input of one row, its media loaded.

    Returns:
        Texts, ``Media``, and tuples of them, without the names of the types.
    """
    if isinstance(item, TableRow):
        return item.values
    if isinstance(item, Conversation):
        return item.messages
    if isinstance(item, PromptFields):
        return tuple(sorted(item.fields))
    return tuple(item) if isinstance(item, tuple) else item
