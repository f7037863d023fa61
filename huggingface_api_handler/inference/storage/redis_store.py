"""One Redis for what several machines share: stored answers, usage, quotas, and what routes have learned.

It is to machines what ``sqlite.Store`` is to the processes of one machine, and has the same promise: it never fails a
query. A Redis that cannot be reached, is full, or was emptied costs one warning and what would have been shared. One
that does not answer holds a query up once; from then on operations return their default at once, and a thread tries it
again.

Any Redis from 6.2 to 8, Valkey too, with Redis Cluster or without. Keys begin with a hash tag, ``{hfapi:...}``, so
that all keys of one script are in one slot. This module imports redis, so import it only where a store is named.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha1
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import redis

from ...config.store_address import StoreAddress
from ...redaction import Secret
from .open_stores import shared_store
from .redis_connection import Client, connect, disconnect, reason_of
from .secret import SECRET_BYTES

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRY_S = 0.25
"""When a Redis that is away is tried again. Each try waits twice as long as the one before."""

_MAX_RETRY_S = 15.0
"""The longest time between two tries."""

_CHECK_INTERVAL_S = 1.0
"""Between two looks whether the secret is still there. Nobody else's keys are found for so long after FLUSHALL."""

_CHECK_SHARE = 0.05
"""The look takes at most this share of the time, where Redis is far away."""

_MAX_CLOCK_OFFSET_S = 100 * 366 * 24 * 3600.0
"""More than any two machines differ by, and less than what cannot be made a date."""

_SAFE_POLICY = "noeviction"
_SAFE_POLICY_PREFIX = "volatile-"

_AWAY = (
    "the shared store %s cannot be used (%s): what other machines store and announce is not known here meanwhile, and "
    "answers may be asked for again. It is tried again by itself"
)
_REFUSED = (
    "the shared store %s refused an operation (%s): what it was to store is not stored, and may be asked for again. "
    "The query goes on"
)

_FULL = redis.ResponseError("it is full: maxmemory is used up")

SECRET_KEY = b"{hfapi:secret}"
"""Under which the secret of all machines is."""

_logged: set[tuple[StoreAddress, str]] = set()
"""Reasons for doing without that were logged, so that each is once in a process and address."""


_sent_scripts: WeakKeyDictionary[Client, set[str]] = WeakKeyDictionary()
"""The digests of the scripts that each client has sent."""


class Script:
    """A Lua script, which Redis runs as one operation.

    A full Redis refuses a script whose first write may need memory. So one that must go on then begins with a write
    that needs none, such as ``HDEL`` of a field that does not exist, or ``PERSIST``.

    Args:
        text: The script. It reads its keys from ``KEYS``, all of one hash tag, and all else from ``ARGV``.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: Client, keys: Sequence[bytes], arguments: Sequence[bytes | str | int | float]) -> Any:
        """Run the script. The first time it is sent whole, which saves a trip where Redis does not have it.

        Args:
            client: The store's.
            keys: What the script reads from ``KEYS``.
            arguments: What it reads from ``ARGV``.

        Returns:
            What the script returns, in bytes, integers and lists.

        Raises:
            redis.RedisError: It failed.
        """
        # The types of redis-py want texts, and send bytes as they are.
        values = cast(Sequence[str], (*keys, *arguments))
        sent = _sent_scripts.setdefault(client, set())
        if self._sha in sent:
            with suppress(redis.exceptions.NoScriptError):
                return client.evalsha(self._sha, len(keys), *values)
        answer = client.eval(self._text, len(keys), *values)
        sent.add(self._sha)
        return answer


_check = Script(
    """
    redis.call('PERSIST', KEYS[1])
    redis.call('SET', KEYS[1], ARGV[1], 'NX')
    local now = redis.call('TIME')
    return {redis.call('GET', KEYS[1]), now[1], now[2]}
    """
)


class RedisStore:
    """One Redis, used by one thread of this process. Everybody else gets there through ``run``.

    Attributes:
        address: Where it is.
        secret: Key of the hashes that stand for inputs and routes, 32 bytes: the one that all machines share once
            Redis was asked, and random before. What was derived from another secret than this must be neither stored
            nor looked for.
        opened: Done once Redis answered, or could not be reached. Never holds an exception.
        is_cluster: Whether it is a Redis Cluster, in which one command has keys of one hash tag only.
    """

    def __init__(self, address: StoreAddress) -> None:
        """Start the store's thread, which connects.

        Args:
            address: Where the Redis is, with its password.
        """
        self.address = address
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self.is_cluster = False
        password = address.password.get_secret_value() if address.password else ""
        self._password = Secret(password) if password else None
        self._client: Client | None = None
        self._checked_at = float("-inf")
        self._check_interval_s = _CHECK_INTERVAL_S
        self._clock_offset_s = 0.0
        self._closing = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="huggingface-api-redis")
        self.opened: Future[None] = self._executor.submit(self._open)

    def run(self, operation: Callable[[Client], T], default: T) -> Future[T]:
        """Run ``operation(client)`` on the store's thread.

        Args:
            operation: What to do. It is run once more where the connection broke under it, so what it does must not
                count twice. An error that Redis answers ends it, and costs one warning.
            default: The result where Redis cannot be used.

        Returns:
            A future of the operation's result or of ``default``. It never holds an exception.
        """
        try:
            return self._executor.submit(self._run_safely, operation, default)
        except RuntimeError:  # closed, as the process ends
            done: Future[T] = Future()
            done.set_result(default)
            return done

    def wait_until_open(self) -> None:
        """Wait until Redis answered, or could not be reached. Call it before ``secret`` is read, off event loops."""
        self.opened.result()

    def now(self) -> float:
        """The time by Redis' clock, which is one for all machines.

        Returns:
            Seconds since 1970, by this machine's clock where Redis has not answered yet.
        """
        return time.time() + self._clock_offset_s

    @property
    def is_away(self) -> bool:
        """Whether Redis cannot be used now, so that ``run`` gives the default."""
        return self._client is None

    def close(self) -> None:
        """Finish all operations handed over so far, then close the connection."""
        self._executor.shutdown(wait=True)
        self._closing.set()
        client, self._client = self._client, None
        disconnect(client)

    def suspend(self) -> None:
        """Do nothing: a child makes a store of its own, and redis-py leaves its parent's connection alone."""

    def resume(self) -> None:
        """Do nothing."""

    def _open(self) -> None:
        try:
            self._client = self._connect()
        except Exception as error:  # whatever listens there may answer anything
            self._leave(error)

    def _run_safely(self, operation: Callable[[Client], T], default: T) -> T:
        for _ in range(2):
            client = self._client
            if client is None:
                return default
            try:
                if time.monotonic() - self._checked_at > self._check_interval_s:
                    self._check_secret(client)
                return operation(client)
            except redis.TimeoutError as error:
                self._leave(error)
            except redis.ConnectionError:  # Redis has closed it, or is gone
                disconnect(client)
                self._open()
            except Exception as error:  # of a full Redis, or of the operation's own
                self._warn(_FULL if _is_full(error) else error, _REFUSED)
                return default
        return default

    def _connect(self) -> Client:
        """A connection to a Redis that has answered, and knows the secret."""
        client, info = connect(self.address)
        try:
            self.is_cluster = info.get("cluster_enabled") == 1
            self._check_secret(client)
        except BaseException:
            disconnect(client)
            raise
        self._warn_of_eviction(str(info.get("maxmemory_policy", _SAFE_POLICY)))
        return client

    def _check_secret(self, client: Client) -> None:
        """Adopt the secret that is in Redis, or put this one there."""
        began = time.monotonic()
        secret, seconds, microseconds = _check(client, [SECRET_KEY], [self.secret])
        self._checked_at = time.monotonic()
        took_s = self._checked_at - began
        if not isinstance(secret, bytes) or len(secret) != SECRET_BYTES:
            raise redis.ResponseError("its secret {hfapi:secret} is not one of this package. Delete that key")
        offset_s = int(seconds) + int(microseconds) / 1e6 - (time.time() - took_s / 2)
        if abs(offset_s) > _MAX_CLOCK_OFFSET_S:
            raise redis.ResponseError("its clock is wrong by more than a century")
        self.secret, self._clock_offset_s = secret, offset_s
        self._check_interval_s = max(_CHECK_INTERVAL_S, took_s / _CHECK_SHARE)

    def _leave(self, error: Exception) -> None:
        """Do without Redis, and let a thread try it again."""
        client, self._client = self._client, None
        disconnect(client)
        self._warn(error)
        if not self._closing.is_set():
            threading.Thread(target=self._reconnect, name="huggingface-api-redis-retry", daemon=True).start()

    def _reconnect(self) -> None:
        wait_s = _FIRST_RETRY_S
        while not self._closing.wait(wait_s):
            try:
                self._client = self._connect()
            except Exception as error:  # it says why it is still away, where that is another reason
                self._warn(error)
                wait_s = min(2 * wait_s, _MAX_RETRY_S)
            else:
                logger.info("the shared store %s is used again", self.address)
                return

    def _warn(self, error: Exception, what: str = _AWAY) -> None:
        reason = reason_of(error, self._password)
        if self._is_first(reason):
            logger.warning(what, self.address, reason)

    def _warn_of_eviction(self, policy: str) -> None:
        is_safe = policy == _SAFE_POLICY or policy.startswith(_SAFE_POLICY_PREFIX)
        if not is_safe and self._is_first(policy):
            logger.warning(
                "the shared store %s has maxmemory-policy %s, which may drop quotas and pauses while it is full. Set "
                "volatile-ttl, which drops stored answers only, or noeviction",
                self.address,
                policy,
            )

    def _is_first(self, reason: str) -> bool:
        is_first = (self.address, reason) not in _logged
        _logged.add((self.address, reason))
        return is_first


def _is_full(error: Exception) -> bool:
    # Redis 6.2 has it among the words of a script's error.
    return isinstance(error, redis.exceptions.OutOfMemoryError) or "-OOM " in str(error)


def open_redis_store(address: StoreAddress, holder: object | None = None) -> RedisStore:
    """Open the store of a Redis, or return the one that this process has open there.

    Args:
        address: Where it is, with its password. Another password or database is another store.
        holder: Who keeps it open until ``open_stores.release_stores``; None for a look.

    Returns:
        The store. It may still be connecting: call ``store.wait_until_open`` where you need ``store.secret``.
    """
    return shared_store(address, lambda: RedisStore(address), holder)
