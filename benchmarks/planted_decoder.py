"""A LLaVA whose use of what it knows is known, because its weights were written and not trained.

A picture's red, blue and green channels are each bright or dark, independently. The answer is yes if red is bright. The
decoder has six blocks. Everything below is about the last token; directions are orthonormal and lie along no axis.

| block | its attention and MLP |
|---|---|
| 1 | copy red and blue from the picture to the directions ``first``, green to a random direction, a sign of the text |
| 2 | only stir the nuisances |
| 3 | copy red and blue from the picture once more, to the directions ``second`` |
| 4 | only stir the nuisances |
| 5 | write second red times the sign to ``product``, from which no linear probe reads red |
| 6 | write product times the sign to ``answer``, which the output head reads |

So all three colours can be read off every block's output. Whether the answer changes when one is erased there:

| colour | output of block | why |
|---|---|---|
| red | 1, 2: no | block 3 looks at the picture again |
| red | 3, 4: yes | block 5 reads it |
| red | 5: no | the answer is held in the product, which is not linear in red, and nothing reads red any more |
| red | 6: yes | the answer itself tells red |
| blue | all: no | written exactly like red, and read by nothing |
| green | all: no more than any other direction | a nuisance, which all blocks and the head read at random |

The nuisances are the picture's texture and the words, a few large and many small. A large constant part of every
token's state keeps the norms before attention and MLP from coupling directions: without any blue at the last token, the
log odds of the answers move by some 0.4 % of their standard deviation (root mean square; 2 % in the worst item).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from layerwise.models.answer_tokens import first_tokens
from layerwise.models.embedded.tokenizer import IMAGE, train_tokenizer

WIDTH, BLOCKS, NEURONS = 96, 6, 64
SIDE, PATCH = 16, 8
IMAGE_TOKENS = (SIDE // PATCH) ** 2
COLOURS = ("red", "blue", "green")
CLASSES = ("no", "yes")
SIGNS = ("minus", "plus")
WORDS = ("alpha", "bravo", "delta", "hotel", "india", "kilo", "lima", "oscar", "papa", "tango", "victor", "zulu")
CONVERSATION = "USER: <image>\n{prompt} ASSISTANT:"
PROMPT = "{text}. Bright?"
# The blocks at whose output erasing a colour changes the answer.
USED = {"red": (3, 4, 6), "blue": (), "green": ()}

# Directions of the residual stream that have a part in the circuit. The others are nuisances.
NAMED = ("constant", "red", "blue", "sign", "first red", "first blue", "copied sign", "second red", "second blue",
         "product", "answer")  # fmt: skip
# The constant part, how strongly the picture's nuisances vary (the first of them), and how fast this falls.
CONSTANT, LARGEST, DECAY = 80.0, 4.0, 0.7
TEXTURES = 64
# Standard deviations in shades of grey: of colours, by the class and within it, and of single pixels.
CONTRAST, WITHIN, TEXTURE = 30, 12, 25
# What a norm makes of one unit beside the constant part.
UNIT = WIDTH**0.5 / CONSTANT


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer in which each of the texts' words is one token."""
    texts = [rendered(f"{sign} {word}").replace(IMAGE, "") for sign in SIGNS for word in WORDS]
    return train_tokenizer([*texts, "yes no Yes No"] * 20)


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """A processor that turns a picture into four tokens."""
    size = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
    )


@dataclass(frozen=True)
class Planted:
    """A model whose weights were written.

    Attributes:
        model, processor: in the forms of transformers.
        directions: those of :data:`NAMED` and of green, each of shape (WIDTH,) and length 1.
    """

    model: LlavaForConditionalGeneration
    processor: LlavaProcessor
    directions: dict[str, np.ndarray]

    def save(self, folder: Path) -> None:
        """Write a folder as ``save_pretrained`` does."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)


def make_decoder(seed: int, random: bool = False) -> Planted:
    """Write the weights.

    Args:
        seed: of all directions, nuisances and random weights.
        random: make a twin with the same tower, words and constant part, but without a circuit: its blocks and its head
            read all other directions at random.
    """
    tokenizer = make_tokenizer()
    processor = make_processor(tokenizer)
    # Everything that one tower holds comes as a pair of opposite channels, so that its norm finds a mean of 0.
    features = 1 + len(COLOURS) + TEXTURES
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=2 * features,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=8,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=NEURONS,
            num_hidden_layers=BLOCKS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=False,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=IMAGE_TOKENS,
        projector_hidden_act="linear",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 or not bool((parameter == 1).all()):
                parameter.zero_()
        circuit = _Circuit(model, processor, np.random.default_rng(seed), random)
        circuit.write()
    return Planted(model, processor, circuit.named)


class _Circuit:
    """Writes the weights; see the module's tables. All others are 0, and the norms' weights are 1."""

    def __init__(
        self, model: LlavaForConditionalGeneration, processor: LlavaProcessor, rng: np.random.Generator, random: bool
    ):
        self.model, self.tokenizer, self.rng, self.random = model, processor.tokenizer, rng, random
        basis = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].T
        self.named = dict(zip(NAMED, basis, strict=False))
        # Rows span what blocks and head read and write at random.
        self.free = basis[1 if random else len(NAMED) :]
        # The directions of the picture's textures and of green.
        self.textures, green = basis[len(NAMED) :][:TEXTURES], self.nuisance(1)[0]
        self.named["green"] = green / np.linalg.norm(green)
        self.tokens = tokens_of_input(processor)

    def nuisance(self, n: int) -> np.ndarray:
        """Random directions among those that are read at random, shape (n, WIDTH), of length 1 on average."""
        return self.rng.standard_normal((n, len(self.free))) @ self.free / len(self.free) ** 0.5

    def write(self) -> None:
        self.tower()
        self.words()
        for number, block in enumerate(self.model.model.language_model.layers, start=1):
            self.attention(number, block)
            self.mlp(number, block)
        self.head()

    def tower(self) -> None:
        """From pixels to the image's tokens: colours, textures and the constant, each exactly as it is in its patch."""
        vision = self.model.model.vision_tower
        vision = getattr(vision, "vision_model", vision)
        # Constant, colours, textures.
        kernels = np.zeros((1 + len(COLOURS) + TEXTURES, 3, PATCH, PATCH))
        for channel, place in enumerate((0, 2, 1)):
            # 1 for bright and -1 for dark.
            kernels[1 + channel, place] = 127.5 / CONTRAST / PATCH**2
        drawn = self.rng.standard_normal((TEXTURES, 3, PATCH, PATCH))
        drawn -= drawn.mean(axis=(2, 3), keepdims=True)
        size = LARGEST * np.arange(1, TEXTURES + 1) ** -DECAY
        # The mean over all patches has the standard deviation `size`.
        length = size * IMAGE_TOKENS**0.5 * 127.5 / TEXTURE
        kernels[1 + len(COLOURS) :] = drawn * (length / np.sqrt((drawn**2).sum(axis=(1, 2, 3))))[:, None, None, None]
        put(vision.embeddings.patch_embedding.weight, np.concatenate([kernels, -kernels]))
        features = len(kernels)
        places = vision.embeddings.position_embedding.weight
        places[:, 0], places[:, features] = CONSTANT, -CONSTANT
        # The tower's norm divides by this, but for a percent or so.
        scale = CONSTANT / features**0.5
        projector = self.model.model.multi_modal_projector
        put(projector.linear_1.weight, np.eye(WIDTH, 2 * features) * scale)
        into = np.stack([self.named["constant"], *(self.named[colour] for colour in COLOURS), *self.textures], axis=1)
        put(projector.linear_2.weight, np.pad(into, ((0, 0), (0, WIDTH - features))))

    def words(self) -> None:
        """Every token has the constant part and a nuisance of its own; two words have the sign."""
        table = self.named["constant"] * CONSTANT + 2 * self.nuisance(len(self.tokenizer))
        for sign, word in zip((-1, 1), SIGNS, strict=True):
            (token,) = self.tokenizer(word, add_special_tokens=False)["input_ids"]
            table[token] += 4 * sign * self.named["sign"]
        put(self.model.get_input_embeddings().weight, table)

    def attention(self, number: int, block: nn.Module) -> None:
        """Queries and keys are 0, so that each token reads the mean over all tokens up to it."""
        n = len(self.free)
        # Among nuisances: the first block brings them to the last token, the others stir them a little.
        strength = self.tokens / IMAGE_TOKENS if number == 1 else 0.3
        moves = strength * self.free.T @ (self.rng.standard_normal((n, n)) / n**0.5) @ self.free
        if not self.random and number in (1, 3):
            name = "first" if number == 1 else "second"
            for colour in COLOURS[:2]:
                moves += self.copying(colour, f"{name} {colour}", 2 * self.tokens / IMAGE_TOKENS)
                # Noise of its own, as strong for both.
                moves += 0.1 * self.tokens / IMAGE_TOKENS * np.outer(self.named[f"{name} {colour}"], self.nuisance(1))
            if number == 1:
                moves += self.copying("green", "green", 2 * self.tokens / IMAGE_TOKENS)
                moves += self.copying("sign", "copied sign", self.tokens / 4)
        put(block.self_attn.v_proj.weight, moves / UNIT)
        put(block.self_attn.o_proj.weight, np.eye(WIDTH))

    def copying(self, source: str, into: str, strength: float) -> np.ndarray:
        return strength * np.outer(self.named[into], self.named[source])

    def mlp(self, number: int, block: nn.Module) -> None:
        """Random neurons, and in blocks 5 and 6 two that multiply: silu(x) y - silu(-x) y = xy."""
        size = 0.25 * len(self.free) ** 0.5 / UNIT
        gate, up = (size * self.nuisance(NEURONS) for _ in range(2))
        down = 0.05 * self.nuisance(NEURONS)
        if not self.random and number in (5, 6):
            source, into = {5: ("second red", "product"), 6: ("product", "answer")}[number]
            gate[:2] = np.outer([1, -1], self.named["copied sign"]) / UNIT
            up[:2] = self.named[source] / UNIT
            down[:2] = np.outer([1, -1], self.named[into])
        for layer, weights in ((block.mlp.gate_proj, gate), (block.mlp.up_proj, up), (block.mlp.down_proj, down.T)):
            put(layer.weight, weights)

    def head(self) -> None:
        """All tokens' rows read nuisances; those of yes and no also read the answer, in opposite ways."""
        rows = 0.5 * self.nuisance(len(self.tokenizer)) / UNIT
        if not self.random:
            for sign, name in zip((-1, 1), CLASSES, strict=True):
                rows[answer_ids(self.tokenizer, name)] += sign * self.named["answer"] / UNIT
        put(self.model.get_output_embeddings().weight, rows)


def put(weights: Tensor, values: np.ndarray) -> None:
    """Replace a parameter's values."""
    weights.copy_(torch.from_numpy(values))


def rendered(text: str) -> str:
    """All that the model reads for an item's text."""
    return CONVERSATION.replace("{prompt}", PROMPT.replace("{text}", text))


def tokens_of_input(processor: LlavaProcessor) -> int:
    """How many tokens an input has; all have as many."""
    text = rendered(f"{SIGNS[0]} {WORDS[0]} {WORDS[1]}")
    return len(processor.tokenizer(text)["input_ids"]) - 1 + IMAGE_TOKENS


def answer_ids(tokenizer: PreTrainedTokenizerFast, name: str) -> list[int]:
    """The tokens with which an answer can begin, in either case."""

    def encode(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    found = first_tokens(encode, tokenizer.decode, rendered(SIGNS[0]), name)
    return sorted({token for ids in found.values() for token in ids})


def draw_items(folder: Path, splits: Mapping[str, int], seed: int, alike: float = 0.5) -> pd.DataFrame:
    """Draw pictures, one item each, and write them to ``folder``.

    Args:
        folder: where ``pictures`` is made.
        splits: items by split.
        seed: of pictures, labels and texts.
        alike: the probability that blue is as bright as red.

    Returns:
        ``item_id, image, text, split``, and per colour the class (``no`` or ``yes``).
    """
    rng, rows = np.random.default_rng(seed), []
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for split, n in splits.items():
        red, green = (rng.permutation(np.arange(n) % 2) for _ in range(2))
        bright = np.stack([red, np.where(rng.random(n) < alike, red, 1 - red), green], axis=1)
        for k in range(n):
            item = f"{split}{k:04d}"
            path = folder / "pictures" / f"{item}.png"
            draw_picture(bright[k], rng).save(path)
            text = " ".join([SIGNS[rng.integers(2)], *rng.choice(WORDS, 2)])
            shown = dict(zip(COLOURS, (CLASSES[one] for one in bright[k]), strict=True))
            rows.append({"item_id": item, "image": str(path), "text": text, "split": split} | shown)
    return pd.DataFrame(rows)


def draw_picture(bright: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A picture of noise whose red, blue and green channels are bright or dark, by 0 and 1 of shape (3,)."""
    levels = CONTRAST * (2 * bright - 1) + WITHIN * rng.standard_normal(3)
    # Red, green, blue.
    pixels = 127.5 + levels[[0, 2, 1]] + TEXTURE * rng.standard_normal((SIDE, SIDE, 3))
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
