"""What the penguins example ships: data as its source has it, notebooks that are only source."""

import ast
import csv
import hashlib
import json
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from stackctl import scenarios

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "palmer_penguins"
DATA = EXAMPLE / "data" / "penguins.csv"
NOTEBOOKS = ("1_Run_and_track_experiments", "2_Deploy_and_manage", "3_Tips_and_tricks")
# What the extra `examples` brings, beside the standard library.
INSTALLED = {"matplotlib", "mlflow", "pandas", "sklearn"}

each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


@cache
def notebook(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EXAMPLE / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
    return read


def cells(name: str, kind: str) -> list[str]:
    return ["".join(c["source"]) for c in notebook(name)["cells"] if c["cell_type"] == kind]


@cache
def penguins() -> list[dict[str, str]]:
    with DATA.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_notebook_is_one_of_the_three() -> None:
    assert sorted(p.stem for p in (EXAMPLE / "notebooks").glob("*.ipynb")) == list(NOTEBOOKS)


@each_notebook
def test_notebook_is_of_the_format_that_jupyter_reads(name: str) -> None:
    content = notebook(name)
    nbformat.validate(content, relax_add_props=False)
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert content["metadata"]["kernelspec"]["name"] == "python3"


@each_notebook
def test_notebook_ships_without_results(name: str) -> None:
    code = [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@each_notebook
def test_every_code_cell_compiles(name: str) -> None:
    for number, source in enumerate(cells(name, "code"), 1):
        compile(source, f"{name}, code cell {number}", "exec")


@each_notebook
def test_notebook_needs_nothing_that_a_client_lacks(name: str) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse("\n".join(cells(name, "code")))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    roots = {module.split(".")[0] for module in imported}
    assert roots - sys.stdlib_module_names <= INSTALLED


@each_notebook
def test_only_the_environment_says_which_stack(name: str) -> None:
    source = "\n".join(cells(name, "code"))
    assert "set_tracking_uri" not in source
    assert "set_registry_uri" not in source
    assert '"MLFLOW_TRACKING_URI" not in os.environ' in source


@each_notebook
def test_notebook_reads_the_data_that_is_shipped(name: str) -> None:
    (read,) = re.findall(r'read_csv\("([^"]+)"\)', "\n".join(cells(name, "code")))
    assert (EXAMPLE / "notebooks" / read).resolve() == DATA


@each_notebook
def test_last_cell_compares_what_was_claimed(name: str) -> None:
    last = ast.parse(cells(name, "code")[-1])
    checked = [node for node in ast.walk(last) if isinstance(node, ast.Assert)]
    assert len(checked) >= 5
    assert not any(isinstance(node.test, ast.Constant) for node in checked)


def test_every_scenario_has_a_row_in_where_artifacts_are() -> None:
    (table,) = (text for text in cells(NOTEBOOKS[2], "markdown") if "## Where artifacts" in text)
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")][2:]
    named = [f"scenario-{short.strip()}" for row in rows for short in row.split(",")]
    assert sorted(named) == sorted(scenarios.names())


def test_readme_names_every_notebook() -> None:
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    assert re.findall(r"\(notebooks/(\w+)\.ipynb\)", readme) == list(NOTEBOOKS)


def test_data_has_the_rows_and_columns_of_the_original() -> None:
    assert len(penguins()) == 344
    assert list(penguins()[0]) == [
        "species", "island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm",
        "body_mass_g", "sex", "year",
    ]  # fmt: skip


def test_data_has_the_penguins_of_the_original() -> None:
    def counted(column: str) -> Counter[str]:
        return Counter(penguin[column] for penguin in penguins())

    assert counted("species") == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    assert counted("island") == {"Biscoe": 168, "Dream": 124, "Torgersen": 52}
    assert counted("sex") == {"male": 168, "female": 165, "NA": 11}
    assert counted("year") == {"2007": 110, "2008": 114, "2009": 120}
    assert counted("bill_length_mm")["NA"] == counted("body_mass_g")["NA"] == 2


def test_data_names_its_source_licence_and_citation() -> None:
    told = (EXAMPLE / "data" / "README.md").read_text("utf-8")
    for word in ("palmerpenguins", "0.1.6", "CC0", "Gorman", "Horst", "10.5281/zenodo.3960218"):
        assert word in told
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() in told
