"""A family that is refused at registration, and by what its processor does."""

import transformers

from tests.families.alone import TEMPLATE
from tests.families.common import Built
from tests.families.gemma import gemma3


def shieldgemma2() -> Built:
    """ShieldGemma 2, whose processor asks three questions of its own about each picture."""
    model, plain = gemma3()
    parts = model.config.to_dict()
    config = transformers.ShieldGemma2Config.from_dict({k: v for k, v in parts.items() if k != "model_type"})
    processor = transformers.ShieldGemma2Processor(
        plain.image_processor, plain.tokenizer, TEMPLATE.format(image="<boi>"), image_seq_length=16
    )
    # As it is loaded: without the head that answers yes or no.
    return transformers.AutoModelForImageTextToText.from_config(config), processor
