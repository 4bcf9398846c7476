"""Whether CUDA graphs and compiled modules would speed up the shared prefix."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from extraction import Ways
from torch import Tensor, nn

from gpu.card import Card
from gpu.extraction import USUAL
from gpu.fixed_shapes import BUCKET, FixedShapes, Recorded
from gpu.results import Results
from gpu.several import on_host
from gpu.timing import in_turns, on_card

TEXTS = (USUAL, 5, 80)


def run(card: Card, results: Results) -> None:
    """The project's way, the same stages with fixed shapes, as a CUDA graph, compiled, and as a graph of that."""
    results.line(
        f"From inputs on the host to states on the host. *fixed*: texts padded to a multiple of {BUCKET} tokens, masks "
        "made once, one cache for all images. *graph*: the same, recorded once as a CUDA graph. *compiled*: *fixed* "
        "with MLPs and norms by torch.compile. *record s*: what a shape costs before its first run."
    )
    results.table("texts", "way", "ms per image", "speed-up", "tokens/s", "GiB", "record s", "differs from shared by")
    for texts in (3,) if card.small else TEXTS:
        with torch.inference_mode():
            _compare(card, results, texts)


def _compare(card: Card, results: Results, texts: int) -> None:
    model, ways = card.model, Ways(card.model, card.shape, texts)
    group = on_host(ways)
    fixed, compiled = FixedShapes(ways, group), CompiledModules(model.blocks)

    def through(whole: Callable[[], Tensor]) -> Tensor:
        fixed.take(group)
        return whole().cpu()

    def with_compiled() -> Tensor:
        with compiled.used():
            return through(fixed.whole)

    ready: dict[str, Callable[[], Tensor]] = {
        "shared": lambda: model.run_shared(group, ["last"])["last"],
        "fixed": lambda: through(fixed.whole),
    }
    recording = dict.fromkeys(ready, 0.0)
    failed: dict[str, str] = {}
    expected = ready["shared"]().float()

    def prepare(name: str, make: Callable[[], Callable[[], Tensor]]) -> None:
        began = time.perf_counter()
        try:
            way = make()
            way()
        except Exception as error:
            # One way that a card or a release of torch refuses must not hide the others.
            failed[name] = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            return
        ready[name], recording[name] = way, time.perf_counter() - began

    def recorded() -> Callable[[], Tensor]:
        graph = Recorded(fixed.whole)
        return lambda: through(graph)

    def recorded_of_compiled() -> Callable[[], Tensor]:
        with compiled.used():
            graph = Recorded(fixed.whole)
        return lambda: through(graph)

    prepare("graph", recorded)
    prepare("compiled", lambda: with_compiled)
    prepare("graph of compiled", recorded_of_compiled)
    differences = {name: float((way().float() - expected).norm() / expected.norm()) for name, way in ready.items()}
    timings = in_turns(ready, card.rounds)
    base, tokens = timings["shared"].median, ways.prefix + sum(len(ids) - ways.prefix for ids in ways.ids)
    for name, timing in timings.items():
        results.row(
            [
                *(f"{texts}", name, f"{1e3 * timing.median:.2f}", f"{base / timing.median:.2f}"),
                *(f"{tokens / timing.median:,.0f}", f"{timing.gib:.1f}", f"{recording[name]:.1f}"),
                f"{differences[name]:.1e}",
            ],
            what="way",
            texts=texts,
            way=name,
            seconds=timing.seconds,
            gib=timing.gib,
            recording=recording[name],
            difference=differences[name],
        )
    for name, why in failed.items():
        results.row([f"{texts}", name, f"failed: {why}", "", "", "", "", ""], what="failed", way=name, why=why)


class CompiledModules:
    """The MLPs and norms of some blocks, compiled; used only where asked for."""

    def __init__(self, blocks: Sequence[nn.Module]):
        self.modules = [part for block in blocks for part in (block.mlp, block.input_layernorm)]
        self.modules += [block.post_attention_layernorm for block in blocks]
        self.compiled = []
        for module in self.modules:
            # Without a GPU only the tracing is tried: a compiler may be missing.
            module.compile(dynamic=False, backend="inductor" if on_card() else "eager")
            self.compiled.append(module._compiled_call_impl)
            module._compiled_call_impl = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """The compiled modules take the place of the plain ones."""
        for module, compiled in zip(self.modules, self.compiled, strict=True):
            module._compiled_call_impl = compiled
        try:
            yield
        finally:
            for module in self.modules:
                module._compiled_call_impl = None
