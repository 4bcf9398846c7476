"""What torch.compile makes of a whole decoder: one forward pass of fixed shape, without hooks or a cache."""

import time

import torch
from extraction import Ways

from gpu.card import Card
from gpu.extraction import USUAL
from gpu.results import Results
from gpu.timing import in_turns, on_card


def run(card: Card, results: Results) -> None:
    """Compile the decoder and compare."""
    texts = 3 if card.small else USUAL
    ways, decoder = Ways(card.model, card.shape, texts), card.model.decoder
    tokens = ways.prefix + sum(len(ids) - ways.prefix for ids in ways.ids)
    with torch.inference_mode():
        embedded = torch.randn(1, tokens, card.shape.width, device=card.device, dtype=card.dtype)

        def plain() -> torch.Tensor:
            return decoder(inputs_embeds=embedded, use_cache=False).last_hidden_state

        compiled = torch.compile(plain, dynamic=False, backend="inductor" if on_card() else "eager")
        expected, began = plain(), time.perf_counter()
        found = compiled()
        seconds = time.perf_counter() - began
        difference = float((found - expected).float().norm() / expected.float().norm())
        timings = in_turns({"plain": plain, "compiled": compiled}, card.rounds)
    results.line(
        f"The decoder's forward pass over {tokens} tokens. Compiling took {seconds:.0f} s; outputs differ by "
        f"{difference:.1e}."
    )
    results.table("decoder", "ms", "speed-up")
    for name, timing in timings.items():
        cells = [name, f"{1e3 * timing.median:.2f}", f"{timings['plain'].median / timing.median:.2f}"]
        results.row(cells, what=name, seconds=timing.seconds, compiling=seconds, difference=difference)
