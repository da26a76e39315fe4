"""Every command is documented, and every command line in the documentation can be typed."""

import itertools
import re
import shlex
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from stackctl import scenarios, settings
from stackctl.cli import app
from tests.docs.pages import DOCS, PAGES, README, blocks, page_name, section, spans, text

Command = TyperCommand | TyperGroup
# `$ ` before a command, or nothing.
COMMAND_LINE = re.compile(r"^(?:\$ )?(stackctl(?: .*)?)$")


def every_command(program: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    """A command and those below it, each with its words: `secrets`, `secrets init`."""
    assert isinstance(program, TyperCommand | TyperGroup)
    yield " ".join(words), program
    if isinstance(program, TyperGroup):
        for name, inner in program.commands.items():
            yield from every_command(inner, (*words, name))


def commands() -> dict[str, Command]:
    """Every command that does something, by its words; the program itself is "".

    One that is hidden is what its group does without a command.
    """
    return {
        words.rpartition(" ")[0] if command.hidden else words: command
        for words, command in every_command(get_command(app))
        if not words or not isinstance(command, TyperGroup)
    }


@pytest.fixture(scope="module")
def parse() -> Callable[[list[str]], None]:
    """Parse a command line as the program would; every command does nothing."""
    program = get_command(app)
    for _, command in every_command(program):
        command.callback = lambda **_values: None
    return lambda words: program.main(words, prog_name="stackctl", standalone_mode=False)


def lines_with_commands() -> list[tuple[str, str]]:
    found = []
    for path in PAGES:
        for block in blocks(text(path), "bash", "console"):
            for line in block.splitlines():
                if match := COMMAND_LINE.match(line.strip()):
                    found.append((page_name(path), match[1]))
                found += [
                    (page_name(path), inner) for inner in re.findall(r"\$\((stackctl[^)]*)\)", line)
                ]
    return found


def accept(pairs: list[str]) -> None:
    settings.resolve(scenarios.load("scenario-6"), flags=pairs, environment={})


@pytest.mark.parametrize("name", [name for name in commands() if name])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"^\| `stackctl {name}[ `]", text(README), re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_every_option_is_in_the_section_of_its_command(name: str) -> None:
    told = section(text(DOCS / "commands.md"), f"stackctl {name}".strip())
    assert told, f"docs/commands.md has no section `## stackctl {name}`"
    documented = set(re.findall(r"`(-{1,2}[a-z][a-z-]*)`", told))
    options = {
        option
        for parameter in commands()[name].params
        for option in parameter.opts
        if option.startswith("-") and option not in ("--help", "-h")
    }
    assert options <= documented, f"not documented: {sorted(options - documented)}"
    assert documented - options <= {"--help", "-h"}, f"no option: {sorted(documented - options)}"


def test_there_are_command_lines_to_check() -> None:
    assert len(lines_with_commands()) > 40


@pytest.mark.parametrize(("page", "line"), sorted(set(lines_with_commands())))
def test_every_documented_command_line_parses(
    parse: Callable[[list[str]], None], page: str, line: str
) -> None:
    words = shlex.split(re.sub(r"\[\w+\]", "x", line), comments=True)
    # What the shell does with the output is not the command's.
    words = list(itertools.takewhile(lambda word: word not in (">", "|", "&&"), words))
    try:
        parse(words[1:])
    except typer.TyperException as error:
        pytest.fail(f"{page}: {line}: {error.format_message()}")


@pytest.mark.parametrize(("page", "line"), sorted(set(lines_with_commands())))
def test_every_documented_setting_is_accepted(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    if pairs := [words[i + 1] for i, word in enumerate(words) if word == "--set"]:
        accept(pairs)


def test_every_command_named_in_a_sentence_exists_with_its_options() -> None:
    program = {words: command for words, command in commands().items() if words}
    groups = {words.split()[0] for words in program if " " in words}
    named = 0
    for path in PAGES:
        for span in spans(text(path)):
            words = re.sub(r"[\[\]…|]", " ", span).split()
            # `stackctl readiness KEY` is the name of an experiment.
            if words[:1] != ["stackctl"] or words[1:2] in ([], ["COMMAND"], ["readiness"]):
                continue
            words = [w for w in words[1:] if w != "--debug"]
            length = 2 if " ".join(words[:2]) in program or words[0] not in program else 1
            name = " ".join(words[:length])
            assert name in program or name in groups, f"{page_name(path)}: `{span}`"
            options = {w.partition("=")[0] for w in words[length:] if w.startswith("-")}
            known = {o for p in program[name].params for o in p.opts} if name in program else set()
            assert options <= known | {"-h", "--help"}, f"{page_name(path)}: `{span}`"
            named += 1
    assert named > 50


@pytest.mark.parametrize("wrong", [["shwo"], ["deploy", "x", "--no-such"], ["restore"]])
def test_a_wrong_command_line_would_be_found(
    parse: Callable[[list[str]], None], wrong: list[str]
) -> None:
    with pytest.raises(typer.TyperException):
        parse(wrong)
