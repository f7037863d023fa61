"""Which store a command is about: the file of this machine, or the Redis that several machines share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..config.credentials import resolve_store
from ..config.store_address import STORE_VARIABLE, StoreAddress
from ..config.validation import engine_settings
from ..errors import InputError

if TYPE_CHECKING:
    from ..inference.storage.upkeep import Upkeep

REDIS_HINT = 'pip install "huggingface_api_handler[redis]"'


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which store is meant.

    Args:
        parser: Of the command.
    """
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        help=f"folder of the answer store; by default the Redis that {STORE_VARIABLE} names, else the usual folder",
    )
    where.add_argument(
        "--store", metavar="URL", help=f"address of a shared Redis; its password is in {STORE_VARIABLE} only"
    )


@contextmanager
def open_store(args: argparse.Namespace) -> Iterator[Upkeep]:
    """Open the store that the options name, as an engine with these arguments has it.

    Args:
        args: As ``add_store_arguments`` has them.

    Yields:
        The store, closed at the end of the block.

    Raises:
        InputError: There is no such store, or it cannot be used.
    """
    address = shared_address(args.store) if args.cache_dir is None else None
    if address is None:
        from ..inference.storage.sqlite_upkeep import open_file

        with open_file(args.cache_dir) as file:
            yield file
    else:
        with open_shared(address) as shared:
            yield shared


def shared_address(url: str | None = None) -> StoreAddress | None:
    """The address of a shared store, with the login of the variable.

    Args:
        url: That was named; None for the one of the variable.

    Returns:
        The address; None where none is named.

    Raises:
        InputError: It is none, or has a password.
    """
    return resolve_store(engine_settings({} if url is None else {"store": url}))


@contextmanager
def open_shared(address: StoreAddress) -> Iterator[Upkeep]:
    """Open a shared store.

    Args:
        address: Where it is.

    Yields:
        The store, closed at the end of the block.

    Raises:
        InputError: It cannot be used, or the package redis is not installed.
    """
    try:
        from ..inference.storage.redis_upkeep import open_redis
    except ImportError:
        raise InputError(f"the shared store {address} needs the package redis. Install with: {REDIS_HINT}") from None
    with open_redis(address) as shared:
        yield shared
