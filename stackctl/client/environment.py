"""What a client of a stack needs to set. No value of a secret is among it: clients read files."""

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stackctl.addresses import Addresses
from stackctl.deployment import Deployment
from stackctl.scenario import Scenario
from stackctl.secrets import SecretFolder
from stackctl.settings import Settings, dotenv_quoted
from stackctl.stores import BACKENDS

CREDENTIALS = "aws_credentials"
CA_BUNDLE = "ca_bundle"
# An upload of so many bytes is worth two calls more.
_LARGE = 16 << 20
# A client reads each piece in a thread of its own; in MLflow's of 100 MiB half as fast (3.17.2).
_PIECE = 8 << 20
_SHORT_CUTS = ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class ClientEnvironment:
    """Variables of a client.

    Attributes:
        values: Plain ones.
        files: Variables whose value is the content of a file.
        unset: Variables that would override these.
    """

    values: dict[str, str]
    files: dict[str, Path] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def applied(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment `base` as these lines change it, for a client that is started here.

        Raises:
            OSError: The file of a variable cannot be read.
        """
        kept = {name: value for name, value in base.items() if name not in self.unset}
        read = {
            name: path.read_text(encoding="utf-8").rstrip("\n") for name, path in self.files.items()
        }
        return {**kept, **self.values, **read}

    def shell(self) -> str:
        """Lines for a POSIX shell: `eval "$(stackctl env)"`."""
        lines = [f"unset {name}" for name in self.unset]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.values.items()]
        lines += [
            f'export {name}="$(cat {shlex.quote(str(path))})"' for name, path in self.files.items()
        ]
        return "\n".join(lines)

    def powershell(self) -> str:
        """Lines for PowerShell."""

        def quoted(value: str) -> str:
            return "'" + value.replace("'", "''") + "'"

        lines = [f"Remove-Item Env:{n} -ErrorAction SilentlyContinue" for n in self.unset]
        lines += [f"$Env:{name} = {quoted(value)}" for name, value in self.values.items()]
        lines += [
            f"$Env:{name} = Get-Content -Raw {quoted(str(path))}"
            for name, path in self.files.items()
        ]
        return "\n".join(lines)

    def dotenv(self) -> str:
        """Lines of a .env file; variables that come from a file are left out."""
        return "\n".join(f"{name}={dotenv_quoted(value)}" for name, value in self.values.items())


def tracking_uri(scenario: Scenario, settings: Settings, data: Path) -> str:
    """The client's tracking URI."""
    if scenario.client == "store":
        return BACKENDS[scenario.backend].tracking_uri(data)
    return str(Addresses(scenario, settings).server)


def client_environment(
    deployment: Deployment, base: Mapping[str, str] | None = None
) -> ClientEnvironment:
    """What a client on this machine sets to use a stack.

    Args:
        deployment: Which.
        base: What is set already, where that matters; this process's own where it is None.
    """
    scenario, settings, secrets = deployment.scenario, deployment.settings, deployment.secrets
    values = {"MLFLOW_TRACKING_URI": tracking_uri(scenario, settings, deployment.data)}
    files: dict[str, Path] = {}
    unset: tuple[str, ...] = ()
    if scenario.client == "store":
        values |= deployment.backend.client_environment(deployment.data)
        files |= {
            key.variable: path
            for key in scenario.backend_kind.keys
            # One that an earlier stackctl deployed lacks them until its next deploy.
            if (path := secrets.path / key.secret).is_file()
        }
    elif settings.asks_login:
        values["MLFLOW_TRACKING_USERNAME"] = "admin"
        files["MLFLOW_TRACKING_PASSWORD"] = secrets.path / "admin_password"
    if scenario.writes_to_bucket:
        if endpoint := deployment.addresses.objects:
            values["MLFLOW_S3_ENDPOINT_URL"] = endpoint
            values["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] = "path"
        values["AWS_DEFAULT_REGION"] = settings.region
        values["AWS_SHARED_CREDENTIALS_FILE"] = str(secrets.path / CREDENTIALS)
        values["AWS_PROFILE"] = "default"
        # boto3 prefers these to the file.
        unset = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        if _needs_bundle(scenario, settings):
            values["AWS_CA_BUNDLE"] = str(secrets.path / CA_BUNDLE)
    elif deployment.addresses.transfers is not None:
        # The server says that it signs addresses; a client uses them from 500 MiB on, if not told.
        values["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = str(_LARGE)
        values["MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE"] = str(_PIECE)
        # A server for artifacts alone does not say what it can (3.17.2), and a shell may have been
        # told otherwise before.
        values |= dict.fromkeys(_SHORT_CUTS, "true")
        if _needs_bundle(scenario, settings):
            # MLflow gives the next variable to its own calls alone, not to those of short cuts.
            values["REQUESTS_CA_BUNDLE"] = str(secrets.path / CA_BUNDLE)
    elif scenario.artifacts == "s3":
        # The proxy's short cuts lead to an endpoint that only the stack itself can reach
        # (MLflow 3.15 to 3.17). stackctl's own image does not offer them; others do.
        values |= dict.fromkeys(_SHORT_CUTS, "false")
    if settings.tls == "internal" and scenario.client != "store":
        # Nobody knows its authority but whom it is told.
        values["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(secrets.path / "ca_certificate")
    addresses = deployment.addresses
    urls = [values["MLFLOW_TRACKING_URI"], addresses.objects, str(addresses.artifacts or "")]
    values |= _past_proxies(os.environ if base is None else base, urls)
    return ClientEnvironment(values, files, unset)


def _past_proxies(base: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """Have a client that is told of a proxy not ask it for the stack, which it cannot reach."""
    if not any(base.get(name) or base.get(name.upper()) for name in _PROXIES):
        return {}
    # Programs read the one or the other, and the lower case first.
    before = base.get("no_proxy") or base.get("NO_PROXY") or ""
    spared = [part.strip() for part in before.split(",") if part.strip()]
    spared += [host for url in urls if (host := urlsplit(url).hostname)]
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(dict.fromkeys(spared)))


def _needs_bundle(scenario: Scenario, settings: Settings) -> bool:
    """Clients ask more than MLflow's servers by HTTPS, and nobody vouches for it but the stack."""
    more = settings.transfers == "direct" or Addresses(scenario, settings).proxies_objects
    return settings.tls == "internal" and more


def with_all_others(certificate: str) -> str:
    """A certificate of an authority, after those that `requests` knows where it is told nothing."""
    import certifi

    return f"{Path(certifi.where()).read_text(encoding='utf-8')}\n{certificate.strip()}\n"


def write_files(scenario: Scenario, settings: Settings, secrets: SecretFolder) -> None:
    """What clients read: S3 keys as boto3 takes them, certificates as `requests` does.

    So `stackctl env` names a file instead of printing a secret. One that tells clients of the
    stack's own authority knows all others too.
    """
    if _needs_bundle(scenario, settings):
        secrets.write(CA_BUNDLE, with_all_others(secrets.read("ca_certificate").reveal()))
    if not scenario.writes_to_bucket:
        return
    key, secret = (secrets.read(n).reveal() for n in ("s3_access_key", "s3_secret_key"))
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    secrets.write(CREDENTIALS, text)
