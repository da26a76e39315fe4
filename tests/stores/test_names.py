"""Which names of artifacts a store keeps; `tests/embedded/test_names.py` asks real ones."""

import pytest

from stackctl.settings import Settings
from stackctl.stores import ARTIFACTS

STORES = ("folder", "seaweedfs", "minio", "rustfs", "external")
# What every store keeps.
KEPT = [
    "0/run/artifacts/model.bin", "ünï 🦊.txt", "cafe\u0301", ".hidden", "..a", "...", "a.", "a b ",
    " a", "100%.txt", "a%2Fb", "a#b?c&d=e;f:g*h|i<j>k", "a'b\"c", "new\nline", "t\tab", "\x01\x7f",
    "n" * 255, "/".join(["d" * 200] * 4), "~a", "#a#", "a~",
]  # fmt: skip
# What no store keeps.
LOST = ["a//b", "/a", "a/", "a/../b", "..", "./a", "a/.", "", "n" * 256, "ü" * 128, "a/\udce4"]


def refusal(store: str, path: str) -> str:
    kind = "folder" if store == "folder" else "s3"
    settings = Settings(object_store="seaweedfs" if store == "folder" else store)
    return ARTIFACTS[kind].refusal(path, settings)


@pytest.mark.parametrize("store", STORES)
def test_what_every_store_keeps_is_not_refused(store: str) -> None:
    assert [path for path in KEPT if refusal(store, path)] == []


@pytest.mark.parametrize("store", STORES)
def test_what_no_store_keeps_is_refused(store: str) -> None:
    assert [path for path in LOST if not refusal(store, path)] == []


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("back\\slash", {"seaweedfs"}),
        ("a/.uploads/b", {"seaweedfs"}),
        ("a/ . /b", {"minio", "rustfs"}),
        ("a\\..\\b", {"seaweedfs", "rustfs"}),
        ("/".join(["d" * 200] * 6), {"seaweedfs", "minio", "rustfs", "external"}),
    ],
)
def test_what_some_keep_is_refused_by_the_others(path: str, where: set[str]) -> None:
    assert {store for store in STORES if refusal(store, path)} == where
