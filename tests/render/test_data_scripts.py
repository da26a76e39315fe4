"""Scripts that carry data are part of no bundle: they are rendered when they are run."""

from pathlib import Path

import pytest

from stackctl import scenarios
from stackctl.render import ComposeRendering, Host, ProcessRendering, Rendering
from tests.bundles import NAMES, check, effective, host, process_host, tool
from tests.scripts import Failed, calls, programs

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


def test_half_a_dump_is_rolled_back_wherever_it_ends(tmp_path: Path) -> None:
    """Also in the midst of a table's rows: what psql reads next would be one more of them."""
    secrets = tmp_path / "home/.secrets/x"
    secrets.mkdir(parents=True)
    (secrets / "postgres_password").write_text("x")
    here = process_host(home=str(tmp_path / "home"))
    rendering = ProcessRendering(scenarios.load("scenario-5"), effective("scenario-5"), here)
    folder = programs(tmp_path, "psql")
    (folder / "pg_restore").write_text(
        "#!/bin/bash\necho 'COPY a FROM stdin;'; printf 'ro'; exit 1"
    )
    (folder / "pg_restore").chmod(0o755)
    (folder / "psql").write_text((folder / "psql").read_text() + "exit 3\n")
    with pytest.raises(Failed) as failure:
        calls(tmp_path, rendering.script("postgres", "postgres-load.sh"), cwd=tmp_path)
    assert str(failure.value).splitlines()[-1] == "pg_restore cannot read the dump to its end"
    (given,) = (tmp_path / "told").glob("*.input")
    assert given.read_text().splitlines()[-4:] == ["COPY a FROM stdin;", "ro", "\\.", "ROLLBACK;"]
