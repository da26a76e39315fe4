"""Options that several commands share, and what they mean together."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from stackctl.deployment import Deployment
    from stackctl.scenario import Scenario
    from stackctl.settings import Effective
    from stackctl.stack import Home


def complete_scenario(incomplete: str) -> Iterable[str]:
    """Names of scenarios, for the shell."""
    from stackctl import scenarios
    from stackctl.stack import Home

    known = scenarios.names(Home.find().scenarios)
    return [name for name in known if name.startswith(incomplete)]


def complete_stack(incomplete: str) -> Iterable[str]:
    """Names of stacks, for the shell."""
    from stackctl.stack import Home

    return [s.name for s in Home.find().stacks() if s.name.startswith(incomplete)]


def complete_wanted(incomplete: str) -> Iterable[str]:
    """Names of scenarios and of stacks, for the shell."""
    return [*complete_scenario(incomplete), *complete_configured(incomplete)]


def complete_configured(incomplete: str) -> Iterable[str]:
    """Names of stacks, also of those that are only in `stackctl.toml`, for the shell."""
    from stackctl.errors import StackctlError
    from stackctl.stack import Home, choices

    found = set(complete_stack(incomplete))
    with suppress(StackctlError):
        found |= {t for t in choices.read(Home.find()).tables if t.startswith(incomplete)}
    return sorted(found)


def complete_setting(incomplete: str) -> Iterable[str]:
    """Keys of settings, for the shell."""
    from stackctl.settings import keys

    return [key if key.endswith(".") else f"{key}=" for key in keys() if key.startswith(incomplete)]


_SCENARIO = typer.Argument(help="which scenario, see `stackctl scenarios`; or a stack",
                           autocompletion=complete_wanted, metavar="SCENARIO")  # fmt: skip
ScenarioName = Annotated[str, _SCENARIO]
Wanted = Annotated[
    str | None,
    typer.Argument(help="which scenario, see `stackctl scenarios`, or stack; every stack of "
                        "stackctl.toml where not given",
                   autocompletion=complete_wanted, metavar="SCENARIO"),
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
StackOption = Annotated[
    str | None, typer.Option("--stack", help="which stack; the only one where not given",
                             autocompletion=complete_stack)
]  # fmt: skip
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


class WithDefault(TyperGroup):
    """A group whose first word may also be one of its default command's, which is then meant."""

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """With the default command's name put first, where no command is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


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
            typer.Option(help="folder that holds .stackctl/, .secrets/ and stackctl.toml; "
                              "else the nearest upwards that has .stackctl/ or stackctl.toml"),
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
        from stackctl.versions import MLFLOW

        typer.echo(f"stackctl {__version__}, MLflow {MLFLOW}")
        raise typer.Exit


def home() -> "Home":
    """The home folder that applies."""
    from stackctl.stack import Home

    return Home.find(Global.home)


def flags(
    given: list[str] | None,
    name: str | None = None,
    port: str | None = None,
    runtime: str | None = None,
) -> list[str]:
    """`--set` and its short forms, as settings take them."""
    short = {"name": name, "port": port, "runtime": runtime}
    return [*(given or []), *(f"{k}={value}" for k, value in short.items() if value is not None)]


def resolved(word: str, chosen: list[str]) -> tuple["Scenario", "Effective"]:
    """A scenario, also that of a stack, with its effective settings."""
    from stackctl import scenarios
    from stackctl.stack import choices

    where = home()
    scenario, given = choices.meant(where, word, chosen)
    found = scenarios.load(scenario, where.scenarios)
    return found, choices.effective(where, found, given)


def wanted(word: str, chosen: list[str]) -> "Deployment":
    """A stack as it is to be, by its scenario's name or its own."""
    from stackctl.deployment import Deployment

    found, effective = resolved(word, chosen)
    return Deployment.chosen(home().stack(effective.settings.name), found, effective)


def every(word: str | None, chosen: list[str]) -> list["Deployment"]:
    """The stack that is named, else every one of `stackctl.toml`.

    Raises:
        UserError: None is named, and there is none, or settings are.
    """
    from stackctl.errors import UserError
    from stackctl.stack import choices

    if word is not None:
        return [wanted(word, chosen)]
    names = list(choices.read(home()).tables)
    if not names:
        raise UserError(f"{home().settings_file} names no stack",
                        hint="run: stackctl deploy SCENARIO, such as scenario-3b")  # fmt: skip
    if chosen:
        raise UserError(f"{chosen[0]} is for one stack, and none is named",
                        hint=f"name one of {', '.join(names)}")  # fmt: skip
    return [wanted(name, []) for name in names]


def as_files(scenario: str, chosen: list[str], runtime: str | None = None) -> "Deployment":
    """A stack whose files are only looked at, or taken elsewhere; no daemon is asked."""
    from stackctl.deployment import Deployment
    from stackctl.runtimes import choice

    found, effective = resolved(scenario, chosen)
    where = choice.for_files(runtime or effective.settings.runtime)
    return Deployment(home().stack(effective.settings.name), found, effective, where)


def recorded(name: str | None) -> "Deployment":
    """A stack as it was deployed: the one named, else the only one."""
    from stackctl.deployment import Deployment

    return Deployment.recorded(home().choose(name))


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
