"""`mlflow server` that imports MLflow once: `python3 mlflow_server.py server --host …`.

`mlflow server` imports MLflow, which takes seconds of CPU, prepares the stores and the login, and
starts uvicorn, each of whose workers imports everything anew (3.17.2). Here a fork of the process
that has imported MLflow prepares, and hands over the command that MLflow starts uvicorn with. The
process itself, which has opened no connection, becomes that uvicorn; its workers are forks of it,
and share what is imported. Where that cannot be, `mlflow server` does it all in its own way; not
with single sign-on, which only `mlflow_oidc.py` beside this knows how to serve.
"""

import gc
import json
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

# MLflow's apps look for it while they are imported, to find out whether they serve.
import uvicorn._subprocess
import uvicorn.main
import uvicorn.supervisors.multiprocess

# Only a process of one thread can be forked, and OpenBLAS and Arrow's allocator start others.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
# What is imported is no garbage: looking for some takes a sixth of the time.
gc.disable()

import mlflow.server.fastapi_app
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
from mlflow.cli import cli

if "basic-auth" in sys.argv:
    import mlflow.server.auth

    login = runpy.run_path(str(Path(__file__).with_name("mlflow_login.py")))
    login["quicken"](mlflow.server.auth)
    login["migrate_in_mysql"](mlflow.server.auth.sqlalchemy_store.dbutils)

if signs_on := "oidc-auth" in sys.argv:
    # Its workers look for it by that name.
    sys.path.insert(0, str(Path(__file__).parent))
    import mlflow_oidc

    mlflow.server._find_app = lambda _: "mlflow_oidc:app"

# MLflow reads them while it is imported (3.17.2), which is before its options set them here.
IMPORTED_WITH = {
    name: os.environ.get(name)
    for name in (
        "_MLFLOW_STATIC_PREFIX",
        "prometheus_multiproc_dir",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    )
}
# What the collector does not look at stays shared with the workers.
gc.freeze()
gc.enable()


def main():
    """Wait for the door, where there is one, and serve."""
    if door := os.environ.pop("STACKCTL_DOOR", ""):
        with os.fdopen(int(door), "rb") as pipe:
            pipe.read()
    if prepared := can_fork() and prepare():
        become(*prepared)
    elif signs_on:
        sys.exit("stackctl: single sign-on needs Linux, uvicorn, and MLflow without jobs")
    else:
        cli(prog_name="mlflow")


def can_fork():
    """No thread was started, and MLflow is one that can be asked for its command.

    What runs jobs is started by `mlflow server` itself.
    """
    tasks = Path("/proc/self/task")
    return (
        os.environ.get("MLFLOW_SERVER_ENABLE_JOB_EXECUTION") == "false"
        and hasattr(mlflow.server, "_exec_cmd")
        and hasattr(uvicorn._subprocess, "spawn")
        and tasks.exists()
        and len(list(tasks.iterdir())) == 1
    )


def prepare():
    """The options and the environment of uvicorn, once the stores are ready.

    None where they are others than are known here. Ends as `mlflow server` does where
    the stores cannot be made ready.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        mlflow.server._exec_cmd = lambda command, *, extra_env, **_: hand_over(
            writing, command, os.environ | extra_env
        )
        if signs_on:
            mlflow_oidc.make_ready()
        cli(prog_name="mlflow")
    os.close(writing)
    with os.fdopen(reading) as pipe:
        handed_over = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code or not handed_over:
        sys.exit(code if code >= 0 else 128 - code)
    (*program, options), environment = json.loads(handed_over)
    same = all(environment.get(name) == value for name, value in IMPORTED_WITH.items())
    known = program == [sys.executable, "-m", "uvicorn"] and same
    return (options, environment) if known else None


def hand_over(pipe, command, environment):
    """Tell the process that waits, and end."""
    with os.fdopen(pipe, "w") as file:
        json.dump([[*command[:3], command[3:]], environment], file)
    sys.exit()


def become(options, environment):
    """Be the uvicorn that MLflow would start."""
    os.environ.clear()
    os.environ.update(environment)
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")
    os.register_at_fork(after_in_child=forget_signals)
    if seconds := float(os.environ.get("STACKCTL_DRAIN_SECONDS", 0)):
        drain(seconds, options)
    # Who is told to end and does so has not failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    uvicorn.main.main(options, prog_name="uvicorn")


def drain(seconds, options):
    """When it is told to end, say for so long that it is about to, and only then end.

    A proxy asks `/health` again and again, and gives it nothing more meanwhile: no call is lost
    with a connection that it closes.
    """
    module, _, name = options[-1].partition(":")
    module, draining = sys.modules[module], multiprocessing.get_context("fork").Event()
    app, is_factory = getattr(module, name), "--factory" in options
    made = (lambda: Draining(app(), draining)) if is_factory else Draining(app, draining)
    setattr(module, name, made)
    supervisor = uvicorn.supervisors.multiprocess.Multiprocess
    end_all, end_one = supervisor.handle_term, uvicorn.Server.handle_exit

    def end_workers(self):
        draining.set()
        time.sleep(seconds)
        end_all(self)

    def end(self, number, frame):
        # A worker of several is told when the time is over; who asks twice has waited enough.
        if draining.is_set() or number != signal.SIGTERM:
            end_one(self, number, frame)
            return
        draining.set()
        threading.Timer(seconds, end_one, [self, number, frame]).start()

    supervisor.handle_term, uvicorn.Server.handle_exit = end_workers, end


class Draining:
    """An app that says of its health that it is about to end, once it is."""

    def __init__(self, app, draining):
        self._app, self._draining = app, draining

    async def __call__(self, scope, receive, send):
        health = scope["type"] == "http" and scope["path"].endswith("/health")
        if health and self._draining.is_set():
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"about to end"})
        else:
            await self._app(scope, receive, send)


def forget_signals():
    """A worker does not note signals for others to act on, as the process it is a fork of does."""
    for number in uvicorn.supervisors.multiprocess.SIGNALS:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
