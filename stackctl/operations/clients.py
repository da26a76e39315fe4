"""A client of a stack, for those who use it as a user's program does."""

from collections.abc import Sequence

from stackctl.client.process import Client, client
from stackctl.deployment import Deployment
from stackctl.operations.held import visited
from stackctl.progress import Progress


def client_of(
    deployment: Deployment, *, packages: Sequence[str], python: str, progress: Progress
) -> Client:
    """A client of a stack that runs.

    Args:
        deployment: Which.
        packages: Distributions that the client needs, mlflow among them.
        python: The client's interpreter.
        progress: Told where the client's MLflow is older than the server's.

    Raises:
        NotRunning: The stack is stopped, or not all of it runs.
        MissingPackages: The interpreter lacks one.
        UserError: There is no such interpreter, or the stack is another home's.
    """
    visited(deployment, running=True)
    return client(deployment, packages=packages, python=python, progress=progress)
