"""Write ``config/schemas/config.schema.yaml``, which editors complete and check configs with.

PYTHONPATH=scripts python -m layerwise.config.schema
"""

import re
from pathlib import Path
from typing import Any

import yaml

from layerwise.config.study import StudyConfig

FILE = Path(__file__).resolve().parents[3] / "config/schemas/config.schema.yaml"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema as YAML, as it must be in :data:`FILE`."""
    schema = StudyConfig.model_json_schema(by_alias=True)
    schema = {"$schema": DIALECT, "title": "The config of a study", **_plain(schema)}
    head = "# Made from scripts/layerwise/config by `make schema`; edit the classes there.\n"
    text = yaml.safe_dump(schema, sort_keys=False, width=120, allow_unicode=True)
    # Every kind's class is called Entry: name it after its module.
    return head + re.sub(r"layerwise__(\w+?)__\w+?__(\w+?)__Entry", r"\1_\2", text)


def _plain(schema: Any) -> Any:
    """A schema as editors show it best: without pydantic's titles, with descriptions on one line, and with one rule for
    the names of entries."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            plain[key] = {name: _plain(part) for name, part in value.items()}
        elif key == "description":
            plain[key] = " ".join(value.split())
        elif key == "default" and value is not None:
            plain[key] = value
        elif key == "patternProperties":
            ((pattern, entry),) = value.items()
            plain["additionalProperties"] = _plain(entry)
            plain["propertyNames"] = {"pattern": pattern} | schema.get("propertyNames", {})
        elif key not in ("title", "discriminator", "default") and key not in plain:
            plain[key] = _plain(value)
    return plain


def main() -> None:
    """Write the file."""
    FILE.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
