"""What people tell MLflow's servers in MLflow's own words, and what is refused."""

from datetime import datetime

import click
import pytest

from stackctl import scenarios
from stackctl.errors import BadSetting, UnknownName
from stackctl.secrets import placeholders
from stackctl.secrets.rules import rule
from stackctl.settings import resolve
from stackctl.settings.server import OWN_ARGUMENTS, OWN_FILES, OWN_VARIABLES, Server
from tests.bundles import bundle, processes

FREE = {
    "read-replica-backend-store-uri", "x-frame-options", "gunicorn-opts", "waitress-opts",
    "uvicorn-opts", "expose-prometheus", "trace-archival-config", "secrets-cache-ttl",
    "secrets-cache-max-size", "workspace-store-uri",
}  # fmt: skip

# Of a release that does not ship yet.
LATER = {"artifacts-presigned-only"}


def server(*flags: str) -> Server:
    """What is said of the servers."""
    return resolve(scenarios.load("scenario-5"), environment={}, flags=flags).settings.server


def refusal(*flags: str) -> str:
    """Why settings are refused."""
    with pytest.raises(BadSetting) as refused:
        server(*flags)
    return str(refused.value)


def test_every_option_of_mlflow_is_free_or_known_as_ours() -> None:
    """Of a release with another option, somebody has to say which it is."""
    import mlflow.cli

    options = {
        name.removeprefix("--")
        for parameter in mlflow.cli.cli.commands["server"].params
        if isinstance(parameter, click.Option)
        for name in [*parameter.opts, *parameter.secondary_opts]
        if name.startswith("--")
    }
    assert options - {"help"} - LATER == OWN_ARGUMENTS.keys() - LATER | FREE


@pytest.mark.parametrize(("name", "setting"), OWN_ARGUMENTS.items())
def test_an_option_of_ours_is_refused_with_the_setting_that_decides_it(
    name: str, setting: str
) -> None:
    told = refusal(f"server.args.{name}=x")
    assert told.startswith(f"setting server.args.{name}='x' (from --set): this is what stackctl")
    assert told.endswith(f"set {setting} instead" if setting else "nothing else is possible")


@pytest.mark.parametrize(("name", "setting"), OWN_VARIABLES.items())
def test_a_variable_of_ours_is_refused_with_the_setting_that_decides_it(
    name: str, setting: str
) -> None:
    told = refusal(f"server.env.{name}=x")
    assert told.endswith(f"set {setting} instead" if setting else "nothing else is possible")


def test_every_variable_that_a_server_is_told_is_known_as_ours() -> None:
    flags = ("auth=basic", "tls=internal", "public_url=https://ml.example.org/a", "workspaces=true",
             "gateway=private", "log_level=error", "pool_size=1", "pool_overflow=1",
             "public_hosts=b.example.org")  # fmt: skip
    for name in ("scenario-5", "scenario-6", "scenario-4"):
        text, _ = processes(name, *flags, "object_store=minio").files["processes/tracking.toml"]
        told = {
            line.partition(" = ")[0] for line in text.partition("[environment]")[2].splitlines()
        }
        ours = {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", ""}
        assert told - ours <= OWN_VARIABLES.keys()


@pytest.mark.parametrize(
    "flag",
    [
        "server.env.OPENAI_API_KEY=sk-hidden",
        "server.env.HF_TOKEN=hf-hidden",
        "server.env.DB_PASSWORD=hidden",
        "server.env.aws_secret=hidden",
        "server.env.REPLICA=postgresql://ada:hidden@db/mlflow",
        "server.env.AWS_SECRET_ACCESS_KEY=hidden",
        "server.env.MLFLOW_CRYPTO_KEK_PASSPHRASE=hidden",
        "server.env.X=secret:../hidden",
        "server.env.A B=hidden",
        "server.env.X=hidden\x07",
        "server.env.X=hidden\u2028",
        "server.env.X=hidden\udcff",
        f"server.env.X={'hidden' * 999}",
        "server.env.PGPASSWORD=hidden",
        "server.env.MYSQL_PWD=hidden",
        "server.env.API_KEYS=hidden",
        "server.env.PIN_PASSWORD=123456hidden",
        "server.env.X_PASSWORD_COUNT=hidden",
        "server.env.AUTH=Bearer hidden",
        "server.env.OPENAIKEY=sk-hidden123456",
        "server.env.STORAGE=AccountName=a;AccountKey=hidden",
        "server.env.HTTPS_PROXY=http://hidden@proxy",
        "server.env.SENTRY_DSN=https://hidden@host/1",
        "server.env.X=https://h/?token=hidden",
        "server.env.X= secret:hidden",
        "server.env.X=Secret:hidden",
        "server.args.read-replica-backend-store-uri=postgresql://ada:hidden@db/mlflow",
    ],
)
def test_what_may_be_a_secret_is_refused_and_not_repeated(flag: str) -> None:
    told = refusal(flag)
    assert "hidden" not in told
    assert flag.partition("=")[0] in told


@pytest.mark.parametrize(
    "flag",
    [
        "server.env.MAX_TOKENS=100",
        "server.env.MLFLOW_SERVER_SSL_KEY_FILE=/etc/key.pem",
        "server.env.TOKEN_TTL=1h",
        "server.env.TOKEN_URL=https://login.example.org/token",
        "server.env.GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp.json",
        "server.env.COMPAT=yes",
        "server.env.USE_TOKEN=true",
        "server.env.KEYCLOAK_REALM=x",
        "server.env.HF_TOKEN=secret:hf_token",
        "server.env.HTTPS_PROXY=http://proxy:3128",
    ],
)
def test_what_only_sounds_so_is_taken(flag: str) -> None:
    key, _, value = flag.partition("=")
    assert server(flag).env == {key.removeprefix("server.env."): value}


@pytest.mark.parametrize(
    ("options", "word", "setting"),
    [
        ("uvicorn-opts=--host 0.0.0.0", "--host", "bind"),
        ("uvicorn-opts=--limit-concurrency 9 --workers=9", "--workers", "workers"),
        ("gunicorn-opts=-b 0.0.0.0:1", "-b", "bind"),
        ("gunicorn-opts=-b0.0.0.0:1", "-b", "bind"),
        ("uvicorn-opts=-w3", "-w", "workers"),
        ("waitress-opts=--listen=0.0.0.0:1", "--listen", "bind"),
        ("uvicorn-opts=--forwarded-allow-ips='*'", "--forwarded-allow-ips", "trusted_proxies"),
    ],
)
def test_nor_do_options_of_what_serves_mlflow_say_it_otherwise(
    options: str, word: str, setting: str
) -> None:
    assert f"{word} is what stackctl itself tells MLflow; set {setting} instead" in refusal(
        f"server.args.{options}"
    )


@pytest.mark.parametrize("name", ["--x-frame-options", "x_frame_options", "X-Frame", "a b"])
def test_an_option_is_written_as_mlflow_has_it_without_dashes(name: str) -> None:
    assert f"{name!r} is no name of an option of `mlflow server`, without its dashes" in refusal(
        f"server.args.{name}=x"
    )


def test_an_option_that_takes_no_value_is_true_and_an_empty_one_is_not_there() -> None:
    found = server("server.args.some-flag=true", "server.args.other=false", "server.args.empty=",
                   "server.args.size=7")  # fmt: skip
    assert found.words == ["--size=7", "--some-flag"]
    assert "empty" not in found.args


def test_what_is_said_in_another_order_is_the_same() -> None:
    flags = ["server.env.A=1", "server.env.B=2", "server.args.a=1", "server.args.b=2"]
    assert server(*flags).words == server(*reversed(flags)).words
    assert [*server(*reversed(flags)).env] == ["A", "B"]


def test_uvicorn_is_told_once_what_people_and_stackctl_tell_it() -> None:
    flags = ("tls=internal", "public_url=https://ml.example.org", "log_level=warning",
             "server.args.uvicorn-opts=--limit-concurrency 200")  # fmt: skip
    text, _ = processes("scenario-5", *flags).files["processes/tracking.toml"]
    words = "--timeout-keep-alive 75 --log-level warning --limit-concurrency 200"
    assert f'MLFLOW_UVICORN_OPTS = "{words}"' in text
    text, _ = processes("scenario-5", *flags, "server.args.gunicorn-opts=-t 9").files[
        "processes/tracking.toml"
    ]
    assert "MLFLOW_UVICORN_OPTS" not in text


def test_only_the_tracking_server_has_the_options_and_each_server_the_variables() -> None:
    found = bundle("scenario-6", "server.args.x-frame-options=DENY", "server.env.A=b")
    assert "--x-frame-options=DENY" in found.files["entrypoints/tracking.sh"][0]
    assert "--x-frame-options" not in found.files["entrypoints/artifacts.sh"][0]
    assert found.files["compose.yaml"][0].count('A: "b"') == 2


def test_a_secret_is_one_of_the_stack_that_nobody_can_make() -> None:
    found = bundle("scenario-3b", "server.env.HF_TOKEN=secret:hf_token")
    assert "hf_token" in found.secrets
    assert "HF_TOKEN=$(cat /run/secrets/hf_token)" in found.files["entrypoints/tracking.sh"][0]
    assert "HF_TOKEN:" not in found.files["compose.yaml"][0]


def test_what_keeps_files_has_no_workspaces() -> None:
    with pytest.raises(BadSetting, match="MLflow has workspaces in databases, and scenario-3a"):
        bundle("scenario-3a", "workspaces=true")


@pytest.mark.parametrize("name", OWN_FILES)
def test_a_secret_of_the_stack_s_own_is_given_to_nobody_else(name: str) -> None:
    assert "that secret is the stack's own" in refusal(f"server.env.K=secret:{name}")


def test_the_stack_s_own_secrets_are_those_that_have_a_rule() -> None:
    assert all(rule(name) is not rule("another") for name in OWN_FILES)
    assert set(OWN_FILES) == set(placeholders())


def test_an_option_takes_no_secret() -> None:
    assert "server.env.NAME=secret:NAME" in refusal("server.args.basic-auth-pw=secret:x")


@pytest.mark.parametrize("value", [["hidden"], {"a": "hidden"}, None, datetime(2026, 1, 1)])
def test_what_is_no_text_is_not_repeated(value: object) -> None:
    found = scenarios.load("scenario-5").model_copy(
        update={"settings": {"server": {"env": {"DB_TOKEN": value}}}}
    )
    with pytest.raises(BadSetting) as refused:
        resolve(found, environment={})
    assert "hidden" not in str(refused.value)


def test_a_variable_that_is_none_is_named_as_it_was_written() -> None:
    for name in ("STACKCTL_SERVER__ENV", "STACKCTL_SERVER__FOO__X"):
        with pytest.raises(UnknownName, match=f"from environment {name}"):
            resolve(scenarios.load("scenario-5"), environment={name: "x"})
