"""What is known of a stack between two commands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

# Of a stack whose stores are neither what they were nor what they are to become.
HALF_DONE = ("restoring", "promoting", "upgrading")


@dataclass(frozen=True)
class Manifest:
    """What is known of a stack between two commands.

    Attributes:
        name: The stack's name.
        scenario: The scenario that was deployed.
        runtime: Where its services run.
        owner: Marks containers, volumes and networks as this stack's; it never changes.
        status: `deploying`, `deployed`, `removed` (the data is kept); `restoring`, `promoting` or
            `upgrading` where its stores are neither what they were nor what they are to become.
        settings: The effective settings of the last deploy.
        mlflow: The MLflow version that last ran on the data.
        data: The data folder, where the scenario has one.
        data_created: stackctl made the data folder, and so may delete it.
        secrets: Names of the secrets that the stack uses.
        deployed_at: When the last deploy ended, ISO 8601 in UTC.
        home: The home folder from which it was deployed.
        kept: What the runtime chose for the stack and keeps as it is; it alone knows what.
        upgrade: While the stack is `upgrading`: the release that is to come, as `to`, and the
            `archive` of what was there before, once it is whole.
        keyed: What MLflow encrypts in the stack's database, it encrypts with the stack's own keys.
        filed: What was chosen about the stack is in `stackctl.toml`, or is meant not to be.
    """

    name: str
    scenario: str
    runtime: str
    owner: str
    status: str = "deploying"
    settings: Mapping[str, Any] = field(default_factory=dict)
    mlflow: str = ""
    data: str = ""
    data_created: bool = False
    secrets: tuple[str, ...] = ()
    deployed_at: str = ""
    home: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)
    upgrade: Mapping[str, str] = field(default_factory=dict)
    keyed: bool = False
    filed: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """The manifest that a file holds.

        Before December 2026 what a runtime keeps stood beside the rest.

        Raises:
            KeyError: Something is missing that every manifest has.
            TypeError: It is of a stackctl that knows more.
        """
        known = dict(values)
        early = {key: known.pop(key) for key in ("ports", "volumes") if key in known}
        kept = known.pop("kept", {key: value for key, value in early.items() if value})
        return cls(**{**known, "kept": kept, "secrets": tuple(known["secrets"])})

    def with_(self, **changes: Any) -> Self:
        """A copy with some values changed."""
        return replace(self, **changes)
