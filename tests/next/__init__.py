"""The next release of MLflow, before it is what ships: `make test-next`.

A release is listed before its parts, `mlflow-skinny` and `mlflow-tracing`, are served, and cannot
be installed until then. Its wheel holds the whole code. Here it is laid over what this Python has
otherwise, a copy of the checkout is raised to it, and the tests run there with it as what ships.

Where the version in `templates/images.toml` is `NEXT` or newer, these are tests like others.
"""

# The release that shipped before it.
BEFORE = "3.17.2"
NEXT = "3.18.0"
