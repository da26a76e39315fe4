"""Whether artifacts are what they should be."""

import hashlib
import io

from stackctl.operations.comparison import first_unequal, sha256
from tests.operations.stage import METER, Stage


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_rest_of_a_stream_is_what_counts() -> None:
    stream = io.BytesIO(b"head and tail" * 200_000)
    assert stream.read(4) == b"head"
    assert sha256(stream, METER) == digest((b"head and tail" * 200_000)[4:])


def test_the_first_that_differs_or_is_missing_is_named(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=2)
    names = [f"artifacts/0/run{number}/artifacts/model.bin" for number in range(2)]
    right = {name: digest(f"model {number}".encode()) for number, name in enumerate(names)}
    assert first_unequal(x, right, METER) is None
    # What nobody asked for may be there too.
    assert first_unequal(x, {names[0]: right[names[0]]}, METER) is None
    assert first_unequal(x, {**right, names[1]: "another"}, METER) == (names[1], True)
    assert first_unequal(x, {**right, "artifacts/none": "x"}, METER) == ("artifacts/none", False)
    assert first_unequal(x, {}, METER) is None
