"""Rotate: new values for secrets of a stack that runs, and proof that the old ones are void.

A new value is on the disk before the service that asks for it is told, and the old one stays there
until the new one is proved. So a rotation that is cut short locks nobody out: the next call asks
the service which value it takes, and goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stackctl import client, readiness
from stackctl.errors import MachineError, UnknownName, UserError
from stackctl.handover import Handover
from stackctl.operations.preflight import refuse_half_done
from stackctl.operations.site import Site
from stackctl.operations.use import refuse_stopped
from stackctl.render import Bundle, render
from stackctl.runtimes.base import Progress
from stackctl.stores import login
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

    def require_current(self, site: Site) -> None:
        """What the files hold opens, where nothing can be changed without it."""
        current = [site.stack.secrets.read(name).reveal() for name in self.files.names]
        if self.credential.needs_old and not all(self.credential.taken(site, [current])):
            raise MachineError(
                f"{self.credential}: the value in the file is refused",
                hint="put the one that the service takes into the file; nothing was changed",
            )

    def in_service(self, site: Site) -> None:
        """The one that asks takes the new values, and then they are the current ones."""
        self.credential.change(site, self.files.old(), self.files.new())
        self.files.take_over()

    def prove(self, site: Site, progress: Progress) -> None:
        """The new values open, and the old ones do not."""
        new, old = self.files.new(), self.files.old()
        taken = self.credential.taken(site, [new] if old is None else [new, old])
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
    site: Site, names: Sequence[str], *, timeout: float, progress: Progress
) -> Rotated:  # fmt: skip
    """Give secrets of a stack new values.

    Args:
        site: Which stack.
        names: Of the secrets; all that can be where it is empty, but where an earlier rotation was
            cut short, those of that one.
        timeout: Seconds for the services to become ready.
        progress: Told what goes on.

    Raises:
        UserError: The stack has no such secret, or it is not stackctl's to change.
        MachineError: The stack does not run, or it failed: the same call again ends it.
    """
    stack = site.stack
    with stack.locked():
        manifest = stack.require_manifest()
        stack.refuse_copy(manifest)
        refuse_half_done(manifest)
        stack.secrets.check_folder()
        known = _changes(site)
        opened = [change for change in known if change.files.is_open]
        changes = _wanted(known, opened, names, progress)
        bundle = render(site.scenario, site.effective, site.place)
        if not opened:
            refuse_stopped(stack, manifest, site.runtime)
        site.runtime.sweep(stack)
        if opened:
            _start_stores(site, bundle, known, timeout, progress)
        for change in changes:
            if change not in opened:
                change.require_current(site)
        for change in changes:
            change.files.begin()
        for change in changes:
            progress(f"changing {change.credential}")
            change.in_service(site)
        client.write_credentials(stack, site.scenario)
        _start_anew(site, bundle, changes, timeout, progress)
        readiness.prove(stack, site.scenario, site.settings, site.runtime, progress)
        for change in changes:
            change.prove(site, progress)
        for change in changes:
            change.files.end()
        if manifest.status != "deployed":
            stack.save(manifest.with_(status="deployed"))
    rotated = tuple(name for change in changes for name in change.files.names)
    copied = client.writes_to_bucket(site.scenario) and "s3_secret_key" in rotated
    return Rotated(rotated, bool(opened) and len(opened) == len(changes), copied)


def _changes(site: Site) -> list[_Change]:
    """All that the stack asks for. Databases come first: others are changed in one."""
    scenario, settings = site.scenario, site.settings
    found = [
        *scenario.backend_store.credentials(),
        *scenario.artifact_store.credentials(settings),
        *login.credentials(settings),
    ]
    return [_Change(c, Handover(site.stack.secrets, c.names)) for c in found]


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
        named = [change for change in known if not change.credential.foreign]
        for change in known:
            if change.credential.foreign:
                progress(
                    f"left as they are: {change.credential}; {'; '.join(change.credential.foreign)}"
                )
    if not named and not opened:
        raise UserError("no secret of this stack can be rotated here", hint="nothing was changed")
    return [change for change in known if change in named or change in opened]


def _start_stores(
    site: Site, bundle: Bundle, known: list[_Change], timeout: float, progress: Progress
) -> None:
    """Have those run that can tell which value they take, whatever was stopped."""
    asked = {change.credential.service for change in known} - {""}
    states = site.runtime.observe(site.stack).services
    there = [service.name for service in bundle.services if service.name in asked]
    if any(name not in states or not states[name].settled for name in there):
        site.runtime.start(site.stack, bundle, timeout=timeout, progress=progress, only=there)


def _start_anew(
    site: Site, bundle: Bundle, changes: list[_Change], timeout: float, progress: Progress
) -> None:
    """Have those read their files again that read them at their start alone."""
    there = site.runtime.observe(site.stack).services
    stores = [change.credential.service for change in changes if change.credential.from_start]
    used = any(change.credential.servers_use_it for change in changes)
    # Those that hold connections first.
    for names in (site.scenario.servers if used else [], stores):
        if stopping := [name for name in names if name in there]:
            progress(f"starting anew: {', '.join(stopping)}")
            site.runtime.stop(site.stack, stopping)
    site.runtime.start(site.stack, bundle, timeout=timeout, progress=progress)
