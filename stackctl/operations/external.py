"""A database that somebody else runs, looked at by the servers' own way before they rely on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, StackctlError, UserError
from stackctl.fitness import Finding
from stackctl.operations import keys
from stackctl.progress import Progress
from stackctl.settings import Settings
from stackctl.stack import Manifest

_SECONDS_LATE = 60
# What SQLAlchemy opens for each worker where nothing is set.
_POOL, _OVERFLOW = 5, 10
# What to do about what drivers say.
_HINTS = (
    ("put the password of user {user} into {secret}", ("password authentication failed",)),
    ("put the password of user {user} into {secret}, and see that this user may use database "
     "{name} from here", ("Access denied",)),
    ("make it there, or name another with database_name, database_user", ("does not exist",)),
    ("make it there, or name another with --set database_name=NAME", ("Unknown database",)),
    ("give the name that its certificate is for, with --set database_host=NAME",
     ("does not match host name", "mismatch, certificate")),
    ("name the file of its authority with --set database_ca=FILE",
     ("certificate verify failed", "unable to get local issuer", "root certificate file")),
    ("have it take TLS; or, where nobody is between, --set database_tls=off",
     ("does not support SSL",)),
    ("is the name right, as servers look it up?",
     ("translate host name", "Name or service not known")),
)  # fmt: skip
_HINT = "does it run, and do its firewall and security group let this machine in?"


def place(settings: Settings) -> str:
    """Where it is, for people."""
    port = f":{settings.database_port}" if settings.database_port else ""
    return f"database {settings.database_name} at {settings.database_host}{port}"


def places(deployment: Deployment) -> Iterator[str]:
    """What of the stack's data is where no `remove` reaches."""
    settings = deployment.settings
    if deployment.has_database_elsewhere:
        yield place(settings)
    if deployment.scenario.artifacts == "s3" and "objects" in settings.elsewhere:
        yield f"bucket {settings.bucket} at {settings.object_store_endpoint or 'AWS S3'}"


def look(deployment: Deployment) -> dict[str, Any]:
    """What it says of itself; see `stackctl.courier.looking`."""
    return deployment.ask("database-look")


def described(deployment: Deployment) -> Finding:
    """What it is and holds, or why no server can use it: for who only looks.

    Raises:
        MachineError: There is nothing yet that could ask it, or that cannot be run.
    """
    found, settings = look(deployment), deployment.settings
    subject = f"database, {deployment.name}"
    if failure := found.get("failure"):
        return Finding(subject, "problem", failure, _hint(deployment, failure))
    if wrong := _wrong(found, settings) or _theirs(found, deployment):
        what, hint = wrong
        return Finding(subject, "problem", f"{place(settings)} {what}", hint)
    told = [deployment.scenario.backend_kind.label, found["version"]]
    told += ["with TLS"] if found["tls"] else ["without TLS"]
    about = f"{' '.join(told)}; " + (
        f"schema {found['revision']}, {found['counts'].get('runs', 0)} runs"
        if found["revision"] else "empty"
    )  # fmt: skip
    if found["free"] is not None:
        about += f"; {found['free']:.0f} connections free"
    worry = "; ".join(worries(found, deployment))
    return Finding(subject, "warning" if worry else "ok", about, worry)


def told(deployment: Deployment) -> Iterator[str]:
    """A line on it for a plan, where there is one.

    Only what was deployed can ask it: the servers' own program, by its own way.
    """
    if not deployment.has_database_elsewhere:
        return
    manifest = deployment.stack.manifest()
    if manifest is None or not manifest.deployed_at or manifest.status == "removed":
        yield f"{place(deployment.settings)} is looked at by deploy, before anything starts"
        return
    try:
        found = described(Deployment.recorded(deployment.stack))
    except StackctlError as error:
        yield f"{place(deployment.settings)} cannot be looked at: {error.message}"
        return
    yield f"{found.subject}: {found.told}" + (f"; {found.mend}" if found.mend else "")


def refuse_unusable(deployment: Deployment, before: Manifest | None, progress: Progress) -> None:
    """It lets the servers in, and holds nothing or what this MLflow can serve.

    Args:
        deployment: With its files and programs in place; no server needs to run.
        before: What was deployed last.
        progress: Told what the user should know.

    Raises:
        MachineError: It does not answer, or refuses.
        UserError: It is of no use as it is.
    """
    found, settings = look(deployment), deployment.settings
    if failure := found.get("failure"):
        raise MachineError(f"{place(settings)} lets no server in: {failure}",
                           hint=_hint(deployment, failure))  # fmt: skip
    if wrong := _wrong(found, settings) or _theirs(found, deployment, before):
        what, hint = wrong
        raise UserError(f"{place(settings)} {what}", hint=f"{hint}; nothing was changed there")
    for line in worries(found, deployment):
        progress(line)
    runs = found["counts"].get("runs", 0)
    if found["revision"] and (before is None or not before.deployed_at):
        progress(f"{place(settings)} has MLflow's tables with {runs} runs, which this stack serves")


def _hint(deployment: Deployment, failure: str) -> str:
    settings, secret = deployment.settings, deployment.secrets.path / "database_password"
    known = (hint for hint, said in _HINTS if any(words in failure for words in said))
    hint = next(known, _HINT)
    return hint.format(user=settings.database_user, name=settings.database_name, secret=secret)


def _wrong(found: Mapping[str, Any], settings: Settings) -> tuple[str, str] | None:
    """Why it is of no use, and what to do."""
    user, name = settings.database_user, settings.database_name
    if found["only_read"]:
        return "only lets read, as a replica does", "name the primary with database_host"
    if not found["schema"]:
        wanted = settings.database_schema
        if wanted:
            return (f"has no schema {wanted} that user {user} may use",
                    f"make it there: CREATE SCHEMA {wanted} AUTHORIZATION {user}")  # fmt: skip
        return f"has no schema that user {user} may use", "name one with database_schema"
    if found.get("characters") not in (None, "utf8mb4"):
        return (f"keeps texts as {found['characters']}, which has no place for all of them",
                f"ALTER DATABASE {name} CHARACTER SET utf8mb4")  # fmt: skip
    if found["revision"]:
        if not found["known"]:
            return (
                f"has MLflow's schema {found['revision']}, of a newer MLflow than "
                f"{settings.mlflow_version}",
                "deploy that one, with mlflow_version",
            )
        if not found["newest"]:
            return (f"has MLflow's schema {found['revision']}, of an older MLflow than "
                    f"{settings.mlflow_version}",
                    "deploy the release that made it, with mlflow_version, then run stackctl "
                    "upgrade, which backs it up first")  # fmt: skip
        return None
    if found["strangers"]:
        return (f"is another program's: it has {', '.join(found['strangers'][:5])}",
                "give MLflow a database of its own, or in PostgreSQL a schema: "
                "--set database_schema=NAME")  # fmt: skip
    if found.get("may_create") is False:
        return (f"lets user {user} make no table in schema {found['schema']}",
                f"GRANT CREATE, USAGE ON SCHEMA {found['schema']} TO {user}")  # fmt: skip
    return None


def _theirs(
    found: Mapping[str, Any], deployment: Deployment, before: Manifest | None = None
) -> tuple[str, str] | None:
    """Why another stack would lose by it, and what to do."""
    claim, mine = found["claim"], _claim(deployment)
    if before and before.deployed_at and claim != mine and _moved(before, deployment.settings):
        return (
            "is not the one that this stack has served, nor a copy of it",
            "name that one, with database_host and database_port; or take its data there first",
        )
    if claim not in ("", mine):
        _, owner, name = claim.split(" ", 2)
        return (
            f"is served by stack {name!r} of another home, or of another name here ({owner})",
            f"take that away with stackctl remove {name} --volumes, which leaves the database; or "
            "where it is lost, as owner of the database: "
            + ("COMMENT ON TABLE alembic_version IS NULL"
               if deployment.scenario.backend == "postgres" else
               "ALTER TABLE alembic_version COMMENT = ''"),
        )  # fmt: skip
    if claim:
        return None
    for kind in deployment.scenario.backend_kind.keys:
        rows = found["encrypted"].get(kind.name)
        if rows and not keys.opens_some(deployment, kind):
            return (
                f"has {kind.count(rows)}, and the stack's own key opens none",
                f"put the key of the server that made them ({kind.variable}) into "
                f"{deployment.secrets.path / kind.secret}; where nobody has it, delete them first",
            )
    return None


def _moved(before: Manifest, settings: Settings) -> bool:
    """It was at another place in the last deploy."""
    there = before.settings
    return there.get("database") == "external" and (
        (there.get("database_host"), there.get("database_port"))
        != (settings.database_host, settings.database_port)
    )


def claim(deployment: Deployment) -> None:
    """Have the database say which stack serves it, so that no other does unnoticed."""
    mine = _claim(deployment)
    deployment.ask("database-claim", claim=mine, whose=mine)


def release(deployment: Deployment, progress: Progress) -> None:
    """Take that away; where it cannot be, the stack is gone all the same."""
    try:
        deployment.ask("database-claim", claim="", whose=_claim(deployment))
    except StackctlError as error:
        progress(f"{place(deployment.settings)} goes on saying that this stack serves it: "
                 f"{error.message}")  # fmt: skip


def _claim(deployment: Deployment) -> str:
    # Of letters, digits and '-' alone.
    return f"stackctl {deployment.stack.owner} {deployment.name}"


def worries(found: Mapping[str, Any], deployment: Deployment) -> Iterator[str]:
    """What nobody is stopped for, a line each."""
    settings = deployment.settings
    if abs(found["late"]) > _SECONDS_LATE:
        way = "behind" if found["late"] > 0 else "ahead of"
        yield (f"the clock of {place(settings)} is {abs(found['late']):.0f} s {way} that of the "
               "servers")  # fmt: skip
    if found["strangers"] and found["revision"]:
        yield (f"{place(settings)} has tables that MLflow did not make, and no backup takes along: "
               f"{', '.join(found['strangers'])}")  # fmt: skip
    pool = _POOL if settings.pool_size is None else settings.pool_size
    over = _OVERFLOW if settings.pool_overflow is None else settings.pool_overflow
    most = len(deployment.servers) * settings.workers * (pool + over)
    if found["free"] is not None and most > found["free"]:
        yield (
            f"the servers may open {most} connections, and {place(settings)} has "
            f"{found['free']:.0f} to give: set workers, pool_size or pool_overflow lower"
        )
