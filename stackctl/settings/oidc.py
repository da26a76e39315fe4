"""Single sign-on: the OpenID provider at which people log in, and who of them may come in."""

import re

from pydantic import BaseModel, ConfigDict, field_validator

from stackctl.settings.words import Words
from stackctl.urls import Url

# RFC 6749, section 3.3, but for what separates words of a variable.
_SCOPE = re.compile(r"[!#-+\--\[\]-~]{1,100}")
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")


class Oidc(BaseModel):
    """What a server knows of its provider, but for the secret that it has of it.

    Attributes:
        issuer: The provider's address, exactly as its discovery document says it.
        client_id: How the provider calls this stack.
        scopes: What is asked for.
        user_claim: The claim that a user is called by.
        groups_claim: The claim with the groups that a user is in.
        groups: Those of whom one is needed to come in.
        admin_groups: Those whose members are administrators; they may come in too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = ""
    client_id: str = ""
    scopes: Words = ("openid", "email", "profile")
    user_claim: str = "email"
    groups_claim: str = "groups"
    groups: Words = ()
    admin_groups: Words = ()

    @property
    def discovery(self) -> str:
        """Where the provider says what it can (OpenID Connect Discovery 1.0, section 4)."""
        return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"

    @property
    def lacks(self) -> list[str]:
        """The settings without which nobody can log in, and that are not set."""
        needed = {"issuer": self.issuer, "client_id": self.client_id, "groups": self.groups}
        return [f"oidc.{name}" for name, value in needed.items() if not value]

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        if value:
            Url.parse(value)
        # A slash at its end is a part of it, where the provider has one there.
        return value

    @field_validator("client_id")
    @classmethod
    def _client_id(cls, value: str) -> str:
        if not value.isprintable() or len(value) > 255 or value != value.strip():
            raise ValueError("a client id has at most 255 visible characters")
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for scope in value:
            if not _SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope; several are separated by commas")
        if "openid" not in value:
            raise ValueError("without the scope openid a provider tells nothing of who logs in")
        return value

    @field_validator("user_claim", "groups_claim")
    @classmethod
    def _claim(cls, value: str) -> str:
        if not _CLAIM.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a claim")
        return value

    @field_validator("groups", "admin_groups")
    @classmethod
    def _groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for group in value:
            if not group or not group.isprintable() or len(group) > 255 or "," in group:
                raise ValueError(f"{group!r} is no group: 1 to 255 visible characters, and no ','")
        return value
