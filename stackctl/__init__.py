"""stackctl: MLflow tracking stacks that are checked by use."""

__version__ = "0.1.0"
