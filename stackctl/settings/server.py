"""What people tell MLflow's servers in MLflow's own words: arguments and variables."""

import re
import shlex
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

# What stackctl tells a server itself, and what decides it: the options of `mlflow server` (3.17.2).
OWN_ARGUMENTS: Mapping[str, str] = {
    "host": "bind",
    "port": "port",
    "workers": "workers",
    "static-prefix": "public_url",
    "allowed-hosts": "public_hosts",
    "cors-allowed-origins": "public_hosts",
    "disable-security-middleware": "public_hosts",
    "app-name": "auth",
    "enable-workspaces": "workspaces",
    "disable-workspaces": "workspaces",
    "backend-store-uri": "",
    "registry-store-uri": "",
    "default-artifact-root": "",
    "artifacts-destination": "",
    "serve-artifacts": "",
    "no-serve-artifacts": "",
    "artifacts-only": "",
    # Since 3.18.
    "artifacts-presigned-only": "transfers",
    "dev": "",
}
# Likewise, of variables.
OWN_VARIABLES: Mapping[str, str] = {
    "MLFLOW_HOST": "bind",
    "MLFLOW_PORT": "port",
    "MLFLOW_WORKERS": "workers",
    "MLFLOW_STATIC_PREFIX": "public_url",
    "_MLFLOW_STATIC_PREFIX": "public_url",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "public_hosts",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "public_hosts",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "public_hosts",
    "FORWARDED_ALLOW_IPS": "trusted_proxies",
    "MLFLOW_AUTH_CONFIG_PATH": "auth",
    "OIDC_DISCOVERY_URL": "oidc.issuer",
    "OIDC_ISSUER": "oidc.issuer",
    "OIDC_CLIENT_ID": "oidc.client_id",
    "OIDC_SCOPE": "oidc.scopes",
    "OIDC_USERNAME_FIELD": "oidc.user_claim",
    "OIDC_GROUPS_ATTRIBUTE": "oidc.groups_claim",
    "OIDC_GROUP_NAME": "oidc.groups",
    "OIDC_ADMIN_GROUP_NAME": "oidc.admin_groups",
    "OIDC_REDIRECT_URI": "public_url",
    "DEFAULT_MLFLOW_PERMISSION": "default_permission",
    "PERMISSION_CACHE_TTL_SECONDS": "",
    "MLFLOW_ENABLE_WORKSPACES": "workspaces",
    "MLFLOW_ENABLE_AI_GATEWAY": "gateway",
    "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "gateway",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "job_execution",
    "MLFLOW_LOGGING_LEVEL": "log_level",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "pool_size",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "pool_overflow",
    "MLFLOW_UVICORN_OPTS": "server.args.uvicorn-opts",
    "MLFLOW_GUNICORN_OPTS": "server.args.gunicorn-opts",
    "MLFLOW_S3_ENDPOINT_URL": "object_store_endpoint",
    "AWS_DEFAULT_REGION": "region",
    **dict.fromkeys(
        (
            "MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI", "MLFLOW_TRACKING_URI",
            "MLFLOW_DEFAULT_ARTIFACT_ROOT", "MLFLOW_ARTIFACTS_DESTINATION",
            "MLFLOW_SERVE_ARTIFACTS", "MLFLOW_ARTIFACTS_ONLY", "MLFLOW_ALLOW_FILE_STORE",
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "HOME", "USER", "PATH", "LANG", "TMPDIR",
            "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONUSERBASE",
            # They say whose word is taken for who calls, and that a provider is who it says.
            "TRUSTED_PROXIES", "OIDC_VERIFY_SSL", "SESSION_COOKIE_SECURE",
            "AUTH_PROVIDERS", "AUTH_PROVIDERS_FILE",
        ),
        "",
    ),
}  # fmt: skip
# Likewise, of variables whose values are secrets.
OWN_SECRETS = (
    "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "OIDC_CLIENT_SECRET", "OIDC_USERS_DB_URI", "SECRET_KEY",
)  # fmt: skip
# Options of uvicorn and gunicorn that say what those of `mlflow server` say.
_OWN_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("--host", "--bind", "-b", "--uds", "--fd", "--listen", "--unix-socket"), "bind"
    ),
    "--port": "port",
    **dict.fromkeys(("--workers", "-w"), "workers"),
    "--log-level": "log_level",
    "--forwarded-allow-ips": "trusted_proxies",
    "--root-path": "public_url",
    **dict.fromkeys(("--env-file", "--env", "-e", "--factory", "--reload", "--app-dir"), ""),
}
SECRET = "secret:"  # noqa: S105 - what marks the name of one

_UVICORN = "uvicorn-opts"
_ARGUMENT = re.compile(r"[a-z][a-z0-9-]{0,60}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,120}")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
# How words of a variable's name end, and whole ones, that say what its value is.
_TELLING = ("PASSWORD", "PASSWD", "PASSPHRASE", "PWD", "SECRET", "TOKEN", "CREDENTIAL",
            "CREDENTIALS", "APIKEY")  # fmt: skip
_WORDS = {"PASS", "KEY", "KEYS", "DSN", "PAT"}
# Last words of one that has only to do with a secret, and what such a value looks like.
_HARMLESS = {
    **dict.fromkeys(("FILE", "PATH", "DIR", "CREDENTIALS"), re.compile(r"[/~.][^\s;=]*")),
    **dict.fromkeys(("TTL", "SIZE", "SECONDS", "TIMEOUT", "COUNT"), re.compile(r"\d+\w{0,2}")),
    "URL": re.compile(r"https?://[^@?]*"),
}
# Values that are secrets under whatever name.
_SECRET_VALUE = re.compile(
    r"://[^/@\s]+@|(accountkey|sharedaccesskey|token|password|secret|api_?key|sig)="
    r"|^(bearer|basic) |\b(sk|hf|ghp|gho|xox[bp])[-_]\w{8}|\bAKIA[A-Z0-9]{12}",
    re.IGNORECASE,
)
# Files of a stack's own secrets: stackctl makes them, and servers are told of them already.
OWN_FILES = (
    "postgres_password", "mysql_password", "mysql_root_password", "s3_access_key", "s3_secret_key",
    "admin_password", "flask_secret_key", "webhook_key", "gateway_passphrase", "ca_key",
    "ca_certificate", "tls_certificate", "tls_key", "oidc_client_secret",
    "database_password", "database_client_certificate", "database_client_key",
)  # fmt: skip


class Refused(ValueError):
    """One entry of a table is not taken.

    Args:
        name: The entry's.
        reason: Why, without its value.
        hidden: The value may be a secret.
    """

    def __init__(self, name: str, reason: str, *, hidden: bool = False) -> None:
        super().__init__(reason)
        self.name, self.hidden = name, hidden


def _texts(value: object) -> object:
    """Numbers and booleans as people write them in TOML; what is empty is not set.

    In order: said in another one it is the same.
    """
    if not isinstance(value, Mapping):
        return value
    found = {}
    for name, inner in sorted(value.items()):
        if not isinstance(inner, str | int | float):
            # Whatever it is, it may be a secret.
            raise Refused(str(name), "a value is a text, a number, true or false", hidden=True)
        text = str(inner).lower() if isinstance(inner, bool) else str(inner)
        if text:
            found[name] = text
    return found


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_VALUE.search(value):
        return True
    words = name.upper().split("_")
    telling = any(word.endswith(_TELLING) or word in _WORDS for word in words)
    if not telling or value.lower() in ("true", "false"):
        return False
    shape = _HARMLESS.get(words[-1])
    return not (shape and shape.fullmatch(value))


def _refuse_own(name: str, setting: str, what: str = "this") -> None:
    how = f"set {setting} instead" if setting else "nothing else is possible"
    raise Refused(name, f"{what} is what stackctl itself tells MLflow; {how}")


def _refuse_shape(name: str, value: str, shape: re.Pattern[str], what: str) -> None:
    if not shape.fullmatch(name):
        raise Refused(name, f"{name!r} is no name of {what}", hidden=True)
    if not value.isprintable():
        raise Refused(name, "a value has no control or invisible characters", hidden=True)
    if len(value) > 4096:
        why = f"a value has at most 4096 characters, and this has {len(value)}"
        raise Refused(name, why, hidden=True)


def _arguments(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        _refuse_shape(name, value, _ARGUMENT, "an option of `mlflow server`, without its dashes")
        if value.startswith(SECRET):
            raise Refused(name, "an option is seen by everybody; a variable takes a secret: "
                          f"server.env.NAME={SECRET}NAME")  # fmt: skip
        if name in OWN_ARGUMENTS:
            _refuse_own(name, OWN_ARGUMENTS[name])
        if _SECRET_VALUE.search(value):
            variable = f"MLFLOW_{name.upper().replace('-', '_')}"
            raise Refused(name, "it holds a secret, which all could read; MLflow takes it from "
                          f"a variable too, as server.env.{variable}={SECRET}NAME",
                          hidden=True)  # fmt: skip
        if name.endswith("-opts"):
            _refuse_own_options(name, value)
    return values


def _refuse_own_options(name: str, value: str) -> None:
    try:
        words = [word.partition("=")[0] for word in shlex.split(value)]
    except ValueError:
        raise Refused(name, "a quote is left open") from None
    for word in words:
        # A short one may have its value joined on.
        option = word if word.startswith("--") else word[:2]
        if option in _OWN_OPTIONS:
            _refuse_own(name, _OWN_OPTIONS[option], option)


def _variables(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        _refuse_shape(name, value, _VARIABLE, "a variable")
        if name in OWN_SECRETS:
            raise Refused(name, "this is a secret of the stack's own, a file in .secrets/STACK/; "
                          "see stackctl secrets", hidden=True)  # fmt: skip
        if name in OWN_VARIABLES or name.startswith("STACKCTL_"):
            _refuse_own(name, OWN_VARIABLES.get(name, ""))
        if value.strip().lower().startswith(SECRET):
            if value.removeprefix(SECRET) in OWN_FILES:
                raise Refused(name, "that secret is the stack's own, and servers have those that "
                              "they need; name one of yours")  # fmt: skip
            if not _SECRET_NAME.fullmatch(value.removeprefix(SECRET)):
                raise Refused(name, f"write {SECRET}NAME, and the name with a-z, 0-9 and '_'",
                              hidden=True)  # fmt: skip
        elif _is_secret(name, value):
            raise Refused(name, "this looks like a secret, which no setting holds; put it into a "
                          f"file in .secrets/STACK/, mode 0600, and write {SECRET}NAME, as "
                          f"{SECRET}{name.lower().strip('_')}", hidden=True)  # fmt: skip
    return values


class Server(BaseModel):
    """What MLflow's servers are told beside what other settings say.

    Attributes:
        args: Options of `mlflow server` without their dashes; the value of one that takes none is
            `true`. The tracking server alone is told.
        env: Variables; `secret:NAME` stands for what is in the stack's secret NAME.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    args: Annotated[dict[str, str], BeforeValidator(_texts), AfterValidator(_arguments)] = {}
    env: Annotated[dict[str, str], BeforeValidator(_texts), AfterValidator(_variables)] = {}

    @property
    def words(self) -> list[str]:
        """The options as words of a command, but for those of uvicorn."""
        return [
            f"--{name}" if value == "true" else f"--{name}={value}"
            for name, value in self.args.items()
            if value != "false" and name != _UVICORN
        ]

    def uvicorn(self, own: list[str]) -> str:
        """What uvicorn is told, where no other serves.

        Args:
            own: What stackctl tells it.
        """
        if self.args.keys() & {"gunicorn-opts", "waitress-opts"}:
            return ""
        return " ".join([*own, *([given] if (given := self.args.get(_UVICORN)) else [])])

    @property
    def plain(self) -> dict[str, str]:
        """The variables that are no secrets."""
        return {name: value for name, value in self.env.items() if not value.startswith(SECRET)}

    @property
    def secret(self) -> dict[str, str]:
        """The names of secrets, by the variables that they are for."""
        return {
            name: value.removeprefix(SECRET)
            for name, value in self.env.items()
            if value.startswith(SECRET)
        }
