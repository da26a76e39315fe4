"""An authority for certificates by ACME: a Caddy of the tests' own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackctl.runtimes.embedded import components
from tests.contract.driving import free_port, until

# An authority that asks for a name is told of it at these ports, and no others.
_ACME = """{{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system "{folder}"
	http_port {http}
	https_port {https}
	pki {{
		ca local {{
			name "of a test"
		}}
	}}
}}
https://{name}:{https} {{
	bind {address}
	tls internal
	acme_server {{
		challenges http-01 tls-alpn-01
	}}
}}
"""


@contextmanager
def authority(
    name: str, prefix: tuple[str, ...], folder: Path, address: str = "127.0.0.1"
) -> Iterator[tuple[str, Path]]:
    """Its directory, and the certificate that vouches for that.

    Args:
        name: What it is called.
        prefix: The words by which a command runs where it is.
        folder: For its files.
        address: Where it listens there.
    """
    program = components.find_all()["caddy"].programs["caddy"]
    https, http = free_port(), free_port()
    config = folder / "Caddyfile"
    config.write_text(
        _ACME.format(folder=folder / "kept", name=name, address=address, https=https, http=http)
    )
    command = [*prefix, program, "run", "--config", str(config), "--adapter", "caddyfile"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)})
        try:
            root = folder / "kept/pki/authorities/local/root.crt"
            until(root.exists, seconds=30, what=(folder / "log").read_text())
            yield f"https://{name}:{https}/acme/local/directory", root
        finally:
            process.terminate()
            process.wait(timeout=30)
