"""Write a trained model's folder atomically: a reader sees all of it or nothing."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from transformers import LlavaForConditionalGeneration, LlavaProcessor


def save_model(
    folder: Path, model: LlavaForConditionalGeneration, processor: LlavaProcessor, evaluation: Mapping[str, object]
) -> None:
    """Write weights (safetensors), configuration, processor and ``evaluation.json`` to ``folder``.

    They are written under a temporary name and renamed; an existing folder is replaced.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    try:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        (partial / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
        for path in partial.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        if folder.exists():
            os.replace(folder, old)  # a folder can only be renamed to the name of an empty one
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
