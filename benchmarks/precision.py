"""How far rounding moves hidden states, and how far a fault would: what the bounds of the start-up checks rest on.

Prints two Markdown tables. Each model is run in float32, bfloat16 and float16: one input at a time, in a padded batch
and over a shared prefix. The truth is one input at a time in wider arithmetic with the same weights: float64 for
float32, float32 for half precision. Then faults are made on purpose. All is compared as the checks do: the norm of a
difference over the norm of the vector, with or without the vector's largest entries, whichever is greater.

    python benchmarks/precision.py --quick              tiny models with random weights, with and without outliers
    python benchmarks/precision.py --full               also a deep one, with more texts
    python benchmarks/precision.py --model FOLDER       a model of your own; --pictures FOLDER for its pictures
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from benchmarks.trained_like import TEXTS, save_trained_like

from layerwise.models.frozen import FrozenModel, Shown
from layerwise.models.opening import open_model
from layerwise.models.prefix.packing import PackedTexts
from layerwise.models.registration import describe_model
from layerwise.states.checks import BATCH_TOLERANCE, PLACE_TOLERANCE, TOLERANCE, difference
from layerwise.states.images import read_image

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
# Of what the input that a fault moves most is moved.
HARDLY = 0.05
ERRORS = ("alone", "padded", "shared", "shared from alone", "allowed", "padded from alone", "allowed", "hooks")

States = dict[str, Tensor]


class Weights:
    """A model whose weights can be had in any precision."""

    def __init__(self, folder: Path):
        adapter = "generic" if (folder / "processor_config.json").exists() else "text"
        entry = {"source": str(folder), "weights": "pretrained", "adapter": adapter, "conversation": "auto"}
        self.model = open_model(describe_model(folder.name, entry | {"dtype": "float32"}, None, 0), "cpu")
        self._own = {name: parameter.data for name, parameter in self.model.model.named_parameters()}
        modules = self.model.model.modules()
        self._norms = [module for module in modules if type(module).__name__.endswith("RMSNorm")]

    def in_precision(self, dtype: torch.dtype, rounded_to: torch.dtype | None = None) -> FrozenModel:
        """The model in a precision, with weights that were rounded to another one before.

        What is no weight stays in float32, as when a model is loaded: the frequencies of rotary positions.
        """
        for name, parameter in self.model.model.named_parameters():
            parameter.data = self._own[name].to(rounded_to or dtype).to(dtype)
        self.model.dtype = dtype
        for norm in self._norms:
            # Their own forward pass computes in float32, whatever the weights are.
            norm.__dict__.pop("forward", None)
            if dtype == torch.float64:
                norm.forward = partial(_exact_norm, norm)
        return self.model


def _exact_norm(norm: nn.Module, hidden: Tensor) -> Tensor:
    size = hidden.square().mean(-1, keepdim=True) + norm.variance_epsilon
    return norm.weight * hidden * size.rsqrt()


@dataclass
class Ways:
    """The ways to the states of some texts about each of some pictures; all by position, shape (inputs, L + 2, width).

    Attributes:
        model: in the precision that is measured.
        images, texts: what it is shown: each text about each image.
    """

    model: FrozenModel
    images: Sequence[Shown]
    texts: Sequence[str]

    @property
    def positions(self) -> list[str]:
        """What is read."""
        return ["last"] if self.images[0] is None else ["last", "image-mean"]

    def alone(self) -> States:
        """One input at a time."""
        return self._joined(
            self.model.states([image], [text], self.positions) for image in self.images for text in self.texts
        )

    def padded(self) -> States:
        """In padded batches of all texts about an image."""
        texts = list(self.texts)
        return self._joined(self.model.states([image] * len(texts), texts, self.positions) for image in self.images)

    def shared(self) -> States:
        """Over the prefix of each image."""
        return self._joined(self.model.states_shared(image, self.texts, self.positions) for image in self.images)

    def reported(self) -> States:
        """As the family's own forward pass reports them; (inputs, L + 1, width), without the last block."""
        return self._joined(
            self.model.reported(self.model.prepare([image], [text]), self.positions)
            for image in self.images
            for text in self.texts
        )

    def _joined(self, made: Iterable[States]) -> States:
        parts = list(made)
        return {position: torch.cat([part[position] for part in parts]).double() for position in self.positions}


def later() -> AbstractContextManager:
    """Texts behind a prefix are counted from one position too late."""
    own = PackedTexts.positions.fget
    return patch.object(PackedTexts, "positions", property(lambda packed: own(packed) + 1))


def seeing_others() -> AbstractContextManager:
    """Each text sees those before it in its row."""
    own = PackedTexts.mask

    def mask(packed: PackedTexts, dtype: torch.dtype, *more: Any, **named: Any) -> Tensor:
        made = own(packed, dtype, *more, **named)
        tokens = packed.ids.shape[1]
        made[..., packed.prefix :].masked_fill_(torch.ones(tokens, tokens, dtype=torch.bool).tril(), 0)
        return made

    return patch.object(PackedTexts, "mask", mask)


def missing_one() -> AbstractContextManager:
    """Texts do not see the prefix's last token."""
    own = PackedTexts.mask

    def mask(packed: PackedTexts, dtype: torch.dtype, *more: Any, **named: Any) -> Tensor:
        made = own(packed, dtype, *more, **named)
        made[..., packed.prefix - 1] = torch.finfo(dtype).min
        return made

    return patch.object(PackedTexts, "mask", mask)


def token_before() -> AbstractContextManager:
    """The state is read at the token before the last one."""
    own = PackedTexts.ends.func

    def ends(packed: PackedTexts) -> tuple[Tensor, Tensor]:
        rows, columns = own(packed)
        return rows, (columns - 1).clamp_min(0)

    return patch.object(PackedTexts, "ends", property(ends))


FAULTS = {
    "texts one position late": later,
    "texts see one another": seeing_others,
    "a token of the prefix unseen": missing_one,
    "the token before read": token_before,
}


def unmasked(ways: Ways) -> States:
    """In padded batches whose padding is seen."""
    prepare = ways.model.prepare

    def without_mask(*given: Any) -> Any:
        prepared = prepare(*given)
        prepared["attention_mask"] = torch.ones_like(prepared["attention_mask"])
        return prepared

    with patch.object(ways.model, "prepare", without_mask):
        return ways.padded()


def block_below(alone: States) -> States:
    """The same states, with the output of the block below in the place of each block's."""
    return {
        position: torch.cat([states[:, :1], states[:, :-2], states[:, -1:]], dim=1)
        for position, states in alone.items()
    }


def furthest(states: States, expected: States) -> float:
    """The greatest difference over all inputs, layers and positions."""
    return max(float(difference(values, expected[position]).max()) for position, values in states.items())


def least_shown(wrong: States, expected: States) -> float:
    """How far a fault moves the input that it moves least, at the layer that shows it best.

    An input that it hardly moves is left out, such as the first text of a row, which has none before it.
    """
    moved = difference(wrong["last"], expected["last"]).amax(1)
    return float(moved[moved > HARDLY * moved.max()].min())


@dataclass
class Found:
    """What was measured of one model in one precision; None where it shares no prefix.

    Attributes:
        largest: the largest entry of any state.
        errors: greatest differences, in the order of :data:`ERRORS`.
        faults: by name, how far the fault moves states and what the check allows.
    """

    largest: float
    errors: list[float | None]
    faults: dict[str, tuple[float, float] | None]


def measure(weights: Weights, dtype: torch.dtype, images: Sequence[Shown], texts: Sequence[str]) -> Found:
    """Measure a model in one precision, shown each text about each image."""
    wide = torch.float64 if dtype == torch.float32 else torch.float32
    truth = Ways(weights.in_precision(wide, rounded_to=dtype), images, texts).alone()
    ways = Ways(weights.in_precision(dtype), images, texts)
    alone, padded, reported = ways.alone(), ways.padded(), ways.reported()
    shared = ways.shared() if ways.model.shares_prefix else None
    read = {position: torch.cat([states[:, :-2], states[:, -1:]], dim=1) for position, states in alone.items()}
    sharing, batches = TOLERANCE[dtype], BATCH_TOLERANCE[dtype]
    errors = [
        furthest(alone, truth),
        furthest(padded, truth),
        None if shared is None else furthest(shared, truth),
        None if shared is None else furthest(shared, alone),
        None if shared is None else sharing,
        furthest(padded, alone),
        batches,
        furthest(read, reported),
    ]
    faults: dict[str, tuple[float, float] | None] = dict.fromkeys(FAULTS)
    if shared is not None:
        for name, fault in FAULTS.items():
            with fault():
                faults[name] = least_shown(ways.shared(), alone), sharing
    faults["padding seen"] = least_shown(unmasked(ways), alone), batches
    faults["the block below read"] = least_shown(block_below(alone), alone), PLACE_TOLERANCE[dtype]
    return Found(max(float(states.abs().max()) for states in alone.values()), errors, faults)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--model", type=Path, nargs="+", default=[], help="folders, as save_pretrained writes them")
    parser.add_argument("--pictures", type=Path, help="a folder of JPEG files; default: noise")
    parser.add_argument("--images", type=int, default=2, help="how many of them")
    parser.add_argument("--texts", type=int, default=3, help="how many texts about each")
    parser.add_argument("--precision", nargs="+", default=list(map(name_of, PRECISIONS)), help="default: all three")
    args = parser.parse_args()
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    images = [Image.fromarray(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(args.images)]
    if args.pictures:
        images = [read_image(str(file)) for file in sorted(args.pictures.glob("*.jpg"))[: args.images]]
    rows = []
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        folders = {folder.name: folder for folder in args.model} or tiny(temporary, args.full)
        for name, folder in folders.items():
            weights = Weights(folder)
            shown = images if weights.model.shares_prefix else [None]
            for dtype in PRECISIONS:
                if name_of(dtype) in args.precision:
                    found = measure(weights, dtype, shown, TEXTS[: args.texts])
                    rows.append((f"{name} | {name_of(dtype)}", found))
                    print(f"{name} in {name_of(dtype)}: measured", file=sys.stderr)
    print_tables(rows)


def tiny(temporary: str, full: bool) -> dict[str, Path]:
    """Tiny models with random weights, written to a folder."""
    wanted = [("random, 6 blocks", False, 6), ("outliers, 6 blocks", True, 6)]
    wanted += [("outliers, 30 blocks", True, 30)] if full else []
    folders = {}
    for i, (name, outliers, blocks) in enumerate(wanted):
        folders[name] = Path(temporary) / str(i)
        save_trained_like(folders[name], outliers, blocks)
    return folders


def name_of(dtype: torch.dtype) -> str:
    """Such as float32."""
    return str(dtype).removeprefix("torch.")


def print_tables(rows: Sequence[tuple[str, Found]]) -> None:
    """Errors by model and precision, then faults."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.0e}"

    print("| model | precision | largest entry | " + " | ".join(ERRORS) + " |")
    print("| --- | --- " + "| ---: " * (1 + len(ERRORS)) + "|")
    for name, found in rows:
        print(f"| {name} | {found.largest:.0f} | " + " | ".join(map(number, found.errors)) + " |")
    names = list(rows[0][1].faults)
    print("\nFaults, in brackets as a multiple of what the check allows if batches show no rounding:\n")
    print("| model | precision | " + " | ".join(names) + " |")
    print("| --- | --- " + "| ---: " * len(names) + "|")
    for name, found in rows:
        cells = (found.faults[fault] for fault in names)
        shown = ("-" if cell is None else f"{cell[0]:.0e} ({cell[0] / cell[1]:.1g} x)" for cell in cells)
        print(f"| {name} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
