"""What the adapters of other people's code share, and how their models are described."""

import json
import sys

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from layerwise.errors import InputError
from layerwise.models.adapters.qwen_vl import import_code
from layerwise.models.authors.code import (
    check_whole,
    drawn_in,
    fill,
    import_modules,
    left_padded,
    positions_in,
    replaced,
    seed_of,
    tell_unused,
    weight_files,
)
from layerwise.models.frozen import last_token
from layerwise.models.llama_decoder import Inputs, LlamaDecoderModel
from layerwise.models.registration import describe_model

ENTRY = {"weights": "pretrained", "dtype": "auto", "conversation": "auto"}


def test_modules_come_without_their_packages_init(tmp_path):
    (tmp_path / "__init__.py").write_text("raise ImportError('image generation is not installed')\n")
    (tmp_path / "sizes.py").write_text("WIDTH = 7\n")
    (tmp_path / "model.py").write_text("from foreign_models.sizes import WIDTH\nfrom .sizes import WIDTH as AGAIN\n")
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    (model,) = import_modules("foreign_models", tmp_path, "model")
    assert (model.WIDTH, model.AGAIN) == (7, 7)
    assert import_modules("foreign_models", tmp_path, "sizes")[0] is sys.modules["foreign_models.sizes"]
    with pytest.raises(InputError, match="cannot be imported: No module named 'no_such_library'"):
        import_modules("foreign_models", tmp_path, "broken")
    with pytest.raises(ValueError, match="was imported from"):
        import_modules("foreign_models", tmp_path / "elsewhere", "model")


def test_names_and_precision_are_put_back(tmp_path):
    with pytest.raises(RuntimeError, match="on purpose"), replaced(json, loads=None), drawn_in(torch.bfloat16):
        assert json.loads is None
        assert nn.Linear(1, 1).weight.dtype == torch.bfloat16
        raise RuntimeError("on purpose")
    assert json.loads("1") == 1
    assert nn.Linear(1, 1).weight.dtype == torch.float32


def test_weights_are_filled_in_order_and_completely(tmp_path, caplog):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    first = {f"module.{name}": torch.full_like(p, 1) for name, p in model.named_parameters()}
    save_file(first | {"module.gone": torch.zeros(1)}, tmp_path / "a.safetensors")
    save_file({"1.bias": torch.full((2,), 2.0)}, tmp_path / "b.safetensors")
    save_file({"1.bias": torch.zeros(2)}, tmp_path / "c.safetensors")
    files = weight_files(tmp_path, last="b")
    assert [file.name for file in files] == ["a.safetensors", "c.safetensors", "b.safetensors"]
    tell_unused(files, fill(model, files, prefix="module."))
    told = f"{tmp_path / 'a.safetensors'}: 1 weights are not used, such as module.gone"
    assert [record.getMessage() for record in caplog.records] == [told]
    assert model[0].bias.tolist() == [1, 1]
    assert model[1].bias.tolist() == [2, 2]
    with pytest.raises(InputError, match=r"b.safetensors: 3 of 4 parameters are not there, such as 0.bias"):
        fill(model, [tmp_path / "b.safetensors"])
    with pytest.raises(InputError, match=r"1 of 4 parameters are not there, such as 1.weight"):
        fill(model, [tmp_path / "b.safetensors"], filled="0.")
    save_file({"1.bias": torch.zeros(3)}, tmp_path / "b.safetensors")
    with pytest.raises(InputError, match=r"b.safetensors: 1.bias has the shape \[3\], the model \[2\]"):
        fill(model, [tmp_path / "b.safetensors"])
    (tmp_path / "b.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"b.safetensors: cannot load"):
        fill(model, [tmp_path / "b.safetensors"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no .safetensors file; docs/paper-models.md"):
        weight_files(tmp_path / "empty")


def test_weights_that_share_memory_are_written_once_and_found(tmp_path):
    tied = torch.ones(2, 2)
    save_torch_state_dict({"0.weight": tied, "1.weight": tied}, tmp_path)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    fill(model, weight_files(tmp_path))
    assert model[0].weight.tolist() == model[1].weight.tolist() == [[1, 1], [1, 1]]


def test_what_these_families_cannot_do_is_refused():
    description = {"model": "m", "adapter": "emu", "quantization": "none", "device_map": None}
    check_whole(description)
    for key in ("quantization", "device_map"):
        with pytest.raises(InputError, match=f"models.m.{key}: the adapter 'emu' loads its model whole"):
            check_whole(description | {key: "auto"})
    with pytest.raises(InputError, match=r"models.m: the code of Qwen-VL .*trust_remote_code"):
        import_code(description | {"folder": "somewhere"})


def test_padding_moves_no_position():
    padded, mask = left_padded([torch.tensor([5, 6, 7]), torch.tensor([8])])
    assert padded.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions_in(mask).tolist() == [[0, 1, 2], [0, 0, 0]]
    assert left_padded([torch.ones(2, 4), torch.ones(1, 4)])[0].shape == (2, 2, 4)
    assert last_token(mask)(padded[..., None]).flatten().tolist() == [7, 8]


def test_a_picture_has_its_own_seed():
    pictures = [Image.new("RGB", (2, 6)), Image.new("RGB", (3, 4)), Image.new("RGB", (2, 6), "red")]
    seeds = [seed_of(picture) for picture in pictures]
    assert len(set(seeds)) == 3
    assert seed_of(pictures[0].copy()) == seeds[0]
    torch.manual_seed(max(seeds))


class Rows(LlamaDecoderModel):
    """A decoder that is given embeddings as they are."""

    def render(self, prompt, pictures=1):
        return prompt

    def prepare(self, images, prompts):
        return Inputs(torch.zeros(len(images)), [[[len(prompt)]] for prompt in prompts])

    def rows(self, prepared):
        return [self.embed(ids) for (ids,) in prepared.ids], [torch.arange(len(ids)) < 2 for (ids,) in prepared.ids]


@pytest.fixture(scope="module")
def decoder():
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return Rows(LlamaModel(LlamaConfig(**sizes, vocab_size=20)).eval())


def test_states_of_a_padded_batch_are_those_of_each_row_alone(decoder):
    ids = [[[3, 4, 5, 6, 7]], [[8, 9]]]
    positions = ["last", "image-mean"]
    batch = decoder.run(Inputs(torch.zeros(2), ids), positions)
    for i in range(2):
        alone = decoder.run(Inputs(torch.zeros(1), ids[i : i + 1]), positions)
        reported = decoder.reported(Inputs(torch.zeros(1), ids[i : i + 1]), positions)
        for position in positions:
            assert batch[position].shape == (2, 4, 16)
            torch.testing.assert_close(batch[position][i], alone[position][0])
            torch.testing.assert_close(alone[position][:, [0, 1, 3]], reported[position])


def lavit_folder(tmp_path):
    (tmp_path / "language_model").mkdir(parents=True)
    config = {"num_hidden_layers": 32, "hidden_size": 4096}
    (tmp_path / "language_model/config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    return tmp_path


def test_lavit_is_described_without_being_loaded(tmp_path):
    entry = ENTRY | {"source": str(lavit_folder(tmp_path / "lavit")), "adapter": "lavit"}
    code = {"commit": "a" * 40, "folder": "somewhere"}
    description = describe_model("lavit", entry, None, 0, code)
    shown = [description[key] for key in ("model_type", "n_layers", "width", "dtype", "upstream")]
    assert shown == ["lavit", 32, 4096, "bfloat16", code]
    assert description["conversation"] == "<image>Question: {prompt} Answer:"
    # Another place of the same code is the same model; other code, or other weights, are not.
    digest = description["digest"]
    assert describe_model("lavit", entry, None, 0, code | {"folder": "elsewhere"})["digest"] == digest
    assert describe_model("lavit", entry, None, 0, code | {"commit": "b" * 40})["digest"] != digest
    save_file({"x": torch.ones(1)}, tmp_path / "lavit/model.safetensors")
    assert describe_model("lavit", entry, None, 0, code)["digest"] != digest
    own = describe_model("lavit", entry | {"conversation": "<image>{prompt}", "dtype": "float32"}, None, 0, code)
    assert (own["conversation"], own["dtype"]) == ("<image>{prompt}", "float32")
    (tmp_path / "lavit/language_model/config.json").unlink()
    with pytest.raises(InputError, match=r"config.json: this family needs it"):
        describe_model("lavit", entry, None, 0, code)


def test_emu_is_told_from_the_instruction_tuned_one(tmp_path):
    code = tmp_path / "code/models/llama_config"
    code.mkdir(parents=True)
    (code / "config.json").write_text(json.dumps({"num_hidden_layers": 40, "hidden_size": 5120}))
    folder = tmp_path / "emu"
    folder.mkdir()
    save_file({"visual.x": torch.zeros(1)}, folder / "a.safetensors")
    entry, upstream = ENTRY | {"source": str(folder), "adapter": "emu"}, {"commit": "a" * 40}
    upstream["folder"] = str(tmp_path / "code")
    description = describe_model("emu", entry, None, 0, upstream)
    assert (description["n_layers"], description["width"]) == (40, 5120)
    assert description["conversation"] == "<image>{prompt}"
    save_file({"module.decoder.lm.base_model.q_proj.lora_A.default.weight": torch.zeros(1)}, folder / "b.safetensors")
    instructed = describe_model("emu", entry, None, 0, upstream)
    assert instructed["conversation"].endswith("[USER]: <image>{prompt} [ASSISTANT]:")
    # A folder of another size says so itself.
    (folder / "llama_config").mkdir()
    (folder / "llama_config/config.json").write_text(json.dumps({"num_hidden_layers": 2, "hidden_size": 8}))
    assert describe_model("emu", entry, None, 0, upstream)["width"] == 8
    (folder / "b.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"b.safetensors: not a safetensors file"):
        describe_model("emu", entry, None, 0, upstream)


def test_qwen_vl_is_told_from_its_chat_model(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    config = {"num_hidden_layers": 32, "hidden_size": 4096, "torch_dtype": "float16"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    entry = ENTRY | {"source": str(tmp_path), "adapter": "qwen_vl"}
    description = describe_model("qwen", entry, None, 0)
    assert (description["dtype"], description["conversation"]) == ("float16", "Picture 1: <image>\n{prompt}")
    assert "upstream" not in description
    # Code that lies beside the weights decides what the model computes.
    (tmp_path / "modeling_qwen.py").write_text("LAYERS = 1\n")
    assert describe_model("qwen", entry, None, 0)["digest"] != description["digest"]
    (tmp_path / "generation_config.json").write_text(json.dumps({"chat_format": "chatml"}))
    chat = describe_model("qwen", entry, None, 0)["conversation"]
    assert chat.startswith("<|im_start|>system\n")
    assert chat.endswith("Picture 1: <image>\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
