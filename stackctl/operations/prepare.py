"""What a deploy would start from and go to: looked up, refused, planned; nothing is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackctl.deployment import Deployment
from stackctl.observed import Observed
from stackctl.operations import configuration
from stackctl.operations.preflight import (
    refuse_another_scenario,
    refuse_another_store,
    refuse_moved_artifacts,
    refuse_plain_http,
)
from stackctl.operations.releases import refuse_newer_mlflow, refuse_older_mlflow
from stackctl.plan import Plan, plan
from stackctl.proof import certificate
from stackctl.render import Bundle
from stackctl.secrets.rules import rule
from stackctl.settings import Effective
from stackctl.stack import Manifest, Stack
from stackctl.stack.bundle import bundle_files


@dataclass(frozen=True)
class Prepared:
    """What a deploy would start from and go to."""

    deployment: Deployment
    bundle: Bundle
    observed: Observed
    files: Mapping[str, str]
    plan: Plan
    data: Path | None


def prepare(deployment: Deployment, manifest: Manifest | None) -> Prepared:
    """What a deploy of the stack would do.

    Args:
        deployment: The stack as it is to be.
        manifest: What was deployed last.

    Raises:
        UserError: It would be refused.
    """
    stack, scenario, effective = deployment.stack, deployment.scenario, deployment.effective
    refuse_another_scenario(
        manifest, scenario, "choose another name with --set name=NAME; its data stays where it is"
    )
    refuse_plain_http(scenario, effective)
    refuse_older_mlflow(manifest, effective)
    refuse_newer_mlflow(manifest, scenario, effective)
    refuse_moved_artifacts(stack, scenario)
    changed = _changed_settings(stack, manifest, effective)
    volumes_in_data = deployment.host.volumes_in_data
    refuse_another_store(stack, scenario, changed, volumes_in_data=volumes_in_data)
    bundle = deployment.render()
    deployment.runtime.refuse_foreign(stack, bundle)
    observed = deployment.runtime.observe(stack, bundle)
    uses_data = scenario.uses_data_folder or volumes_in_data
    data = deployment.data if uses_data else None
    files = bundle_files(stack)
    missing = [state.name for state in stack.secrets.states(list(bundle.secrets))
               if not state.present]  # fmt: skip
    return Prepared(
        deployment=deployment,
        bundle=bundle,
        observed=observed,
        files=files,
        data=data,
        plan=plan(
            bundle,
            observed,
            files=files,
            missing_secrets=[name for name in missing if not is_given(deployment, name)],
            needed_secrets=[name for name in missing if is_given(deployment, name)],
            settings=changed,
            data=str(data) if data is not None and not data.exists() else "",
            rekeyed=_strangers_keys(deployment, manifest, observed, missing),
            stale=_stale(deployment, observed),
            outdated=configuration.outdated(stack, bundle.texts),
        ),
    )


def is_given(deployment: Deployment, name: str) -> bool:
    """Nobody but its owner can make the secret, as those of an external store."""
    external = "objects" in deployment.settings.elsewhere
    return rule(name).given or (external and name.startswith("s3_"))


def _stale(deployment: Deployment, observed: Observed) -> dict[str, str]:
    proxy = observed.services.get("proxy")
    if proxy is None or proxy.state != "running" or not certificate.is_outdated(deployment):
        return {}
    return {"proxy": "it shows another certificate than the stack has now"}


def _strangers_keys(
    deployment: Deployment, manifest: Manifest | None, observed: Observed, missing: Sequence[str]
) -> str:
    """Why what MLflow encrypted in the database is not encrypted with the stack's own keys.

    "" where it is, or there is no database yet.
    """
    kind = deployment.scenario.backend_kind
    there = (deployment.backend.is_in(deployment.data) if kind.local
             else kind.service in {*observed.volumes, *deployment.settings.elsewhere})  # fmt: skip
    if not kind.keys or not there:
        return ""
    if manifest is None or not manifest.keyed:
        return "MLflow alone takes one that stands in its source, and others that it forgets"
    gone = [key.secret for key in kind.keys if key.secret in missing]
    return f"{' and '.join(gone)} had to be made anew" if gone else ""


def _changed_settings(
    stack: Stack, manifest: Manifest | None, effective: Effective
) -> dict[str, tuple[str, str, str]]:
    """Settings that were others in the last deploy."""
    if manifest is None or not manifest.deployed_at:
        return {}
    before = {key: value for key, value, _ in Effective(stack.settings(manifest), {}).rows()}
    return {
        key: (before.get(key, ""), value, source)
        for key, value, source in effective.rows()
        # Where the stack is, it stays: `auto` is no other place.
        if key != "runtime" and before.get(key, "") != value
    }
