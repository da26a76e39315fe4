"""A process beside a stack's services: bytes go in, bytes come out, complaints are kept."""

import contextlib
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from stackctl.errors import MachineError
from stackctl.secrets import redact

_COMPLAINTS = 40
_SECONDS_TO_END = 15


class Pipe:
    """One such process.

    Attributes:
        stdin: What it reads; a writer learns by BrokenPipeError that it has ended.
        stdout: What it writes.
    """

    def __init__(self, process: subprocess.Popen[bytes], what: str, secrets: list[str]) -> None:
        self._process, self._what, self._secrets = process, what, secrets
        self.stdin = cast(BinaryIO, process.stdin)
        self.stdout = cast(BinaryIO, process.stdout)
        self._lines: deque[str] = deque(maxlen=_COMPLAINTS)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def end(self) -> None:
        """Say that no more comes, and wait for its end.

        Raises:
            MachineError: It failed; with its last complaint.
        """
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        code = self._process.wait()
        self._reader.join()
        if code:
            raise self.failure(code)

    def failure(self, code: int | None = None) -> MachineError:
        """What it complained of."""
        code = self._process.wait() if code is None else code
        self._reader.join()
        lines = [redact(line, self._secrets) for line in self._lines if line.strip()]
        return MachineError(
            f"{self._what} failed: {lines[-1] if lines else f'exit code {code}'}",
            hint="mend that, and run the same command again",
            details="\n".join(lines[:-1]),
        )

    def _listen(self) -> None:
        for line in cast(IO[bytes], self._process.stderr):
            self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))


@contextmanager
def piped(
    command: Sequence[str],
    *,
    what: str,
    environment: Mapping[str, str],
    secrets: list[str],
    folder: Path | None = None,
    sweep: Callable[[], None] = lambda: None,
) -> Iterator[Pipe]:
    """Run `command`; it has ended when the context is left, killed where that is by an error.

    Args:
        command: The program and its words, none of them a secret.
        what: How errors call it.
        environment: Of the process.
        secrets: Values that no complaint may show.
        folder: Where it runs; here where not given.
        sweep: Ends what outlives the process, where it was killed.

    Raises:
        MachineError: It cannot be started, or it failed.
    """
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A terminal's Ctrl-C reaches stackctl alone, which ends it.
            start_new_session=True,
            cwd=folder,
        )
    except OSError as error:
        raise MachineError(
            f"{what} cannot be started: {error.strerror}", hint="see: stackctl doctor"
        ) from error
    pipe = Pipe(process, what, secrets)
    try:
        yield pipe
        pipe.end()
    except BrokenPipeError:
        # It ended before it had read all: its own complaint says why.
        raise pipe.failure() from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            sweep()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
