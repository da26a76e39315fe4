"""Is this machine fit for stacks? Each finding says how to mend it."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from stackctl.errors import StackctlError
from stackctl.fitness import Finding, disk
from stackctl.machine import listen_failure, listener
from stackctl.stack import Home

_MEMORY_BYTES = 2 * 10**9


def examine(home: Home) -> Iterator[Finding]:
    """Everything that a deploy depends on."""
    from stackctl.runtimes import choice

    looked = {runtime.name: list(runtime.fitness()) for runtime in choice.every()}
    usable = {name for name, (first, *_) in looked.items() if first.level == "ok"}
    for name, (first, *others) in looked.items():
        # One that can be used is enough.
        yield first if name in usable or not usable else replace(first, level="warning")
        yield from others
    yield disk(home.path, "disk, home")
    yield _memory()
    yield from _ports(home, usable)
    yield from _secrets(home)
    yield from _certificates(home)
    yield from _providers(home)
    yield from _databases(home)


def _memory() -> Finding:
    import psutil

    from stackctl.console import size

    free = psutil.virtual_memory().available
    told = f"{size(free)} available"
    if free < _MEMORY_BYTES:
        return Finding("memory", "warning", told, "a stack takes 1 GB: stop something, or "
                       "use --set workers=1")  # fmt: skip
    return Finding("memory", "ok", told)


def _ports(home: Home, usable: Collection[str]) -> Iterator[Finding]:
    """The ports of the stacks of this home, else those of the scenarios."""
    from stackctl.runtimes.choice import runtime_of

    for stack in home.stacks():
        try:
            manifest = stack.require_manifest()
            settings = stack.settings(manifest)
        except StackctlError as error:
            yield Finding(f"stack {stack.name}", "problem", error.message, error.hint)
            continue
        for port in settings.published_ports():
            subject = f"port {port}, {stack.name}"
            if listen_failure(settings.bind, port) is None:
                yield Finding(subject, "ok", "free")
                continue
            asked = manifest.runtime in usable
            found = runtime_of(manifest).obstacle(stack, settings.bind, port) if asked else None
            if asked and found is None:
                yield Finding(subject, "ok", "the stack's own")
            else:
                # Without its runtime nobody can tell whether it is the stack itself.
                owner = found.owner if found is not None else listener(port)
                yield Finding(
                    subject, "problem" if asked else "warning",
                    f"taken by {owner}", "stop it, or deploy with another port",
                )  # fmt: skip
    if home.stacks():
        return
    from stackctl import scenarios

    for port in sorted({s.settings["port"] for s in scenarios.load_all(home.scenarios).values()
                        if "port" in s.settings}):  # fmt: skip
        if listen_failure("127.0.0.1", port) is not None:
            yield Finding(f"port {port}", "warning", f"taken by {listener(port)}",
                          "deploy with --port PORT")  # fmt: skip


def _secrets(home: Home) -> Iterator[Finding]:
    for stack in home.stacks():
        subject = f"secrets, {stack.name}"
        try:
            manifest = stack.require_manifest()
            states = stack.secrets.states(list(manifest.secrets))
        except StackctlError:
            continue  # told with the ports
        if bad := [f"{state.name} {state.problem}" for state in states if state.problem]:
            mend = f"run: stackctl secrets check {manifest.scenario} --name {stack.name}"
            yield Finding(subject, "problem", "; ".join(bad), mend)
        elif states:
            yield Finding(subject, "ok", f"{len(states)} good")


def _certificates(home: Home) -> Iterator[Finding]:
    from stackctl.deployment import Deployment
    from stackctl.operations.trust import expiry, laxity

    for stack in home.stacks():
        try:
            deployment = Deployment.recorded(stack)
            found = expiry(deployment)
        except StackctlError:
            continue  # told with the ports
        if why := laxity(deployment):
            mend = "put one into tls_certificate that says it, and run stackctl deploy"
            yield Finding(f"certificate, {stack.name}", "warning", why, mend)
        if found is not None:
            level = "warning" if found.mend else "ok"
            yield Finding(f"certificate, {stack.name}", level, f"until {found}", found.mend)


def _providers(home: Home) -> Iterator[Finding]:
    """Those of single sign-on, at which nobody can log in while they do not answer."""
    from stackctl.operations.sign_on import problem

    for stack in home.stacks():
        try:
            settings = stack.settings(stack.require_manifest())
        except StackctlError:
            continue  # told with the ports
        if settings.auth == "oidc":
            subject, why = f"provider, {stack.name}", problem(settings)
            yield Finding(
                subject, "problem" if why else "ok", why or settings.oidc.issuer,
                why and "nobody can log in anew meanwhile; who has, and programs, go on",
            )  # fmt: skip


def _databases(home: Home) -> Iterator[Finding]:
    """Those that somebody else runs, as the servers of their stacks see them."""
    from stackctl.deployment import Deployment
    from stackctl.operations import external

    for stack in home.stacks():
        try:
            deployment = Deployment.recorded(stack)
        except StackctlError:
            continue  # told with the ports
        if not deployment.has_database_elsewhere or stack.copied_from(stack.require_manifest()):
            continue
        try:
            yield external.described(deployment)
        except StackctlError as error:
            yield Finding(f"database, {stack.name}", "warning", error.message, error.hint)
