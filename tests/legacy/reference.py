"""Runs in the second environment: build a tiny model from its authors' code, and ask that code for its hidden states.

    python tests/legacy/reference.py FAMILY --code CLONE --images 1.png 2.png --prompts ... --out FOLDER

writes ``FOLDER/model`` in the layout of the published one, and ``FOLDER/reference.safetensors`` with ``states``, shape
(inputs, L + 2, width): what the authors' own forward pass gives with ``output_hidden_states``, one input at a time, and
before the final norm's output that of the last block.
"""

import argparse
import base64
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer, T5Config

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from layerwise.models.adapters import emu, lavit, qwen_vl
from layerwise.models.authors.code import import_modules, seed_of
from layerwise.models.authors.configs import about_qwen_vl

LAYERS, WIDTH = 3, 64
SENTENCES = [
    "Is there a red circle in the image?",
    "A blue square left of a green star.",
    "Question: Answer: Picture 1",
]
LLAMA = {
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
TOWER = {"image_size": 224, "layers": 2, "width": 32, "head_width": 16, "mlp_ratio": 2.0, "patch_size": 14}
TOWER |= {"eva_model_name": "tiny", "drop_path_rate": 0}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--code", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--prompts", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.manual_seed(7)
    folder = args.out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        ask = FAMILIES[args.family](folder, args.code)
        states = [ask(image, prompt) for image, prompt in zip(args.images, args.prompts, strict=True)]
    save_file({"states": torch.stack(states)}, args.out / "reference.safetensors")


# What gives the states of one picture (a path) and one prompt, shape (L + 2, width).
Ask = Callable[[Path, str], Tensor]


def larger(model: nn.Module) -> nn.Module:
    """Larger weights than usual, so that layers differ and a mistake in one of them shows."""
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.mul_(3)
        if not parameter.any():
            parameter.normal_(std=0.02)
    return model.eval().float()


def write_words(folder: Path) -> None:
    """A small tokenizer of LLaMA's kind."""
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=90,
        model_type="bpe",
        character_coverage=1.0,
        byte_fallback=False,
        minloglevel=2,
    )
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_weights(file: Path, weights: dict[str, Any]) -> None:
    """Weights in the format in which their authors publish them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, file)


def stacked(hidden_states: Sequence[Tensor], last_block: Tensor) -> Tensor:
    """States at the last token, the last block's before the final norm's; shape (L + 2, width)."""
    layers = [*hidden_states[:-1], last_block, hidden_states[-1]]
    return torch.stack([layer[0, -1] for layer in layers])


def keep_output(block: nn.Module) -> list[Tensor]:
    """A list that always holds the block's last output."""
    kept: list[Tensor] = []
    block.register_forward_hook(lambda _module, _args, output: kept.__setitem__(slice(None), [output[0]]))
    return kept


def qwen(folder: Path, code: Path) -> Ask:
    """Qwen-VL, asked with the picture's path in the prompt, which its code opens."""
    ranks = {bytes([i]): i for i in range(256)} | {b"th": 256, b" a": 257, b"re": 258}
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()]
    (folder / "qwen.tiktoken").write_text("".join(lines))
    # As on the hub, where the code lies beside the weights.
    for file in code.glob("*.py"):
        shutil.copy(file, folder)
    beside = {"model": "tiny", "folder": str(folder), "trust_remote_code": True}
    configuration, modeling, tokenization = qwen_vl.import_code(beside)
    (generation,) = import_modules("qwen_vl", folder, "qwen_generation_utils")
    words = tokenization.QWenTokenizer(folder / "qwen.tiktoken")
    visual = {"image_size": 448, "patch_size": 14, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 2.0}
    visual |= {"n_queries": 256, "output_dim": 128, "image_start_id": words.img_start_id}
    config = configuration.QWenConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        kv_channels=64,
        # Shorter than the longest row of the tests: beyond it the model scales by a row's length.
        seq_length=300,
        visual=visual,
        fp32=True,
        torch_dtype="float32",
    )
    model = larger(modeling.QWenLMHeadModel(config))
    config.save_pretrained(folder)
    write_weights(folder / "pytorch_model.bin", model.state_dict())
    last_block = keep_output(model.transformer.h[-1])

    # The chat model's form of a question is the one that its own code makes.
    (folder / "generation_config.json").write_text(json.dumps({"chat_format": "chatml"}))
    question, system = "Picture 1: <img>x</img>\nA red circle?", "You are a helpful assistant."
    chat = about_qwen_vl(folder, None).conversation.replace("<image>", "<img>x</img>").format(prompt="A red circle?")
    assert words(chat)["input_ids"] == generation.make_context(words, question, system=system)[1]
    (folder / "generation_config.json").unlink()

    def ask(image: Path, prompt: str) -> Tensor:
        text = f"Picture 1: <img>{image}</img>\n{prompt}"
        ids = torch.tensor([words(text)["input_ids"]])
        hidden = model(input_ids=ids, output_hidden_states=True).hidden_states
        return stacked(hidden, *last_block)

    return ask


def lavit_(folder: Path, code: Path) -> Ask:
    """LaVIT, asked through its own ``predict_answers``."""
    # Its modules import a module `utils` that lies beside them.
    sys.path.insert(0, str(code))
    tokenizers, encoders, understanding, transform = import_modules(
        "models",
        code / "models",
        "modeling_visual_tokenzier",
        "modeling_visual_encoder",
        "lavit_for_understanding",
        "transform",
    )
    language = folder / lavit.LANGUAGE
    write_words(language)
    sizes = {"width": 32, "layers": 2, "heads": 2, "n_code": 16, "code_dim": 8, "vision_cfg": TOWER | {"fusedLN": True}}
    config = LlamaConfig(**LLAMA, vocab_size=32002 + 16)
    config.save_pretrained(language)
    visual = larger(lavit.build_visual_tokenizer(tokenizers, encoders, sizes, WIDTH))
    (folder / lavit.VISUAL).mkdir()
    (folder / lavit.VISUAL / "config.json").write_text(json.dumps(sizes))
    llama = larger(LlamaForCausalLM(config))
    around = {name: tensor for name, tensor in visual.state_dict().items() if not name.startswith("encoder.")}
    trained = {name: tensor for name, tensor in around.items() if name.startswith(("causal_encoder.", "vit_proj."))}
    before = {name: torch.randn_like(tensor) for name, tensor in trained.items()}
    write_weights(language / "pytorch_model.bin", llama.state_dict())
    write_weights(folder / lavit.VISUAL / "eva_vitg_psz14.bin", visual.encoder.state_dict())
    write_weights(folder / lavit.VISUAL / "tokenizer_encoder.bin", around | before)
    # Of the weights in both files, those that were trained with the language model count.
    write_weights(language / "visual_weight.bin", trained)

    model = understanding.LaVITforUnderstanding.__new__(understanding.LaVITforUnderstanding)
    nn.Module.__init__(model)
    model.llama_tokenizer = LlamaTokenizer.from_pretrained(language, use_fast=False)
    model.llama_tokenizer.pad_token = model.llama_tokenizer.eos_token
    model.llama_model, model.visual_tokenizer, model.model_dtype = llama, visual, "fp32"
    model.visual_vocab_size, model.processer = 16, transform.LaVITImageProcessor()
    # Spelling answers for a benchmark takes a package that is not needed here.
    model._lemmatize = list
    last_block = keep_output(llama.model.layers[-1])
    generate, seen = llama.generate, []

    def generate_and_keep(**how):
        how |= {"num_beams": 1, "max_new_tokens": 1, "min_new_tokens": 1, "early_stopping": False, "length_penalty": 1}
        made = generate(**how, output_hidden_states=True, return_dict_in_generate=True)
        seen[:] = made.hidden_states[0]
        # What it answers is no word of the small tokenizer.
        return torch.zeros_like(made.sequences)

    llama.generate = generate_and_keep

    def ask(image: Path, prompt: str) -> Tensor:
        torch.manual_seed(seed_of(Image.open(image).convert("RGB")))
        model.predict_answers({"image": str(image), "text_input": [prompt]})
        return stacked(seen, *last_block)

    return ask


def emu_(folder: Path, code: Path, instructed: bool = False) -> Ask:
    """Emu, asked through its own forward pass; the instruction-tuned one through that of its language model."""
    write_words(folder / "llama_config")
    LlamaConfig(**LLAMA, vocab_size=90).save_pretrained(folder / "llama_config")
    T5Config(d_model=32, d_ff=48, d_kv=16, num_layers=2, num_heads=2).save_pretrained(folder / "t5-base")
    sizes = {"embed_dim": 32, "vision_cfg": TOWER | {"xattn": True}, "multimodal_cfg": {"name": "tiny", "n_causal": 32}}
    sizes["vladapter_cfg"] = {"name": "cformer", "n_causal": 32}
    (folder / "Emu-14B.json").write_text(json.dumps(sizes))
    model = larger(emu.build(folder, code / "models", instructed, torch.float32))
    write_weights(folder / "Emu.pt", {"module": model.state_dict()})
    language, words = model.decoder.lm, model.decoder.tokenizer
    llama = language.get_base_model() if instructed else language
    llama.config.output_hidden_states = True
    last_block = keep_output(llama.model.layers[-1])
    system = (
        "You will be presented with an image: [IMG]ImageContent[/IMG]. You will be able to see the image after I "
        "provide it to you. Please answer my questions based on the given image."
    )
    (process_img,) = [namespace["process_img"] for namespace in [picture_code(code)]]

    def ask(image: Path, prompt: str) -> Tensor:
        text = f"{model.image_placeholder}{prompt}"
        if instructed:
            text = f"{system} [USER]: {text} [ASSISTANT]:"
        encoded = words([text], return_tensors="pt")
        pixels = process_img(img_path=str(image), device="cpu")
        if not instructed:
            made = model(pixels, text_input=encoded.input_ids, input_mask=encoded.attention_mask)
            return stacked(made.hidden_states, *last_block)
        embeddings = llama.model.embed_tokens(encoded.input_ids)
        tokens = model.cformer(model.ln_visual(model.visual.forward_features(pixels)))
        embeddings[encoded.input_ids == words.convert_tokens_to_ids("<image>")] = tokens.reshape(-1, WIDTH)
        made = language(inputs_embeds=embeddings, attention_mask=encoded.attention_mask)
        return stacked(made.hidden_states, *last_block)

    return ask


def picture_code(code: Path) -> dict:
    """Emu's ``utils.py``, without the reader of videos that it imports."""
    sys.modules["decord"] = SimpleNamespace(VideoReader=None)
    namespace: dict = {}
    exec(compile((code / "utils.py").read_text(), str(code / "utils.py"), "exec"), namespace)
    return namespace


FAMILIES = {
    "qwen_vl": qwen,
    "lavit": lavit_,
    "emu": emu_,
    "emu-instruct": lambda folder, code: emu_(folder, code, instructed=True),
}

if __name__ == "__main__":
    main()
