"""Where a deploy fails, what ran before runs again, or nothing does."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from stackctl.operations import configuration, keys
from stackctl.operations.held import Held
from stackctl.operations.prepare import Prepared
from stackctl.operations.remove import take_back_data
from stackctl.plan import service_steps
from stackctl.progress import Progress
from stackctl.stack import Manifest
from stackctl.stack.bundle import with_modes, write_bundle


@dataclass
class Begun:
    """What a deploy came to that has to be undone by name.

    Attributes:
        keys: What MLflow encrypted may be encrypted with the stack's own keys by now.
    """

    keys: bool = False


@contextlib.contextmanager
def undone_on_failure(
    door: Held,
    wanted: Prepared,
    before: Manifest | None,
    secrets: list[str],
    progress: Progress,
) -> Iterator[Begun]:
    """What ran before runs again, or nothing does; Ctrl-C is a failure like any other."""
    begun = Begun()
    try:
        yield begun
    except BaseException:
        with uninterrupted():
            try:
                _undo(door, wanted, begun, before, secrets, progress)
            except Exception as error:  # the first failure is the one to raise
                name = wanted.deployment.scenario.name
                progress(f"that failed too: {error}; run: stackctl deploy {name}")
        raise


def _undo(
    door: Held,
    wanted: Prepared,
    begun: Begun,
    before: Manifest | None,
    secrets: list[str],
    progress: Progress,
) -> None:
    stack, runtime = wanted.deployment.stack, wanted.deployment.runtime
    ran = any(state.state == "running" for state in wanted.observed.services.values())
    if begun.keys and not (before and before.keyed):
        # What comes next has no keys of its own, or may forget these.
        runtime.stop(stack, wanted.deployment.servers)
        keys.give_back(wanted.deployment)
    if ran and wanted.files:
        progress("putting back what ran before")
        write_bundle(stack, with_modes(wanted.files))
        if before is not None:
            door.save(before)
        described = runtime.described(stack)
        outdated = configuration.outdated(stack, wanted.files)
        steps = service_steps(described, runtime.observe(stack), outdated=outdated)
        runtime.apply(stack, described, steps, timeout=None, progress=progress)
        configuration.note(stack, wanted.files)
        return
    progress("taking away what was started")
    fresh = frozenset(wanted.bundle.volumes) - wanted.observed.volumes
    runtime.remove(stack, lost=fresh if _never_ran(before) else frozenset())
    if wanted.data is not None and wanted.plan.makes_folder and _never_ran(before):
        take_back_data(stack, wanted.data)
    if before is not None:
        door.save(before)
        return
    for name in set(stack.secrets.names()) - set(secrets):
        stack.secrets.forget(name)
    if not stack.secrets.names():
        # Ended before the first was written.
        stack.secrets.delete()
    door.forget()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C wait until what is going on has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)


def _never_ran(before: Manifest | None) -> bool:
    return before is None or not before.deployed_at
