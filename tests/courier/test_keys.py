"""What MLflow encrypts is encrypted anew, in a database in one file."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from stackctl.courier.database import counts
from stackctl.courier.keys import rewrap, taken

NOTHING = io.BytesIO()
OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
KEY = b"k" * 32


class Store:
    """A database with what is encrypted, and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run(
            "CREATE TABLE webhooks (webhook_id, name, secret, status, deleted_timestamp)",
            "CREATE TABLE secrets (secret_id, secret_name, wrapped_dek)",
        )

    def run(self, *statements: str, **values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as db, db:
            return [row for each in statements for row in db.execute(each, values)]

    def webhook(self, name: str, key: str) -> None:
        self.run(
            "INSERT INTO webhooks VALUES (:name, :name, :secret, 'ACTIVE', NULL)",
            name=name, secret=key and Fernet(key).encrypt(b"secret of " + name.encode()).decode(),
        )  # fmt: skip

    def api_key(self, name: str, passphrase: str) -> None:
        from mlflow.utils.crypto import KEKManager, wrap_dek

        wrapped = wrap_dek(KEY, KEKManager(passphrase).get_kek())
        self.run("INSERT INTO secrets VALUES (:name, :name, :wrapped)", name=name, wrapped=wrapped)

    def secret_of(self, webhook: str, key: str) -> str:
        ((secret,),) = self.run("SELECT secret FROM webhooks WHERE name = :name", name=webhook)
        return Fernet(key).decrypt(secret).decode()

    def key_of(self, api_key: str, passphrase: str) -> bytes:
        from mlflow.utils.crypto import KEKManager, unwrap_dek

        ((wrapped,),) = self.run(
            "SELECT wrapped_dek FROM secrets WHERE secret_name = :name", name=api_key
        )
        return bytes(unwrap_dek(wrapped, KEKManager(passphrase).get_kek()))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"sqlite:///{tmp_path}/a.db")
    return Store(tmp_path / "a.db")


def again(**job: Any) -> dict[str, list[str]]:
    return dict(rewrap(job, NOTHING, NOTHING)["lost"])


def test_everything_is_encrypted_with_the_new_keys(store: Store) -> None:
    for name in ("one", "two"):
        store.webhook(name, OLD)
        store.api_key(name, "an old passphrase")
    known = {"webhook": [OTHER, OLD], "gateway": ["an old passphrase"]}
    new = {"webhook": NEW, "gateway": "a new passphrase"}
    for _ in range(2):  # cut short or not, it may be done once more
        assert again(known=known, new=new) == {}
        for name in ("one", "two"):
            assert store.secret_of(name, NEW) == f"secret of {name}"
            assert store.key_of(name, "a new passphrase") == KEY


def test_what_is_encrypted_with_them_already_is_left_as_it_is(store: Store) -> None:
    store.webhook("one", NEW)
    store.api_key("one", "a new passphrase")
    before = store.run("SELECT * FROM webhooks"), store.run("SELECT * FROM secrets")
    assert (
        again(known={"webhook": [OLD]}, new={"webhook": NEW, "gateway": "a new passphrase"}) == {}
    )
    assert (store.run("SELECT * FROM webhooks"), store.run("SELECT * FROM secrets")) == before


def test_mlflow_s_default_passphrase_is_known_and_can_be_gone_back_to(store: Store) -> None:
    from mlflow.utils.crypto import DEFAULT_KEK_PASSPHRASE

    store.api_key("one", DEFAULT_KEK_PASSPHRASE)
    assert again(known={}, new={"gateway": "a new passphrase"}) == {}
    assert store.key_of("one", "a new passphrase") == KEY
    assert again(known={"gateway": ["a new passphrase"]}, new={"gateway": ""}) == {}
    assert store.key_of("one", DEFAULT_KEK_PASSPHRASE) == KEY


def test_what_no_key_opens_is_named_and_the_rest_is_done(store: Store) -> None:
    store.webhook("lost", OTHER)
    store.webhook("there", OLD)
    store.webhook("open", "")
    store.run("UPDATE webhooks SET secret = NULL WHERE name = 'open'")
    store.api_key("lost", "nobody knows this")
    job = {"known": {"webhook": [OLD]}, "new": {"webhook": NEW, "gateway": "a new passphrase"}}
    lost = {"webhook": ["lost"], "gateway": ["lost"]}
    before = store.run("SELECT secret, status FROM webhooks WHERE name = 'lost'")
    assert again(**job) == lost
    assert store.run("SELECT secret, status FROM webhooks WHERE name = 'lost'") == before
    assert store.secret_of("there", NEW) == "secret of there"
    assert again(**job, void=True) == lost
    assert store.run("SELECT secret, status FROM webhooks ORDER BY name") == [
        (None, "DISABLED"), (None, "ACTIVE"),
        *store.run("SELECT secret, status FROM webhooks WHERE name = 'there'"),
    ]  # fmt: skip
    # It may be the one that a lost passphrase still opens.
    assert store.key_of("lost", "nobody knows this") == KEY


def test_a_failure_half_way_leaves_all_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.webhook("one", OLD)
    store.api_key("one", "an old passphrase")
    store.run("CREATE TRIGGER full BEFORE UPDATE ON secrets BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(Exception, match="full"):
        again(known={"webhook": [OLD], "gateway": ["an old passphrase"]},
              new={"webhook": NEW, "gateway": "a new passphrase"})  # fmt: skip
    assert store.secret_of("one", OLD) == "secret of one"
    assert store.key_of("one", "an old passphrase") == KEY


def test_which_key_opens_something_is_told(store: Store) -> None:
    def opens(kind: str, *values: str) -> list[bool]:
        return taken({"kind": kind, "values": values}, NOTHING, NOTHING)["taken"]

    assert opens("webhook", OLD, NEW) == []
    store.webhook("one", OLD)
    store.api_key("one", "an old passphrase")
    assert opens("webhook", OLD, NEW) == [True, False]
    assert opens("gateway", "a new passphrase", "an old passphrase") == [False, True]


def test_a_schema_without_them_has_nothing_to_do(store: Store) -> None:
    store.run("DROP TABLE webhooks", "DROP TABLE secrets")
    assert again(known={}, new={"webhook": NEW, "gateway": "a new passphrase"}) == {}
    assert counts({}, NOTHING, NOTHING)["encrypted"] == {}


def test_a_release_without_a_gateway_has_no_default_to_go_back_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("mlflow.utils.crypto.DEFAULT_KEK_PASSPHRASE")
    store.run("DROP TABLE secrets")
    assert again(known={"gateway": ["a new passphrase"]}, new={"gateway": ""}) == {}


def test_what_is_encrypted_is_counted(store: Store) -> None:
    store.webhook("one", OLD)
    store.webhook("deleted", OLD)
    store.run("UPDATE webhooks SET deleted_timestamp = 1 WHERE name = 'deleted'")
    store.api_key("one", "an old passphrase")
    store.api_key("two", "an old passphrase")
    assert counts({}, NOTHING, NOTHING)["encrypted"] == {"webhook": 1, "gateway": 2}
