"""Settings: flags > environment > .env > scenario file > default, each with its provenance."""

from pathlib import Path

import pytest

from stackctl import scenarios, settings
from stackctl.errors import BadSetting, UnknownName, UserError
from stackctl.scenario import Scenario
from stackctl.settings import Settings, resolve
from tests.bundles import NAMES, VARIANTS, bundle, fitting, texts

# For each setting a value as a flag has it, one as a scenario file has it, and how it is shown.
SAMPLES: dict[str, tuple[str, object, str]] = {
    "name": ("my-stack-1", "my-stack-1", "my-stack-1"),
    "runtime": ("embedded", "embedded", "embedded"),
    "port": ("5100", 5100, "5100"),
    "artifacts_port": ("5101", 5101, "5101"),
    "object_store_port": ("5102", 5102, "5102"),
    "browser_port": ("5103", 5103, "5103"),
    "bind": ("127.0.0.2", "127.0.0.2", "127.0.0.2"),
    "public_url": ("http://ML.Example.org:81/a/", "http://ml.example.org:81/a",
                   "http://ml.example.org:81/a"),
    "tls": ("internal", "internal", "internal"),
    "http_port": ("5104", 5104, "5104"),
    "acme_email": ("ada@example.org", "ada@example.org", "ada@example.org"),
    "acme_directory": ("https://ca.example.org/d", "https://ca.example.org/d",
                       "https://ca.example.org/d"),
    "acme_root": ("/etc/ssl/ca.pem", "/etc/ssl/ca.pem", "/etc/ssl/ca.pem"),
    "plain_http": ("yes-on-a-trusted-network",) * 3,
    "trusted_proxies": ("10.0.0.7, fd00::/64", ["10.0.0.7", "fd00::/64"], "10.0.0.7,fd00::/64"),
    "auth": ("basic", "basic", "basic"),
    "default_permission": ("NO_PERMISSIONS", "NO_PERMISSIONS", "NO_PERMISSIONS"),
    "oidc.issuer": ("https://id.example.org/realms/ml/",) * 3,
    "oidc.client_id": ("stackctl",) * 3,
    "oidc.scopes": ("openid, groups", ["openid", "groups"], "openid,groups"),
    "oidc.user_claim": ("preferred_username",) * 3,
    "oidc.groups_claim": ("https://example.org/roles",) * 3,
    "oidc.groups": ("ml, data team", ["ml", "data team"], "ml,data team"),
    "oidc.admin_groups": ("ml-admins", ["ml-admins"], "ml-admins"),
    "public_hosts": ("a.example, b:81", ["a.example", "b:81"], "a.example,b:81"),
    "data": ("~/my 'data' #1", "~/my 'data' #1", "~/my 'data' #1"),
    "database": ("external", "external", "external"),
    "database_host": ("db.example.org", "db.example.org", "db.example.org"),
    "database_port": ("6432", 6432, "6432"),
    "database_name": ("it's ml", "it's ml", "it's ml"),
    "database_user": ("ada@team", "ada@team", "ada@team"),
    "database_schema": ("ml", "ml", "ml"),
    "database_tls": ("require", "require", "require"),
    "database_ca": ("/etc/ssl/c a.pem", "/etc/ssl/c a.pem", "/etc/ssl/c a.pem"),
    "database_certificate": ("yes", True, "true"),
    "object_store": ("rustfs", "rustfs", "rustfs"),
    "object_store_endpoint": ("https://s3.x:9000/", "https://s3.x:9000/", "https://s3.x:9000"),
    "transfers": ("direct", "direct", "direct"),
    "bucket": ("my.bucket", "my.bucket", "my.bucket"),
    "region": ("eu-west-3", "eu-west-3", "eu-west-3"),
    "workers": ("3", 3, "3"),
    "replicas": ("3", 3, "3"),
    "mlflow_version": ("3.16.0", "3.16.0", "3.16.0"),
    "job_execution": ("true", True, "true"),
    "workspaces": ("true", True, "true"),
    "gateway": ("private", "private", "private"),
    "log_level": ("warning", "warning", "warning"),
    "pool_size": ("7", 7, "7"),
    "pool_overflow": ("0", 0, "0"),
    "server.args.x-frame-options": ("DENY", "DENY", "DENY"),
    "server.env.MLFLOW_HTTP_request_TIMEOUT": ("90", 90, "90"),
    "extra.compose": ("my team.yaml", "my team.yaml", "my team.yaml"),
    "image_flavor": ("conda", "conda", "conda"),
    "images.postgres": ("r.io:5000/pg@sha256:0", "r.io:5000/pg@sha256:0", "r.io:5000/pg@sha256:0"),
    "memory.tracking": ("3g", "3g", "3g"),
}  # fmt: skip
KEYS = list(SAMPLES)
# What some can do nothing without.
BESIDE = {
    "database": {"database_host": "db.example.org"},
    "tls": {"public_url": "https://ml.example.org"},
    "http_port": {"public_url": "https://ml.example.org", "tls": "internal"},
    "replicas": {"public_url": "https://ml.example.org", "tls": "internal"},
    "trusted_proxies": {"public_url": "https://ml.example.org", "tls": "elsewhere"},
}


def with_settings(key: str, value: object) -> Scenario:
    """scenario-5 whose file sets one key."""
    found = scenarios.load("scenario-5")
    for name in reversed(key.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    chosen = {**BESIDE.get(key, {}), **value}
    return found.model_copy(update={"settings": chosen})


def row(effective: settings.Effective, key: str) -> tuple[str, str]:
    """(value, source) as `stackctl config` shows it."""
    return {name: (value, source) for name, value, source in effective.rows()}[key]


def variable(key: str) -> str:
    """The environment variable of a key."""
    if key.startswith("server.env."):
        return f"STACKCTL_SERVER__ENV__{key.removeprefix('server.env.')}"
    return f"STACKCTL_{key.upper().replace('.', '__').replace('-', '_')}"


def test_every_setting_has_a_sample_here() -> None:
    tables = ("server.args.", "server.env.", "images.", "memory.")
    sampled = [next((t for t in tables if key.startswith(t)), key) for key in SAMPLES]
    assert sampled == settings.keys()


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_reaches_through_every_layer_and_the_higher_one_wins(
    key: str, tmp_path: Path
) -> None:
    text, value, shown = SAMPLES[key]
    env_name, dotenv = variable(key), tmp_path / ".env"
    plain = scenarios.load("scenario-5").model_copy(update={"settings": {}})
    in_file = with_settings(key, value)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    dotenv.write_text(f"OTHER=1\n{env_name}='{quoted}'\n")

    from_file = resolve(in_file, environment={})
    assert row(from_file, key) == (shown, "scenario scenario-5")
    from_dotenv = resolve(in_file, environment={}, dotenv=dotenv)
    assert row(from_dotenv, key) == (shown, str(dotenv))
    from_environment = resolve(in_file, environment={env_name: text}, dotenv=dotenv)
    assert row(from_environment, key) == (shown, f"environment {env_name}")
    from_flag = resolve(
        in_file, environment={env_name: text}, dotenv=dotenv, flags=[f"{key}={text}"]
    )
    assert row(from_flag, key) == (shown, "--set")
    assert from_file.settings == from_dotenv.settings == from_flag.settings

    default = {name: source for name, _, source in resolve(plain, environment={}).rows()}
    expected = {"name": "scenario scenario-5"}.get(key, "default")
    assert default.get(key, "default") == expected


def test_each_layer_overrides_the_one_below_with_its_own_value(tmp_path: Path) -> None:
    found, dotenv = scenarios.load("scenario-5"), tmp_path / ".env"
    dotenv.write_text("STACKCTL_PORT=5102\nSTACKCTL_WORKERS=5\n")
    environment = {"STACKCTL_PORT": "5103"}
    assert resolve(found, environment={}).settings.port == 5000
    assert resolve(found, environment={}, dotenv=dotenv).settings.port == 5102
    third = resolve(found, environment=environment, dotenv=dotenv)
    assert (third.settings.port, third.settings.workers) == (5103, 5)
    flags = ["port=5104", "port=5105"]
    top = resolve(found, environment=environment, dotenv=dotenv, flags=flags)
    assert top.settings.port == 5105


def test_one_key_of_a_table_is_overridden_and_the_others_stay() -> None:
    found = scenarios.load("scenario-5").model_copy(
        update={"settings": {"images": {"postgres": "postgres:17", "base": "python:3.12"}}}
    )
    got = resolve(found, environment={}, flags=["images.postgres=postgres:16"])
    assert got.settings.images == {"postgres": "postgres:16", "base": "python:3.12"}
    assert row(got, "images.base") == ("python:3.12", "scenario scenario-5")
    assert row(got, "images.postgres") == ("postgres:16", "--set")


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCTL_REGION", "eu-north-1")
    assert resolve(scenarios.load("scenario-5")).settings.region == "eu-north-1"


def test_variables_of_the_program_are_no_settings() -> None:
    program = {"STACKCTL_HOME": "/x", "STACKCTL_DEBUG": "1", "STACKCTL_STACK": "y"}
    found = scenarios.load("scenario-5")
    assert resolve(found, environment=program) == resolve(found, environment={})


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_the_scenarios_where_none_is_given(name: str) -> None:
    assert resolve(scenarios.load(name), environment={}).settings.name == name


@pytest.mark.parametrize("layer", ["flag", "environment", "dotenv", "scenario"])
@pytest.mark.parametrize(
    ("typed", "meant"), [("prot", "port"), ("public_host", "public_hosts"), ("worker", "workers")]
)
def test_an_unknown_setting_names_the_nearest(
    layer: str, typed: str, meant: str, tmp_path: Path
) -> None:
    found, dotenv = scenarios.load("scenario-5"), tmp_path / ".env"
    if layer == "dotenv":
        dotenv.write_text(f"{variable(typed)}=1\n")
    if layer == "scenario":
        found = with_settings(typed, 1)
    environment = {variable(typed): "1"} if layer == "environment" else {}
    flags = [f"{typed}=1"] if layer == "flag" else []
    with pytest.raises(UnknownName, match=f"no setting '{typed}' .*; did you mean '{meant}'"):
        resolve(found, environment=environment, dotenv=dotenv, flags=flags)


def test_a_table_without_a_key_says_how_to_write_it() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'images\.KEY'"):
        resolve(scenarios.load("scenario-5"), environment={}, flags=["images=x"])


BAD = {
    "port": ["0", "-1", "65536", "70000", "abc", "", "5000.5", "5000;rm -rf"],
    "artifacts_port": ["0", "70000", "abc"],
    "object_store_port": ["0", "70000", "abc"],
    "browser_port": ["0", "70000", "abc"],
    "name": [
        "", "a/b", "a b", "Upper", "x" * 41, "x" * 200, ";rm -rf", "a\nb", "a\n", "-a", "a-", "..",
        "ä", "a.b", "a_b", "$HOME", "$(id)",
    ],
    "runtime": ["", "podman", "Docker", "docker "],
    "bind": ["localhost", "1.2.3", "256.0.0.1", "", "127.0.0.1:80", "0.0.0.0", "::", "192.0.2.1"],
    "auth": ["", "yes", "Basic"],
    "public_hosts": [
        "http://a", "a/b", "a b", "a:0", "a:70000", "a:b", "a:", "-a", "a..b", "*", "a\nb", "$(id)",
        "x" * 254, "user@host", "good.example,b/d",
    ],
    "public_url": [
        "ml.example.org", "ftp://ml.example.org", "https://", "https://u:p@ml.example.org",
        "https://ml.example.org/?x", "https://ml.example.org/#x", "https://ml.example.org/a b",
        "https://ml.example.org//a", "https://ml.example.org/a//b", "https://ml.example.org/ü",
        "https://ml.example.org/%61", "https://ml.example.org/../a", "https://ml.example.org/api",
        "https://ml.example.org/ajax-api/2.0", "https://ml.example.org:99999", "https://a..b",
        "https://ml.example.org/{$HOME}", "https://a\nb",
        # Nobody said where HTTPS comes from.
        "https://ml.example.org",
    ],
    "tls": ["", "on", "Internal", "internal", "files", "acme", "elsewhere"],
    "http_port": ["0", "70000", "80"],
    "acme_email": ["ada", "ada@", "@example.org", "a b@example.org", 'a"@example.org'],
    "acme_directory": ["http://ca.example.org/d", "ca.example.org", "https://ca/d?x"],
    "acme_root": ["ca.pem", "~/ca.pem", "/a\nb"],
    "plain_http": ["", "yes", "true"],
    "data": ["a\nb", "a\tb", "a\0b"],
    "object_store": ["", "s3", "Minio"],
    "object_store_endpoint": [
        "s3.example", "ftp://s3", "https://u:p@s3", "https://s3/path", "https://s3?x", "http://a b",
    ],
    "bucket": ["", "ab", "A-b", "-ab", "a_b", "a/b", "x" * 64, "a\nb"],
    "region": ["", "EU", "a b", "x" * 41],
    "workers": ["0", "65", "many", "-1"],
    "mlflow_version": "3.16.0",
    "job_execution": ["", "maybe"],
    "image_flavor": ["", "alpine"],
    "images.postgres": ["", "a b", "-a", "A:1", "a\nb", "$(id)", "x" * 256],
    "images.oracle": ["oracle:1"],
    "memory.tracking": ["", "2", "2t", "0g", "-1g", "2 g", "lots"],
    "memory.trackin": ["2g"],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, v) for key, vs in BAD.items() for v in vs])
def test_a_bad_value_is_refused_with_key_and_source(key: str, value: str) -> None:
    with pytest.raises(BadSetting) as error:
        resolve(scenarios.load("scenario-6"), environment={}, flags=[f"{key}={value}"])
    assert error.value.exit_code == 2
    assert str(error.value).startswith("setting ")
    assert "(from --set)" in str(error.value)
    assert error.value.key.partition(".")[0] == key.partition(".")[0]
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_flag_without_a_value_says_how_to_write_it() -> None:
    with pytest.raises(UserError, match="'port' has no '='; write KEY=VALUE"):
        resolve(scenarios.load("scenario-5"), environment={}, flags=["port"])


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "fe80::1"])
def test_beyond_loopback_needs_a_login(address: str) -> None:
    found = scenarios.load("scenario-5")
    with pytest.raises(BadSetting, match="without a login; add --set auth=basic"):
        resolve(found, environment={}, flags=[f"bind={address}"])
    got = resolve(found, environment={}, flags=[f"bind={address}", "auth=basic"])
    assert got.settings.bind == address


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("tls=internal", "tls=internal needs the name that a certificate is for"),
        ("public_url=https://ml.example.org", "say where that comes from, with --set tls=acme"),
        ("public_url=http://ml.example.org tls=files", "is not https, as tls=files has it"),
        ("http_port=8080", "with tls=off it has none"),
        (
            "public_url=https://ml.example.org tls=elsewhere http_port=8080",
            "with tls=elsewhere it has",
        ),
        ("public_url=https://localhost tls=acme", "localhost is none; tls=internal needs nobody"),
        ("public_url=https://192.168.1.5 tls=acme", "192.168.1.5 is none"),
    ],
)
def test_name_and_tls_go_together(flags: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        resolve(scenarios.load("scenario-5"), environment={}, flags=flags.split())


@pytest.mark.parametrize(
    ("flags", "port", "http_port"),
    [
        ("tls=acme public_url=https://ml.example.org", 443, 80),
        ("tls=acme public_url=https://ml.example.org http_port=", 443, None),
        ("tls=internal public_url=https://ml.example.org:8443/mlflow", 8443, None),
        ("tls=internal public_url=https://ml.example.org port=8443", 8443, 80),
        ("tls=elsewhere public_url=https://ml.example.org", 5000, None),
        ("public_url=http://ml.example.org", 5000, None),
    ],
)
def test_ports_follow_the_public_address_where_https_ends_here(
    flags: str, port: int, http_port: int | None
) -> None:
    got = resolve(scenarios.load("scenario-5"), environment={}, flags=flags.split()).settings
    assert (got.port, got.http_port) == (port, http_port)


def test_a_proxy_is_there_where_https_ends_here() -> None:
    name = {"name": "x", "public_url": "https://ml.example.org"}
    named = scenarios.load("scenario-5").services
    assert Settings(**name, tls="internal").services(named) == [*named, "proxy"]
    assert Settings(**name, tls="elsewhere").services(named) == list(named)


def test_an_optional_port_can_be_taken_away() -> None:
    found = scenarios.load("scenario-4")
    assert resolve(found, environment={}).settings.object_store_port == 5014
    got = resolve(found, environment={}, flags=["object_store_port="])
    assert got.settings.object_store_port is None


def test_a_dotenv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"STACKCTL_PORT=\xff\xfe\n")
    with pytest.raises(UserError, match=r"\.env cannot be read"):
        resolve(scenarios.load("scenario-5"), environment={}, dotenv=tmp_path / ".env")


def test_a_dotenv_value_is_not_interpolated(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STACKCTL_DATA=/srv/${HOME}/$x\n")
    got = resolve(scenarios.load("scenario-3b"), environment={}, dotenv=tmp_path / ".env")
    assert got.settings.data == "/srv/${HOME}/$x"


def test_the_variants_of_the_rendering_tests_cover_every_setting() -> None:
    """But for `runtime`: it decides for which place is rendered, see tests/runtimes/test_choice."""
    covered = {flag.partition("=")[0].partition(".")[0] for flags in VARIANTS for flag in flags}
    assert covered == set(Settings.model_fields) - {"runtime"}


@pytest.mark.parametrize("flags", VARIANTS, ids=" ".join)
def test_no_setting_is_without_effect(flags: tuple[str, ...]) -> None:
    takers = [name for name in NAMES if flags in fitting(name)]
    assert any(texts(bundle(name, *flags)) != texts(bundle(name)) for name in takers)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("STACKCTL_PORT=5102\nSTACKCTL_DATA='/srv/it\n", 2),
        ('A=1\n\n# note\nSTACKCTL_PORT="5102\nB=2\n', 4),
        ("STACKCTL_PORT: 5102\n", 1),
        ("A=1\nSTACKCTL_PORT\n", 2),
        ("A='geheim' x\n", 1),
    ],
)
def test_a_line_of_dotenv_that_says_nothing_is_named(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(UserError) as error:
        resolve(scenarios.load("scenario-5"), environment={}, dotenv=tmp_path / ".env")
    assert error.value.message.startswith(f"{tmp_path}/.env:{line}: ")
    assert "geheim" not in str(error.value)


def test_dotenv_has_comments_exports_and_lines_of_others(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# a\nexport STACKCTL_PORT=5102 # b\n\nOTHER='x\ny'\nEMPTY=\n")
    found = resolve(scenarios.load("scenario-5"), environment={}, dotenv=tmp_path / ".env")
    assert found.settings.port == 5102
