"""What a store needs of the stack that it is a store of."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from stackctl.pipe import Pipe
from stackctl.secrets import SecretFolder
from stackctl.settings import Settings


class Reach(Protocol):
    """How a store is reached, wherever its stack runs; `stackctl.deployment` is one."""

    @property
    def settings(self) -> Settings:
        """The stack's settings."""

    @property
    def data(self) -> Path:
        """The folder of local stores."""

    @property
    def secrets(self) -> SecretFolder:
        """The stack's secrets."""

    def keeps(self, path: str) -> bool:
        """A path below the artifact root is the backend store's own, and no artifact."""

    def courier(self, verb: str, **job: Any) -> AbstractContextManager[Pipe]:
        """Run a courier beside the stores, which reads and writes bytes."""

    def ask(self, verb: str, **job: Any) -> dict[str, Any]:
        """What a courier answers that takes nothing but its job."""

    def within(self, service: str, template: str) -> AbstractContextManager[Pipe]:
        """Run a script where `service` runs."""
