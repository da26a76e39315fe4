"""Keys with which MLflow encrypts what it keeps in a stack's database, where data comes to others.

Each stack has its own, among its secrets. What comes from elsewhere (an archive, another stack, a
stack of an earlier stackctl) is encrypted with other ones, and is encrypted anew before a server
reads it. What no key opens that is at hand is named, and kept from standing in the way.
"""

import hashlib
import hmac
import os
import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any

from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.kinds import KEYS, KeyKind
from stackctl.progress import Progress
from stackctl.secrets import SecretFolder

Known = Mapping[str, Sequence[str]]
"""The keys that are at hand, by the name of their kind."""


def refuse_without(deployment: Deployment) -> None:
    """A stack that an earlier stackctl deployed has no keys yet for what comes to it.

    Raises:
        UserError: It is one.
    """
    manifest = deployment.stack.manifest()
    if manifest and manifest.deployed_at and not manifest.keyed and _kinds(deployment):
        raise UserError(
            f"stack {deployment.name!r} was deployed by an earlier stackctl, without keys for what "
            "MLflow encrypts",
            hint=f"first run: stackctl deploy {deployment.scenario.name} "
            f"--set name={deployment.name}; nothing was changed",
        )


def own(deployment: Deployment) -> dict[str, str]:
    """Those of a stack; none where an earlier stackctl deployed it."""
    manifest = deployment.stack.manifest()
    return _read(deployment.secrets, _kinds(deployment)) if manifest and manifest.keyed else {}


def among(values: Mapping[str, str], deployment: Deployment) -> dict[str, str]:
    """Those that a stack's secrets would hold, among other secrets."""
    return {k.name: values[k.secret] for k in _kinds(deployment) if k.secret in values}


def of_environment() -> dict[str, str]:
    """Those that this process was told, as a server of MLflow alone is."""
    return {k.name: value for k in KEYS if (value := os.environ.get(k.variable))}


def kept_in(folder: SecretFolder, deployment: Deployment) -> dict[str, str]:
    """Those of a stack of the home, where it has any."""
    there = folder.names()
    return _read(folder, [kind for kind in _kinds(deployment) if kind.secret in there])


def together(*known: Mapping[str, str]) -> dict[str, list[str]]:
    """All of them."""
    return {k.name: [each[k.name] for each in known if k.name in each] for k in KEYS}


def take_over(deployment: Deployment, known: Known, progress: Progress) -> None:
    """Have all that is in a stack's database be encrypted with its own keys; no server runs.

    Args:
        deployment: Whose database is up.
        known: What it may be encrypted with now. MLflow's default passphrase is known anyway.
        progress: Told of what cannot be read.
    """
    if not (kinds := _kinds(deployment)):
        return
    new = _read(deployment.secrets, kinds)
    lost = deployment.ask("keys-rewrap", known=dict(known), new=new, void=True)["lost"]
    for kind in kinds:
        if names := lost.get(kind.name):
            progress(kind.lost(names))


def opens_some(deployment: Deployment, kind: KeyKind) -> bool:
    """The stack's own key, or the one in MLflow's source, opens something of a kind."""
    values = [deployment.secrets.read(kind.secret).reveal()]
    return any(deployment.ask("keys-taken", kind=kind.name, values=values, usual=True)["taken"])


def give_back(deployment: Deployment) -> None:
    """Have a server without keys of its own read what it could before; no server runs."""
    known = together(_read(deployment.secrets, _kinds(deployment)))
    deployment.ask("keys-rewrap", known=known, new={"gateway": ""})


def described(deployment: Deployment, rows: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What an archive says of each kind: how many rows, and a mark by which their key is known.

    The mark tells nothing of the key to somebody who does not have it: a passphrase of people's own
    making could be guessed as well from the rows themselves, at the same cost.
    """
    return {name: {"rows": rows[name], "mark": _mark(key, random.token_hex(16))}
            for name, key in own(deployment).items() if rows.get(name)}  # fmt: skip


def unreadable(about: Mapping[str, Any], known: Known) -> list[str]:
    """What in an archive none of the keys opens, in words; of an early archive nothing is known.

    Args:
        about: What `described` said.
        known: The keys at hand.
    """
    return [
        kind.count(int(said["rows"]))
        for kind in KEYS
        if (said := about.get(kind.name))
        and not any(_has(said["mark"], key) for key in known.get(kind.name, ()))
    ]


def _kinds(deployment: Deployment) -> Sequence[KeyKind]:
    return deployment.scenario.backend_kind.keys


def _read(folder: SecretFolder, kinds: Sequence[KeyKind]) -> dict[str, str]:
    return {kind.name: folder.read(kind.secret).reveal() for kind in kinds}


def _mark(key: str, salt: str) -> str:
    digest = hashlib.scrypt(key.encode(), salt=salt.encode(), n=1 << 15, r=8, p=1, dklen=16,
                            maxmem=1 << 26)  # fmt: skip
    return f"{salt}:{digest.hex()}"


def _has(mark: str, key: str) -> bool:
    return hmac.compare_digest(_mark(key, mark.partition(":")[0]), mark)
