"""What the documentation says is what the code does."""

import ast
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest
import yaml

from stackctl.errors import LEFT_OUT, MachineError, StackctlError, Undone, UserError
from stackctl.settings import Settings, layers
from stackctl.settings.model import Extra
from stackctl.settings.oidc import Oidc
from stackctl.settings.server import Server
from stackctl.versions import DEFAULT_IMAGES, MLFLOW
from tests.bundles import bundle
from tests.docs.pages import (
    DOCS,
    PAGES,
    README,
    ROOT,
    blocks,
    headings,
    links,
    page_name,
    rows,
    section,
    spans,
    text,
)
from tests.docs.test_commands import accept


@cache
def errors() -> list[type[StackctlError]]:
    """Every type of error, wherever in the package it is made."""
    kinds = {"StackctlError"}
    classes = {
        node.name: (node, ".".join(path.relative_to(ROOT).with_suffix("").parts))
        for path in (ROOT / "stackctl").rglob("*.py")
        for node in ast.parse(text(path)).body
        if isinstance(node, ast.ClassDef)
    }
    while True:
        more = {
            name
            for name, (node, _) in classes.items()
            if any(isinstance(base, ast.Name) and base.id in kinds for base in node.bases)
        }
        if more <= kinds:
            break
        kinds |= more
    return [getattr(importlib.import_module(classes[name][1]), name) for name in sorted(kinds)]


# Settings


# A table whose settings have little to do with each other has a row for each.
DOCUMENTED = [
    key
    for name in Settings.model_fields
    for key in ([f"oidc.{inner}" for inner in Oidc.model_fields] if name == "oidc" else [name])
]


def default_of(key: str) -> str:
    table, _, inner = key.partition(".")
    value = Settings.model_fields[table].default
    value = getattr(value, inner) if inner else value
    if value in ("", None, (), {}, Server(), Extra()):
        return "—"
    return f"`{layers.shown(value)}`"


@pytest.mark.parametrize("key", DOCUMENTED)
def test_every_setting_is_documented_with_its_default(key: str) -> None:
    found = [row for row in rows(text(DOCS / "settings.md")) if row[0] == f"`{key}`"]
    assert len(found) == 1, f"docs/settings.md has {len(found)} rows for {key}"
    _, default, variable, told, example = found[0]
    assert default == default_of(key)
    name = f"{layers.PREFIX}{key.upper().replace('.', '__')}"
    table = {"images": f"{name}__COMPONENT", "memory": f"{name}__SERVICE",
             "server": f"{name}__ENV__NAME", "extra": f"{name}__COMPOSE"}  # fmt: skip
    assert variable == f"`{table.get(key, name)}`"
    assert told
    words = shlex.split(example.strip("`"))
    assert words[0] == "--set"
    assert words[1].startswith((f"{key}=", f"{key}.")) or f"--set {key}=" in example
    accept([word for word in words if word != "--set"])


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = {row[0].strip("`") for row in rows(text(DOCS / "settings.md")) if len(row) == 5}
    assert documented - {"Key"} == set(DOCUMENTED)


@pytest.mark.parametrize("name", layers.PROGRAM_VARIABLES)
def test_every_variable_of_the_program_is_documented(name: str) -> None:
    assert f"`{name}`" in text(DOCS / "settings.md")


# Errors


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_every_error_is_documented_with_its_exit_code(error: type[StackctlError]) -> None:
    told = section(text(DOCS / "errors.md"), "Types")
    found = [row for row in rows(told) if row[0] == f"`{error.__name__}`"]
    assert len(found) == 1, f"docs/errors.md has {len(found)} rows for {error.__name__}"
    base = error.__mro__[1].__name__
    assert found[0][1:3] == [f"`{base}`", str(error.exit_code)]
    assert found[0][3]
    if error.__module__ != "stackctl.errors":
        where = rf"`{error.__name__}`(?: is)? in\s`{re.escape(error.__module__)}`"
        assert re.search(where, told), f"docs/errors.md does not say where {error.__name__} is"


def test_no_error_is_documented_that_does_not_exist() -> None:
    told = section(text(DOCS / "errors.md"), "Types")
    assert {row[0].strip("`") for row in rows(told)} == {"Type", *(e.__name__ for e in errors())}


@pytest.mark.parametrize("page", ["README.md", "docs/errors.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    codes = {row[0] for row in rows(section(text(ROOT / page), "Exit codes"))}
    used = {error.exit_code for error in (StackctlError, UserError, MachineError, Undone)}
    assert LEFT_OUT not in used
    assert codes == {"Code", "0", "130", str(LEFT_OUT), *map(str, used)}


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
    for target in links(text(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), f"{page_name(path)}: {target}"
        if anchor:
            found = [heading for level in range(1, 5) for heading in headings(text(page), level)]
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in found}
            assert anchor in anchors, f"{page_name(path)}: {target}"


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_no_page_names_a_path_of_one_machine(path: Path) -> None:
    page = text(path)
    assert str(ROOT) not in page
    assert not re.findall(r"(?<![\w./~-])/(?:home|root|work|Users|tmp)/\S+", page)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [README]
    while todo:
        path = todo.pop()
        if path in reached or not path.exists():
            continue
        reached.add(path)
        if path.is_dir():
            todo += path.glob("*.md")
        elif path.suffix == ".md":
            targets = [re.sub("#.*", "", target) for target in links(text(path))]
            todo += [(path.parent / t).resolve() for t in targets if t and ":" not in t]
    assert not {page_name(p) for p in PAGES} - {page_name(p) for p in reached}
    shown = {page_name(p) for p in reached if p.suffix in (".svg", ".png")}
    assert {page_name(p) for p in (DOCS / "pictures").iterdir()} == shown


def parse_python(block: str) -> None:
    """A program, or the signature of something."""
    try:
        ast.parse(block)
    except SyntaxError:
        ast.parse(f"def {block.strip()}: ...")


READERS: dict[str, Callable[[str], object]] = {
    "python": parse_python,
    "toml": tomllib.loads,
    "yaml": lambda block: list(yaml.safe_load_all(block)),
    "json": json.loads,
    "bash": lambda block: shlex.split(block, comments=True),
    "ini": lambda block: ConfigParser().read_string(block),
}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_block_of_code_and_data_parses(path: Path) -> None:
    page = text(path)
    used = re.findall(r"^```(\S*)\n.*?^```", page, re.MULTILINE | re.DOTALL)
    assert set(used) <= {*READERS, "console", "text"}, "a block says its language"
    for language, read in READERS.items():
        for block in blocks(page, language):
            read(block)


def test_every_dependency_is_in_the_readme_with_licence_and_python() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    readme = text(README)
    for group, wanted in groups.items():
        (heading,) = re.findall(
            rf"^### (Extra `{group}`.*)$" if group else "^### (To run)$", readme, re.MULTILINE
        )
        told = {row[0]: row for row in rows(section(readme, heading)) if row[0] != "Package"}
        names = {re.split(r"[\[<>=!;~ ]", line, maxsplit=1)[0].lower() for line in wanted}
        assert told.keys() == names - {project["name"]}, heading
        assert all(len(row) == 4 and all(row) for row in told.values()), heading


def test_every_make_target_that_is_documented_exists() -> None:
    (named,) = re.findall(r"^\.PHONY: (.*)$", text(ROOT / "Makefile"), re.MULTILINE)
    targets = set(named.split())
    used = {t for path in PAGES for t in re.findall(r"\bmake ([a-z-]+)\b", code(text(path)))}
    assert used
    assert used <= targets


def code(page: str) -> str:
    """Code blocks and code spans of a page."""
    return "\n".join([*blocks(page, "bash", "console"), *spans(page)])


def test_what_security_claims_is_shown_by_a_test() -> None:
    claimed = set(re.findall(r"`(test_\w+)`", text(DOCS / "security.md")))
    there = {
        name
        for folder in ("contract", "oidc")
        for path in (ROOT / "tests" / folder).glob("*.py")
        for name in re.findall(r"def (test_\w+)", text(path))
    }
    assert len(claimed) > 10
    assert claimed <= there
