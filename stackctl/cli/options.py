"""Options that several commands share, and what they mean together."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stackctl.operations.site import Site
    from stackctl.runtimes.base import Runtime
    from stackctl.scenario import Scenario
    from stackctl.settings import Effective
    from stackctl.stack import Home, Manifest, Stack


def complete_scenario(incomplete: str) -> Iterable[str]:
    """Names of scenarios, for the shell."""
    from stackctl import scenario
    from stackctl.stack import Home

    known = scenario.names(Home.find().scenarios)
    return [name for name in known if name.startswith(incomplete)]


def complete_stack(incomplete: str) -> Iterable[str]:
    """Names of stacks, for the shell."""
    from stackctl.stack import Home

    return [s.name for s in Home.find().stacks() if s.name.startswith(incomplete)]


def complete_setting(incomplete: str) -> Iterable[str]:
    """Keys of settings, for the shell."""
    from stackctl.settings import keys

    return [key if key.endswith(".") else f"{key}=" for key in keys() if key.startswith(incomplete)]


ScenarioName = Annotated[
    str, typer.Argument(help="which scenario, see `stackctl scenarios`",
                        autocompletion=complete_scenario, metavar="SCENARIO")
]  # fmt: skip
StackName = Annotated[
    str | None, typer.Argument(help="which stack; the only one where not given",
                               autocompletion=complete_stack, metavar="STACK")
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="a setting, KEY=VALUE; see `stackctl config`", metavar="KEY=VALUE",
                 autocompletion=complete_setting),
]  # fmt: skip
Name = Annotated[
    str | None, typer.Option("--name", help="name of the stack, the scenario's where not given")
]
Port = Annotated[str | None, typer.Option("--port", help="published port of the server")]
RuntimeName = Annotated[
    str | None,
    typer.Option("--runtime", help="where services run: auto, docker, embedded", metavar="NAME"),
]
Timeout = Annotated[
    float, typer.Option("--timeout", help="seconds for the services to become ready", min=1)
]

Python = Annotated[
    str,
    typer.Option(help="the client's Python; the one of stackctl where not given", metavar="PATH",
                 show_default=False),
]  # fmt: skip


class Global:
    """Options that stand before the command."""

    home: Path | None = None
    debug: bool = False
    errors_exit_1: bool = False

    @classmethod
    def callback(
        cls,
        home: Annotated[
            Path | None,
            typer.Option(help="folder that holds .stackctl/, .secrets/ and .env; "
                              "else the nearest upwards that has .stackctl/"),
        ] = None,
        debug: Annotated[
            bool, typer.Option("--debug", help="show tracebacks", envvar="STACKCTL_DEBUG")
        ] = False,
        version: Annotated[  # noqa: ARG003 - handled by its own callback
            bool | None,
            typer.Option("--version", help="print the version", is_eager=True,
                         callback=lambda value: _print_version(value)),
        ] = None,
    ) -> None:  # fmt: skip
        """Deploy MLflow tracking stacks, check them by use, carry their data forward."""
        cls.home, cls.debug, cls.errors_exit_1 = home, debug, False


def _print_version(value: bool | None) -> None:
    if value:
        from stackctl import __version__

        typer.echo(f"stackctl {__version__}")
        raise typer.Exit


def home() -> "Home":
    """The home folder that applies."""
    from stackctl.stack import Home

    return Home.find(Global.home)


def scenario_and_settings(
    name: str,
    given: list[str] | None,
    stack: str | None = None,
    port: str | None = None,
    runtime: str | None = None,
) -> tuple["Scenario", "Effective"]:
    """A scenario with its effective settings."""
    from stackctl import scenario, settings

    where = home()
    found = scenario.load(name, where.scenarios)
    flags = list(given or [])
    flags += [f"name={stack}"] if stack is not None else []
    flags += [f"port={port}"] if port is not None else []
    flags += [f"runtime={runtime}"] if runtime is not None else []
    return found, settings.resolve(found, flags=flags, dotenv=where.dotenv)


def deployed(name: str | None) -> tuple["Stack", "Manifest"]:
    """A stack that was deployed."""
    stack = home().choose(name)
    return stack, stack.require_manifest()


def as_deployed(stack: "Stack", manifest: "Manifest") -> tuple["Scenario", "Effective"]:
    """The scenario and the settings with which a stack was deployed."""
    from stackctl import scenario
    from stackctl.settings import Effective

    found = scenario.load(manifest.scenario, stack.home.scenarios)
    return found, Effective(stack.settings(manifest), {})


def site_of(stack: "Stack", manifest: "Manifest") -> "Site":
    """A stack as it was deployed, for those who carry its data."""
    from stackctl.operations.site import Site

    return Site(stack, *as_deployed(stack, manifest), runtime_of(manifest))


def runtime_of(manifest: "Manifest") -> "Runtime":
    """Where a stack was deployed."""
    from stackctl.runtimes import choice

    return choice.runtime_of(manifest)


def passphrase(given: Path | None, *, twice: bool) -> str:
    """A passphrase, from a file, else from `$STACKCTL_PASSPHRASE_FILE`, else from the terminal.

    Args:
        given: The file that was named.
        twice: It is a new one, which is asked for again.

    Raises:
        UserError: There is no file and no terminal, or it is empty.
    """
    import getpass
    import os
    import sys

    from stackctl.errors import UserError

    named = os.environ.get("STACKCTL_PASSPHRASE_FILE")
    path = given or (Path(named) if named else None)
    if path is not None:
        try:
            found = path.read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"passphrase file {path} cannot be read: {error}", hint="is the path right?"
            ) from error
    elif not sys.stdin.isatty():
        raise UserError(
            "a passphrase is needed, and this is no terminal",
            hint="name a file that holds it with --passphrase-file",
        )
    else:
        found = getpass.getpass("Passphrase: ")
        if twice and getpass.getpass("Again: ") != found:
            raise UserError("the two passphrases differ", hint="try again")
    if not found:
        raise UserError("the passphrase is empty", hint="give one that is not")
    return found
