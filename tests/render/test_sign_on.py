"""Which stacks can have single sign-on, and what their servers are told."""

import tomllib

import pytest
import yaml

from stackctl.errors import BadSetting
from stackctl.render import Bundle
from tests.bundles import NAMES, NOT_FOR, SIGN_ON, bundle, processes

HAVE = [name for name in NAMES if name not in NOT_FOR[SIGN_ON]]


def refusal(name: str, *more: str) -> str:
    """Why it is refused, by either rendering."""
    told = set()
    for render in (bundle, processes):
        with pytest.raises(BadSetting) as refused:
            render(name, *SIGN_ON, *more)
        told.add(str(refused.value))
    (one,) = told
    return one


@pytest.mark.parametrize("name", sorted(NOT_FOR[SIGN_ON]))
def test_the_others_are_refused_and_say_which_can(name: str) -> None:
    told = refusal(name)
    assert told.startswith("setting auth='oidc' (from --set): ")
    assert told.endswith("; scenario-3b, scenario-4 and scenario-5 can have it")
    assert HAVE == ["scenario-3b", "scenario-4", "scenario-5"]


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("mlflow_version=3.16.0",), "it is locked together with MLflow"),
        (("image_flavor=conda",), "only images of the flavors slim and user have it"),
        (("images.tracking=x:1",), "only images of the flavors slim and user have it"),
        (("server.args.gunicorn-opts=--timeout 9",), "it is served by uvicorn alone"),
        (("public_url=https://ml.example.org/mlflow",), "its pages are at the root of a name"),
    ],
)
def test_what_it_does_not_go_with_is_refused(flags: tuple[str, ...], why: str) -> None:
    assert why in refusal("scenario-5", *flags)


def test_a_provider_on_loopback_is_out_of_a_containers_reach() -> None:
    flags = (*SIGN_ON, "oidc.issuer=http://127.0.0.1:8080")
    with pytest.raises(BadSetting, match="containers do not reach it"):
        bundle("scenario-5", *flags)
    assert processes("scenario-5", *flags).services


def told(of: Bundle) -> dict[str, str]:
    """The variables of its tracking server."""
    if "compose.yaml" in of.files:
        compose = yaml.safe_load(of.files["compose.yaml"][0])
        return dict(compose["services"]["tracking"]["environment"])
    return dict(tomllib.loads(of.files["processes/tracking.toml"][0])["environment"])


@pytest.mark.parametrize("render", [bundle, processes])
def test_a_server_is_told_of_its_provider_and_of_no_other(render: object) -> None:
    assert callable(render)
    found = told(render("scenario-5", *SIGN_ON))
    wanted = {
        "OIDC_ISSUER": "https://id.example.org/realms/ml",
        "OIDC_DISCOVERY_URL": "https://id.example.org/realms/ml/.well-known/openid-configuration",
        "OIDC_CLIENT_ID": "stack ctl",
        # A token for another program of the provider opens nothing here.
        "OIDC_AUDIENCE": "stack ctl",
        "OIDC_REDIRECT_URI": "https://ml.example.org:15995/callback",
        "OIDC_SCOPE": "openid email profile",
        "OIDC_USERNAME_FIELD": "email",
        "OIDC_GROUPS_ATTRIBUTE": "groups",
        "OIDC_GROUP_NAME": "ml,data team",
        "OIDC_ADMIN_GROUP_NAME": "ml-admins",
        "DEFAULT_MLFLOW_PERMISSION": "READ",
        "SESSION_COOKIE_SECURE": "true",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    # Whoever calls could say who they are.
    assert "TRUSTED_PROXIES" not in found


def test_people_are_beside_the_runs_and_not_among_them() -> None:
    script = bundle("scenario-5", *SIGN_ON).files["entrypoints/tracking.sh"][0]
    assert 'OIDC_USERS_DB_URI="$MLFLOW_BACKEND_STORE_URI?options=-csearch_path%3Dpeople"' in script
    script = processes("scenario-3b", *SIGN_ON).files["entrypoints/tracking.sh"][0]
    assert "OIDC_USERS_DB_URI=sqlite:///'/home/ada/my stacks/data/scenario-3b/people.db'" in script


def test_what_is_installed_is_locked() -> None:
    lock = bundle("scenario-5", *SIGN_ON).files["images/mlflow/requirements.lock"][0]
    assert "\nmlflow-oidc-auth==" in lock
    assert (
        "\nmlflow-oidc-auth=="
        not in bundle("scenario-5").files["images/mlflow/requirements.lock"][0]
    )
    description = tomllib.loads(
        processes("scenario-5", *SIGN_ON).files["processes/tracking.toml"][0]
    )
    assert description["mlflow"].endswith("+oidc")
    assert description["early"] is True
