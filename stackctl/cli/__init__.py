"""The command line. Each command is a module: it parses, calls one function, prints.

Nothing heavy is imported here: `stackctl --help` and shell completion must be quick.
"""

import os
import signal
import sys
from types import FrameType

import typer

from stackctl.cli import (
    backup,
    config,
    deploy,
    doctor,
    drill,
    env,
    example,
    gc,
    logs,
    plan,
    promote,
    remove,
    render,
    restore,
    roles,
    scenarios,
    secrets,
    show,
    smoke,
    trust,
    upgrade,
    users,
)
from stackctl.cli import open as open_
from stackctl.cli.options import Global
from stackctl.errors import StackctlError

app = typer.Typer(
    name="stackctl",
    help="Deploy MLflow tracking stacks, check them by use, carry their data forward.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(scenarios.scenarios)
app.add_typer(config.app, name="config")
app.command()(render.render)
app.command()(plan.plan)
app.command()(deploy.deploy)
app.command()(show.show)
app.command()(env.env)
app.command("open")(open_.open_)
app.command()(trust.trust)
app.command()(example.example)
app.command()(smoke.smoke)
app.command()(logs.logs)
app.command()(remove.remove)
app.add_typer(backup.app, name="backup")
app.command()(restore.restore)
app.command()(drill.drill)
app.command()(promote.promote)
app.command()(gc.gc)
app.command()(upgrade.upgrade)
app.command()(doctor.doctor)
app.add_typer(secrets.app, name="secrets")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.command()(users.grant)
app.command()(users.revoke)
app.callback()(Global.callback)


def main() -> None:
    """Run a command; every failure ends as one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = app(standalone_mode=False)
    except StackctlError as error:
        if Global.debug:
            raise
        print(f"stackctl: {_one_line(error)}", file=sys.stderr)
        if error.details:
            print(error.details, file=sys.stderr)
        sys.exit(1 if Global.errors_exit_1 else error.exit_code)
    except typer.TyperException as error:
        text = error.format_message()
        # A command that needs words and was given none answers with its help.
        told = text if "\n" in text else f"stackctl: {text.rstrip('.')}; see --help"
        print(told, file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        print("stackctl: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if Global.debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"stackctl: {where}{error.strerror or error}; mend it and try again", file=sys.stderr)
        sys.exit(1 if Global.errors_exit_1 else 3)
    except Exception as error:
        if Global.debug:
            raise
        print(
            f"stackctl: a bug: {type(error).__name__}: {_one_line(error)}; "
            "run it again with --debug and report what it prints",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split("\n"))


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
