"""Stacks as Compose projects on a Docker daemon."""
