"""Rotate: new values for secrets of a stack that runs, and proof that the old ones are void.

A new value is on the disk before the service that asks for it is told, and the old one stays there
until the new one is proved. So a rotation that is cut short locks nobody out: the next call asks
the service which value it takes, and goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stackctl.client import environment as client
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UnknownName, UserError
from stackctl.operations import login, trust
from stackctl.operations.held import held
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.secrets.rotation import Handover
from stackctl.stores.credentials import Credential


@dataclass(frozen=True)
class Rotated:
    """What a rotation did.

    Attributes:
        names: Of the secrets that have new values.
        resumed: It ended a rotation that was cut short, and began none.
        copied: Clients on other machines have copies of some, which are void now.
    """

    names: tuple[str, ...]
    resumed: bool
    copied: bool


@dataclass(frozen=True)
class _Change:
    """One credential on its way to new values."""

    credential: Credential
    files: Handover

    def require_current(self, deployment: Deployment) -> None:
        """What the files hold opens, where nothing can be changed without it."""
        current = [deployment.stack.secrets.read(name).reveal() for name in self.files.names]
        if self.credential.needs_old and not all(self.credential.taken(deployment, [current])):
            raise MachineError(
                f"{self.credential}: the value in the file is refused",
                hint="put the one that the service takes into the file; nothing was changed",
            )

    def in_service(self, deployment: Deployment, progress: Progress) -> None:
        """The one that asks takes the new values, and then they are the current ones."""
        self.credential.change(deployment, self.files.old(), self.files.new(), progress)
        self.files.take_over()

    def prove(self, deployment: Deployment, progress: Progress) -> None:
        """The new values open, and the old ones do not."""
        new, old = self.files.new(), self.files.old()
        taken = self.credential.taken(deployment, [new] if old is None else [new, old])
        if taken and not taken[0]:
            raise self._unproved("the new value is refused")
        if any(taken[1:]):
            raise self._unproved("the old value still opens")
        if taken:
            progress(f"proved: the new value of {self.credential} opens, the old one does not")

    def _unproved(self, what: str) -> MachineError:
        return MachineError(
            f"{self.credential}: {what}", hint="run the same command again: it tries to end this"
        )


def rotate(
    deployment: Deployment, names: Sequence[str], *, timeout: float, progress: Progress
) -> Rotated:  # fmt: skip
    """Give secrets of a stack new values.

    Args:
        deployment: Which stack.
        names: Of the secrets; all that can be where it is empty, but where an earlier rotation was
            cut short, those of that one.
        timeout: Seconds for the services to become ready.
        progress: Told what goes on.

    Raises:
        UserError: The stack has no such secret, or it is not stackctl's to change.
        MachineError: The stack does not run, or it failed: the same call again ends it.
    """
    stack = deployment.stack
    with held(deployment, rotating=True) as door:
        stack.secrets.check_folder()
        known = _changes(deployment)
        opened = [change for change in known if change.files.is_open]
        changes = _wanted(known, opened, names, progress)
        if opened:
            _start_stores(deployment, known, timeout, progress)
        for change in changes:
            if change not in opened:
                change.require_current(deployment)
        for change in changes:
            change.files.begin()
        if any(change.credential.servers_stop for change in changes):
            _stop(deployment, deployment.servers)
        for change in changes:
            progress(f"changing {change.credential}")
            change.in_service(deployment, progress)
        client.write_files(deployment.scenario, deployment.settings, stack.secrets)
        _start_anew(deployment, changes, timeout, progress)
        readiness.prove(deployment, progress)
        for change in changes:
            change.prove(deployment, progress)
        for change in changes:
            change.files.end()
        if door.manifest.status != "deployed":
            door.save(door.manifest.with_(status="deployed"))
    rotated = tuple(name for change in changes for name in change.files.names)
    copied = deployment.scenario.writes_to_bucket and "s3_secret_key" in rotated
    return Rotated(rotated, bool(opened) and len(opened) == len(changes), copied)


def _changes(deployment: Deployment) -> list[_Change]:
    """All that the stack asks for. Databases come first: others are changed in one."""
    found = [
        *deployment.backend.credentials(deployment.settings),
        *deployment.artifacts.credentials(deployment.settings),
        *login.credentials(deployment),
        *trust.credentials(deployment.settings),
    ]
    # One that an earlier stackctl deployed lacks some until its next deploy.
    used = set(deployment.stack.require_manifest().secrets)
    return [_Change(c, Handover(deployment.stack.secrets, c.names))
            for c in found if used.issuperset(c.names)]  # fmt: skip


def _wanted(
    known: list[_Change], opened: list[_Change], names: Sequence[str], progress: Progress
) -> list[_Change]:
    every = [name for change in known for name in change.files.names]
    if not every:
        raise UserError("this stack has no secrets", hint="nothing was changed")
    for name in names:
        if name not in every:
            raise UnknownName("secret to rotate", name, every)
    named = [change for change in known if set(names) & set(change.files.names)]
    for change in named:
        if change.credential.foreign:
            why, hint = change.credential.foreign
            raise UserError(f"{change.credential} cannot be rotated here: {why}", hint=hint)
    if not names and not opened:
        named = [change for change in known if not _left(change.credential)]
        for change in known:
            if why := _left(change.credential):
                progress(f"left as they are: {change.credential}; {why}")
    if not named and not opened:
        raise UserError("no secret of this stack can be rotated here", hint="nothing was changed")
    return [change for change in known if change in named or change in opened]


def _left(credential: Credential) -> str:
    """Why it is not changed with all others; "" where it is."""
    return "; ".join(credential.foreign or ()) or credential.only_by_name


def _start_stores(
    deployment: Deployment, known: list[_Change], timeout: float, progress: Progress
) -> None:
    """Have those run that can tell which value they take, whatever was stopped."""
    asked = {change.credential.service for change in known} - {""}
    if asked:
        deployment.start(timeout, progress, asked)


def _start_anew(
    deployment: Deployment,
    changes: list[_Change],
    timeout: float,
    progress: Progress,
) -> None:
    """Have those read their files again that read them at their start alone."""
    stores = [change.credential.service for change in changes if change.credential.from_start]
    used = any(change.credential.servers_use_it for change in changes)
    # Those that hold connections first.
    for names in (deployment.servers if used else [], stores):
        if stopped := _stop(deployment, names):
            progress(f"starting anew: {', '.join(stopped)}")
    deployment.start(timeout, progress)


def _stop(deployment: Deployment, names: Sequence[str]) -> list[str]:
    """Those of `names` that there are."""
    there = deployment.runtime.observe(deployment.stack).services
    if found := [name for name in names if name in there]:
        deployment.runtime.stop(deployment.stack, found)
    return found
