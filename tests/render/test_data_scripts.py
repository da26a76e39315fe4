"""Scripts that carry data are part of no bundle: they are rendered when they are run."""

from pathlib import Path

import pytest

from stackctl import scenarios
from stackctl.render import ComposeRendering, Host, ProcessRendering, Rendering
from tests.bundles import NAMES, check, effective, host, process_host, tool

HOSTS: dict[str, tuple[type[Rendering], Host]] = {
    "containers": (ComposeRendering, host()),
    "processes": (ProcessRendering, process_host()),
}


def scripts(name: str, where: str, *flags: str) -> dict[str, str]:
    found, (kind, here) = scenarios.load(name), HOSTS[where]
    wanted = {"courier.sh": found.server}
    if found.backend == "postgres":
        wanted |= {"postgres-dump.sh": "postgres", "postgres-load.sh": "postgres"}
    return {
        template: kind(found, effective(name, *flags), here).script(service, template)
        for template, service in wanted.items()
    }


@pytest.mark.parametrize("where", HOSTS)
def test_shellcheck_accepts_every_script(where: str, tmp_path: Path) -> None:
    paths = []
    for name in NAMES:
        for number, flags in enumerate([(), ("auth=basic",)]):
            for template, text in scripts(name, where, *flags).items():
                paths.append(tmp_path / f"{name}-{number}-{template}")
                paths[-1].write_text(text, encoding="utf-8")
    assert len(paths) == 30
    check([tool("shellcheck"), *map(str, paths)])
