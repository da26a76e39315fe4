"""`stackctl deploy` on the embedded runtime beside a shell script with the same programs.

Cold starts from nothing, warm from the data of the start before. Both end when the tracking API
answers; stackctl has then also made its round trip. Prints stops and memory too.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from stackctl.runtimes.embedded import components

ROUNDS = 3
SCENARIOS = ("scenario-3b", "scenario-5")

SCRIPT = r"""
set -eu
ready() { until python3 -c "import urllib.request as r; r.urlopen('$1', timeout=2)" 2> /dev/null
  do sleep 0.1; done; }
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
if [ "$SCENARIO" = scenario-5 ]; then
  # PostgreSQL refuses root.
  as=; [ "$(id -u)" != 0 ] || as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
  echo secret > "$DATA/password"
  export AWS_ACCESS_KEY_ID=benchmark AWS_SECRET_ACCESS_KEY=benchmark-secret GOMEMLIMIT=300MiB
  mkdir -p "$DATA/objects"
  (cd "$DATA/objects" && exec weed mini -dir="$DATA/objects" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -disableHttp -webdav=false -admin.ui=false -master.telemetry=false -volume.preStopSeconds=0 \
    -s3.port=8391 -master.port=9391 -volume.port=8381 -filer.port=8891 -admin.port=9341 \
    -s3.port.iceberg=0 -s3.port.lance=0 -bucket=mlflow) > "$DATA/weed.log" 2>&1 &
  if [ ! -d "$DATA/postgres" ]; then
    mkdir -m 700 "$DATA/postgres"; [ -z "$as" ] || chown nobody "$DATA/postgres"
    $as "$POSTGRES/initdb" -D "$DATA/postgres" -U mlflow --pwfile="$DATA/password" \
      -A scram-sha-256 -E UTF8 --locale=C > /dev/null
  fi
  (cd "$DATA/postgres"; exec $as "$POSTGRES/postgres" -D "$DATA/postgres" -p 5491 \
    -c unix_socket_directories=) > "$DATA/postgres.log" 2>&1 &
  until "$POSTGRES/pg_isready" -q -h 127.0.0.1 -p 5491; do sleep 0.1; done
  until curl -sf -o /dev/null http://127.0.0.1:8391/healthz; do sleep 0.1; done
  export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow:secret@127.0.0.1:5491/postgres
  export MLFLOW_S3_ENDPOINT_URL=http://127.0.0.1:8391
  set -- --artifacts-destination s3://mlflow/artifacts
else
  export MLFLOW_BACKEND_STORE_URI="sqlite:///$DATA/mlruns.db"
  set -- --no-serve-artifacts --default-artifact-root "$DATA/mlruns"
fi
mlflow server --host 127.0.0.1 --port 5991 --workers 2 "$@" > "$DATA/mlflow.log" 2>&1 &
ready 'http://127.0.0.1:5991/api/2.0/mlflow/experiments/search?max_results=1'
"""


def main() -> None:
    """Print the seconds of each round and the ratios of the medians."""
    for scenario in SCENARIOS:
        seconds: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for who in (by_script, by_stackctl):
                with tempfile.TemporaryDirectory() as folder:
                    Path(folder).chmod(0o755)
                    for state in ("cold", "warm"):
                        start, stop, memory = who(scenario, Path(folder))
                        name = who.__name__.removeprefix("by_")
                        for what, value in (("start", start), ("stop", stop), ("MB", memory)):
                            seconds.setdefault(f"{name} {state} {what}", []).append(value)
                    if who is by_stackctl:
                        stackctl(folder, "remove", "benchmark", "--volumes",
                                 "--confirm", "benchmark")  # fmt: skip
        print(scenario)
        for name, found in seconds.items():
            print(f"  {name:22}", " ".join(f"{value:7.1f}" for value in found))
        for state in ("cold", "warm"):
            mine, theirs = (
                statistics.median(seconds[f"{name} {state} start"])
                for name in ("stackctl", "script")
            )
            print(f"  {state}: ratio of the medians {mine / theirs:.2f}")


def by_stackctl(scenario: str, folder: Path) -> tuple[float, float, float]:
    begin = time.monotonic()
    stackctl(str(folder), "deploy", scenario, "--name", "benchmark", "--port", "5990")
    start = time.monotonic() - begin
    memory = megabytes(str(folder))
    begin = time.monotonic()
    stackctl(str(folder), "remove", "benchmark")
    return start, time.monotonic() - begin, memory


def by_script(scenario: str, folder: Path) -> tuple[float, float, float]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SCENARIO": scenario,
        "DATA": str(data),
        "POSTGRES": postgres_for_everybody(),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begin = time.monotonic()
    subprocess.run(["bash", "-c", SCRIPT], check=True, env=environment)
    start = time.monotonic() - begin
    memory = megabytes(str(folder))
    begin = time.monotonic()
    mine = belonging(str(folder))
    for process in mine:
        process.terminate()
    psutil.wait_procs(mine)
    return start, time.monotonic() - begin, memory


def postgres_for_everybody() -> str:
    """PostgreSQL's programs where the user who runs them reaches them."""
    found = components.find_all()["postgres"]
    user = components.service_user()
    if user:
        reached = components.for_user(found, user)
        components.copy(found, reached)
        found = reached
    return found.programs["bin"]


def stackctl(home: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stackctl", "--home", home, *words],
        capture_output=True, text=True, check=False,
        env={**os.environ, "STACKCTL_RUNTIME": "embedded"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)


def belonging(folder: str) -> list[psutil.Process]:
    """The processes whose command, environment or working folder names `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), *process.environ().values(), process.cwd()])
        except psutil.Error:
            continue
        if folder in told and process.pid != os.getpid():
            found.append(process)
    return found


def megabytes(folder: str) -> float:
    """Memory of the stack, shared pages divided among those who share them."""
    return float(sum(process.memory_full_info().pss for process in belonging(folder)) / 1e6)


if __name__ == "__main__":
    if shutil.which("bash") is None:
        raise SystemExit("the script that is compared with needs bash")
    main()
