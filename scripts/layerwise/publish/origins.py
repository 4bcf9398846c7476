"""What a study was made from: its models and its data, their revisions, checksums and licences, without any path."""

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from layerwise.datasets.hub_card import read_card
from layerwise.descriptions import read_description
from layerwise.embedded_models import embedded_name
from layerwise.errors import InputError
from layerwise.publish.licences import OWN, SOURCES, UNKNOWN, Licence, Said
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study

# The keys of model.json that name no folder.
MODEL_KEYS = [
    "weights",
    "seed",
    "dtype",
    "quantization",
    "trust_remote_code",
    "adapter",
    "conversation",
    "model_type",
    "n_layers",
    "width",
    "image_processor",
    "intervention",
    "base",
    "digest",
]
log = logging.getLogger(__name__)

HUB = "https://huggingface.co"


def models_of(study: Study, said: Said) -> list[dict[str, Any]]:
    """The models, each with its source, revision and licence."""
    return [_model(study, name, said) for name in study.config.models]


def data_of(study: Study, said: Said) -> list[dict[str, Any]]:
    """The data sets, and users' own tables, each with the stimuli that are made of it, and its licence."""
    found: dict[str, dict[str, Any]] = {}
    for stimuli in study.grid.used_stimuli():
        entry = study.config.stimuli[stimuli]
        read = KINDS[entry.kind].reads(entry)
        subject = f"stimuli.{stimuli}" if read is None else f"datasets.{read.dataset}"
        described = read_description(Path(study.stimuli_folder(stimuli), "stimuli.json"), "digest", "sources")
        data = found.setdefault(subject, _data(study, subject, None if read is None else read.dataset))
        data["stimuli"] += [{"name": stimuli} | {key: described[key] for key in ("kind", "digest", "items", "images")}]
        for source in described["sources"]:
            shown = {key: source[key] for key in ("repository", "revision", "sha256", "citation") if source.get(key)}
            shown |= {"file": PurePosixPath(source["file"]).name} if "file" in source else {}
            data["files"] += [shown] if shown and shown not in data["files"] else []
            if source.get("licence") and data["licence"] == UNKNOWN:
                data |= {"licence": source["licence"], "licence_said_by": "the data set's card, or the study"}
    for subject, data in found.items():
        if (licence := said.of(subject)) is not None:
            data |= {"licence": licence.name, "licence_said_by": licence.said_by}
    return list(found.values())


def of_unknown_licence(origins: list[dict[str, Any]]) -> list[str]:
    """The subjects whose licence nobody said."""
    return [origin["subject"] for origin in origins if origin["licence"] == UNKNOWN]


def _model(study: Study, name: str, said: Said) -> dict[str, Any]:
    entry, described = study.config.models[name], read_description(study.model_file(name), "digest", "folder")
    subject, embedded, revision = f"models.{name}", embedded_name(study.config, name), described["revision"]
    model: dict[str, Any] = {"subject": subject, "name": name}
    if embedded is not None:
        model |= {"source": f"embedded_models.{embedded}: trained by the study itself", "revision": None}
        licence = Licence(OWN, "the study")
    elif revision is not None:
        model |= {"source": f"{HUB}/{described['source']}", "revision": revision}
        licence = _of_card(study, described, subject)
    else:
        model |= {"source": "a folder of those who made the study", "revision": None}
        licence = _of_card(study, described, subject)
    licence = said.of(subject) or licence
    model |= {key: described[key] for key in MODEL_KEYS if described.get(key) is not None}
    if entry.made_from is not None:
        model["made_from"] = entry.made_from
    adapter = study.config.adapters.get(entry.adapter)
    if adapter is not None and (upstream := adapter.upstream) is not None:
        model["code"] = {"repository": upstream.repository, "commit": upstream.commit}
    return model | {"licence": licence.name, "licence_said_by": licence.said_by}


def _of_card(study: Study, described: Mapping[str, Any], subject: str) -> Licence:
    """What the card beside a model's files says. Downloads leave the card out; a folder of one's own often has it."""
    card = Path(study.directory, described["folder"], "README.md")
    try:
        licence = read_card(card, subject).licence if card.is_file() else ""
    except InputError:
        log.warning("%s: its card, %s, cannot be read, so its licence counts as unknown", subject, card)
        licence = ""
    return Licence(licence, "the model's card") if licence else Licence(UNKNOWN, "")


def _data(study: Study, subject: str, dataset: str | None) -> dict[str, Any]:
    """A data set as it stands in the config; its files and stimuli are added."""
    data: dict[str, Any] = {"subject": subject, "revision": None, "stimuli": [], "files": []}
    if dataset is None:
        source, licence = "a table of those who made the study", Licence(UNKNOWN, "")
    else:
        entry = study.config.datasets[dataset]
        world, download = getattr(entry, "world", None), getattr(entry, "download", None)
        data["format"] = entry.format
        licence = SOURCES.get(download or "", Licence(UNKNOWN, ""))
        source = f"downloaded ({download})" if download else "a folder of those who made the study"
        if world is not None:
            source, licence = f"worlds.{world}: drawn by the study itself", Licence(OWN, "the study")
        elif entry.format == "hub":
            told = entry.entry()
            source, data["revision"] = f"{HUB}/datasets/{told['repository']}", told["revision"]
    return data | {"source": source, "licence": licence.name, "licence_said_by": licence.said_by}
