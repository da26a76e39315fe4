"""The templates, and the filters by which every value is quoted that a user can influence."""

import json
import re
import shlex
from functools import cache
from importlib.resources.abc import Traversable

from jinja2 import Environment, FunctionLoader, StrictUndefined

from stackctl import resources
from stackctl.errors import UserError
from stackctl.settings import dotenv_quoted, variable

# JSON leaves these as they are; YAML 1.1 folds them into a space, or refuses them, as TOML does.
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def quoted(value: object) -> str:
    """`value` as JSON that is a YAML and a TOML scalar too."""
    text = json.dumps(value, ensure_ascii=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def yaml_quoted(value: object) -> str:
    """`value` as a YAML scalar that Compose does not interpolate."""
    return quoted(value).replace("$", "$$")


def caddy_quoted(value: object) -> str:
    """`value` as a token of a Caddyfile, in which no variable is replaced.

    Raises:
        UserError: It cannot be one.
    """
    text = str(value)
    if "{" in text or any(ord(character) < 32 for character in text):
        raise UserError(
            f"Caddy cannot be told of {text!r}: it has a brace or a control character",
            hint="choose a home folder without",
        )
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@cache
def environment() -> Environment:
    """Jinja as the templates need it: what is not defined is an error."""
    templates = Environment(
        loader=FunctionLoader(template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, TOML and shell, each value quoted by its own filter
    )
    templates.filters |= {
        "yaml": yaml_quoted,
        "toml": quoted,
        "sh": lambda value: shlex.quote(str(value)),
        "py": repr,
        "caddy": caddy_quoted,
        "dotenv": dotenv_quoted,
        "variable": variable,
    }
    return templates


def template(name: str) -> str | None:
    """The text of a file in `templates/`; None where there is none."""
    item: Traversable = resources.folder("templates")
    for part in name.split("/"):
        item = item.joinpath(part)
    return item.read_text(encoding="utf-8") if item.is_file() else None
