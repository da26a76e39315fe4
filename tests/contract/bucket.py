"""The object store of an embedded stack, as a client that has keys uses it."""

from typing import Any

import boto3

from tests.contract.driving import Deployed


def bucket(deployed: Deployed, access_key: str, secret_key: str) -> Any:
    """A client of it."""
    manifest = deployed.stack.require_manifest()
    settings = manifest.settings
    port = manifest.kept.get("ports", {}).get("objects") or settings["object_store_port"]
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name=settings["region"],
        aws_access_key_id=access_key, aws_secret_access_key=secret_key,
    )  # fmt: skip
