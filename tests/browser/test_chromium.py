"""Where the browser comes from."""

from pathlib import Path

import pytest

from tests.browser.chromium import ChromiumUnavailable, find


def test_machine_without_chromium_and_apt_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STACKCTL_TEST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ChromiumUnavailable, match=r"no apt-get .*; install chromium"):
        find()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_failed_download_leaves_nothing_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: Could not resolve' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STACKCTL_TEST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ChromiumUnavailable, match="apt-get failed: E: Could not resolve"):
        find()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
