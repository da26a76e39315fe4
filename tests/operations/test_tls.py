"""HTTPS: what is refused before anything is started, and what a deploy makes for it."""

import json
from pathlib import Path

import pytest

from stackctl.archive import Archive
from stackctl.certificates import chain_problem, key_problem
from stackctl.errors import MachineError
from stackctl.operations.doctor import examine
from stackctl.operations.restore import destination
from stackctl.operations.rotate import rotate
from stackctl.secrets import SecretFolder
from tests.conftest import Call
from tests.contract.https import DAY, Authority
from tests.operations.stage import Stage

NAMED = "public_url=https://ml.example.org:8443"
INTERNAL = ("name=x", NAMED, "tls=internal")
ELSEWHERE = ("name=x", NAMED, "tls=elsewhere", "trusted_proxies=10.0.0.7")
PLAIN = "plain_http=yes-on-a-trusted-network"
MINE = Authority.new()


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.0.2.1", "::"])
def test_nothing_leaves_the_machine_in_clear_unless_somebody_says_so(
    stage: Stage, bind: str
) -> None:
    flags = ("name=x", f"bind={bind}", "auth=basic")
    with stage.refuses(2, f"setting bind='{bind}'", "would leave this machine in clear"):
        stage.deployed("scenario-5", *flags)
    stage.deployed("scenario-5", *flags, PLAIN)
    assert stage.manifest("x").settings["bind"] == bind


@pytest.mark.parametrize(
    "tls", [("tls=internal",), ("tls=elsewhere", "trusted_proxies=10.0.0.7,10.1.0.0/24")]
)
def test_with_https_it_may(stage: Stage, tls: tuple[str, ...]) -> None:
    stage.deployed("scenario-5", "name=x", "bind=0.0.0.0", "auth=basic", NAMED, *tls)


def test_a_proxy_beyond_the_machine_is_named(stage: Stage) -> None:
    """Else whoever calls could say to be one."""
    with stage.refuses(2, "bind=0.0.0.0: whoever calls could say that it is the proxy"):
        stage.deployed("scenario-5", "bind=0.0.0.0", "auth=basic", NAMED, "tls=elsewhere")


@pytest.mark.parametrize(
    ("scenario", "setting", "tls"),
    [
        ("scenario-4", "object_store_port=5014", ELSEWHERE),
        ("scenario-3b-mysql", "browser_port=5085", ELSEWHERE),
        # With keys nobody is to come to a store that clients have none for.
        ("scenario-5", "object_store_port=5014", INTERNAL),
    ],
)
def test_what_has_no_https_stays_on_the_machine(
    stage: Stage, scenario: str, setting: str, tls: tuple[str, ...]
) -> None:
    flags = (*tls, "bind=0.0.0.0", "auth=basic", *([setting] if "5014" in setting else []))
    with stage.refuses(2, f"setting {setting}", "would be published on 0.0.0.0 without TLS"):
        stage.deployed(scenario, *flags)
    stage.deployed(scenario, *flags, PLAIN)


@pytest.mark.parametrize("scenario", ["scenario-4", "scenario-3b-mysql"])
def test_what_is_behind_the_proxy_may_leave_it(stage: Stage, scenario: str) -> None:
    stage.deployed(scenario, *INTERNAL, "bind=0.0.0.0", "auth=basic")


def test_an_object_store_behind_the_proxy_may_leave_it(stage: Stage) -> None:
    direct = ("transfers=direct", "object_store_port=5014")
    stage.deployed("scenario-5", *INTERNAL, "bind=0.0.0.0", "auth=basic", *direct)


def test_a_proxy_whose_configuration_alone_changed_reads_it_anew(stage: Stage) -> None:
    stage.deployed("scenario-5", *INTERNAL, "replicas=2")
    stage.deploy("scenario-5", *INTERNAL, "replicas=3")
    done = stage.machine.done
    assert done.index("create tracking-3") < done.index("reload proxy")
    assert "recreate proxy" not in done
    assert "reload proxy: its configuration changed" in stage.told
    stage.begin()
    assert not stage.deploy("scenario-5", *INTERNAL, "replicas=3")
    assert "reload proxy" not in stage.machine.story


def test_one_that_read_what_is_taken_back_reads_what_was_before(stage: Stage) -> None:
    stage.deployed("scenario-5", *INTERNAL, "replicas=2")
    stage.machine.fails("prove", MachineError("no"))
    with pytest.raises(MachineError, match="no"):
        stage.deploy("scenario-5", *INTERNAL, "replicas=3")
    assert stage.machine.done.count("reload proxy") == 2
    stage.begin()
    assert not stage.deploy("scenario-5", *INTERNAL, "replicas=2")


def test_an_authority_is_made_with_the_stack(stage: Stage) -> None:
    stage.deployed("scenario-5", *INTERNAL)
    secrets = stage.home.stack("x").secrets
    assert key_problem(secrets.read("ca_key").reveal()) == ""
    assert chain_problem(secrets.read("ca_certificate").reveal()) == ""
    assert (stage.home.stack("x").state / "proxy").stat().st_mode & 0o777 == 0o700
    before = secrets.read("ca_certificate").reveal()
    stage.deployed("scenario-5", *INTERNAL, "workers=3")
    assert secrets.read("ca_certificate").reveal() == before


def put(folder: SecretFolder, certificate: str, key: str) -> None:
    folder.path.parent.mkdir(mode=0o700, exist_ok=True)
    folder.path.mkdir(mode=0o700, exist_ok=True)
    folder.write("tls_certificate", certificate)
    folder.write("tls_key", key)


FILES = ("name=x", NAMED, "tls=files")


def test_a_certificate_of_the_user_has_to_be_there(stage: Stage) -> None:
    with stage.refuses(2, "tls_certificate: is missing", "cp YOURS.pem FILE"):
        stage.deployed("scenario-5", *FILES)


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (MINE.issue("other.example"), "is for other.example, and not for ml.example.org"),
        (MINE.issue("ml.example.org", begins=-9 * DAY, ends=-DAY), "the certificate ended on"),
        (MINE.issue("ml.example.org", begins=DAY), "is this machine's clock right?"),
        ((MINE.issue("ml.example.org")[0], MINE.key), "the key is not that of the certificate"),
        ((MINE.key, MINE.key), "it is no certificate in PEM"),
        ((MINE.certificate, MINE.certificate), "it is no private key in PEM"),
        ((f"{MINE.certificate}\n{MINE.issue('ml.example.org')[0]}", MINE.key), "comes first"),
    ],
    ids=["name", "ended", "later", "key", "no certificate", "no key", "order"],
)
def test_a_certificate_that_cannot_serve_is_refused(
    stage: Stage, certificate: tuple[str, str], said: str
) -> None:
    put(stage.home.stack("x").secrets, *certificate)
    with stage.refuses(2, said):
        stage.deployed("scenario-5", *FILES)


def test_a_file_may_end_as_files_do(stage: Stage) -> None:
    certificate, key = MINE.issue("ml.example.org")
    put(stage.home.stack("x").secrets, f"{certificate}\r\n", f"{key}\n")
    stage.deployed("scenario-5", *FILES)


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_an_authority_that_vouches_for_an_acme_directory_is_read_first(
    stage: Stage, tmp_path: Path, text: str | None
) -> None:
    root = tmp_path / "root.pem"
    flags = ("name=x", "public_url=https://ml.example.org", "tls=acme", f"acme_root={root}")
    if text is not None:
        root.write_text(text)
    with stage.refuses(2, f"setting acme_root='{root}'"):
        stage.deployed("scenario-5", *flags)


def test_trust_is_of_an_authority_of_its_own(stage: Stage, stackctl: Call) -> None:
    stage.deployed("scenario-5", *INTERNAL)
    kept = stage.home.stack("x").secrets.path / "ca_certificate"
    assert stackctl("trust", "x").out == f"{kept.read_text()}\n"
    assert stackctl("trust", "x", "--path").out == f"{kept}\n"
    bundle = stackctl("trust", "x", "--bundle").out
    assert bundle.endswith(f"{kept.read_text().strip()}\n\n")
    assert bundle.count("BEGIN CERTIFICATE") > 100
    stage.deployed("scenario-3b", "name=y")
    answer = stackctl("trust", "y")
    assert answer.code == 2
    assert "tls=off, it has no HTTPS; one of its own comes with --set tls=internal" in answer.err


def test_an_archive_does_not_say_by_which_name_a_stack_is_known(stage: Stage) -> None:
    path = stage.archived(stage.deployed("scenario-5", *INTERNAL, runs=1))
    with Archive(path) as found:
        with stage.refuses(2, f"{NAMED}, tls=internal", "--as-it-was"):
            destination(found, stage.home, "y", ())
        flags = ["public_url=", "tls=off", "port=5999"]
        chosen = destination(found, stage.home, "y", flags).settings
        assert (chosen.public_url, chosen.tls) == ("", "off")
        assert destination(found, stage.home, "y", (), as_it_was=True).settings.tls == "internal"


@pytest.mark.parametrize("flags", [INTERNAL, FILES])
def test_what_clients_were_told_to_trust_is_rotated_by_nobody_else(
    stage: Stage, flags: tuple[str, ...]
) -> None:
    put(stage.home.stack("x").secrets, *MINE.issue("ml.example.org"))
    x = stage.deployed("scenario-5", *flags)
    name, why = (
        ("ca_key", "every client was told to trust it")
        if flags is INTERNAL
        else ("tls_key", "who issued it makes another")
    )
    before = x.secrets.read(name).reveal()
    with stage.refuses(2, f"{name} cannot be rotated here: {why}"):
        rotate(x, [name], timeout=9, progress=stage.progress)
    assert name not in rotate(x, [], timeout=9, progress=stage.progress).names
    assert any(f"left as they are: {name[:2]}" in line for line in stage.told)
    assert x.secrets.read(name).reveal() == before


def test_an_authority_that_was_taken_away_is_made_anew(stage: Stage) -> None:
    x = stage.deployed("scenario-5", *INTERNAL)
    before = x.secrets.read("ca_certificate").reveal()
    for name in ("ca_key", "ca_certificate"):
        x.secrets.forget(name)
    stage.deployed("scenario-5", *INTERNAL)
    assert x.secrets.read("ca_certificate").reveal() != before


@pytest.mark.parametrize(("days", "soon"), [(29, True), (31, False)])
def test_a_certificate_that_ends_soon_is_told(
    stage: Stage, stackctl: Call, days: int, soon: bool
) -> None:
    certificate, key = MINE.issue("ml.example.org", ends=days * DAY + DAY / 2)
    put(stage.home.stack("x").secrets, certificate, key)
    stage.deployed("scenario-5", *FILES)
    page = stackctl("show", "x").out
    assert f"in {days} days" in page
    assert ("put another into tls_certificate" in page) is soon
    assert json.loads(stackctl("show", "x", "--json").out)["certificate_until"]
    assert json.loads(stackctl("show", "--json").out)[0]["ui"] == "https://ml.example.org:8443"
    (found,) = (f for f in examine(stage.home) if f.subject == "certificate, x")
    assert (found.level == "warning") is soon


def test_a_certificate_that_strict_clients_refuse_is_told(stage: Stage) -> None:
    put(stage.home.stack("x").secrets, *MINE.issue("ml.example.org", lax=True))
    stage.deployed("scenario-5", *FILES)
    first, second = (f for f in examine(stage.home) if f.subject == "certificate, x")
    assert (first.level, second.level) == ("warning", "ok")
    assert "clients with Python 3.13 or later refuse 'CN=of a test'" in str(first)


def test_who_has_no_certificate_is_told_of_none(stage: Stage, stackctl: Call) -> None:
    stage.deployed("scenario-5", "name=x")
    assert "certificate" not in stackctl("show", "x").out
    assert json.loads(stackctl("show", "x", "--json").out)["certificate_until"] is None
