"""`endpoint = 'local'`: the local inference server as a child of this process.

Its socket is opened here and inherited by the child. So the port is certain before the child runs, no other program
can take it, and it stays where the child died and is started again: requests wait in the socket meanwhile.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import weakref
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from ..config.credentials import KEY_VARIABLES
from ..errors import InferenceError, InputError

if TYPE_CHECKING:
    from ..inference.runtime.session import Session

ENDPOINT = "local"
"""What CREATE ML_ENGINE has as ``endpoint`` for this server, and what stored answers know it by."""

INSTALL_HINT = 'pip install "huggingface_api_handler[sql,local]"'

START_TIMEOUT_S = 120.0
"""For a start, which takes a second or two. A machine that is busy, or a disk that is cold, needs more."""

STOP_TIMEOUT_S = 5.0
"""For a child to end once its standard input has. It is killed after that."""

_LOOK_TIMEOUT_S = 0.5
"""For one question whether the server answers, after which it is looked at whether it still runs."""

_MIN_UPTIME_S = 5.0
"""A child that ran for less has failed. One that ran longer may have met something that will not come again."""

_MAX_FAILURES = 3
"""Children that fail one after another, after which none is started until somebody wants the server again."""

# Proxies of the environment are not for loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalServer:
    """The local inference server, as one connection uses it. All that are open in a process share one child.

    Nothing is started before ``url`` is read. The child ends as the last of them is closed, and with this process,
    however that ends.

    Args:
        session: Whose queries go there.

    Example:
        >>> from huggingface_api_handler.config.validation import engine_settings
        >>> from huggingface_api_handler.inference import Session
        >>> with Session() as session, LocalServer(session) as server:
        ...     settings = engine_settings({"endpoint": server.url})
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        user = (os.getpid(), id(self))
        self._leave = weakref.finalize(self, _leave, user)
        with _lock:
            _users.add(user)

    @property
    def url(self) -> str:
        """The address for an engine, such as ``http://127.0.0.1:40123/models``. Read it again for each statement.

        Starts the child where none runs, and waits until it answers. Stored answers of one address are found at the
        next one.

        Raises:
            InputError: The extra ``local`` is not installed, or this was closed.
            InferenceError: The child does not start.
        """
        if not self._leave.alive:
            raise InputError("the connection is closed, and its local server with it. Open another one: connect()")
        _require_extra()
        child = _running_child()
        child.started.result()
        self._session.name_address(child.address, ENDPOINT)
        return f"{child.address}/models"

    def close(self) -> None:
        """Stop the child, if nobody else uses it. May be called twice."""
        self._leave()

    def __enter__(self) -> LocalServer:
        """Return the server itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def _require_extra() -> None:
    try:
        from .. import server  # noqa: F401 -- which says what is missing, and imports none of it
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed here" if error.name else "it is not all here"
        raise InputError(
            f"endpoint = 'local' starts the local inference server, which needs the extra local ({reason}). "
            f"Install it with: {INSTALL_HINT}"
        ) from None


class _Child:
    """One child after another, at one address. A thread starts them and waits for their ends.

    Attributes:
        owner: The process that they are children of. A process that was forked from it has none.
        address: Scheme, host and port.
        started: Done when the child answers, or has failed for good. Another one for each child.
        thread: Ends with the last child.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        try:
            self._listener = _listener()
        except OSError as error:
            raise InferenceError(
                f"endpoint = 'local': no port of 127.0.0.1 can be listened at ({error.strerror or error})"
            ) from None
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.started: Future[None] = Future()
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="huggingface_api_handler_")  # noqa: SIM115 -- closed below
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Lock()
        self._is_closed = False
        self.thread = threading.Thread(target=self._run, name="local inference server", daemon=True)
        self.thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether no child will be started any more."""
        return self.started.done() and self.started.exception() is not None

    def stop(self) -> None:
        """End the child, and start none any more."""
        with self._closing:
            self._is_closed, process = True, self._process
        if process is not None:
            _stop(process)

    def _run(self) -> None:
        failures, reason = 0, "cannot be started"
        try:
            while failures < _MAX_FAILURES:
                began = time.monotonic()
                with self._closing:
                    if self._is_closed:
                        return
                    self._process = process = self._start()
                if not self._answers(process, began):
                    reason = "did not start"
                    return
                self.started.set_result(None)
                process.wait()
                self.started = Future()
                failures = failures + 1 if time.monotonic() - began < _MIN_UPTIME_S else 0
            reason = f"ended {failures} times soon after its start"
        except OSError as error:
            reason = f"cannot be started ({error})"
        finally:
            self.started.set_exception(InferenceError(f"The local inference server {reason}{self._last_words()}"))
            self._listener.close()  # what waits in it is refused
            self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in KEY_VARIABLES}
        package_root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([package_root, *filter(None, map(str, sys.path))])
        number = self._listener.fileno()
        return subprocess.Popen(  # noqa: S603 -- this package, and no shell
            [sys.executable, "-m", f"{__package__.rpartition('.')[0]}.server.child", str(number)],
            cwd="/",  # `-m` imports from the working folder first, and here only root can put something
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            pass_fds=(number,),
            start_new_session=True,  # Ctrl-C in a terminal is for this process
        )

    def _answers(self, process: subprocess.Popen[bytes], began: float) -> bool:
        """Wait until the child answers. Returns False where it does not."""
        while process.poll() is None and time.monotonic() - began < START_TIMEOUT_S:
            # The socket takes the question before the child runs, which answers it as soon as it does.
            with suppress(OSError), _DIRECT.open(f"{self.address}/health", timeout=_LOOK_TIMEOUT_S):
                return True
        _stop(process)
        return False

    def _last_words(self) -> str:
        """What the child wrote last, as the end of a sentence."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return last and f". The last line of its log: {last}"


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()  # it ends as it would with this process
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_lock = threading.RLock()  # a garbage collection in it may close a server, which takes it again
_users: set[tuple[int, int]] = set()  # process and id
_child: _Child | None = None


def _running_child() -> _Child:
    """The child of this process, which is begun where there is none."""
    global _child  # noqa: PLW0603 -- one for the process
    with _lock:
        if _child is None or _child.owner != os.getpid() or _child.has_failed:
            _child = _Child()
        return _child


def _leave(user: tuple[int, int]) -> None:
    """Stop the child, if this was its last user. Not in a process that was forked from the user's."""
    global _child
    owner = os.getpid()
    with _lock:
        _users.discard(user)
        if _child is None or _child.owner != owner or any(process == owner for process, _ in _users):
            return
        child, _child = _child, None
    child.stop()
