"""A stack on Docker as testcontainers knows one."""

from functools import cached_property

from testcontainers.compose import DockerCompose

from stackctl.runtimes.docker import compose
from stackctl.stack import Stack


class _Bound(DockerCompose):
    """Called as stackctl itself calls Compose, and for what runs already."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(context=stack.bundle)
        self._stack = stack

    @cached_property
    def compose_command_property(self) -> list[str]:
        """The words before every command."""
        return compose.find().arguments(self._stack)

    def start(self) -> None:
        """The stack runs."""

    def stop(self, down: bool = True) -> None:
        """The stack is stopped by its `TrackingStack`."""


def bound(stack: Stack) -> DockerCompose:
    """The Compose project of a stack that runs."""
    return _Bound(stack)
