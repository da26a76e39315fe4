"""What the pages say of the scenarios is what the scenarios are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stackctl import scenarios, settings
from stackctl.client.environment import client_environment
from stackctl.drawing import diagram, picture
from stackctl.scenario import Scenario
from stackctl.stack import Home
from tests.bundles import bundle, deployment
from tests.docs.pages import DOCS, README, SHIPPED, blocks, headings, links, rows, section, text

PICTURES = DOCS / "pictures"
SECTIONS = [
    "When to choose it",
    "What the client needs",
    "What is where",
    "Ports",
    "What tutorials of 2023 say",
    "What to watch",
    "The next step",
]


def page(name: str) -> str:
    return text(DOCS / "scenarios" / f"{name}.md")


def test_no_page_is_of_a_scenario_that_does_not_exist() -> None:
    assert sorted(path.stem for path in (DOCS / "scenarios").glob("*.md")) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_page_has_the_same_sections(name: str) -> None:
    assert headings(page(name), 2) == SECTIONS
    assert all(section(page(name), heading).strip() for heading in SECTIONS)
    (title,) = headings(page(name), 1)
    assert title.lower() == f"{name}: {scenarios.load(name).title}".lower()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_picture_of_a_scenario_is_what_stackctl_draws(name: str) -> None:
    assert text(PICTURES / f"{name}.svg") == f"{picture.svg(scenarios.load(name))}\n"
    lines = page(name).splitlines()
    shown = re.fullmatch(rf"!\[(.+)\]\(\.\./pictures/{re.escape(name)}\.svg\)", lines[2])
    assert shown, "a page begins with its picture"
    for port in re.findall(r">port (\d+)<", text(PICTURES / f"{name}.svg")):
        assert port in shown[1], "the picture's description names its ports"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_page_has_the_scenarios_ports(name: str) -> None:
    told = {row[0]: row[1] for row in rows(page(name))}
    for key, value in scenarios.load(name).settings.items():
        assert told.get(f"`{key}`") == str(value), f"{name}: {key}"


@pytest.mark.parametrize("name", SHIPPED)
def test_what_the_client_sets_is_what_env_prints(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    stack = deployment(home, name, stack="NAME")
    stack.secrets.ensure([key.secret for key in stack.scenario.backend_kind.keys])
    printed = client_environment(stack, {}).shell()
    shown = printed.replace(str(home.path), "HOME")
    (told,) = blocks(section(page(name), "What the client needs"), "text")
    assert told == f"{shown}\n"


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_where_names_every_volume_secret_and_folder(name: str) -> None:
    found = scenarios.load(name)
    told = section(page(name), "What is where")
    compose = yaml.safe_load(bundle(name).files["compose.yaml"][0])
    (tree,) = blocks(told, "text")
    table = "\n".join(" ".join(row) for row in rows(told))
    volumes = set(compose.get("volumes") or {})
    assert set(re.findall(r"volumes? `([\w-]+)`|and `([\w-]+-scratch)`", table)) <= {
        pair for v in volumes for pair in ((v, ""), ("", v))
    }
    for volume in volumes:
        assert f"`{volume}`" in table
        assert f"volume {volume} " in tree
    for secret in compose.get("secrets") or {}:
        assert f"`{secret}`" in table
    assert ("data/NAME\n" in tree) == found.uses_data_folder
    assert ("mlruns.db" in tree) == (found.backend == "sqlite")
    assert ("bucket mlflow " in tree) == (found.artifacts == "s3")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_readme_lists_every_scenario_with_its_ports_and_its_picture(name: str) -> None:
    wanted = f"[{name}](docs/scenarios/{name}.md)"
    row = next((row for row in rows(text(README)) if row[0] == wanted), None)
    assert row is not None
    found = scenarios.load(name)
    ports = [str(v) for k, v in found.settings.items() if k in ("port", "artifacts_port")]
    assert row[5] == ", ".join(ports)
    shown = (
        rf'\[<img src="docs/pictures/{name}\.svg"[^>]* alt="([^"]+)">\]'
        rf"\(docs/scenarios/{name}\.md\)"
    )
    cell = next(cell for row in rows(text(README)) for cell in row if re.match(shown, cell))
    alt = re.match(shown, cell)
    assert alt
    assert alt[1] == f"{name}: {found.title}"
    assert re.search(rf"<br>\*\*{name}\*\*: \S+", cell), "a line on when to choose it"


# Which scenario


def test_the_table_of_questions_leads_to_every_scenario() -> None:
    told = section(text(DOCS / "which-scenario.md"), "Who works on it")
    leads = {Path(target).stem for target in links(told) if target.startswith("scenarios/")}
    assert leads == set(SHIPPED)


def test_the_numbers_of_a_scenario_are_those_of_its_files() -> None:
    told = section(text(DOCS / "which-scenario.md"), "By numbers")
    first, *others = rows(told)
    numbers = {row[0]: row[1:] for row in others}
    seen = []
    for column, group in enumerate(first[1:]):
        for short in group.split(", "):
            name = f"scenario-{short}"
            seen.append(name)
            compose = yaml.safe_load(bundle(name).files["compose.yaml"][0])
            stays = [s for s in compose["services"].values() if s.get("restart") != "no"]
            ports = [p for service in stays for p in service.get("ports", [])]
            assert str(len(stays)) == numbers["services"][column], name
            secrets = str(len(compose.get("secrets") or {})).replace("0", "none")
            assert secrets in numbers["secrets"][column].split(" or "), name
            assert ports
    assert sorted(seen) == SHIPPED


def test_the_path_upward_names_scenarios_only() -> None:
    told = section(text(DOCS / "which-scenario.md"), "The path upward")
    (drawn,) = blocks(told, "text")
    named = set(re.findall(r"scenario-\S+", drawn))
    assert named == set(SHIPPED)


def promotions(told: str) -> Iterator[tuple[str, Scenario, list[str]]]:
    """Source, target and words of each promotion that a text tells to type."""
    for block in blocks(told, "bash"):
        for line in block.splitlines():
            if line.startswith("stackctl promote "):
                words = shlex.split(line)[2:]
                target = scenarios.load(words[words.index("--to") + 1])
                yield words[0], target, words


@pytest.mark.parametrize("name", SHIPPED)
def test_the_next_step_is_a_promotion_that_is_possible(name: str) -> None:
    found = list(promotions(section(page(name), "The next step")))
    assert name in {source for source, _, _ in found}, "runs come along: say how"
    for source, target, words in found:
        assert target.backend_kind.takes_rows, words
        if source == name:
            # Both run at once.
            ports = {v for k, v in target.settings.items() if k.endswith("port")}
            taken = {v for k, v in scenarios.load(name).settings.items() if k.endswith("port")}
            assert "--port" in words or not ports & taken, words
        else:
            assert source in ("--from-folder", "--from-uri"), words


def test_the_path_upward_says_how_runs_come_along() -> None:
    told = section(text(DOCS / "which-scenario.md"), "The path upward")
    assert all(target.backend_kind.takes_rows for _, target, _ in promotions(told))
    assert list(promotions(told))
    refused = {name for name in SHIPPED if not scenarios.load(name).backend_kind.takes_rows}
    (named,) = re.findall(r"Nothing is promoted to files: (.*?)\s+are no targets", told, re.DOTALL)
    assert set(re.findall(r"scenario-\w+", named)) == refused


# A scenario of one's own


def test_every_key_of_a_scenario_file_is_documented() -> None:
    told = section(text(DOCS / "scenarios.md"), "The keys of a scenario file")
    documented = {row[0].strip("`"): row[1] for row in rows(told) if len(row) == 4}
    for key, model_field in Scenario.model_fields.items():
        if key != "name":
            assert documented[key].startswith("yes" if model_field.is_required() else "no"), key
    assert documented.keys() - {"Key"} == Scenario.model_fields.keys() - {"name"}


def test_the_worked_example_is_a_scenario_and_drawn_as_shown(tmp_path: Path) -> None:
    told = text(DOCS / "scenarios.md")
    (example,) = blocks(told, "toml")
    tmp_path.joinpath("team-local.toml").write_text(example, encoding="utf-8")
    found = scenarios.load("team-local", tmp_path)
    settings.resolve(found, environment={})
    shown = [b for b in blocks(told, "console") if b.startswith("$ stackctl scenarios team-local")]
    assert shown == [f"$ stackctl scenarios team-local\n{diagram.text(found)}\n"]
    assert text(PICTURES / "team-local.svg") == f"{picture.svg(found)}\n"
    assert "pictures/team-local.svg" in links(told)
