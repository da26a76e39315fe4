"""A Compose file of the user's own: what it may change, and what becomes of a change in it."""

from dataclasses import replace

import pytest

from stackctl import scenarios
from stackctl.errors import BadSetting
from stackctl.render import EXTRA, Bundle, ComposeRendering
from tests.bundles import bundle, effective, host

FLAG = "extra.compose=team.yaml"


def with_extra(text: str, name: str = "scenario-5") -> Bundle:
    """What a scenario renders to with such a file."""
    where = replace(host(), extra=text)
    return ComposeRendering(scenarios.load(name), effective(name, FLAG), where).bundle()


def changed(one: Bundle, other: Bundle) -> set[str]:
    """The services whose definitions differ."""
    before = {service.name: service.digest for service in one.services}
    return {service.name for service in other.services if before[service.name] != service.digest}


def test_it_is_a_file_of_the_bundle_that_compose_finds_by_itself() -> None:
    text = "services: {tracking: {cpus: 1.5}}\n"
    assert with_extra(text).files[EXTRA] == (text, 0o644)
    assert EXTRA == "compose.override.yaml"
    assert EXTRA not in bundle("scenario-5").files


def test_a_change_in_it_makes_those_services_anew_that_it_speaks_of() -> None:
    plain = bundle("scenario-5")
    one = with_extra("services: {tracking: {cpus: 1.5}}")
    assert changed(plain, one) == {"tracking"}
    assert changed(one, with_extra("# note\nservices:\n  tracking: {cpus: 1.5}\n")) == set()
    other = with_extra("services: {tracking: {cpus: 2}, postgres: {shm_size: 256m}}")
    assert changed(one, other) == {"tracking", "postgres"}
    volume = "services: {tracking: {volumes: ['more:/more']}}\nvolumes: {more: {driver: %s}}"
    assert changed(with_extra(volume % "a"), with_extra(volume % "b")) == {"tracking"}


def test_tags_of_compose_are_understood() -> None:
    one = with_extra("services: {tracking: {extra_hosts: !override ['a:10.0.0.1']}}")
    other = with_extra("services: {tracking: {extra_hosts: !reset ['a:10.0.0.1']}}")
    assert changed(one, other) == {"tracking"}
    with_extra("services: {tracking: {tmpfs: !reset null, environment: !override {A: b}}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {tracking: {ports: ['0.0.0.0:1:1']}}", "services.tracking.ports is stackctl's "
         "own to say: port, artifacts_port"),
        ("services: {postgres: {image: evil}}", "images.COMPONENT"),
        ("services: {tracking: {command: x}}", "server.args and server.env"),
        ("services: {tracking: {container_name: x}}", "name"),
        ("services: {tracking: {labels: {io.stackctl.digest: x}}}", "are stackctl's own"),
        ("services: {tracking: {labels: ['io.stackctl.stack=x']}}", "are stackctl's own"),
        ("services: {mine: {image: x}}", "the stack has no service 'mine', but postgres, objects"),
        ("services: [tracking]", "no mapping of services"),
        ("services: {tracking: [1]}", "what it says of service tracking is no mapping"),
        ("name: other", "it says 'name', and may say services, volumes"),
        ("include: [other.yaml]", "it says 'include'"),
        ("services: {tracking: {", "line 1: it is no YAML"),
        ("just text", "it is no Compose file"),
        ("a: 1\n\tb: 2", "line 2: it is no YAML"),
    ],
)  # fmt: skip
def test_what_stackctl_says_itself_and_what_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadSetting) as refused:
        with_extra(text)
    assert str(refused.value).startswith("setting extra.compose='team.yaml' (from --set): ")
    assert said in str(refused.value)
