"""The entry of a courier: a line of JSON says what is to be done, bytes may follow it.

    {"verb": "counts"}                      -> JSON
    {"verb": "objects-out", "bucket": …}    -> a tar stream of every object
    …

What a verb takes and gives is said where it is defined.
"""

import json
import os
import sys
import threading

from stackctl.courier.errors import CourierError
from stackctl.courier.verbs import Verb


def main() -> None:
    """Do one job; a failure is the last line of stderr, and an exit code that is not 0."""
    job = json.loads(sys.stdin.buffer.readline())
    # What libraries print must not get between the bytes.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    takes_input, verb = _verb(job["verb"])
    answered = threading.Event()
    if not takes_input:
        threading.Thread(target=_end_with_the_caller, args=[answered], daemon=True).start()
    try:
        answer = verb(job, sys.stdin.buffer, out)
        if answer is not None:
            out.write(json.dumps(answer).encode())
        out.flush()
        answered.set()
    except BrokenPipeError:
        os._exit(1)
    except CourierError as error:
        sys.exit(" ".join(str(error).split()))
    except Exception as error:  # told as one line; a traceback would show values
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _verb(name: str) -> tuple[bool, Verb]:
    """Whether it takes bytes after its line, and what does it."""
    if name.startswith("objects-"):
        from stackctl.courier import objects

        return name == "objects-in", objects.VERBS[name]
    if name == "foreign-rows-out":
        from stackctl.courier import foreign

        return True, foreign.rows_out
    if name.startswith("password-"):
        from stackctl.courier import passwords

        return False, passwords.VERBS[name]
    if name.startswith("accounts-"):
        from stackctl.courier import accounts

        return name == "accounts-in", accounts.VERBS[name]
    if name.startswith("keys-"):
        from stackctl.courier import keys

        return False, keys.VERBS[name]
    if name.startswith("gc-"):
        from stackctl.courier import gc

        return False, gc.VERBS[name]
    if name.startswith("database-"):
        from stackctl.courier import looking

        return False, looking.VERBS[name]
    if name == "elsewhere":
        from stackctl.courier import elsewhere

        return False, elsewhere.VERBS[name]
    if name.startswith("files-"):
        from stackctl.courier import filestore

        return False, filestore.VERBS[name]
    from stackctl.courier import database

    return name == "rows-in", database.VERBS[name]


def _end_with_the_caller(answered: threading.Event) -> None:
    """The input ends when the caller has: nobody would take the answer."""
    # Not through the buffer: its lock would be held when Python ends.
    while os.read(0, 1024):
        pass
    if not answered.is_set():
        os._exit(1)
