"""Hidden states of a 7B LLaVA: the ways to the same states, for several numbers of texts per image."""

import torch
from extraction import Ways

from gpu import operations
from gpu.card import Card
from gpu.results import Results
from gpu.several import SeveralImages, on_host
from gpu.timing import in_turns
from layerwise.models.memory import Room

TEXTS, IMAGES, CHUNKS = (1, 2, 5, 18, 80), (1, 2, 4, 8), (10, 20, 40, 80)
# A usual number of questions about an image.
USUAL = 18


def run(card: Card, results: Results) -> None:
    """All tables."""
    texts = (1, 3) if card.small else TEXTS
    _by_texts(card, results, texts)
    _by_images(card, results, (1, 2) if card.small else IMAGES, texts[-1] if card.small else USUAL)
    _by_chunk(card, results, (1, 3) if card.small else CHUNKS, texts[-1])


def _by_texts(card: Card, results: Results, numbers: tuple[int, ...]) -> None:
    shape = card.shape
    results.line(
        "Milliseconds per text. `shared` begins with inputs on the host and ends with states on the host, and runs as "
        f"many images at once as a run does, of {card.model.images_at_once} that it is given; `one image` runs one. "
        "Shares of the peak count the operations that each way needs."
    )
    results.table(
        *("texts per image", "alone ms", "padded ms", "one image ms", "shared ms", "pure ms", "shared tokens/s"),
        "of pure",
        *("speed-up", "shared TFLOP/s", "of measured peak", "of datasheet", "pure of peak", "alone of peak"),
        *("shared GiB", "spread"),
    )
    for texts in numbers:
        ways = Ways(card.model, shape, texts)
        group, several = on_host(ways), SeveralImages(ways, card.model.images_at_once)
        runs = {
            "alone": ways.alone,
            "padded": ways.padded,
            "one image": lambda group=group: card.model.run_shared(group, ["last"]),
            "shared": several.shared,
            "pure": ways.pure,
        }
        with torch.inference_mode():
            timings = in_turns(runs, card.rounds)
        scale = {"alone": ways.scale, "padded": ways.scale, "shared": 1 / several.images}
        seconds = {name: timing.median * scale.get(name, 1) for name, timing in timings.items()}
        sizes = sizes_of(ways)
        needed = operations.prefix(shape, ways.prefix) + operations.texts(shape, ways.prefix, sizes)
        rate, of_peak, of_datasheet = card.shares(needed, seconds["shared"])
        of_pure = card.shares(operations.in_a_row(shape, ways.prefix, sizes), seconds["pure"])[1]
        of_alone = card.shares(operations.alone(shape, ways.prefix, sizes), seconds["alone"])[1]
        tokens = ways.prefix + sum(sizes)
        shared = timings["shared"]
        results.row(
            [
                f"{texts}",
                *(f"{1e3 * seconds[name] / texts:.2f}" for name in runs),
                f"{tokens / seconds['shared']:,.0f}",
                f"{seconds['pure'] / seconds['shared']:.2f}",
                f"{seconds['alone'] / seconds['shared']:.1f}",
                *(f"{rate:.0f}", f"{of_peak:.2f}", f"{of_datasheet:.2f}", f"{of_pure:.2f}", f"{of_alone:.2f}"),
                *(f"{shared.gib:.1f}", f"{shared.spread:.2f}"),
            ],
            what="texts",
            texts=texts,
            prefix=ways.prefix,
            tokens=tokens,
            seconds=seconds,
            runs={name: timing.seconds for name, timing in timings.items()},
            operations=needed,
            gib={name: timing.gib for name, timing in timings.items()},
        )


def _by_images(card: Card, results: Results, numbers: tuple[int, ...], texts: int) -> None:
    results.line(
        f"\nSeveral images at once, {texts} texts each. Milliseconds per image. *in a run*: of so many images, as many "
        "at once as a run chooses. *differs*: the states of the first image from those that it has alone."
    )
    results.table(
        *("images", "at once ms", "in a run ms", "pure ms", "at once tokens/s", "at once of peak", "pure of peak"),
        *("GiB", "differs"),
    )
    shape = card.shape
    ways = Ways(card.model, shape, texts)
    expected = card.model.run_shared(on_host(ways), ["last"])["last"]
    for images in numbers:
        several = SeveralImages(ways, images)
        difference = float((several.shared_at_once()[0]["last"] - expected).norm() / expected.norm())
        runs = {"at once": several.shared_at_once, "in a run": several.shared, "pure": several.pure}
        timings = in_turns(runs, card.rounds)
        shared, in_a_run, pure = (timings[name].median for name in runs)
        sizes = sizes_of(ways)
        needed = operations.prefix(shape, ways.prefix) + operations.texts(shape, ways.prefix, sizes)
        of_pure = card.shares(images * operations.in_a_row(shape, ways.prefix, sizes), pure)[1]
        results.row(
            [
                f"{images}",
                *(f"{1e3 * seconds / images:.2f}" for seconds in (shared, in_a_run, pure)),
                f"{several.row.numel() / shared:,.0f}",
                *(f"{card.shares(images * needed, shared)[1]:.2f}", f"{of_pure:.2f}"),
                *(f"{timings['at once'].gib:.1f}", f"{difference:.1e}"),
            ],
            what="images",
            images=images,
            texts=texts,
            shared=shared,
            in_a_run=in_a_run,
            pure=pure,
            difference=difference,
        )


def _by_chunk(card: Card, results: Results, sizes: tuple[int, ...], texts: int) -> None:
    results.line(f"\nTexts packed in a row, of {texts} texts per image. Milliseconds per image.")
    results.table("texts in a row", "shared ms", "GiB")
    group = on_host(Ways(card.model, card.shape, texts))
    own = card.model.room
    try:
        for size in sizes:
            card.model.room = Room(size, own.what)
            timing = in_turns({"shared": lambda: card.model.run_shared(group, ["last"])}, card.rounds)["shared"]
            cells = [f"{size}", f"{1e3 * timing.median:.1f}", f"{timing.gib:.1f}"]
            results.row(cells, what="chunk", size=size, texts=texts, seconds=timing.seconds, gib=timing.gib)
    finally:
        card.model.room = own


def sizes_of(ways: Ways) -> list[int]:
    """Tokens of each text behind the prefix that all share."""
    return [len(ids) - ways.prefix for ids in ways.ids]
