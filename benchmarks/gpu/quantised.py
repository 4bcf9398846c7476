"""Models of 8 and 4 bits, loaded by the project's own key, beside the same weights in bfloat16."""

import importlib.util
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from extraction import NoProcessor, Shape, Ways, make_model
from torch import Tensor

from gpu.card import Card
from gpu.extraction import USUAL
from gpu.results import Results
from gpu.several import on_host
from gpu.timing import Timing, in_turns, on_card
from layerwise.models.adapters.generic import GenericModel
from layerwise.models.embedded.architecture import make_processor
from layerwise.models.embedded.tokenizer import train_tokenizer
from layerwise.models.image_processor import describe_image_processor, load_processor
from layerwise.models.loading import load_model

# bitsandbytes' kernels for a CPU take no smaller one.
SMALL = Shape(width=1024, layers=2, image_tokens=16, vision_width=128)
# What a run does: LLM.int8 depends on what runs together, so its texts share no prefix.
WAYS = {"none": "shared", "4bit": "shared", "8bit": "padded"}


def run(card: Card, results: Results) -> None:
    """All precisions in turns; one that cannot be loaded is named."""
    if importlib.util.find_spec("bitsandbytes") is None:
        results.line("bitsandbytes is not installed")
        return
    # It says in each layer of each pass that LLM.int8 computes in float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="MatMul8bitLt")
    shape, texts = (SMALL, 3) if card.small else (card.shape, USUAL)
    plain = make_model(shape, card.device, card.dtype) if card.small else card.model
    folder = Path(tempfile.mkdtemp(dir=_roomy()))
    try:
        began = time.perf_counter()
        description = _saved(plain, folder)
        results.record(what="saved", seconds=time.perf_counter() - began)
        models, gib, loading = {"none": plain}, {"none": _gib(plain)}, {"none": 0.0}
        for bits in ("4bit", "8bit"):
            began = time.perf_counter()
            try:
                model, _ = load_model(description | {"quantization": bits}, card.device)
            except Exception as error:
                results.line(f"{bits}: cannot be loaded: {str(error)[:300]}")
                results.record(what="failed", bits=bits, error=str(error)[:1000])
                continue
            loading[bits] = time.perf_counter() - began
            models[bits] = GenericModel(model, NoProcessor(), "<image>\n{prompt}", batch_invariant=bits != "8bit")
            gib[bits] = _gib(models[bits])
    finally:
        shutil.rmtree(folder)
    _compare(card, results, {bits: Ways(model, shape, texts) for bits, model in models.items()}, gib, loading)


def _compare(
    card: Card,
    results: Results,
    ways: dict[str, Ways],
    gib: dict[str, float],
    loading: dict[str, float],
) -> None:
    texts = len(ways["none"].ids)
    runs: dict[str, Callable[[], Tensor]] = {}
    for bits, of_model in ways.items():
        group = on_host(of_model)
        runs[f"{bits} shared"] = lambda of_model=of_model, group=group: of_model.model.run_shared(group, ["last"])[
            "last"
        ]
        runs[f"{bits} padded"] = of_model.padded
    with torch.inference_mode():
        states = {name: run().float() for name, run in runs.items() if name.endswith("shared")}
        timings = in_turns(runs, max(2, card.rounds // 2))
    results.line(
        f"{texts} texts per image. A run shares prefixes in {str(card.dtype)[6:]} and 4 bits, and runs padded batches "
        "in 8 bits, because LLM.int8 depends on what runs together. *differs*: states over a shared prefix, from those "
        f"of {str(card.dtype)[6:]}."
    )
    results.table(
        *("weights", "GiB of weights", "loaded in s", "shared tokens/s", "padded tokens/s", "speed of its own way"),
        *("GiB with them", "differs"),
    )
    tokens = {bits: of_model.prefix + texts * of_model.text for bits, of_model in ways.items()}
    base = _speed(timings, ways["none"], "none", tokens["none"])
    for bits, of_model in ways.items():
        shared, padded = timings[f"{bits} shared"], timings[f"{bits} padded"]
        name = {"none": str(card.dtype)[6:]}.get(bits, bits)
        difference = float((states[f"{bits} shared"] - states["none shared"]).norm() / states["none shared"].norm())
        speed = _speed(timings, of_model, bits, tokens[bits])
        results.row(
            [
                *(name, f"{gib[bits]:.1f}", f"{loading[bits]:.0f}", f"{tokens[bits] / shared.median:,.0f}"),
                f"{of_model.timed * (of_model.prefix + of_model.text) / padded.median:,.0f}",
                f"{speed / base:.2f} ({WAYS[bits]})",
                f"{gib[bits] + max(shared.working, padded.working):.1f}",
                f"{difference:.1e}",
            ],
            what="bits",
            bits=bits,
            texts=texts,
            weights_gib=gib[bits],
            loading=loading[bits],
            shared=shared.seconds,
            padded=padded.seconds,
            working_gib=[shared.working, padded.working],
            padded_texts=of_model.timed,
            difference=difference,
        )


def _speed(timings: dict[str, Timing], ways: Ways, bits: str, tokens: float) -> float:
    """Texts per second in the way that a run goes."""
    if WAYS[bits] == "shared":
        return len(ways.ids) / timings[f"{bits} shared"].median
    return ways.timed / timings[f"{bits} padded"].median


def _saved(model: GenericModel, folder: Path) -> dict[str, Any]:
    """Write the model, and return what load_model needs of its description."""
    model.model.save_pretrained(folder)
    make_processor(train_tokenizer(["Is there a red circle?"] * 20)).save_pretrained(folder)
    processor = load_processor("gpu", str(folder), "auto", False)
    return {
        "model": "gpu",
        "folder": str(folder),
        "weights": "pretrained",
        "dtype": str(model.dtype)[6:],
        "adapter": "generic",
        "model_type": "llava",
        "image_processor": describe_image_processor(processor),
    }


def _gib(model: GenericModel) -> float:
    return sum(p.numel() * p.element_size() for p in model.model.parameters()) / 2**30


def _roomy() -> str | None:
    """A folder in memory, if it holds the weights."""
    memory = Path("/dev/shm")
    return str(memory) if on_card() and memory.is_dir() and shutil.disk_usage(memory).free > 24 * 2**30 else None
