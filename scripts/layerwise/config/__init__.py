"""Check a study's config against its schema and fill in the defaults."""

import copy
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators

from layerwise.errors import InputError


def _with_defaults(validator_class: type) -> type:
    """Extend a validator so that it writes schema defaults into the instance (the recipe of jsonschema's FAQ)."""
    check_properties = validator_class.VALIDATORS["properties"]

    def set_defaults(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for key, subschema in properties.items():
                if "default" in subschema:
                    # A copy, so that two entries never share one default list or mapping.
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
        yield from check_properties(validator, properties, instance, schema)

    return validators.extend(validator_class, {"properties": set_defaults})


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        InputError: when there is no such file, or it is no YAML mapping.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path of the config file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold keys and values such as `models:`, found {type(config).__name__}")
    return config


@cache
def _read_schema(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def validate(config: dict[str, Any], schema: str | Path) -> None:
    """Check ``config`` in place and add the schema's defaults to it.

    Raises:
        InputError: with one line for each thing that is wrong, by the path of its key.
    """
    if unfit := list(_unfit(config, [])):
        raise InputError("the config is not what JSON can say:\n" + "\n".join(f"  {line}" for line in unfit))
    if "embedded_model" in config:
        settings = yaml.safe_dump(config["embedded_model"], default_flow_style=True, width=1000).split("\n")[0]
        raise InputError(
            f"embedded_model: it is one of a named set now; write `embedded_models: {{shapes: {settings}}}`, and where "
            "there are several, `embedded: NAME` in the entries of `models`"
        )
    schema = _read_schema(Path(schema))
    # All errors first, defaults last: a default must not hide what the user left out.
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        lines = [f"  {'.'.join(map(str, error.absolute_path)) or 'top level'}: {_explain(error)}" for error in errors]
        raise InputError("the config does not fit config/schemas/config.schema.yaml:\n" + "\n".join(lines))
    list(_with_defaults(Draft202012Validator)(schema).iter_errors(config))


def _unfit(value: Any, path: list[str]) -> Iterator[str]:
    """What YAML allows and no key of a config can be: by its path, with the fix."""
    where = ".".join(path) or "top level"
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                yield f"{where}: the key {key!r} is no text; YAML reads it so (yes, on, 1, null): put quotes round it"
            yield from _unfit(entry, [*path, str(key)])
    elif isinstance(value, list):
        for place, entry in enumerate(value):
            yield from _unfit(entry, [*path, str(place)])
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value} is no number to reckon with; give a finite one"
    elif not (value is None or isinstance(value, str | int | float)):
        yield f"{where}: {value} is a {type(value).__name__} to YAML; put quotes round it"


def _explain(error) -> str:
    """A jsonschema error in one line that a user can act on."""
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = sorted(error.schema.get("properties", {}))
        for branch in error.schema.get("allOf", []):
            known += sorted(branch["then"].get("properties", {}))
        hint = f"; known keys: {', '.join(dict.fromkeys(known))}" if known else ""
        return error.message.replace("Unevaluated", "Additional") + hint
    if error.validator == "oneOf" and "format" in error.schema.get("properties", {}):
        return "give either `world`, or both `images` and `annotations`, or `download`"
    if error.validator == "contains":
        return f"{error.validator_value['const']} must be among them"
    if error.validator == "maxProperties":
        return f"give one of {', '.join(error.schema['properties'])}, not {len(error.instance)}"
    return error.message
