"""What clients set: evaluated by the programs that read it, and never a secret in it."""

import json
import ssl
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values
from requests.utils import should_bypass_proxies

from stackctl import scenarios
from stackctl.client.environment import (
    CREDENTIALS,
    ClientEnvironment,
    client_environment,
    tracking_uri,
    write_files,
)
from stackctl.deployment import Deployment
from stackctl.stack import Home, Manifest
from tests.bundles import NAMES, bundle, deployment, effective
from tests.conftest import Call

PROXY_OFF = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}
HOSTILE = [
    "plain", "my stacks", "it's \"quoted\"", "$HOME ${X} `id` $(id)", "#1 a: b", "größe 東京 😀",
    "back\\slash\\", "a;rm -rf *", "%41?x=y&z", "-n", "a'\\'b",
]  # fmt: skip


def stack_in(folder: Path, name: str, *flags: str) -> Deployment:
    """A stack with all its secrets, as after a deploy."""
    stack = deployment(Home(folder), name, *flags)
    stack.secrets.ensure(list(bundle(name, *flags).secrets))
    write_files(stack.scenario, stack.settings, stack.secrets)
    return stack


def variables_of(folder: Path, name: str, *flags: str) -> ClientEnvironment:
    return client_environment(stack_in(folder, name, *flags))


def evaluated(text: str, **before: str) -> dict[str, str]:
    """The environment of a bash after `eval "$(stackctl env)"`."""
    done = subprocess.run(
        ["bash", "-euc", 'eval "$1"; env -0', "bash", text],
        capture_output=True, text=True, check=True, timeout=30,
        env={"PATH": "/usr/bin:/bin", **before},
    )  # fmt: skip
    assert done.stderr == ""
    pairs = dict(line.split("=", 1) for line in done.stdout.split("\0")[:-1])
    return {key: value for key, value in pairs.items() if key not in ("PATH", "PWD", "SHLVL", "_")}


def keys(name: str, home: Path) -> dict[str, str]:
    """Those whose value is in a file."""
    if name != "scenario-2":
        return {}
    secrets = home / ".secrets" / name
    files = {
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "webhook_key",
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": "gateway_passphrase",
    }
    return {variable: (secrets / file).read_text() for variable, file in files.items()}


def expected(name: str, home: Path) -> dict[str, str]:
    """The plain variables of each scenario, from the table in DESIGN.md."""
    data = f"{home}/data/{name}"
    return {
        "scenario-1": {
            "MLFLOW_TRACKING_URI": f"{data}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true",
        },
        "scenario-2": {
            "MLFLOW_TRACKING_URI": f"sqlite:///{data}/mlruns.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": f"{data}/mlruns",
        },
        "scenario-3a": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5003"},
        "scenario-3b": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5003"},
        "scenario-3b-mysql": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5005"},
        "scenario-4": {
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:5004",
            "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:5014",
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_SHARED_CREDENTIALS_FILE": f"{home}/.secrets/{name}/{CREDENTIALS}",
            "AWS_PROFILE": "default",
        },
        "scenario-5": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", **PROXY_OFF},
        "scenario-5-mysql": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", **PROXY_OFF},
        "scenario-6": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5006", **PROXY_OFF},
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_scenario_gives_its_variables_in_a_shell(name: str, tmp_path: Path) -> None:
    got = evaluated(variables_of(tmp_path, name).shell())
    assert got == expected(name, tmp_path) | keys(name, tmp_path)


@pytest.mark.parametrize("folder", HOSTILE)
@pytest.mark.parametrize("name", ["scenario-2", "scenario-4"])
def test_a_hostile_home_arrives_unchanged_in_every_format(
    name: str, folder: str, tmp_path: Path
) -> None:
    home = tmp_path / folder
    home.mkdir()
    variables = variables_of(home, name)
    wanted = expected(name, home)
    kept = keys(name, home)
    assert evaluated(variables.shell(), X="mine") == {"X": "mine"} | wanted | kept
    assert variables.values == wanted
    (tmp_path / "written.env").write_text(variables.dotenv(), encoding="utf-8")
    assert dotenv_values(tmp_path / "written.env", interpolate=False) == wanted
    assigned = {
        line.removeprefix("$Env:").partition(" = ")[0]: line.partition(" = ")[2]
        for line in variables.powershell().splitlines()
        if line.startswith("$Env:") and "Get-Content" not in line
    }
    # In PowerShell nothing but a doubled quote is special between single quotes.
    assert {key: text[1:-1].replace("''", "'") for key, text in assigned.items()} == wanted
    assert all(text[0] == text[-1] == "'" for text in assigned.values())
    assert all("'" not in text[1:-1].replace("''", "") for text in assigned.values())


def test_keys_that_boto3_would_prefer_are_unset(tmp_path: Path) -> None:
    variables = variables_of(tmp_path, "scenario-4")
    stale = {"AWS_ACCESS_KEY_ID": "old", "AWS_SECRET_ACCESS_KEY": "old", "AWS_SESSION_TOKEN": "old"}
    assert evaluated(variables.shell(), **stale) == expected("scenario-4", tmp_path)
    assert [line for line in variables.powershell().splitlines() if "Remove" in line] == [
        f"Remove-Item Env:{name} -ErrorAction SilentlyContinue" for name in stale
    ]


@pytest.mark.parametrize("name", ["scenario-3b", "scenario-5"])
def test_with_a_login_the_shell_reads_the_password_from_its_file(name: str, tmp_path: Path) -> None:
    home = tmp_path / "it's $x"
    home.mkdir()
    stack = stack_in(home, name, "auth=basic")
    variables = client_environment(stack)
    password = stack.secrets.read("admin_password").reveal()
    assert evaluated(variables.shell()) == {
        **expected(name, home),
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": password,
    }
    file = str(stack.secrets.path / "admin_password").replace("'", "''")
    assert f"$Env:MLFLOW_TRACKING_PASSWORD = Get-Content -Raw '{file}'" in variables.powershell()
    assert "MLFLOW_TRACKING_PASSWORD" not in variables.dotenv()


def test_clients_that_go_past_the_server_are_told_from_which_size_on(tmp_path: Path) -> None:
    direct = ("transfers=direct", "object_store_port=5014")
    plain = variables_of(tmp_path, "scenario-5", *direct).values
    assert plain == {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(16 << 20),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(8 << 20),
        **dict.fromkeys(PROXY_OFF, "true"),
    }
    name = ("tls=internal", "public_url=https://ml.example.org", "name=x")
    stack = stack_in(tmp_path, "scenario-5", *direct, *name)
    told = client_environment(stack).values
    known = ssl.create_default_context(cafile=told["REQUESTS_CA_BUNDLE"]).get_ca_certs()
    (own,) = ssl.create_default_context(
        cafile=told["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    ).get_ca_certs()
    assert own in known
    assert len(known) > 100


@pytest.mark.parametrize("format_", ["shell", "dotenv", "json", "powershell"])
@pytest.mark.parametrize("auth", ["none", "basic"])
@pytest.mark.parametrize("name", NAMES)
def test_env_prints_no_secret(
    name: str, auth: str, format_: str, home: Home, stackctl: Call
) -> None:
    stack = stack_in(home.path, name, f"auth={auth}")
    settings = stack.settings.model_dump(mode="json")
    stack.stack.save(Manifest(name, name, "docker", "owner", "deployed", settings))
    answer = stackctl("env", "--format", format_)
    assert answer.code == 0
    assert "MLFLOW_TRACKING_URI" in answer.out
    # Scenarios with neither database, bucket nor login have none.
    values = stack.secrets.values()
    assert bool(values) == bool(bundle(name, f"auth={auth}").secrets)
    assert not any(value in answer.out + answer.err for value in values)
    if format_ == "json":
        assert json.loads(answer.out)["MLFLOW_TRACKING_URI"]


def test_credentials_are_in_boto3s_own_form(tmp_path: Path) -> None:
    from botocore.session import Session

    stack = stack_in(tmp_path, "scenario-4")
    session = Session()
    session.set_config_variable("credentials_file", str(stack.secrets.path / CREDENTIALS))
    session.set_config_variable("profile", "default")
    found = session.get_component("credential_provider").get_provider("shared-credentials-file")
    keys = found.load()
    assert keys.access_key == stack.secrets.read("s3_access_key").reveal()
    assert keys.secret_key == stack.secrets.read("s3_secret_key").reveal()
    assert (stack.secrets.path / CREDENTIALS).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [name for name in NAMES if name != "scenario-4"])
def test_clients_that_do_not_write_to_the_bucket_get_no_keys(name: str, tmp_path: Path) -> None:
    stack = stack_in(tmp_path, name)
    assert not (stack.secrets.path / CREDENTIALS).exists()


@pytest.mark.parametrize(
    ("endpoint", "variables"),
    [
        ("", {}),
        (
            "https://s3.example:9000",
            {
                "MLFLOW_S3_ENDPOINT_URL": "https://s3.example:9000",
                "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
            },
        ),
    ],
)
def test_an_external_bucket_is_reached_at_its_own_address(
    endpoint: str, variables: dict[str, str], tmp_path: Path
) -> None:
    flags = ("object_store=external", f"object_store_endpoint={endpoint}", "region=eu-west-1")
    got = variables_of(tmp_path, "scenario-4", *flags).values
    of_s3 = {k: v for k, v in got.items() if k.startswith(("MLFLOW_S3", "MLFLOW_BOTO"))}
    assert of_s3 == variables
    assert got["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:5003"),
        ("::1", "http://[::1]:5003"),
        ("0.0.0.0", "http://127.0.0.1:5003"),
        ("::", "http://[::1]:5003"),
        ("192.168.1.5", "http://192.168.1.5:5003"),
    ],
)
def test_the_address_is_one_that_a_client_can_open(bind: str, address: str) -> None:
    chosen = effective("scenario-3b", f"bind={bind}", "auth=basic").settings
    assert tracking_uri(scenarios.load("scenario-3b"), chosen, Path("/d")) == address
    assert tracking_uri(scenarios.load("scenario-1"), chosen, Path("/d")) == "/d/mlruns"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_not_asked_for_the_stack(home: Home, name: str, variable: str) -> None:
    stack = stack_in(home.path, name, "bind=::1")
    told = {variable: "http://proxy.example:3128", "no_proxy": ".example, [::1]:9, 127.0.0.1"}
    found = client_environment(stack, told).values
    without = client_environment(stack, {}).values
    assert not {"NO_PROXY", "no_proxy"} & set(without)
    assert found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].startswith(".example,[::1]:9,127.0.0.1")
    urls = [url for url in without.values() if url.startswith("http")]
    assert bool(urls) is (stack.scenario.client == "server")
    for url in urls:
        assert should_bypass_proxies(url, found["NO_PROXY"]), url
    assert not should_bypass_proxies("http://elsewhere.test", found["NO_PROXY"])


def test_a_proxy_that_is_set_to_nothing_is_none(home: Home) -> None:
    stack = stack_in(home.path, "scenario-5")
    assert "NO_PROXY" not in client_environment(stack, {"HTTP_PROXY": ""}).values
