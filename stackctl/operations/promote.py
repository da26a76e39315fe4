"""Promote: the whole content of a store in a new stack of another scenario.

Rows pass as one stream from the origin's courier to the target's, in one snapshot and one
transaction; artifacts pass after them, those that are there already are passed over. The origin is
only read. Until the last proof the target's manifest says `promoting`; the same command goes on.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from stackctl import readiness
from stackctl.errors import MachineError, UserError
from stackctl.operations.deploy import deploy_locked
from stackctl.operations.origins import Origin
from stackctl.operations.site import Site, require_whole
from stackctl.operations.transfer import Meter, first_unequal
from stackctl.render import Bundle
from stackctl.runtimes.base import Progress
from stackctl.stores.base import Census, Entry

STATUS = "promoting"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What a promotion did, or would do.

    Attributes:
        counts: What the origin holds.
        bytes: Of artifacts.
        tables: Rows of each table that were compared.
        artifacts: How many were compared.
        notes: What the user should know.
    """

    counts: dict[str, int]
    bytes: int
    tables: dict[str, int]
    artifacts: int
    notes: tuple[str, ...]


def look(origin: Origin, target: Site) -> Outcome:
    """What a promotion would copy; changes nothing.

    Raises:
        UserError: It would be refused.
    """
    with origin.held():
        census, size = _look(origin, target)
    return Outcome(dict(census.counts), size, {}, 0, ())


def promote(
    origin: Origin, target: Site, *, timeout: float, meter: Meter, progress: Progress
) -> Outcome:
    """Copy everything into a stack that is new, or empty.

    Args:
        origin: Is only read.
        target: Need not exist.
        timeout: Seconds for the target's services to become ready.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: Nothing was changed.
        MachineError: It failed, or the two sides differ; the same command goes on.
    """
    with ExitStack() as held:
        held.enter_context(origin.held())
        held.enter_context(target.stack.locked())
        census, size = _look(origin, target)
        before = target.stack.manifest()
        if before is None or not before.deployed_at:
            deploy_locked(
                target.stack, target.scenario, target.effective, target.runtime,
                progress=progress, timeout=timeout,
            )  # fmt: skip
        # One that goes on was empty when it began.
        resumed = before is not None and before.status == STATUS
        there = None if resumed else _refuse_content(target)
        target.runtime.sweep(target.stack)
        bundle = target.start(timeout, progress)
        _refuse_another_schema(
            origin, target, census, there or target.scenario.backend_store.census(target)
        )
        notes: list[str] = []
        tables, artifacts = _fill(
            origin, target, bundle, census, size, timeout, meter, progress, notes
        )
        return Outcome(dict(census.counts), size, tables, artifacts, tuple(notes))


def _look(origin: Origin, target: Site) -> tuple[Census, int]:
    if not target.scenario.backend_store.takes_rows:
        raise UserError(
            f"{target.scenario.name} keeps runs as files, which MLflow no longer develops",
            hint="choose a scenario with a database: stackctl scenarios",
        )
    return origin.look(), origin.measure()


def _refuse_content(target: Site) -> Census:
    """What a stack holds that has neither runs nor artifacts."""
    require_whole(target)
    census = target.scenario.backend_store.census(target)
    if not census.empty or target.scenario.artifact_store.measure(target):
        raise UserError(
            f"stack {target.stack.name!r} holds data",
            hint="choose another name with --name; nothing was changed",
        )
    return census


def _fill(
    origin: Origin,
    target: Site,
    bundle: Bundle,
    census: Census,
    size: int,
    timeout: float,
    meter: Meter,
    progress: Progress,
    notes: list[str],
) -> tuple[dict[str, int], int]:
    stack, scenario, runtime = target.stack, target.scenario, target.runtime
    manifest = stack.require_manifest()
    stack.save(manifest.with_(status=STATUS))
    runtime.stop(stack, scenario.servers)
    meter.expect(f"promoting {origin.name}: rows", census.bytes)
    sent = _copy_rows(origin, target, meter)
    meter.expect(f"promoting {origin.name}: artifacts", size)
    digests = _copy_artifacts(origin, target, meter, notes)
    meter.expect("comparing artifacts", size)
    _compare_rows(sent, target)
    _compare_artifacts(digests, target, meter)
    _tell_elsewhere(target, notes)
    runtime.start(stack, bundle, timeout=timeout, progress=progress)
    readiness.prove(stack, scenario, target.settings, runtime, progress)
    stack.save(manifest.with_(status="deployed"))
    tables = {table: int(found["rows"]) for table, found in sent.items() if found["rows"]}
    return tables, len(digests)


def _refuse_another_schema(origin: Origin, target: Site, census: Census, there: Census) -> None:
    if census.revision and census.revision != there.revision:
        raise UserError(
            f"{origin.name} has the schema {census.revision}, and stack "
            f"{target.stack.name!r} {there.revision}",
            hint="first bring the older one to the newer's: stackctl upgrade; nothing was copied",
        )


def _copy_rows(origin: Origin, target: Site, meter: Meter) -> dict[str, Any]:
    """The rows of the origin; returns the number and the digest of each table's."""
    with origin.rows(target) as rows, target.courier("rows-in") as taken:
        while chunk := rows.read(_CHUNK):
            taken.stdin.write(chunk)
            meter.advance(len(chunk))
        taken.stdin.close()
        answer = json.loads(taken.stdout.read() or b"{}")
    return dict(answer.get("sent", {}))


def _copy_artifacts(origin: Origin, target: Site, meter: Meter, notes: list[str]) -> dict[str, str]:
    """Every artifact; returns the SHA-256 of each, by its name in an archive."""
    digests: dict[str, str] = {}

    def passing() -> Iterator[tuple[str, Entry, BinaryIO]]:
        for entry, content in origin.artifacts(notes.append):
            watched = _Hashed(content, meter)
            yield "artifacts", entry, watched  # type: ignore[misc]
            if not entry.folder:
                digests[f"artifacts/{entry.path}"] = watched.rest()

    target.scenario.artifact_store.load(target, passing(), skip=True)
    return digests


def _compare_rows(sent: dict[str, Any], target: Site) -> None:
    found = target.ask("digest")
    for table, wanted in sent.items():
        if found.get(table) != wanted:
            raise _differs(f"table {table}")


def _compare_artifacts(digests: dict[str, str], target: Site, meter: Meter) -> None:
    if found := first_unequal(target, digests, meter):
        raise _differs(f"artifact {found[0].removeprefix('artifacts/')!r}")


def _tell_elsewhere(target: Site, notes: list[str]) -> None:
    found = target.ask("elsewhere", root=target.root)
    if found["runs"]:
        notes.append(
            f"artifacts of {found['runs']} runs stay where they are and were not copied, "
            f"as those at {found['example']}"
        )


def _differs(what: str) -> MachineError:
    return MachineError(
        f"{what} differs between the two stacks",
        hint="run the same command again: clients may have logged meanwhile",
    )


class _Hashed:
    """A stream that keeps the SHA-256 of what was read from it."""

    def __init__(self, content: BinaryIO, meter: Meter) -> None:
        self._content, self._meter, self._digest = content, meter, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._content.read(size)
        self._digest.update(chunk)
        self._meter.advance(len(chunk))
        return chunk

    def rest(self) -> str:
        """Of everything, once the rest has been read too."""
        while self.read(_CHUNK):
            pass
        return self._digest.hexdigest()
