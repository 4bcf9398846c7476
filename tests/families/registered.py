"""The model types that transformers registers as reading pictures and text; as a program, prints them as JSON."""

import json

# It lets torchvision load beside any torch, and some configurations import that.
import layerwise  # noqa: F401


def registered() -> dict[str, str]:
    """The class of each type, by type.

    They are all types of ``AutoModelForImageTextToText``, and of ``AutoModelForMultimodalLM`` those whose configuration
    has a part for vision; the others read sound.
    """
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    )

    found = dict(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    for model_type, name in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.items():
        # Of a model that speaks too, its thinker is served, which is a type of its own.
        speaks = "thinker_config" in getattr(CONFIG_MAPPING[model_type], "sub_configs", {})
        if model_type not in found and not speaks and _sees(CONFIG_MAPPING[model_type]):
            found[model_type] = name
    return found


def _sees(config: type) -> bool:
    """Whether a class of configurations, or a part of it, has a part for vision."""
    parts = getattr(config, "sub_configs", {})
    return any("vision" in name or _sees(part) for name, part in parts.items())


if __name__ == "__main__":
    import transformers

    print(json.dumps({"version": transformers.__version__, "types": registered()}))
