"""Scripts that carry data are part of no bundle: they are rendered when they are run."""

from dataclasses import replace
from pathlib import Path

import pytest

from stackctl import scenarios
from stackctl.render import script
from tests.bundles import NAMES, check, effective, local, place, tool

PLACES = {"containers": place(), "processes": replace(place(), local=local("x"))}


def scripts(name: str, where: str, *flags: str) -> dict[str, str]:
    found, here = scenarios.load(name), PLACES[where]
    wanted = {"courier.sh": found.server}
    if found.backend == "postgres":
        wanted |= {"postgres-dump.sh": "postgres", "postgres-load.sh": "postgres"}
    return {
        template: script(found, effective(name, *flags), here, service, template)
        for template, service in wanted.items()
    }


@pytest.mark.parametrize("where", PLACES)
def test_shellcheck_accepts_every_script(where: str, tmp_path: Path) -> None:
    paths = []
    for name in NAMES:
        for number, flags in enumerate([(), ("auth=basic",)]):
            for template, text in scripts(name, where, *flags).items():
                paths.append(tmp_path / f"{name}-{number}-{template}")
                paths[-1].write_text(text, encoding="utf-8")
    assert len(paths) == 30
    check([tool("shellcheck"), *map(str, paths)])
