"""Promote: the whole content of a store in a new stack of another scenario.

Rows pass as one stream from the origin's courier to the target's, in one snapshot and one
transaction; artifacts pass after them, those that are there already are passed over. The origin is
only read. Until the last proof the target's manifest says `promoting`; the same command goes on.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from stackctl import scenarios
from stackctl.console import counts
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError
from stackctl.operations import accounts, keys
from stackctl.operations.accounts import Accounts
from stackctl.operations.comparison import first_unequal
from stackctl.operations.deploy import deploy_held
from stackctl.operations.examination import Choice, examine, takes
from stackctl.operations.held import Held, admit, held
from stackctl.operations.origins import Origin
from stackctl.operations.preflight import refuse_another_scenario, refuse_without_workspaces
from stackctl.progress import Meter, Progress
from stackctl.proof import readiness
from stackctl.stack import Home
from stackctl.stack.choices import effective as effective_settings
from stackctl.stores.base import Census, Entry, Note

STATUS = "promoting"
_CHUNK = 1 << 20
_CLOSED = (
    "encrypted in the source: {}; where its server was given this variable, set it to the same, "
    "for else nobody will be able to read them"
)


@dataclass(frozen=True)
class Promotion:
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


def destination(origin: Origin, home: Home, scenario: str, flags: Sequence[str]) -> Deployment:
    """The stack that a promotion fills: one that is there, else a new one.

    Args:
        origin: What is copied.
        home: Where the stack is.
        scenario: Of which scenario a new one is.
        flags: Its settings, as `key=value`.

    Raises:
        UserError: It is the origin itself, or there already and of another scenario.
    """
    found = scenarios.load(scenario, home.scenarios)
    effective = effective_settings(home, found, flags)
    stack = home.stack(effective.settings.name)
    if origin.is_stack(stack):
        raise UserError(
            f"stack {stack.name!r} cannot be promoted into itself",
            hint="name the new stack with --name",
        )
    manifest = stack.manifest()
    if manifest is None:
        return Deployment.chosen(stack, found, effective)
    refuse_another_scenario(manifest, found, "choose another name with --name; nothing was changed")
    return Deployment.recorded(stack)


def look(origin: Origin, target: Deployment, choices: Collection[Choice] = ()) -> Promotion:
    """What a promotion would copy; changes nothing.

    Raises:
        UserError: It would be refused.
    """
    with origin.held():
        left: list[str] = []
        census, size, told = _look(origin, target, choices, left.append)
        notes = [*told, *accounts.outlook(origin.accounts(), target), *left]
        there = admit(target, new=True, resumes=(STATUS,))
        keys.refuse_without(target)
        if there is not None and there.deployed_at and there.status != STATUS:
            _refuse_content(target)
    return Promotion(dict(census.counts), size, {}, 0, tuple(notes))


def promote(
    origin: Origin,
    target: Deployment,
    *,
    choices: Collection[Choice] = (),
    timeout: float,
    meter: Meter,
    progress: Progress,
) -> Promotion:
    """Copy everything into a stack that is new, or empty.

    Args:
        origin: Is only read.
        target: Need not exist.
        choices: What is done with things that the target cannot take.
        timeout: Seconds for the target's services to become ready.
        meter: Told how far it is.
        progress: Told what goes on.

    Raises:
        UserError: Nothing was changed.
        MachineError: It failed, or the two sides differ; the same command goes on.
    """
    with origin.held(), held(target, new=True, resumes=(STATUS,)) as door:
        census, size, told = _look(origin, target, choices, lambda _: None)
        people = origin.accounts()
        for line in [*told, *accounts.outlook(people, target)]:
            progress(line)
        before = door.known
        keys.refuse_without(target)
        if before is None or not before.deployed_at:
            deploy_held(door, progress=progress, timeout=timeout)
        # One that goes on was empty when it began.
        resumed = before is not None and before.status == STATUS
        there = None if resumed else _refuse_content(target)
        target.start(timeout, progress)
        _refuse_another_schema(origin, target, census, there or target.backend.census(target))
        moving = accounts.moving(people, target)
        if moving is not None:
            accounts.refuse_another_schema(moving, target)
        notes: list[str] = []
        tables, artifacts = _fill(
            origin, door, census, moving, size, choices, timeout, meter, progress, notes
        )
        return Promotion(dict(census.counts), size, tables, artifacts, tuple(notes))


def _look(
    origin: Origin, target: Deployment, choices: Collection[Choice], note: Note
) -> tuple[Census, int, list[str]]:
    """What it holds, the size of its artifacts, and what the user should know before."""
    if not target.scenario.backend_kind.takes_rows:
        raise UserError(
            f"{target.scenario.name} keeps runs as files, which MLflow no longer develops",
            hint="choose a scenario with a database: stackctl scenarios",
        )
    told = examine(origin, target, choices)
    census = origin.look()
    refuse_without_workspaces(origin.name, census.counts, target)
    told += [_CLOSED.format(what) for what in origin.closed(census)]
    told += _unserved(census, target)
    return census, origin.measure(note), told


def _unserved(census: Census, target: Deployment) -> list[str]:
    """What is copied and not to be had there: only an artifact proxy serves uploaded skills."""
    versions = census.counts.get("uploaded_skill_versions")
    if not versions or target.scenario.writer == "server":
        return []
    return [
        f"uploaded skill versions, {versions}, are copied with their content, which "
        f"{target.scenario.name} serves to nobody: its tracking server serves no artifacts"
    ]


def _refuse_content(target: Deployment) -> Census:
    """What a stack holds that has neither runs nor artifacts."""
    census = target.backend.census(target)
    if not census.empty or target.artifacts.measure(target):
        raise UserError(
            f"stack {target.stack.name!r} holds data",
            hint="choose another name with --name; nothing was changed",
        )
    return census


def _fill(
    origin: Origin,
    door: Held,
    census: Census,
    moving: Accounts | None,
    size: int,
    choices: Collection[Choice],
    timeout: float,
    meter: Meter,
    progress: Progress,
    notes: list[str],
) -> tuple[dict[str, int], int]:
    target = door.deployment
    stack, runtime = target.stack, target.runtime
    door.save(door.manifest.with_(status=STATUS))
    runtime.stop(stack, target.servers)
    meter.expect(f"promoting {origin.name}: rows", census.bytes)
    sent = _copy_rows(origin, target, Choice.TRUNCATE in choices, meter)
    meter.expect(f"promoting {origin.name}: artifacts", size)
    digests = _copy_artifacts(origin, target, Choice.SKIP in choices, meter, notes)
    meter.expect("comparing artifacts", size)
    _compare_rows(sent, target)
    _compare_counts(census, target)
    _compare_artifacts(digests, target, meter)
    if moving is not None:
        notes.append(accounts.copy(moving, target))
    _tell_elsewhere(target, notes)
    keys.take_over(target, origin.known_keys(), notes.append)
    target.start(timeout, progress)
    readiness.prove(target, progress)
    door.save(door.manifest.with_(status="deployed"))
    tables = {table: int(found["rows"]) for table, found in sent.items() if found["rows"]}
    return tables, len(digests)


def _refuse_another_schema(
    origin: Origin, target: Deployment, census: Census, there: Census
) -> None:
    if census.revision and census.revision != there.revision:
        raise UserError(
            f"{origin.name} has the schema {census.revision}, and stack "
            f"{target.stack.name!r} {there.revision}",
            hint="first bring the older one to the newer's: stackctl upgrade; nothing was copied",
        )


def _copy_rows(origin: Origin, target: Deployment, cut: bool, meter: Meter) -> dict[str, Any]:
    """The rows of the origin; returns the number and the digest of each table's."""
    with origin.rows(target, cut=cut) as rows, target.courier("rows-in") as taken:
        while chunk := rows.read(_CHUNK):
            taken.stdin.write(chunk)
            meter.advance(len(chunk))
        taken.stdin.close()
        answer = json.loads(taken.stdout.read() or b"{}")
    return dict(answer.get("sent", {}))


def _copy_artifacts(
    origin: Origin, target: Deployment, skip: bool, meter: Meter, notes: list[str]
) -> dict[str, str]:
    """Every artifact that the target takes; returns each one's SHA-256, by its archive's name."""
    digests: dict[str, str] = {}

    def passing() -> Iterator[tuple[str, Entry, BinaryIO]]:
        for entry, content in origin.artifacts(notes.append):
            if skip and not takes(target, entry.path):
                continue
            watched = _Hashed(content, meter)
            yield "artifacts", entry, watched  # type: ignore[misc]
            if not entry.folder:
                digests[f"artifacts/{entry.path}"] = watched.rest()

    target.artifacts.load(target, passing(), skip=True)
    return digests


def _compare_counts(census: Census, target: Deployment) -> None:
    """All that the origin counted is there: what was sent may be less than what there was."""
    there = target.backend.census(target).counts
    for kind, wanted in census.counts.items():
        if (found := there.get(kind, 0)) < wanted:
            raise _differs(f"the number of {kind.replace('_', ' ')}, {found} of {wanted},")


def _compare_rows(sent: dict[str, Any], target: Deployment) -> None:
    found = target.ask("digest")
    for table, wanted in sent.items():
        if found.get(table) != wanted:
            raise _differs(f"table {table}")


def _compare_artifacts(digests: dict[str, str], target: Deployment, meter: Meter) -> None:
    if found := first_unequal(target, digests, meter):
        raise _differs(f"artifact {found[0].removeprefix('artifacts/')!r}")


def _tell_elsewhere(target: Deployment, notes: list[str]) -> None:
    for place in target.backend.elsewhere(target, [target.root]):
        notes.append(
            f"artifacts of {counts(place['counts'])} at {place['location']} stay where they are "
            "and were not copied"
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
