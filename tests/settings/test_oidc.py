"""What is said of an OpenID provider, and what is refused."""

import pytest

from stackctl import scenarios
from stackctl.errors import BadSetting
from stackctl.settings import Settings, resolve
from stackctl.versions import MLFLOW

GOOD = {
    "oidc.issuer": "https://id.example.org/realms/ml",
    "oidc.client_id": "stackctl",
    "oidc.groups": "ml",
}


def settings(*flags: str, **changed: str) -> Settings:
    """Those of scenario-5 with single sign-on."""
    values = GOOD | {key.replace("__", "."): value for key, value in changed.items()}
    given = [f"{key}={value}" for key, value in values.items() if value]
    wanted = ["auth=oidc", *given, *flags]
    return resolve(scenarios.load("scenario-5"), environment={}, flags=wanted).settings


def refusal(*flags: str, **changed: str) -> str:
    """Why they are refused."""
    with pytest.raises(BadSetting) as refused:
        settings(*flags, **changed)
    return str(refused.value)


def test_discovery_is_below_the_issuer_with_its_slash_or_without() -> None:
    for issuer in ("https://id.example.org", "https://id.example.org/"):
        oidc = settings(oidc__issuer=issuer).oidc
        assert oidc.issuer == issuer
        assert oidc.discovery == "https://id.example.org/.well-known/openid-configuration"


def test_its_release_is_one_of_its_own() -> None:
    assert settings().release == f"{MLFLOW}+oidc"
    assert settings().mlflow_version == MLFLOW
    assert Settings().release == MLFLOW


@pytest.mark.parametrize("lacking", GOOD)
def test_what_nobody_could_log_in_without_is_asked_for(lacking: str) -> None:
    told = refusal(**{lacking.replace(".", "__"): ""})
    assert f"auth=oidc needs {lacking}: --set {lacking}=…" in told


@pytest.mark.parametrize(
    ("issuer", "fine"),
    [
        ("https://id.example.org", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080/realms/ml", True),
        ("http://id.example.org", False),
        ("http://10.0.0.7", False),
        ("http://localhost.example.org", False),
    ],
)
def test_tokens_travel_in_clear_on_this_machine_alone(issuer: str, fine: bool) -> None:
    if fine:
        assert settings(oidc__issuer=issuer).oidc.issuer == issuer
        return
    told = refusal(oidc__issuer=issuer)
    assert f"oidc.issuer={issuer} is not https" in told
    assert settings("plain_http=yes-on-a-trusted-network", oidc__issuer=issuer).oidc.issuer


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("issuer", "id.example.org", "an address is http(s)://HOST[:PORT][/PATH]"),
        ("issuer", "https://id.example.org/?realm=ml", "no ? and no #"),
        ("issuer", "https://ada:pw@id.example.org", "no user, no password"),
        ("issuer", "https://id.example.org/a b", "no blank"),
        ("client_id", "a\nb", "at most 255 visible characters"),
        ("client_id", "x" * 256, "at most 255 visible characters"),
        ("scopes", "email,profile", "without the scope openid"),
        ("scopes", 'openid,"x"', "is no scope"),
        ("scopes", "openid email", "is no scope; several are separated by commas"),
        ("user_claim", "e mail", "is no name of a claim"),
        ("user_claim", "a,b", "is no name of a claim"),
        ("groups_claim", "x" * 101, "is no name of a claim"),
        ("groups", "g" * 256, "1 to 255 visible characters"),
        ("admin_groups", "a\x07b", "1 to 255 visible characters"),
    ],
)
def test_what_a_provider_cannot_be_told_is_refused(key: str, value: str, why: str) -> None:
    assert why in refusal(**{f"oidc__{key}": value})


def test_a_group_of_a_list_may_not_hold_what_separates_groups() -> None:
    scenario = scenarios.load("scenario-5").model_copy(
        update={"settings": {"auth": "oidc", "oidc": {"groups": ["cn=ml,ou=x"]}}}
    )
    with pytest.raises(BadSetting, match="no ','"):
        resolve(scenario, environment={})


def test_jobs_are_for_logins_that_were_tried_with_them() -> None:
    told = refusal("job_execution=true")
    assert told.startswith("setting job_execution='true' (from --set): ")
    assert "job_execution=true is for auth=none and basic" in told


@pytest.mark.parametrize(
    ("variable", "setting"),
    [("OIDC_ISSUER", "oidc.issuer"), ("OIDC_GROUP_NAME", "oidc.groups"),
     ("DEFAULT_MLFLOW_PERMISSION", "default_permission"), ("TRUSTED_PROXIES", ""),
     ("OIDC_VERIFY_SSL", ""), ("AUTH_PROVIDERS", "")],
)  # fmt: skip
def test_its_variables_are_ours(variable: str, setting: str) -> None:
    told = refusal(f"server.env.{variable}=x")
    assert "is what stackctl itself tells MLflow" in told
    assert told.endswith(f"set {setting} instead" if setting else "nothing else is possible")


@pytest.mark.parametrize("variable", ["OIDC_CLIENT_SECRET", "SECRET_KEY", "OIDC_USERS_DB_URI"])
def test_its_secrets_are_files(variable: str) -> None:
    assert "this is a secret of the stack's own" in refusal(f"server.env.{variable}=x")
