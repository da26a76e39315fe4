"""Auditors of other people: hadolint and checkov."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import uv

from tests.bundles import tool

# Not in the extra `dev`: with all that it needs it is as large as everything else. uv keeps it.
CHECKOV = "checkov==3.3.30"


def hadolint(files: Sequence[Path]) -> set[tuple[str, str]]:
    """What it finds in Dockerfiles: the rule and what it says."""
    told = _run(tool("hadolint"), "--no-fail", "--format", "json", *map(str, files))
    return {(one["code"], one["message"]) for one in json.loads(told)}


def checkov(folder: Path) -> set[tuple[str, str]]:
    """What it finds in a folder: the rule and what that asks for."""
    told = _run(
        uv.find_uv_bin(), "tool", "run", "--quiet", "--from", CHECKOV, "checkov",
        "--directory", str(folder), "--skip-download", "--quiet", "--soft-fail",
        "--output", "json", "--framework", "dockerfile", "secrets", "yaml", "json",
    )  # fmt: skip
    reports = json.loads(told)
    return {
        (check["check_id"], check["check_name"])
        for report in (reports if isinstance(reports, list) else [reports])
        for check in report.get("results", {}).get("failed_checks", [])
    }


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
