"""A model folder whose image processor has other settings: the size of pictures, how they are tiled.

The folder holds the model's own files; weights are links to them. Its image processor's settings differ where the
study's entry says so, as they would in a folder that ``save_pretrained`` wrote. So whatever loads the model has them,
and its description and digest tell it from the plain model. A study without such an entry runs none of this code.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.models.configuration import read_configuration
from layerwise.models.files import CONVERSION, SUFFIXES
from layerwise.models.hub import CODE, TEXT, WEIGHTS, snapshot
from layerwise.models.image_processor import describe_image_processor, load_processor
from layerwise.models.settings_trial import try_settings
from layerwise.models.type_checks import check_served

# Where transformers keeps an image processor's settings: by themselves, or within those of the whole processor.
PREPROCESSOR, PROCESSOR, WITHIN = "preprocessor_config.json", "processor_config.json", "image_processor"
CONFIG, TOKENIZER = "config.json", "tokenizer_config.json"
# What weights were trained for, and the form in which a processor returns pictures: no study may change these.
FIXED = frozenset(
    (
        *("patch_size", "temporal_patch_size", "merge_size", "pooling_kernel_size", "patch_expand_factor"),
        *("spatial_factor", "image_num_channels", "image_seq_length", "transform"),
        *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb"),
        *("high_res_image_mean", "high_res_image_std", "return_row_col_info", "return_legacy_image_output"),
    )
)


def set_processor(name: str, entry: dict[str, Any], base: Path | None, out: Path) -> None:
    """Find or download a model's files, and make the folder of an entry with ``processor``.

    Args:
        name: the model's name in the config.
        entry: its config entry.
        base: the folder of its converted weights, for an entry with ``convert``.
        out: the folder. It is written under a temporary name and renamed.

    Raises:
        InputError: naming the setting that this image processor does not have or cannot work with.
    """
    source, trust, revision = entry["source"], entry.get("trust_remote_code", False), None
    if base is not None or Path(source).is_dir():
        folder = base or Path(source)
    else:
        folder, revision = snapshot(name, source, entry.get("revision"), [CONFIG])
        check_served(name, entry["adapter"], folder, trust)
        weights = WEIGHTS if entry["weights"] == "pretrained" else []
        folder, revision = snapshot(name, source, revision, [*TEXT, *weights, *(CODE if trust else [])])
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        write_folder(name, folder, entry, partial)
        try_settings(name, entry["adapter"], folder, partial, entry)
        of_weights = json.loads((folder / CONVERSION).read_text()) if base is not None else {"revision": revision}
        written = of_weights | {"source": source, "processor": entry["processor"]}
        (partial / CONVERSION).write_text(json.dumps(written, indent=2) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_folder(name: str, folder: Path, entry: dict[str, Any], out: Path) -> None:
    """Write the folder, without trying its settings.

    Args:
        name: the model's name in the config.
        folder: of the plain model. Weights need not be there.
        entry: ``processor``, by setting its value; ``image_processor`` and ``trust_remote_code`` as in the config.
        out: the folder, which is not there yet.

    Raises:
        InputError: when the image processor has no such setting, or does not take the value.
    """
    settings, how = entry["processor"], (entry.get("image_processor", "auto"), entry.get("trust_remote_code", False))
    plain = load_processor(name, folder, *how)
    check_known(name, getattr(plain, WITHIN, plain), settings)
    for file in folder.rglob("*"):
        copy = out / file.relative_to(folder)
        # Not linked: these are written anew, or an edit of the plain model's would change this one unseen.
        if file.is_file() and file.suffix in SUFFIXES:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        elif file.suffix == ".safetensors" and file.parent == folder:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file.resolve())
    _edit(out / PREPROCESSOR, lambda content: content | settings)
    _edit(out / PROCESSOR, lambda content: _within(content, settings))
    # LLaVA-NeXT's model reads how its pictures were tiled in its own configuration.
    config = read_configuration(folder, trust_remote_code=how[1])
    both = {key: value for key, value in settings.items() if hasattr(config, key)}
    _edit(out / CONFIG, lambda content: content | both)
    # What a processor gives on each call goes before its image processor's settings. What is written here goes before
    # both.
    on_call = {key: value for key, value in settings.items() if key in _given_on_call(plain)}
    _edit(out / TOKENIZER, lambda content: content | on_call)
    try:
        changed = load_processor(name, out, *how)
    except InputError as error:
        raise InputError(f"models.{name}.processor: {json.dumps(settings)} cannot be set: {error}") from error
    if lost := [key for key, value in on_call.items() if _given_on_call(changed, changed.tokenizer).get(key) != value]:
        raise InputError(
            f"models.{name}.processor.{lost[0]}: {type(plain).__name__} sets it on every call; leave it out"
        )


def check_known(name: str, part: Any, settings: dict[str, Any]) -> None:
    """Refuse settings that a study may not give, naming those that it may.

    Args:
        name: the model's name in the config.
        part: its image processor.
        settings: by name the values.

    Raises:
        InputError: naming the key and the allowed ones.
    """
    known = allowed(part)
    for key in settings:
        if key not in known:
            why = "is fixed by the model's weights" if key in FIXED else f"is no setting of {type(part).__name__}"
            raise InputError(f"models.{name}.processor.{key}: this {why}; it has {', '.join(known) or 'none'}")


def allowed(part: Any) -> list[str]:
    """The settings of an image processor that a study may give: size, tiling and the like, in alphabetical order."""
    from transformers.processing_utils import ImagesKwargs

    own = getattr(getattr(type(part), "valid_kwargs", None), "__annotations__", {})
    # Every image processor lists the settings of all; those that it has itself have a value, or are its family's own.
    families = own.keys() - ImagesKwargs.__annotations__.keys()
    return sorted((describe_image_processor(part)["settings"].keys() | families) - FIXED)


def _given_on_call(processor: Any, tokenizer: Any = None) -> dict[str, Any]:
    """What a processor gives to its image processor whenever it is called; with what a tokenizer's settings change."""
    if not hasattr(processor, "_merge_kwargs"):
        return {}
    merged = processor._merge_kwargs(tokenizer_init_kwargs=tokenizer.init_kwargs if tokenizer is not None else None)
    return merged["images_kwargs"]


def _within(content: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    return content | {WITHIN: content[WITHIN] | settings} if WITHIN in content else content


def _edit(file: Path, change: Any) -> None:
    if file.exists():
        content = json.loads(file.read_text(encoding="utf-8"))
        changed = change(content)
        if changed != content:
            file.write_text(json.dumps(changed, indent=2, sort_keys=True) + "\n", encoding="utf-8")
