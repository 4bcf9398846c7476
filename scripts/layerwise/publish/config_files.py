"""The study's YAML: as its authors wrote it, and with everything that it includes and all defaults filled in."""

from pathlib import Path
from typing import Any

import yaml

from layerwise.config.including import included
from layerwise.publish.private import Private
from layerwise.study import Study, shared_config

# Sections of the config that say where files lie, or what is resolved here: files that are included, models left out.
RESOLVED_KEYS = ("pathvars", "include", "extends", "leave_out")
RESOLVED = "study-resolved.yaml"


def write_config(study: Study, folder: Path, private: Private) -> list[str]:
    """Write the config files, the study's own first.

    Returns:
        Their names.
    """
    files = {_name(number): Path(file) for number, file in enumerate(study.files, 1)}
    for number, file in enumerate(included(study.files, shared_config(study.files)), 1):
        files[f"included-{number}-{file.name}"] = file
    for name, file in files.items():
        (folder / name).write_text(private.hidden(file.read_text(encoding="utf-8")), encoding="utf-8")
    head = "# All keys of the study, with its defaults. What is private is left out.\n"
    text = yaml.safe_dump(_shown(_resolved(study), private), sort_keys=False, width=120, allow_unicode=True)
    (folder / RESOLVED).write_text(head + text, encoding="utf-8")
    return [*files, RESOLVED]


def _name(number: int) -> str:
    return "study.yaml" if number == 1 else f"study-{number}.yaml"


def _resolved(study: Study) -> dict[str, Any]:
    config = {key: value for key, value in study.config.entry().items() if key not in RESOLVED_KEYS}
    downloads = {entry.get("download") for entry in config["datasets"].values()}
    downloads |= {entry.get("download_images") for entry in config["datasets"].values()}
    config["sources"] = {name: source for name, source in config["sources"].items() if name in downloads}
    adapters = {model.adapter for model in study.config.models.values()}
    config["adapters"] = {name: entry for name, entry in config["adapters"].items() if name in adapters}
    config["prompts"] = _used_prompts(study, config)
    return {key: value for key, value in config.items() if value not in ({}, [])}


def _used_prompts(study: Study, config: dict[str, Any]) -> dict[str, Any]:
    """The prompts that the study shows, and those of its questions, whose kinds are kept whole."""
    used: dict[str, set[str]] = {}
    for stimuli in study.grid.used_stimuli():
        used.setdefault(study.config.stimuli[stimuli].kind, set()).update(study.grid.prompts(stimuli))
    asked = {"questions", "gqa"} if study.grid.flow_cells() else set()
    return {
        kind: {name: prompt for name, prompt in prompts.items() if kind in asked or name in used.get(kind, ())}
        for kind, prompts in config["prompts"].items()
        if kind in used or kind in asked
    }


def _shown(value: Any, private: Private) -> Any:
    if isinstance(value, dict):
        return {key: _shown(entry, private) for key, entry in value.items()}
    if isinstance(value, list):
        return [_shown(entry, private) for entry in value]
    return private.hidden(value) if isinstance(value, str) else value
