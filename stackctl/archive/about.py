"""What an archive says of itself, checked before anybody relies on it."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from stackctl.courier.places import folder_name

Range = Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)]


class Locked(BaseModel):
    """What MLflow encrypted of one kind: how many rows, and a mark of the key that opens them."""

    model_config = ConfigDict(strict=True)

    rows: NonNegativeInt
    mark: Annotated[str, Field(min_length=1, max_length=200)]


class Elsewhere(BaseModel):
    """A place of artifacts that was none of the stack's own; `why` says why they are not here."""

    model_config = ConfigDict(strict=True)

    location: Annotated[str, Field(min_length=1)]
    experiment: str
    name: str
    counts: dict[str, NonNegativeInt]
    files: NonNegativeInt
    bytes: NonNegativeInt
    why: str

    @model_validator(mode="after")
    def _a_folder(self) -> Self:
        # Below it they will be.
        if not self.why and not folder_name(self.experiment):
            raise ValueError(f"{self.experiment!r} is no id of an experiment")
        return self


class About(BaseModel):
    """An archive's manifest; what a later stackctl adds is not looked at."""

    model_config = ConfigDict(strict=True)

    stack: Annotated[str, Field(min_length=1)]
    scenario: Annotated[str, Field(min_length=1)]
    backend: Annotated[str, Field(min_length=1)]
    artifacts: Annotated[str, Field(min_length=1)]
    created: str
    mlflow: str
    revision: str
    locations: list[str]
    settings: dict[str, Any]
    counts: dict[str, Range]
    members: NonNegativeInt
    bytes: NonNegativeInt
    keys: dict[str, Locked] = {}
    elsewhere: list[Elsewhere] = []

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for kind, (least, most) in self.counts.items():
            if least > most:
                raise ValueError(f"counts.{kind} is from {least} to {most}")
        return self


def problem(manifest: dict[str, Any]) -> str:
    """What is wrong with a manifest, in words; "" where nothing is."""
    try:
        About.model_validate(manifest)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        return f"{place}: {said[0].lower()}{said[1:]}" if place else said
    return ""
