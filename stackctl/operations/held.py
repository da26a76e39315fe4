"""The one door to a stack: every operation that changes it, or needs it to stay as it is, is here.

Whoever comes in finds out first whether the stack is this home's own, whether somebody works on it,
whether an operation left it half done, and whether it runs. Nothing else takes the lock or writes
the manifest (`tests/operations/test_held.py` looks).
"""

import contextlib
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stackctl.deployment import Deployment
from stackctl.operations.preflight import refuse_half_done, refuse_half_rotated, refuse_stopped
from stackctl.secrets.rotation import open_names
from stackctl.stack import Manifest


@dataclass(frozen=True)
class Held:
    """A stack that nobody else changes until the context ends.

    Attributes:
        deployment: Which.
    """

    deployment: Deployment

    @property
    def known(self) -> Manifest | None:
        """What was deployed, as it is on the disk now; None where nothing was."""
        return self.deployment.stack.manifest()

    @property
    def manifest(self) -> Manifest:
        """What was deployed, of a stack that is there."""
        return self.deployment.stack.require_manifest()

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, whole or not at all."""
        self.deployment.stack.save(manifest)

    def forget(self) -> None:
        """Delete what stackctl knows of the stack; data and secrets are not touched."""
        self.deployment.stack.forget()


def visited(deployment: Deployment, *, running: bool = False) -> Manifest:
    """The manifest of a stack that is only looked at, or used as a client uses it.

    Args:
        deployment: Which.
        running: All of it must run.

    Raises:
        UserError: It was never deployed, or it is another home's.
        NotRunning: Not everything of it runs.
    """
    manifest = deployment.stack.require_manifest()
    deployment.stack.refuse_copy(manifest)
    if running:
        refuse_stopped(deployment.stack, manifest, deployment.runtime)
    return manifest


def admit(
    deployment: Deployment,
    *,
    new: bool = False,
    stopped: bool = False,
    resumes: Collection[str] = (),
    rotating: bool = False,
) -> Manifest | None:
    """What `held` looks at, for a caller who changes nothing and so needs no lock."""
    stack = deployment.stack
    manifest = stack.manifest() if new else stack.require_manifest()
    if manifest is None:
        return None
    stack.refuse_copy(manifest)
    resumed = manifest.status in resumes
    if not resumed:
        refuse_half_done(manifest)
    if not rotating:
        refuse_half_rotated(stack)
    cut_short = resumed or (rotating and bool(open_names(stack.secrets)))
    # One whose first deploy was cut short is still new.
    unfinished = new and not manifest.deployed_at
    if not (stopped or cut_short or unfinished):
        refuse_stopped(stack, manifest, deployment.runtime)
    return manifest


@contextmanager
def held(
    deployment: Deployment,
    *,
    new: bool = False,
    stopped: bool = False,
    resumes: Collection[str] = (),
    rotating: bool = False,
    services: bool = True,
) -> Iterator[Held]:
    """Hold a stack against every other process, if nothing speaks against it.

    Args:
        deployment: Which.
        new: It need not be there; what then stays of it when this ends is what was saved.
        stopped: Not everything of it need run.
        resumes: What an interrupted operation left, by the manifest's status, and the caller goes
            on with; nothing need run then either.
        rotating: Likewise a rotation of secrets.
        services: The caller has to do with services and stores; without, with files alone.

    Raises:
        Busy: Another process holds it.
        UserError: It is not there, not this home's, half done, or another user's.
        NotRunning: Not everything of it runs.
    """
    stack = deployment.stack
    with stack.locked():
        try:
            manifest = admit(
                deployment, new=new, stopped=stopped, resumes=resumes, rotating=rotating
            )
            if manifest is not None and services:
                deployment.runtime.sweep(stack)
            yield Held(deployment)
        finally:
            _leave_no_trace(deployment)


def _leave_no_trace(deployment: Deployment) -> None:
    """A stack that came to nothing has no folder."""
    stack = deployment.stack
    if stack.manifest() is None and not stack.bundle.exists():
        shutil.rmtree(stack.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            stack.folder.parent.rmdir()
