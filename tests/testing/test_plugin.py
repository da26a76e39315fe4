"""The plugin's options and marker, and what is told of those that cannot be used."""

import re
import subprocess
import sys

import pytest

from stackctl.testing.wish import SCOPES

pytest_plugins = ["pytester"]

USES = "def test_it(tracking_stack): pass\n"
NOWHERE = "unix:///nonexistent/docker.sock"


def marked(marker: str) -> str:
    return f"import pytest\n\n@pytest.mark.tracking_stack{marker}\n{USES}"


def told(result: pytest.RunResult) -> str:
    """The lines in which an error is told; nobody is shown a traceback."""
    output = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in output
    assert "stackctl/" not in re.sub(r"plugins: .*", "", output), output
    return output


def test_nothing_heavy_is_imported_when_pytest_starts() -> None:
    imports = "import stackctl.testing, stackctl.testing.plugin, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True)
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"mlflow", "docker", "testcontainers", "boto3", "botocore", "pydantic", "jinja2",
             "typer", "rich", "psutil", "requests"}  # fmt: skip
    assert "pytest" in modules
    assert heavy & modules == set()


def test_marker_and_ini_options_are_known_to_a_strict_pytest(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers --strict-config\n"
        "stackctl_scenario = scenario-5\nstackctl_runtime = embedded\nstackctl_scope = module\n"
        "stackctl_settings =\n  workers=1\n  region=x\n"
    )
    pytester.makepyfile(marked("('scenario-5', settings={'workers': 2}, runtime='embedded')"))
    result = pytester.runpytest("--collect-only", "-q", "--stackctl-runtime=embedded",
                                "--stackctl-keep")  # fmt: skip
    assert result.ret == 0
    # The marker is a parameter of the fixture, and not of the test's name.
    assert result.stdout.str().splitlines()[0].endswith("::test_it")


@pytest.mark.parametrize("scope", SCOPES)
def test_scope_is_that_of_the_ini_file(pytester: pytest.Pytester, scope: str) -> None:
    pytester.makeini(f"[pytest]\nstackctl_scope = {scope}\n")
    result = pytester.runpytest("--fixtures", "-v")
    found = re.search(r"^tracking_stack( \[(\w+) scope\])? -- ", result.stdout.str(), re.MULTILINE)
    assert found is not None
    assert (found[2] or "function") == scope


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stackctl_scope = seson", "stackctl_scope = 'seson' is none of session, package, module"),
        ("stackctl_settings = workers", "stackctl_settings: 'workers' has no '='"),
    ],
)
def test_ini_option_that_cannot_be_meant_is_refused(
    pytester: pytest.Pytester, line: str, words: str
) -> None:
    pytester.makeini(f"[pytest]\n{line}\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in told(result)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("('scenario-9')", "there is no scenario 'scenario-9'; did you mean 'scenario-"),
        ("(settings={'wrkers': 1})", "no setting 'wrkers' (from settings); did you mean 'workers'"),
        ("(settings={'workers': 0})", "setting workers='0'"),
        ("(settings={'name': 'mine'})", "setting 'name' is TrackingStack's own"),
        ("(settings={'runtime': 'docker'})", "setting 'runtime' is an argument"),
        ("(runtime='dokcer')", "setting runtime='dokcer'"),
        ("(scenari='scenario-5')", "tracking_stack(scenari='scenario-5') is not understood"),
    ],
)
def test_marker_that_cannot_be_meant_is_told_in_one_line(
    pytester: pytest.Pytester, marker: str, words: str
) -> None:
    pytester.makepyfile(marked(marker))
    result = pytester.runpytest("-rE")
    result.assert_outcomes(errors=1)
    output = told(result)
    assert any(words in line for line in output.splitlines()), output


@pytest.mark.parametrize(
    ("asked", "words"),
    [("'scenario-9'", "there is no scenario 'scenario-9'"), ("5", "tracking_stack(5) is not")],
)
def test_parameter_of_the_fixture_is_a_scenario(
    pytester: pytest.Pytester, asked: str, words: str
) -> None:
    parametrized = f"@pytest.mark.parametrize('tracking_stack', [{asked}], indirect=True)"
    pytester.makepyfile(f"import pytest\n\n{parametrized}\n{USES}")
    result = pytester.runpytest("-rE")
    result.assert_outcomes(errors=1)
    assert words in told(result)


def test_marker_that_pytest_would_not_hand_on_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        @pytest.mark.tracking_stack("scenario-5")
        @pytest.mark.usefixtures("tracking_uri")
        class TestOld(unittest.TestCase):
            def test_it(self):
                pass
        """
    )
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "does not reach a unittest.TestCase" in told(result)


def test_marker_of_a_test_without_a_stack_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\npytestmark = pytest.mark.tracking_stack('scenario-9')\n"
        "def test_it(): pass\n"
    )
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.usefixtures("no_mlflow")
def test_machine_without_any_runtime_says_what_to_install(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    pytester.makepyfile(USES)
    result = pytester.runpytest("-rE")
    result.assert_outcomes(errors=1)
    begin = f"no Docker daemon answers at {NOWHERE}"
    line = next(line for line in told(result).splitlines() if line.startswith(begin))
    assert "there is no mlflow; install it" in line
