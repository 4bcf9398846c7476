"""What every section of a config is built from: the base class, and types that say what they refuse.

Field docstrings are the descriptions in ``config/schemas/config.schema.yaml``.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Protocol, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from layerwise.catalogue import Catalogue
from layerwise.errors import InputError

Value = TypeVar("Value")


class Section(BaseModel):
    """A section of a config, or one of its entries: checked, with defaults filled in, and never changed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        populate_by_name=True,
        # Planning builds the root alone. Descriptions are read where the schema is written, for the same reason.
        defer_build=True,
    )

    def entry(self) -> dict[str, Any]:
        """The section as JSON has it: with its defaults, without keys that have none and were not given.

        Recipes, cells and options of jobs are JSON of such mappings, so it must not change for existing configs.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Absent:
    """A key without a default: None stands for a key that was not given. ``key: null`` is refused."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


Maybe = Annotated[Value | None, _Absent()]


def maybe(kind: Any) -> Any:
    """:data:`Maybe` of a type that is known only when the program runs."""
    return Annotated[kind | None, _Absent()]


@dataclass(eq=False)
class Checked:
    """A type with its own check.

    Attributes:
        check: whether a value fits.
        must: what a value must be, for messages: "must be ...".
        json_schema: the same for editors.
    """

    check: Callable[[Any], bool]
    must: str
    json_schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.json_schema)

    def _checked(self, value: Any) -> Any:
        if not self.check(value):
            raise PydanticCustomError("unfit", "must be {must}", {"must": self.must})
        return value


def whole(least: int, most: int | None = None) -> Checked:
    """A whole number from ``least`` on."""
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return Checked(
        lambda value: type(value) is int and value >= least and (most is None or value <= most),
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}",
        {"type": "integer"} | bounds,
    )


def number(least: float | None = None, above: float | None = None, below: float | None = None) -> Checked:
    """A number within bounds. A whole number stays one, so that JSON of it stays the same text."""
    bounds = {"minimum": least, "exclusiveMinimum": above, "exclusiveMaximum": below}
    said = [f"at least {least}"] * (least is not None) + [f"above {above}"] * (above is not None)
    said += [f"below {below}"] * (below is not None)
    return Checked(
        lambda value: (
            type(value) in (int, float)
            and (least is None or value >= least)
            and (above is None or value > above)
            and (below is None or value < below)
        ),
        "a number " + " and ".join(said) if said else "a number",
        {"type": "number"} | {key: bound for key, bound in bounds.items() if bound is not None},
    )


def text(pattern: str, must: str, longest: int | None = None) -> Checked:
    """Text that matches a regular expression from its first to its last character."""
    matches = re.compile(pattern).fullmatch
    return Checked(
        lambda value: isinstance(value, str) and (longest is None or len(value) <= longest) and bool(matches(value)),
        must,
        {"type": "string", "pattern": f"^{pattern}$"} | ({} if longest is None else {"maxLength": longest}),
    )


@dataclass(frozen=True)
class Each:
    """A list whose values differ from each other.

    Attributes:
        least: how many values it must have.
        holding: a value that must be among them.
    """

    least: int = 0
    holding: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema) | {"uniqueItems": True}
        if self.least:
            found["minItems"] = self.least
        if self.holding is not None:
            found["contains"] = {"const": self.holding}
        return found

    def _checked(self, values: list[Any]) -> list[Any]:
        if len(values) < self.least:
            few = f"{self.least} values" if self.least > 1 else "a value"
            raise PydanticCustomError("unfit", "must have at least {few}", {"few": few})
        for place, value in enumerate(values):
            if value in values[:place]:
                raise PydanticCustomError("unfit", "{value} is there twice", {"value": repr(value)})
        if self.holding is not None and self.holding not in values:
            raise PydanticCustomError("unfit", "{value} must be among them", {"value": self.holding})
        return values


class Either:
    """One of several types, with one message for all of them.

    Args:
        must: what a value must be, for messages: "must be ...".
    """

    def __init__(self, must: str):
        self.must = must

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source), "unfit", custom_error_message="must be {must}", custom_error_context={"must": self.must}
        )


class OneOf:
    """An entry of one of the kinds of a catalogue: the class ``Entry`` of each one's module.

    Args:
        key: the key of the entry that says its kind.
        catalogue: the modules by kind.
    """

    def __init__(self, key: str, catalogue: Catalogue[Any]):
        self.key = key
        self.catalogue = catalogue

    def entries(self) -> tuple[type[Section], ...]:
        """The classes of all kinds."""
        return tuple(import_module(module).Entry for module in self.catalogue.modules.values())

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(Annotated[Union[self.entries()], Field(discriminator=self.key)])  # noqa: UP007


class Located(Protocol):
    """What knows where relative paths of a config lead; see :class:`layerwise.planning.input_paths.InputPaths`."""

    def locate(self, path: str, what: str | None) -> str:
        """Where a file or folder lies.

        Raises:
            InputError: when it is in two places, or in none though it must be there.
        """


# What stands for several files, such as data/test-*.parquet.
PATTERN = "file or pattern of files"


class FromStudy:
    """The path of something that the user has, from the folder of the study's file.

    Validation looks it up with its context, a :class:`Located`; without one the path stays as it is.

    Args:
        what: the word for it in messages, file or folder; None for what need not be a path; :data:`PATTERN` for a
            file, or a pattern of files.
    """

    def __init__(self, what: str | None):
        self.what = what

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._located, handler(source))

    def _located(self, path: str, info: ValidationInfo) -> str:
        context: Located | None = info.context
        if context is None:
            return path
        try:
            return context.locate(path, self.what)
        except InputError as error:
            raise PydanticCustomError("unfit", "{message}", {"message": str(error)}) from error


@dataclass(frozen=True)
class Exactly:
    """A list of ``many`` values."""

    many: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"minItems": self.many, "maxItems": self.many}

    def _checked(self, values: list[Any]) -> list[Any]:
        if len(values) != self.many:
            raise PydanticCustomError("unfit", "must have {many} values", {"many": self.many})
        return values


class Filled:
    """A mapping with at least one entry."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"minProperties": 1}

    def _checked(self, entries: dict[str, Any]) -> dict[str, Any]:
        if not entries:
            raise PydanticCustomError("unfit", "must have at least one entry")
        return entries


def among(values: Collection[str]) -> Checked:
    """One of the names of a catalogue."""
    return Checked(
        lambda value: isinstance(value, str) and value in values, f"one of {', '.join(values)}", {"enum": list(values)}
    )


NAME = text(
    "[A-Za-z0-9][A-Za-z0-9._-]*",
    "a name that file names can hold: letters, digits, dot, dash and underscore, no dash or dot first, at most 80",
    longest=80,
)
Name = Annotated[str, NAME]
Count = Annotated[int, whole(1)]
Seed = Annotated[int, whole(0)]
Share = Annotated[int | float, number(above=0, below=1)]
Positive = Annotated[int | float, number(above=0)]
Number = Annotated[int | float, number()]
Text = Annotated[
    str,
    Checked(
        lambda value: isinstance(value, str) and value != "",
        "text that is not empty",
        {"type": "string", "minLength": 1},
    ),
]
InputFile = Annotated[str, FromStudy("file")]
InputTable = Annotated[str, FromStudy(PATTERN)]
InputFolder = Annotated[str, FromStudy("folder")]
Names = Annotated[list[Name], Each(1)]
Words = Annotated[list[str], Each(1)]
