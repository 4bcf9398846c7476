"""Where the time of the shared prefix goes: stages, kinds of kernels, and the time in which the GPU waits."""

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from extraction import Ways
from torch.profiler import ProfilerActivity, profile
from transformers.cache_utils import DynamicCache

from gpu.card import Card
from gpu.extraction import USUAL
from gpu.results import Results
from gpu.several import SeveralImages, on_host
from gpu.timing import on_card, synchronise
from layerwise.models.frozen import read_layers
from layerwise.models.prefix.cache import prefix_cache
from layerwise.models.prefix.packing import PackedTexts
from layerwise.models.prefix.together import joined

# The first that matches a kernel's name decides.
KINDS = {
    "attention": re.compile(r"flash|fmha|sdpa|attention|softmax", re.I),
    "matrix products": re.compile(r"gemm|nvjet|cutlass|cublas|xmma|splitk|gemv|mm$|matmul|linear", re.I),
    "copies": re.compile(r"memcpy|memset|copy|cat", re.I),
}
WAITS = re.compile(r"cuda(Stream|Device|Event)Synchronize")


@dataclass(frozen=True)
class Profile:
    """The device's side of a run.

    Attributes:
        busy: seconds in which at least one kernel ran.
        share: of the kernels' seconds, by kind.
        kernels: how many ran.
        waits: how often the host waited for the device.
        longest: seconds by kernel's name.
    """

    busy: float
    share: dict[str, float]
    kernels: float
    waits: float
    longest: Counter[str]


def run(card: Card, results: Results) -> None:
    """Stages in time, then kernels of the whole run."""
    texts = 3 if card.small else USUAL
    stages = _stages(card, texts)
    results.line(
        f"{texts} texts per image, milliseconds. *host*: until the call returns, with an idle card before it. "
        "*busy*: in which at least one kernel ran. In a stage without waits whose *host* is about its *wall*, starting "
        "kernels takes longer than running them."
    )
    results.table(
        *("stage", "wall", "host", "busy", "busy of wall", "kernels", "host waits"),
        *("matrix products", "attention", "copies", "other"),
    )
    longest: dict[str, Counter[str]] = {}
    with torch.inference_mode():
        for name, stage in stages.items():
            wall, host = _times(stage, card.rounds)
            found = profiled(stage)
            longest[name] = found.longest
            results.row(
                [
                    name,
                    *(f"{1e3 * wall:.2f}", f"{1e3 * host:.2f}", f"{1e3 * found.busy:.2f}", f"{found.busy / wall:.2f}"),
                    *(f"{found.kernels:.0f}", f"{found.waits:.0f}"),
                    *(f"{100 * share:.0f} %" for share in found.share.values()),
                ],
                what="stage",
                stage=name,
                wall=wall,
                host=host,
                busy=found.busy,
                kernels=found.kernels,
                waits=found.waits,
                share=found.share,
            )
    results.line("\nThe longest kernels of a whole run:\n")
    for kernel, seconds in longest["whole run"].most_common(6):
        results.line(f"- {1e3 * seconds:.2f} ms: `{kernel[:100]}`")
    for name, kernels in longest.items():
        results.record(what="kernels", stage=name, seconds=dict(kernels.most_common(25)))


def _stages(card: Card, texts: int) -> dict[str, Callable[[], object]]:
    model, ways = card.model, Ways(card.model, card.shape, texts)
    host, several = on_host(ways), SeveralImages(ways, model.images_at_once)
    group = joined([host]).to(model.device, model.dtype)
    with torch.inference_mode():
        cache = DynamicCache()
        model.forward(**group.prefix, past_key_values=cache, use_cache=True)
        kept = list(cache.layers)
        length, (rests,) = group.prefix["input_ids"].shape[1], group.rests
        lengths = torch.tensor([[len(rest) for rest in rests]])
        packed = PackedTexts(torch.cat(rests)[None].to(model.device), lengths, length, length)
        over = prefix_cache(_of(kept), packed.ids.shape[1])
        ends = packed.ends
        with read_layers(model.blocks, model.final_norm, {"last": lambda hidden: hidden[ends]}) as readings:
            model.continue_texts(packed, over)

    def packed_texts() -> None:
        with read_layers(model.blocks, model.final_norm, {"last": lambda hidden: hidden[ends]}):
            model.continue_texts(packed, over)

    return {
        "inputs to the card": lambda: joined([host]).to(model.device, model.dtype),
        "vision tower, projector": lambda: model.model.base_model.get_image_features(ways.pixels),
        "tower and prefix": lambda: model.forward(**group.prefix, past_key_values=DynamicCache(), use_cache=True),
        "room behind the prefix": lambda: prefix_cache(_of(kept), packed.ids.shape[1]),
        "packed texts": packed_texts,
        "states to the host": readings.stacked,
        "whole run": lambda: model.run_shared(host, ["last"]),
        "pure forward": ways.pure,
        f"whole run of {several.images} images": several.shared,
    }


def _of(layers: list) -> DynamicCache:
    """A cache of these layers, which ``prefix_cache`` empties without changing the list."""
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


def _times(stage: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians of the seconds until the device has finished, and until the call returns."""
    wall, host = [], []
    for turn in range(rounds + 1):
        synchronise()
        start = time.perf_counter()
        stage()
        returned = time.perf_counter()
        synchronise()
        # The first turn warms up.
        if turn:
            wall.append(time.perf_counter() - start)
            host.append(returned - start)
    return statistics.median(wall), statistics.median(host)


def profiled(run: Callable[[], object], times: int = 3) -> Profile:
    """Profile some runs after a warm-up; numbers are per run."""
    run()
    synchronise()
    # Without a GPU the operations of the host stand in for kernels, to try the program.
    with profile(activities=[ProfilerActivity.CUDA if on_card() else ProfilerActivity.CPU]) as profiler:
        for _ in range(times):
            run()
        synchronise()
    device = torch.autograd.DeviceType.CUDA if on_card() else torch.autograd.DeviceType.CPU
    events = profiler.events()
    kernels = [event for event in events if event.device_type == device]
    longest: Counter[str] = Counter()
    for event in kernels:
        longest[event.name] += (event.time_range.end - event.time_range.start) / 1e6 / times
    share = dict.fromkeys(["matrix products", "attention", "copies", "other"], 0.0)
    for name, seconds in longest.items():
        kind = next((kind for kind, pattern in KINDS.items() if pattern.search(name)), "other")
        share[kind] += seconds
    total = sum(share.values()) or float("nan")
    return Profile(
        busy=_union([(event.time_range.start, event.time_range.end) for event in kernels]) / 1e6 / times,
        share={kind: seconds / total for kind, seconds in share.items()},
        kernels=len(kernels) / times,
        # The last one is the wait above.
        waits=(sum(bool(WAITS.search(event.name)) for event in events) - 1) / times if on_card() else 0,
        longest=longest,
    )


def _union(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
