"""An archive is whole or refused, and leads nowhere but into its own folders."""

import hashlib
import io
import json
import random
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackctl.archive import Archive, Writer, layout, writing
from stackctl.courier.frames import write_end, write_frame
from stackctl.errors import BadArchive, MachineError
from stackctl.stores.base import Entry
from tests.disk import full, small_disk

HOSTILE = [
    "a b",
    "größe",
    "line\nbreak",
    "tab\t",
    "q'\"",
    "x" * 300,
    "deep/" * 60 + "end",
    "\udcff",
]


ABOUT: dict[str, Any] = {
    "stack": "s", "scenario": "scenario-1", "backend": "files", "artifacts": "folder",
    "created": "2026-11-27T00:00:00+00:00", "mlflow": "3.17.2", "revision": "",
    "locations": [], "settings": {}, "counts": {"runs": [1, 2]},
}  # fmt: skip


def add(writer: Writer, path: str, content: bytes, size: int | None = -1) -> None:
    known = len(content) if size == -1 else size
    writer.add("artifacts", Entry(path, known, modified=1.0), io.BytesIO(content))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        writer.text(layout.HEADER_FILE, b"{}")
        writer.add("database", Entry("dump", None), io.BytesIO(b"rows" * 999))
        for number, name in enumerate(HOSTILE):
            add(writer, name, bytes([number]) * number * 257)
        writer.add("artifacts", Entry("folder", folder=True), io.BytesIO())
        writer.finish({**ABOUT, "artifacts": "s3"})
    return path


def test_what_was_written_is_read(archive: Path) -> None:
    with Archive(archive) as found:
        found.verify()
        entries = {entry.path: content.read() for entry, content in found.section("artifacts")}
        dumps = [(entry, content.read()) for entry, content in found.section("database")]
        assert found.manifest["stack"] == "s"
        assert found.manifest["members"] == len(HOSTILE) + 3
    assert entries == {n: bytes([i]) * i * 257 for i, n in enumerate(HOSTILE)} | {"folder": b""}
    assert dumps == [(Entry("dump", 3996), b"rows" * 999)]


def test_any_tar_reads_it(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        manifest = tar.extractfile("manifest.json")
        listed = tar.extractfile("members.jsonl")
        assert manifest is not None
        assert listed is not None
        assert json.load(manifest)["format"] == layout.FORMAT
        for text in listed:
            member = json.loads(text)
            content = tar.extractfile(member["name"])
            data = content.read() if content else b""
            assert hashlib.sha256(data).hexdigest() == member["sha256"]
    assert names[0] == layout.HEADER_FILE
    assert names[-3:] == [layout.MEMBERS, layout.MANIFEST, layout.TRAILER]


def test_any_byte_that_is_flipped_is_found(archive: Path) -> None:
    whole = archive.read_bytes()
    places = random.Random(5).sample(range(len(whole)), 400)
    # Of these each: the first and the last byte, of a header, a padding, the trailer, the end.
    places += [0, 156, 512, 1024, *range(len(whole) - 2048, len(whole), 64), len(whole) - 1]
    for place in places:
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BadArchive), Archive(archive) as found:
            found.verify()


def test_one_cut_short_anywhere_is_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    for end in [0, 1, 511, 512, 4096, *range(1000, len(whole), 3001), len(whole) - 1]:
        archive.write_bytes(whole[:end])
        with pytest.raises(BadArchive, match="cut short"):
            Archive(archive)


def test_one_with_more_at_its_end_is_refused(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes() + bytes(512))
    with pytest.raises(BadArchive):
        Archive(archive)


def test_one_of_a_newer_stackctl_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tar"
    with monkeypatch.context() as newer, writing(path) as writer:
        newer.setattr(layout, "FORMAT", layout.FORMAT + 1)
        writer.finish(ABOUT)
    with pytest.raises(BadArchive, match="its format is 2, and this stackctl reads 1"):
        Archive(path)


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "a/./x", "a//x", "..", "."],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        add(writer, name, b"evil")
        writer.finish(ABOUT)
    with Archive(path) as found:
        with pytest.raises(BadArchive, match="leads out of"):
            found.verify()
        with pytest.raises(BadArchive, match="leads out of"):
            list(found.members())


@pytest.mark.parametrize("name", ["etc/passwd", "x", "database", "secrets.age/x"])
def test_a_folder_that_no_archive_has_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        writer.text(name, b"evil")
        writer.finish(ABOUT)
    with Archive(path) as found, pytest.raises(BadArchive, match="leads out of"):
        found.verify()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_is_refused(tmp_path: Path, kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def evil(name: str, size: int, **rest: object) -> bytes:
        info = tarfile.TarInfo(name)
        if name.startswith("artifacts/"):
            info.type, info.linkname = kind, "/etc/passwd"
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT)

    path = tmp_path / "a.tar"
    with monkeypatch.context() as patched, writing(path) as writer:
        patched.setattr(layout, "header", evil)
        add(writer, "link", b"")
        writer.finish(ABOUT)
    with Archive(path) as found, pytest.raises(BadArchive, match="neither a file nor a folder"):
        found.verify()


def test_content_that_shrinks_or_grows_is_noted_and_breaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        add(writer, "shrunk", b"12345", size=9)
        add(writer, "grown", b"12345", size=3)
        writer.finish(ABOUT)
    with Archive(path) as found:
        found.verify()
        contents = [content.read() for _, content in found.section("artifacts")]
        assert contents == [b"12345\0\0\0\0", b"123"]
        assert found.manifest["notes"] == ["artifacts/shrunk became shorter while it was read"]


@pytest.fixture
def interrupt(tmp_path: Path) -> Iterator[Callable[[], None]]:
    path = tmp_path / "a.tar"

    def write_and_break() -> None:
        with writing(path) as writer:
            add(writer, "x", b"new")
            raise KeyboardInterrupt

    yield write_and_break
    assert [entry.name for entry in tmp_path.iterdir()] == (["a.tar"] if path.exists() else [])


def test_an_archive_that_was_not_finished_leaves_nothing(interrupt: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_an_older_archive_stays_until_the_new_one_is_whole(
    archive: Path, interrupt: Callable[[], None]
) -> None:
    before = archive.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert archive.read_bytes() == before


def test_only_its_owner_can_read_it(archive: Path) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_told_and_keeps_the_older_archive(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        path = disk / "a.tar"
        with writing(path) as writer:
            add(writer, "x", b"old")
            writer.finish(ABOUT)

        def overflow() -> None:
            with writing(path) as writer:
                add(writer, "x", bytes(100_000))
                writer.finish(ABOUT)

        with full(disk, room=4096), pytest.raises(MachineError, match="cannot be written: "):
            overflow()
        assert [entry.name for entry in disk.iterdir()] == ["a.tar"]
        with Archive(path) as found:
            found.verify()


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(BadArchive, match="no backup of stackctl"):
        Archive(path)
    with pytest.raises(MachineError, match="cannot be opened"):
        Archive(tmp_path / "missing")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stack": None}, "stack: input should be a valid string"),
        ({"stack": ""}, "stack: string should have at least 1 character"),
        ({"settings": []}, "settings: input should be a valid dictionary"),
        ({"locations": [1]}, "locations.0: input should be a valid string"),
        ({"counts": {"runs": 3}}, "counts.runs: input should be a valid list"),
        ({"counts": {"runs": [1]}}, "counts.runs: list should have at least 2 items"),
        ({"counts": {"runs": [-1, 2]}}, "counts.runs.0: input should be greater than"),
        ({"counts": {"runs": [2, 1]}}, "counts.runs is from 2 to 1"),
        ({"counts": {"runs": ["1", "2"]}}, "counts.runs.0: input should be a valid integer"),
        ({"keys": {"webhook": {}}}, "keys.webhook.rows: field required"),
        ({"revision": 7}, "revision: input should be a valid string"),
    ],
)
def test_a_manifest_of_other_types_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        writer.finish({**ABOUT, **change})
    with pytest.raises(BadArchive, match=f"manifest.json is malformed: {said}"):
        Archive(path)


@pytest.mark.parametrize("missing", sorted(ABOUT))
def test_a_manifest_that_lacks_something_is_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        writer.finish({name: value for name, value in ABOUT.items() if name != missing})
    with pytest.raises(BadArchive, match=f"manifest.json is malformed: {missing}: field required"):
        Archive(path)


def test_what_a_later_stackctl_says_too_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        writer.finish({**ABOUT, "colour": "blue"})
    with Archive(path) as found:
        found.verify()


def test_a_member_that_is_in_it_twice_is_refused(tmp_path: Path) -> None:
    """Which of them is meant nobody knows: each program takes another."""
    path = tmp_path / "a.tar"
    with writing(path) as writer:
        for content in (b"one", b"two"):
            add(writer, "a/b", content)
        writer.finish(ABOUT)
    with Archive(path) as found, pytest.raises(BadArchive, match="'artifacts/a/b' is in it twice"):
        found.verify()


HERE = Path(__file__).parent


def database(runs: int) -> bytes:
    """One of SQLite, with as many runs and an index of them, in pages of the smallest size."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("PRAGMA page_size = 512")
        made.execute("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR)")
        made.execute("CREATE TABLE runs (run_uuid VARCHAR PRIMARY KEY, experiment_id INTEGER)")
        made.execute("INSERT INTO experiments VALUES (0, 'Default')")
        made.executemany("INSERT INTO runs VALUES (?, 0)", [(f"{n:032x}",) for n in range(runs)])
        made.commit()
        return made.serialize()


ROWS = b'{"table": "runs", "columns": ["a"], "rows": 1, "bytes": 2}\n1\n{"end": {}}\n'
DUMPS = {
    "sqlite": {"mlruns.db": database(2), "users.db": database(0)},
    # Of a table with rows, one without, a sequence and a large object.
    "postgres": {"postgres.dump": (HERE / "postgres-18.dump").read_bytes()},
    "mysql": {"mysql.tables": b'{"tables": {}}', "mysql.rows": ROWS, "login.rows.1": ROWS},
}


def dumped(path: Path, backend: str, dumps: dict[str, bytes], **about: Any) -> Path:
    with writing(path) as writer:
        for name, content in dumps.items():
            writer.add("database", Entry(name, len(content)), io.BytesIO(content))
        writer.finish({**ABOUT, "backend": backend, "counts": {}, **about})
    return path


@pytest.mark.parametrize("backend", DUMPS)
def test_a_dump_is_looked_at(tmp_path: Path, backend: str) -> None:
    whole = DUMPS[backend]
    with Archive(dumped(tmp_path / "a.tar", backend, whole)) as found:
        found.verify()
    for number, name in enumerate(whole):
        others = {n: c for n, c in whole.items() if n != name}
        with Archive(dumped(tmp_path / f"{number}.tar", backend, others)) as found:
            if name in ("users.db", "login.rows.1"):  # of a login, which not every stack has
                found.verify()
            else:
                with pytest.raises(BadArchive, match=f"'database/{name}' is missing"):
                    found.verify()
        for bad in ({**whole, name: b"text of somebody"}, {**others, "other": whole[name]}):
            path = dumped(tmp_path / "bad.tar", backend, bad)
            said = f"is nothing of a {backend} database|cannot be read"
            with Archive(path) as found, pytest.raises(BadArchive, match=said):
                found.verify()


@pytest.mark.parametrize("backend", DUMPS)
def test_a_dump_that_was_cut_short_is_found_wherever_it_was_cut(
    tmp_path: Path, backend: str
) -> None:
    whole = DUMPS[backend]
    for name, content in whole.items():
        for end in [*range(1, len(content), 97), len(content) - 1]:
            half = {**whole, name: content[:end]}
            path, said = dumped(tmp_path / "a.tar", backend, half), f"'database/{name}' "
            with Archive(path) as found, pytest.raises(BadArchive, match=said):
                found.verify()


@pytest.mark.parametrize("runs", [1, 60])
def test_a_file_of_sqlite_is_whole_and_holds_what_is_said(tmp_path: Path, runs: int) -> None:
    good, about = database(runs), {"counts": {"runs": [runs, runs + 1]}}
    with Archive(dumped(tmp_path / "a.tar", "sqlite", {"mlruns.db": good}, **about)) as found:
        found.verify()
    # A page of the table's, as a disk that fails would have it.
    torn = good[:-512] + bytes(512)
    with (
        Archive(dumped(tmp_path / "b.tar", "sqlite", {"mlruns.db": torn}, **about)) as found,
        pytest.raises(BadArchive, match=r"'database/mlruns.db' is damaged: "),
    ):
        found.verify()
    path = dumped(tmp_path / "c.tar", "sqlite", {"mlruns.db": database(runs - 1)}, **about)
    said = rf"holds {runs - 1} runs, and the archive says {runs} to {runs + 1}"
    with Archive(path) as found, pytest.raises(BadArchive, match=said):
        found.verify()


def test_a_machine_that_cannot_look_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    path = dumped(tmp_path / "a.tar", "sqlite", {"mlruns.db": database(1)})
    with Archive(path) as found, pytest.raises(MachineError, match=r"a copy of mlruns.db.*needs"):
        found.verify()


def test_the_dump_of_each_release_of_postgres_is_understood(tmp_path: Path) -> None:
    """The format of 15 is that of 12 to 15; 16 adds one thing, 17 another."""
    whole = (HERE / "postgres-15.dump").read_bytes()
    with Archive(dumped(tmp_path / "a.tar", "postgres", {"postgres.dump": whole})) as found:
        found.verify()
    later = whole[:6] + b"\x63" + whole[7:100]
    with Archive(dumped(tmp_path / "b.tar", "postgres", {"postgres.dump": later})) as found:
        found.verify()
    path = dumped(tmp_path / "c.tar", "postgres", {"postgres.dump": whole[:-9]})
    with Archive(path) as found, pytest.raises(BadArchive, match="is cut short"):
        found.verify()


# Experiments: `Default`, one with a tab, a line feed and `\\.` in its name, one of our own checks.
# Runs: one of each. Metrics: 200 of each run. A webhook, and one that was deleted.
COUNTS = {"experiments": [2, 2], "runs": [2, 2], "metrics": [400, 400], "webhooks": [1, 1]}
FRAMES = [
    ("experiments", ["name", "experiment_id"],
     [b"Default\t0", b"a\rb\x0c\x85\\tb\\nc\\\\.\t1", b"stackctl readiness x\t2"]),
    ("runs", ["run_uuid", "experiment_id"], [b"a\t0", b"b\t1", b"c\t2"]),
    ("metrics", ["run_uuid", "value"], [b"a\t1", b"b\t1", b"c\t1"] * 200),
    ("webhooks", ["secret", "deleted_timestamp"], [b"x\t5", b"x\t\\N"]),
    ("params", ["key"], []),
]  # fmt: skip


def frames(given: list[tuple[str, list[str], list[bytes]]]) -> bytes:
    out = io.BytesIO()
    for table, columns, rows in given:
        write_frame(out, table, columns, len(rows), b"".join(row + b"\n" for row in rows))
    write_end(out, {})
    return out.getvalue()


@pytest.mark.parametrize(
    ("backend", "counts", "dumps"),
    [
        ("postgres", COUNTS, {"postgres.dump": (HERE / "postgres-18-runs.dump").read_bytes()}),
        ("postgres", {**COUNTS, "metrics": [0, 0]},
         {"postgres.dump": (HERE / "postgres-18-plain.dump").read_bytes()}),
        ("mysql", COUNTS, {**DUMPS["mysql"], "mysql.rows": frames(FRAMES)}),
    ],
)  # fmt: skip
def test_a_dump_that_holds_something_else_than_is_said_is_found(
    tmp_path: Path, backend: str, counts: dict[str, list[int]], dumps: dict[str, bytes]
) -> None:
    with Archive(dumped(tmp_path / "a.tar", backend, dumps, counts=counts)) as found:
        found.verify()
    for kind, (count, _) in counts.items():
        for wrong in ([count + 1, count + 2], [max(0, count - 1)] * 2):
            if wrong == [count, count]:
                continue
            about = {"counts": {**counts, kind: wrong}}
            path = dumped(tmp_path / "b.tar", backend, dumps, **about)
            said = f"holds {count} {kind}, and the archive says {wrong[0]}"
            with Archive(path) as found, pytest.raises(BadArchive, match=said):
                found.verify()


def test_a_dump_of_a_schema_or_a_compression_that_is_not_known_is_not_counted(
    tmp_path: Path,
) -> None:
    plain = (HERE / "postgres-18-plain.dump").read_bytes()
    # What follows the magic bytes, the version, the sizes and the format.
    of_lz4 = plain[:11] + b"\2" + plain[12:]
    about = {"counts": {"runs": [9, 9]}}
    later = [("runs", ["id", "experiment_id"], [b"a\t0"])]
    for backend, dumps in (
        ("postgres", {"postgres.dump": of_lz4}),
        ("mysql", {**DUMPS["mysql"], "mysql.rows": frames(later)}),
    ):
        with Archive(dumped(tmp_path / "a.tar", backend, dumps, **about)) as found:
            found.verify()


def test_what_a_later_stackctl_counts_too_is_passed_over(tmp_path: Path) -> None:
    counts = {**COUNTS, "of a later stackctl": [7, 7]}
    dumps = {"postgres.dump": (HERE / "postgres-18-runs.dump").read_bytes()}
    with Archive(dumped(tmp_path / "a.tar", "postgres", dumps, counts=counts)) as found:
        found.verify()


def test_a_row_of_another_width_is_damage(tmp_path: Path) -> None:
    plain = (HERE / "postgres-18-plain.dump").read_bytes()
    row = b"1\t\\N\t5\n"
    assert plain.count(row) == 1
    torn = plain.replace(row, b"1 \\N\t5\n")
    path = dumped(tmp_path / "a.tar", "postgres", {"postgres.dump": torn}, counts=COUNTS)
    said = r"'database/postgres.dump' has a row of 2 fields, and not 3"
    with Archive(path) as found, pytest.raises(BadArchive, match=said):
        found.verify()


def test_rows_that_are_damaged_are_named(tmp_path: Path) -> None:
    whole = (HERE / "postgres-18-runs.dump").read_bytes()
    at = whole.rindex(b"\x78\x9c") + 20
    torn = whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
    path = dumped(tmp_path / "a.tar", "postgres", {"postgres.dump": torn}, counts=COUNTS)
    with Archive(path) as found, pytest.raises(BadArchive, match=r"'database/postgres.dump' is"):
        found.verify()


def test_a_flipped_byte_of_a_dump_is_damage_and_no_other_kind(tmp_path: Path) -> None:
    path = dumped(tmp_path / "a.tar", "sqlite", DUMPS["sqlite"])
    path.write_bytes(path.read_bytes().replace(b"SQLite", b"TQLite", 1))
    with Archive(path) as found, pytest.raises(BadArchive, match="differs from its checksum"):
        found.verify()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["x" * 256], "has a part of more than 255 bytes"),
        (["a/" + "ä" * 128 + "/b"], "has a part of more than 255 bytes"),
        (["a", "a/b"], "is below a file"),
        (["a/b/c", "a/b"], "is below a file, or others are below it"),
        (["a/b/c", "z", "a/b"], "is below a file, or others are below it"),
        (["a", "a/b/c"], "is below a file"),
        (["x" * 255, "a/b", "a/c", "ab", "a.b"], ""),
    ],
)
def test_what_no_folder_can_hold_is_found(tmp_path: Path, names: list[str], said: str) -> None:
    for kind, expected in (("folder", said), ("s3", "")):
        path = tmp_path / f"{kind}.tar"
        with writing(path) as writer:
            for name in names:
                add(writer, name, b"")
            writer.finish({**ABOUT, "artifacts": kind})
        with Archive(path) as found:
            if not expected:
                found.verify()
                continue
            with pytest.raises(BadArchive, match=expected):
                found.verify()


def test_a_database_that_nobody_knows_is_told(tmp_path: Path) -> None:
    path, said = (
        dumped(tmp_path / "a.tar", "oracle", {"x": b"x"}),
        "no backend store of kind 'oracle'",
    )
    with Archive(path) as found, pytest.raises(BadArchive, match=said):
        found.verify()
