"""SeaweedFS and MinIO, official or stand-in: the keys they take, the tools a health check has."""

from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from tests.engine.waiting import wait_until
from tests.images.conftest import Box, Start

KEY = "stackctl-test"
SECRET = "s3cret/+=with:awkward@signs"


def s3(endpoint: str, key: str = KEY, secret: str = SECRET) -> Any:
    return Session().create_client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def await_health(box: Box, *probe: str) -> None:
    def healthy() -> bool:
        assert box.is_running(), box.log()
        return box.run(*probe)[0] == 0

    wait_until(healthy, " ".join(probe))


def assert_objects_round_trip(endpoint: str) -> None:
    client = s3(endpoint)
    client.create_bucket(Bucket="mlflow")
    body = bytes(range(256)) * 5000
    client.put_object(Bucket="mlflow", Key="a folder/ä.bin", Body=body)
    assert client.get_object(Bucket="mlflow", Key="a folder/ä.bin")["Body"].read() == body
    listed = client.list_objects_v2(Bucket="mlflow", Prefix="a folder/")["Contents"]
    assert [each["Key"] for each in listed] == ["a folder/ä.bin"]
    client.delete_object(Bucket="mlflow", Key="a folder/ä.bin")
    assert client.list_objects_v2(Bucket="mlflow")["KeyCount"] == 0


def assert_refused(endpoint: str) -> None:
    for key, secret in ((KEY, SECRET + "x"), ("somebody", SECRET)):
        with pytest.raises(ClientError) as refusal:
            s3(endpoint, key, secret).list_buckets()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.fixture
def seaweedfs(start: Start) -> Box:
    box = start(
        "seaweedfs",
        ["mini", "-dir=/data"],
        environment={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
        ports=(8333,),
    )
    await_health(box, "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8333/healthz")
    return box


def test_seaweedfs_takes_its_keys_from_the_environment(seaweedfs: Box) -> None:
    assert_objects_round_trip(seaweedfs.url(8333))
    assert_refused(seaweedfs.url(8333))


def test_seaweedfs_drops_root_and_owns_its_data(seaweedfs: Box) -> None:
    status = seaweedfs.run("cat", "/proc/1/status")[1]
    assert "Uid:\t1000\t1000\t1000\t1000" in status
    assert "Name:\tweed" in status
    assert seaweedfs.run("stat", "-c", "%U:%G", "/data") == (0, "seaweed:seaweed\n")


def test_seaweedfs_has_the_tools_of_its_official_image(seaweedfs: Box) -> None:
    assert seaweedfs.run("su-exec", "seaweed", "id", "-un") == (0, "seaweed\n")
    assert seaweedfs.run("su-exec", "seaweed", "echo", "-n", "a b", "$HOME") == (0, "a b $HOME")
    assert seaweedfs.run("sh", "-c", "command -v wget nc stat")[0] == 0
    assert seaweedfs.run("bash", "-c", "true")[0] != 0


def test_seaweedfs_keeps_objects_over_a_restart(seaweedfs: Box) -> None:
    client = s3(seaweedfs.url(8333))
    client.create_bucket(Bucket="mlflow")
    client.put_object(Bucket="mlflow", Key="kept", Body=b"42")
    seaweedfs.container.restart(timeout=30)
    again = Box(seaweedfs.host, seaweedfs.container)
    await_health(again, "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8333/healthz")
    client = s3(again.url(8333))

    def is_kept() -> bool:
        # Its gateway answers a moment before it finds the volume that holds the object.
        try:
            return bool(client.get_object(Bucket="mlflow", Key="kept")["Body"].read() == b"42")
        except (BotoCoreError, ClientError):
            return False

    wait_until(is_kept, "the object after a restart")


@pytest.fixture
def minio(start: Start) -> Box:
    box = start(
        "minio",
        ["server", "/data", "--address", ":9000", "--console-address", ":9001"],
        environment={
            "MINIO_ROOT_USER_FILE": "/run/secrets/key",
            "MINIO_ROOT_PASSWORD_FILE": "/run/secrets/secret",
        },
        secrets={"key": KEY, "secret": SECRET + "\n"},
        ports=(9000,),
    )
    await_health(box, "mc", "ready", "local")
    return box


def test_minio_takes_its_keys_from_files(minio: Box) -> None:
    assert_objects_round_trip(minio.url(9000))
    assert_refused(minio.url(9000))


def test_minio_answers_its_health_to_the_tools_inside(minio: Box) -> None:
    request = "GET /minio/health/live HTTP/1.0\\r\\n\\r\\n"
    probe = f"exec 3<>/dev/tcp/127.0.0.1/9000; printf '{request}' >&3; head -n 1 <&3"
    code, said = minio.run("bash", "-c", probe)
    assert code == 0
    assert " 200 " in said


def test_minio_refuses_a_short_password(start: Start) -> None:
    box = start(
        "minio",
        ["server", "/data"],
        environment={"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": "short"},
    )
    assert box.await_end() != 0
    assert "credentials" in box.log().lower()
