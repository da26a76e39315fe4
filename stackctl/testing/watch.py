"""Removes a test's stack when the test process is gone, however it ended.

`python -m stackctl.testing.watch HOME NAME PARENT`, in a session of its own, where no Ctrl-C of the
test's terminal reaches it. Its standard input is a pipe from the test process: a byte says that the
stack was removed, and its end that the process is gone. A child that the process forked has the
pipe too, so whose child this is is looked at as well.

testcontainers has a container for the same purpose, Ryuk. It is not used: its image cannot be
pulled everywhere, and it knows nothing of the embedded runtime's processes.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from stackctl.errors import StackctlError

LOG = "watch.log"
_NOT_FOR_IT = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_LOOK_SECONDS = 1.0
_END_SECONDS = 10.0
_TRY_SECONDS = 120.0
_PAUSE_SECONDS = 2.0


class Watch:
    """A watcher of this process, for one stack.

    Args:
        home: The stack's home, which is removed with it.
        name: The stack's name.
    """

    def __init__(self, home: Path, name: str) -> None:
        log = os.open(home / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # It inherits that until it is able to stand them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(home), name, str(os.getpid())],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", start_new_session=True,
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(log)

    def end(self) -> None:
        """Have it end: the stack is gone."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(b".", timeout=_END_SECONDS)

    def act(self) -> None:
        """Have it remove the stack now; does not wait for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def main() -> int:
    """Wait for the end of the test process; 0 where nothing of the stack is left then."""
    home, name, parent = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in _NOT_FOR_IT:
        # Neither SIG_IGN nor blocked: Compose would inherit that.
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_FOR_IT)
    while os.getppid() == parent:
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            if os.read(0, 1):
                return 0
            break
    _say(f"process {parent} is gone: removing stack {name}")
    deadline = time.monotonic() + _TRY_SECONDS
    while True:
        try:
            _remove(home, name)
        except (StackctlError, OSError) as error:
            _say(f"{error}")
        else:
            return 0
        if time.monotonic() > deadline:
            _say("giving up")
            return 1
        time.sleep(_PAUSE_SECONDS)


def _remove(home: Path, name: str) -> None:
    """Take everything of the stack away, and its home.

    Raises:
        StackctlError: Something of it could not be removed.
        OSError: The home could not be removed.
    """
    from stackctl.deployment import Deployment
    from stackctl.operations.remove import remove_with_data
    from stackctl.stack import Home

    stack = Home(home).stack(name)
    _end_compose(stack.bundle / "compose.yaml")
    if stack.manifest() is not None:
        remove_with_data(Deployment.recorded(stack), progress=_say)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(home)


def _end_compose(file: Path) -> None:
    """A Compose that the test process started would go on to make what is removed here."""
    import psutil

    found = [p for p in psutil.process_iter(["cmdline"]) if str(file) in (p.info["cmdline"] or ())]
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        _, found = psutil.wait_procs(found, timeout=_END_SECONDS)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
