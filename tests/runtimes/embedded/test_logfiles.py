"""The lines of logs that rotate while they are read."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from stackctl.runtimes.embedded import logfiles


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def rotate(path: Path) -> None:
    """As supervisord does: the file gets another name, then there is a new one."""
    path.rename(path.with_suffix(".log.1"))


def tail(files: Mapping[str, Path], lines: int) -> list[str]:
    return [f"{name}: {line}" for name, line in logfiles.lines(files, follow=False, tail=lines)]


class Follower:
    """Reads on in a thread; a line that never comes fails the test instead of hanging it."""

    def __init__(self, files: Mapping[str, Path], lines: int) -> None:
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue()
        self._files = files
        self._stop = threading.Event()
        self._stream = logfiles.lines(files, follow=True, tail=lines)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for found in self._stream:
            self._lines.put(found)
            if self._stop.is_set():
                return

    def next(self) -> str:
        name, line = self._lines.get(timeout=5)
        return f"{name}: {line}"

    def nothing(self) -> None:
        with pytest.raises(queue.Empty):
            self._lines.get(timeout=0.2)

    def end(self) -> None:
        self._stop.set()
        append(next(iter(self._files.values())), "\n")
        self._thread.join(timeout=5)


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[[Mapping[str, Path], int], Follower]]:
    started: list[Follower] = []

    def following(files: Mapping[str, Path], lines: int) -> Follower:
        started.append(Follower(files, lines))
        return started[-1]

    yield following
    for follower in started:
        follower.end()


Follow = Callable[[Mapping[str, Path], int], Follower]


def test_the_last_lines_of_each_file_are_given(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.log" for name in ("a", "b", "never")}
    append(files["a"], "1\n2\n3\n")
    append(files["b"], "größe\n\n")
    assert tail(files, 2) == ["a: 2", "a: 3", "b: größe", "b: "]
    assert tail(files, 0) == []
    assert tail(files, 100) == ["a: 1", "a: 2", "a: 3", "b: größe", "b: "]


def test_what_a_process_said_last_is_given_though_its_line_has_no_end(tmp_path: Path) -> None:
    append(tmp_path / "a.log", "1\nlast words")
    assert tail({"a": tmp_path / "a.log"}, 2) == ["a: 1", "a: last words"]


def test_bytes_that_are_no_text_are_no_obstacle(tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"\xff\xfe\n2\n")
    assert tail({"a": tmp_path / "a.log"}, 2) == ["a: \ufffd\ufffd", "a: 2"]


def test_lines_are_given_as_they_come_from_every_file(tmp_path: Path, follow: Follow) -> None:
    files = {name: tmp_path / f"{name}.log" for name in ("a", "b")}
    append(files["a"], "1\n2\n")
    follower = follow(files, 1)
    assert follower.next() == "a: 2"
    append(files["a"], "3\n")
    assert follower.next() == "a: 3"
    # A file that comes later.
    append(files["b"], "first\n")
    assert follower.next() == "b: first"
    follower.nothing()


def test_a_line_is_given_once_and_whole(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "a.log"
    append(path, "1\n")
    follower = follow({"a": path}, 1)
    assert follower.next() == "a: 1"
    # In the middle of a character, too.
    for part in (b"gr", "ö".encode()[:1], "ö".encode()[1:] + b"\xc3"):
        append(path, part)
        follower.nothing()
    append(path, b"\x9fe\nnext\n")
    assert follower.next() == "a: größe"
    assert follower.next() == "a: next"


def test_a_line_that_is_half_there_at_the_beginning_is_given_whole(
    tmp_path: Path, follow: Follow
) -> None:
    """A secret that is written in two parts would not be recognised as one."""
    path = tmp_path / "a.log"
    append(path, "1\npass")
    follower = follow({"a": path}, 2)
    assert follower.next() == "a: 1"
    append(path, "word\n")
    assert follower.next() == "a: password"


def test_following_goes_on_after_a_rotation(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "a.log"
    append(path, "1\n")
    follower = follow({"a": path}, 1)
    assert follower.next() == "a: 1"
    for number in ("2", "3"):
        append(path, f"old {number}\n")
        rotate(path)
        assert follower.next() == f"a: old {number}"
        follower.nothing()
        append(path, f"new {number}\n")
        assert follower.next() == f"a: new {number}"


def test_a_line_across_a_rotation_is_given_whole(tmp_path: Path, follow: Follow) -> None:
    """supervisord rotates wherever the limit is reached."""
    path = tmp_path / "a.log"
    append(path, "1\n")
    follower = follow({"a": path}, 1)
    assert follower.next() == "a: 1"
    append(path, "pass")
    rotate(path)
    append(path, "word\n2\n")
    assert follower.next() == "a: password"
    assert follower.next() == "a: 2"
