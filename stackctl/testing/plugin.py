"""The pytest plugin: the fixtures `tracking_stack` and `tracking_uri`. See docs/testing.md.

A marker takes effect as a parameter of `tracking_stack`, which is how pytest lets one test ask a
fixture of a wider scope for something else than another test.
"""

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from stackctl.testing.wish import MARKER, SCOPES, NotUnderstood, Wish, settings_of

if TYPE_CHECKING:
    from stackctl.testing import TrackingStack

_Scope = Literal["session", "package", "module", "class", "function"]
_FIXTURE = "tracking_stack"
_default = pytest.StashKey[Wish]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the options."""
    group = parser.getgroup("stackctl", "MLflow tracking stacks")
    group.addoption(
        "--stackctl-runtime",
        choices=("auto", "docker", "embedded"),
        help="where every stack runs, whatever ini-file and markers say",
    )
    group.addoption(
        "--stackctl-keep",
        action="store_true",
        help="leave the stacks running at the end, and say where",
    )
    parser.addini("stackctl_scenario", "scenario of tracking_stack", default="scenario-3b")
    parser.addini("stackctl_runtime", "auto, docker or embedded", default="auto")
    parser.addini("stackctl_scope", f"one of {', '.join(SCOPES)}", default="session")
    parser.addini("stackctl_settings", "settings, KEY=VALUE in each line", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse what cannot be meant."""
    config.addinivalue_line("markers", f"{MARKER}: the stack that a test asks for")
    scope = config.getini("stackctl_scope")
    if scope not in SCOPES:
        raise pytest.UsageError(f"stackctl_scope = {scope!r} is none of {', '.join(SCOPES)}")
    try:
        settings = settings_of(config.getini("stackctl_settings"))
    except NotUnderstood as error:
        raise pytest.UsageError(str(error)) from None
    wish = Wish(config.getini("stackctl_scenario"), config.getini("stackctl_runtime"))
    config.stash[_default] = wish.having(settings)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Hand the nearest marker of a test to the fixture."""
    marker = metafunc.definition.get_closest_marker(_FIXTURE)
    if marker is None or _FIXTURE not in metafunc.fixturenames:
        return
    wish = _understood(metafunc.config, *marker.args, **marker.kwargs)
    metafunc.parametrize(_FIXTURE, [wish], indirect=True, ids=[pytest.HIDDEN_PARAM])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse markers that nothing would take to the fixture."""
    for item in items:
        marked = item.get_closest_marker(_FIXTURE) is not None
        if (
            marked
            and _FIXTURE in getattr(item, "fixturenames", ())
            and not hasattr(item, "callspec")
        ):
            raise pytest.UsageError(
                f"{item.nodeid}: the marker tracking_stack does not reach a unittest.TestCase; "
                "write a class without that base, or name the stack in the ini-file"
            )


class Stacks:
    """The stacks that run in one scope, each for all tests with the same wish."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._running = ExitStack()
        self._found: dict[Wish, TrackingStack | str] = {}

    def of(self, wish: Wish) -> "TrackingStack":
        """The stack of this wish. One that did not start is not tried again."""
        if wish not in self._found:
            self._found[wish] = self._start(wish)
        found = self._found[wish]
        if isinstance(found, str):
            pytest.fail(found, pytrace=False)
        return found

    def close(self) -> None:
        """Stop all of them, the last one first."""
        from stackctl.errors import StackctlError

        try:
            self._running.close()
        except StackctlError as error:
            pytest.fail(str(error), pytrace=False)

    def _start(self, wish: Wish) -> "TrackingStack | str":
        from stackctl.errors import StackctlError
        from stackctl.testing import TrackingStack

        stack = TrackingStack(
            wish.scenario, runtime=wish.runtime, settings=dict(wish.settings), keep=self._keep
        )
        try:
            return self._running.enter_context(stack)
        except StackctlError as error:
            return "\n".join([str(error), *getattr(error, "__notes__", ())])


def _understood(config: pytest.Config, *args: object, **kwargs: object) -> Wish:
    try:
        return config.stash[_default].marked(*args, **kwargs)
    except NotUnderstood as error:
        pytest.fail(str(error), pytrace=False)


def _scope(fixture_name: str, config: pytest.Config) -> _Scope:  # noqa: ARG001 - pytest names it
    scope: _Scope = config.getini("stackctl_scope")
    return scope


@pytest.fixture(scope=_scope)
def _tracking_stacks(pytestconfig: pytest.Config) -> Iterator[Stacks]:
    stacks = Stacks(keep=pytestconfig.getoption("--stackctl-keep"))
    yield stacks
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    # Where a stack is that was kept is told to whoever looks, and not to the last test's output.
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        stacks.close()


@pytest.fixture(scope=_scope)
def tracking_stack(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, _tracking_stacks: Stacks
) -> "TrackingStack":
    """A real MLflow stack that runs; see stackctl.testing.TrackingStack."""
    asked = getattr(request, "param", pytestconfig.stash[_default])
    wish = asked if isinstance(asked, Wish) else _understood(pytestconfig, asked)
    runtime = pytestconfig.getoption("--stackctl-runtime")
    return _tracking_stacks.of(replace(wish, runtime=runtime) if runtime else wish)


@pytest.fixture
def tracking_uri(tracking_stack: "TrackingStack") -> Iterator[str]:
    """The tracking URI of a real MLflow stack, of which the test is a client."""
    with tracking_stack.as_environment():
        yield tracking_stack.tracking_uri
