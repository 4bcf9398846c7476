"""Load a model's processor, and hold it to the image processor that the model was registered with.

For most families transformers has two classes of image processor, one on Pillow and one on torchvision, and takes the
second unless it is asked for the first. Their pixels differ: in a picture resized by CLIP's two classes three quarters
of the values do, and a model's states differ by some thousandths. So class, backend and settings are recorded when a
model is registered, and must be the same when it is run.
"""

import json
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.models.explained import explained

# Entries of a processor's settings that only name it, and decide no pixel.
NAMES = ("image_processor_type", "processor_class", "auto_map")
# What to do about a model whose image processor has changed.
FIX = (
    "install the version of transformers that was there then, or give the model's entry another name, so that its "
    "states are made anew"
)


def load_processor(name: str, folder: str | Path, wanted: str = "auto", trust: bool = False) -> Any:
    """A family's processor, with the image processor of the wanted backend.

    Args:
        name: the model's name in the config.
        folder: of the model.
        wanted: ``pil`` or ``torchvision``; ``auto`` takes transformers' choice, torchvision's where there is one.
        trust: whether code that comes with the model may run.

    Raises:
        InputError: when the folder has no processor for pictures, a package that it needs is missing or does not load,
            or no image processor has this backend.
    """
    try:
        # Imported here because it fails if torchvision does not load.
        from transformers import AutoImageProcessor, AutoProcessor
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"models.{name}: transformers cannot load its processors ({error}); install the torchvision that belongs "
            "to this torch, as envs/requirements.txt pins them"
        ) from error
    with explained(f"models.{name}: cannot load the processor in {folder}"):
        try:
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust)
            if wanted != "auto" and _backend(processor) != wanted:
                # Loaded by itself: with `backend`, the processors of families that read videos cannot be loaded.
                processor.image_processor = AutoImageProcessor.from_pretrained(
                    folder, backend=wanted, trust_remote_code=trust
                )
        except ImportError as error:
            # Some processors need a package of their own and name it.
            raise InputError(f"models.{name}: {folder} needs a package that is not here: {error}") from error
    if not hasattr(_part(processor), "to_dict"):
        raise InputError(
            f"models.{name}: {folder} has a {type(processor).__name__}, but nothing that prepares pictures: files of "
            "its processor are missing (preprocessor_config.json or processor_config.json)"
        )
    if wanted != "auto" and (found := _backend(processor)) != wanted:
        raise InputError(
            f"models.{name}.image_processor: there is no image processor on {wanted} here, only "
            f"{type(_part(processor)).__name__}" + (f" on {found}" if found else "") + "; leave the key out"
        )
    return processor


def describe_image_processor(processor: Any) -> dict[str, Any]:
    """``class``, ``backend`` (None for a class without another one) and ``settings`` of a model's image processor."""
    part = _part(processor)
    settings = {key: value for key, value in part.to_dict().items() if key not in NAMES}
    return {
        "class": type(part).__name__,
        "backend": _backend(processor),
        "settings": json.loads(json.dumps(settings, sort_keys=True, default=str)),
    }


def left_out_of_digest(processor: Any) -> bool:
    """Whether a model's digest leaves its image processor out, so that older states stay valid.

    When torchvision was optional, a model had its class on Pillow, and its digest named none. Only processors that read
    videos, or have no class on Pillow, were on torchvision. A model that has the same today keeps its digest.
    """
    import transformers

    part, backend = _part(processor), _backend(processor)
    needs_torchvision = getattr(processor, "video_processor", None) is not None or (
        backend == "torchvision" and not hasattr(transformers, f"{type(part).__name__}Pil")
    )
    return backend is None or (backend == "torchvision") is needs_torchvision


def registered_processor(description: dict[str, Any]) -> Any:
    """The processor of a registered model, with the image processor that it was registered with.

    Packages that were installed since do not change its backend.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`.

    Raises:
        InputError: when the class, the backend or a setting differs here.
    """
    name, registered = description["model"], description.get("image_processor")
    if registered is None:
        raise InputError(
            f"models.{name}: its model.json does not say which image processor makes its pixels; delete it and run "
            "again: it is written anew"
        )
    trust = bool(description.get("trust_remote_code"))
    processor = load_processor(name, description["folder"], registered["backend"] or "auto", trust)
    found = describe_image_processor(processor)
    if (found["class"], found["backend"]) != (registered["class"], registered["backend"]):
        raise InputError(
            f"models.{name}: the image processor here is {found['class']}, but the model was registered with "
            f"{registered['class']}, which makes other pixels; {FIX}"
        )
    before, here = registered["settings"], found["settings"]
    if changed := sorted(key for key in before.keys() | here.keys() if before.get(key) != here.get(key)):
        what = ", ".join(f"{key} is {here.get(key)}, was {before.get(key)}" for key in changed)
        raise InputError(
            f"models.{name}: settings of the image processor {found['class']} differ from those that the model was "
            f"registered with: {what}; {FIX}"
        )
    return processor


def _part(processor: Any) -> Any:
    """The image processor; the processor itself if it has none of its own."""
    return getattr(processor, "image_processor", processor)


def _backend(processor: Any) -> str | None:
    return getattr(_part(processor), "backend", None)
