"""Which stack a test asks for: by its marker, else by pytest's configuration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

SCOPES = ("session", "package", "module", "class", "function")
MARKER = "tracking_stack(scenario, *, settings={}, runtime='auto')"


class NotUnderstood(ValueError):
    """A wish that is no wish, in one line that says what to write."""


@dataclass(frozen=True)
class Wish:
    """Equal wishes are one stack.

    Attributes:
        scenario: The scenario's name.
        runtime: `auto`, `docker` or `embedded`.
        settings: Pairs of key and value, in the order of their keys.
    """

    scenario: str
    runtime: str = "auto"
    settings: tuple[tuple[str, str], ...] = ()

    def having(self, settings: Mapping[str, object]) -> "Wish":
        """The same with more settings, or with other values of those it has."""
        added = {str(key): str(value) for key, value in settings.items()}
        return replace(self, settings=tuple(sorted({**dict(self.settings), **added}.items())))

    def marked(self, *args: object, **kwargs: object) -> "Wish":
        """The wish of a test with the marker's arguments; what they do not say is as in this one.

        Raises:
            NotUnderstood: They are not those of the marker.
        """
        given = dict(kwargs)
        if args:
            given["scenario"] = args[0]
        scenario = given.pop("scenario", self.scenario)
        runtime = given.pop("runtime", self.runtime)
        settings = given.pop("settings", {})
        if (
            given or len(args) > 1 or (args and "scenario" in kwargs)
            or not isinstance(scenario, str) or not isinstance(runtime, str)
            or not isinstance(settings, Mapping)
        ):  # fmt: skip
            words = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
            raise NotUnderstood(
                f"@pytest.mark.tracking_stack({', '.join(words)}) is not understood; "
                f"write @pytest.mark.{MARKER}"
            )
        return replace(self, scenario=scenario, runtime=runtime).having(settings)


def settings_of(lines: Iterable[str]) -> dict[str, str]:
    """The settings in lines of `KEY=VALUE`.

    Raises:
        NotUnderstood: A line has no `=`.
    """
    found = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals:
            raise NotUnderstood(f"stackctl_settings: {line!r} has no '='; write KEY=VALUE")
        found[key.strip()] = value.strip()
    return found
