"""What the documentation says is what the code does."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import stackctl.errors
import stackctl.stack
from stackctl import diagram, scenario, settings
from stackctl.cli import app
from stackctl.errors import MachineError, StackctlError, UserError
from stackctl.settings import Settings
from stackctl.versions import DEFAULT_IMAGES, MLFLOW
from tests.bundles import bundle

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / ".secrets.example" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
Command = TyperCommand | TyperGroup
SHIPPED = sorted(scenario.names())
# `$ ` before a command, or nothing.
COMMAND_LINE = re.compile(r"^(?:\$ )?(stackctl(?: .*)?)$")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every row of every table; a `|` in a code span counts as one of the row."""
    for line in page.splitlines():
        if line.startswith("|") and not set(line) <= set("|- :"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def every_command(program: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    """A command and those below it, each with its words: `secrets`, `secrets init`."""
    assert isinstance(program, TyperCommand | TyperGroup)
    yield " ".join(words), program
    if isinstance(program, TyperGroup):
        for name, inner in program.commands.items():
            yield from every_command(inner, (*words, name))


def commands() -> dict[str, Command]:
    """Every command that does something, by its words; the program itself is ""."""
    return {
        words: command
        for words, command in every_command(get_command(app))
        if not words or not isinstance(command, TyperGroup)
    }


def parse(words: list[str]) -> None:
    """Parse a command line as the program would; every command does nothing."""
    program = get_command(app)
    for _, command in every_command(program):
        command.callback = lambda **_values: None
    program.main(words, prog_name="stackctl", standalone_mode=False)


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


def errors() -> list[type[StackctlError]]:
    return [
        item
        for module in (stackctl.errors, stackctl.stack)
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, StackctlError)
        and item.__module__ == module.__name__
    ]


# Commands


@pytest.mark.parametrize("name", [name for name in commands() if name])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"^\| `stackctl {name}[ `]", text(ROOT / "README.md"), re.MULTILINE)


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
def test_every_documented_command_line_parses(page: str, line: str) -> None:
    words = shlex.split(re.sub(r"\[\w+\]", "x", line), comments=True)
    try:
        parse(words[1:])
    except typer.TyperException as error:
        pytest.fail(f"{page}: {line}: {error.format_message()}")


@pytest.mark.parametrize(("page", "line"), sorted(set(lines_with_commands())))
def test_every_documented_setting_is_accepted(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    if pairs := [words[i + 1] for i, word in enumerate(words) if word == "--set"]:
        accept(pairs)


@pytest.mark.parametrize("wrong", [["shwo"], ["deploy", "x", "--no-such"], ["deploy"]])
def test_a_wrong_command_line_would_be_found(wrong: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        parse(wrong)


# Settings


def accept(pairs: list[str]) -> None:
    settings.resolve(scenario.load("scenario-6"), flags=pairs, environment={})


def default_of(key: str) -> str:
    value = Settings.model_fields[key].default
    if value in ("", None, (), {}):
        return "—"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("key", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(key: str) -> None:
    found = [row for row in rows(text(DOCS / "settings.md")) if row[0] == f"`{key}`"]
    assert len(found) == 1, f"docs/settings.md has {len(found)} rows for {key}"
    _, default, variable, told, example = found[0]
    assert default == default_of(key)
    name = f"{settings.PREFIX}{key.upper()}"
    table = {"images": f"{name}__COMPONENT", "memory": f"{name}__SERVICE"}
    assert variable == f"`{table.get(key, name)}`"
    assert told
    words = shlex.split(example.strip("`"))
    assert words[0] == "--set"
    assert words[1].startswith((f"{key}=", f"{key}.")) or f"--set {key}=" in example
    accept([word for word in words if word != "--set"])


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = {row[0].strip("`") for row in rows(text(DOCS / "settings.md")) if len(row) == 5}
    assert documented - {"Key"} == set(Settings.model_fields)


@pytest.mark.parametrize("name", settings.PROGRAM_VARIABLES)
def test_every_variable_of_the_program_is_documented(name: str) -> None:
    assert f"`{name}`" in text(DOCS / "settings.md")


# Scenarios


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_has_a_page_with_its_diagram(name: str) -> None:
    page = text(DOCS / "scenarios" / f"{name}.md")
    assert blocks(page, "mermaid") == [f"{diagram.mermaid(scenario.load(name))}\n"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_page_has_the_scenarios_ports(name: str) -> None:
    told = {row[0]: row[1] for row in rows(text(DOCS / "scenarios" / f"{name}.md"))}
    for key, value in scenario.load(name).settings.items():
        assert told.get(f"`{key}`") == str(value), f"{name}: {key}"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_readme_lists_every_scenario_with_its_ports(name: str) -> None:
    wanted = f"[{name}](docs/scenarios/{name}.md)"
    row = next((row for row in rows(text(ROOT / "README.md")) if row[0] == wanted), None)
    assert row is not None
    found = scenario.load(name)
    ports = [str(v) for k, v in found.settings.items() if k in ("port", "artifacts_port")]
    assert row[5] == ", ".join(ports)


def test_no_page_is_of_a_scenario_that_does_not_exist() -> None:
    assert sorted(path.stem for path in (DOCS / "scenarios").glob("*.md")) == SHIPPED


def test_every_key_of_a_scenario_file_is_documented() -> None:
    told = section(text(DOCS / "scenarios.md"), "The keys of a scenario file")
    documented = {row[0].strip("`"): row[1] for row in rows(told) if len(row) == 4}
    for key, model_field in scenario.Scenario.model_fields.items():
        if key != "name":
            assert documented[key].startswith("yes" if model_field.is_required() else "no"), key
    assert documented.keys() - {"Key"} == scenario.Scenario.model_fields.keys() - {"name"}


def test_the_worked_example_is_a_scenario_and_drawn_as_shown(tmp_path: Path) -> None:
    page = text(DOCS / "scenarios.md")
    (example,) = blocks(page, "toml")
    tmp_path.joinpath("team-local.toml").write_text(example, encoding="utf-8")
    found = scenario.load("team-local", tmp_path)
    settings.resolve(found, environment={})
    shown = [b for b in blocks(page, "console") if b.startswith("$ stackctl scenarios team-local")]
    assert shown == [f"$ stackctl scenarios team-local\n{diagram.text(found)}\n"]


# Errors


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_every_error_is_documented_with_its_exit_code(error: type[StackctlError]) -> None:
    row = next(r for r in rows(text(DOCS / "errors.md")) if r[0] == f"`{error.__name__}`")
    base = error.__mro__[1].__name__
    assert row[1:3] == [f"`{base}`", str(error.exit_code)]


@pytest.mark.parametrize("page", ["README.md", "docs/errors.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    codes = {row[0] for row in rows(section(text(ROOT / page), "Exit codes"))}
    used = {error.exit_code for error in (StackctlError, UserError, MachineError)}
    assert codes == {"Code", "0", "130", *map(str, used)}


# Secrets, images, capabilities


@pytest.mark.parametrize("page", ["docs/secrets.md", ".secrets.example/README.md"])
def test_every_secret_is_documented(page: str) -> None:
    documented = {row[0].strip("`") for row in rows(text(ROOT / page))}
    placeholders = {
        path.name
        for path in (ROOT / ".secrets.example").iterdir()
        if not path.name.startswith("README")
    }
    assert placeholders <= documented


def test_the_images_are_those_that_ship() -> None:
    page = text(DOCS / "images.md")
    told = {row[0]: row[1] for row in rows(section(page, "Which are used"))}
    del told["Component"]
    assert told == {f"`{key}`": f"`{image}`" for key, image in DEFAULT_IMAGES.items()}
    assert f"MLflow {MLFLOW} " in page


def test_the_capabilities_are_those_of_the_templates() -> None:
    told = {row[0]: row[2] for row in rows(text(DOCS / "security.md")) if len(row) == 3}
    for chosen, store in (
        ("scenario-3b-mysql", "seaweedfs"),
        *(("scenario-5", store) for store in ("seaweedfs", "minio", "rustfs")),
    ):
        compose = bundle(chosen, f"object_store={store}").files["compose.yaml"][0]
        for name, service in yaml.safe_load(compose)["services"].items():
            row = f"objects-{store}" if name == "objects" else name
            row = next(key for key in told if f"`{row}`" in key)
            wanted = ", ".join(f"`{cap}`" for cap in service.get("cap_add", []))
            assert told[row] == (wanted or "none"), row


# Pages


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_link_to_a_file_resolves(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), f"{page_name(path)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page_name(path)}: {target}"


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_no_page_names_a_path_of_one_machine(path: Path) -> None:
    page = text(path)
    assert str(ROOT) not in page
    assert not re.findall(r"(?<![\w./~-])/(?:home|root|work|Users|tmp)/\S+", page)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        path = todo.pop()
        if path in reached or not path.exists():
            continue
        reached.add(path)
        if path.is_dir():
            todo += path.glob("*.md")
        elif path.suffix == ".md":
            targets = re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text(path))
            todo += [(path.parent / target).resolve() for target in targets]
    missing = {page_name(p) for p in DOCS.rglob("*.md")} - {page_name(p) for p in reached}
    assert not missing


def test_every_dependency_is_in_the_readme_with_licence_and_python() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    readme = text(ROOT / "README.md")
    for group, wanted in groups.items():
        (heading,) = re.findall(
            rf"^### (Extra `{group}`.*)$" if group else "^### (To run)$", readme, re.MULTILINE
        )
        told = {row[0]: row for row in rows(section(readme, heading)) if row[0] != "Package"}
        names = {re.split(r"[\[<>=!;~ ]", line, maxsplit=1)[0].lower() for line in wanted}
        assert told.keys() == names - {project["name"]}, heading
        assert all(len(row) == 4 and all(row) for row in told.values()), heading


def test_every_make_target_that_is_documented_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    used = {t for path in PAGES for t in re.findall(r"\bmake ([a-z-]+)\b", code(text(path)))}
    assert used
    assert used <= targets


def code(page: str) -> str:
    """Code blocks and code spans of a page."""
    spans = re.findall(r"`([^`\n]+)`", page)
    return "\n".join([*blocks(page, "bash", "console"), *spans])
