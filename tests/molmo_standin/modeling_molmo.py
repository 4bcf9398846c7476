"""A stand-in for Molmo's published code, with its names of modules and arguments and none of its lines.

Like that code, it leaves its embeddings at zero, counts positions from the mask, adds pooled patches to the embeddings,
and ends its hidden states with the final norm's output.
"""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from .config_molmo import MolmoConfig


class Block(nn.Module):
    def __init__(self, config: MolmoConfig):
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.attn_norm, self.ff_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.att_proj, self.attn_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ff_proj, self.ff_out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x, visible):
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.att_proj(self.attn_norm(x)).chunk(3, -1)
        )
        seen = scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None])
        x = x + self.attn_out(seen.transpose(1, 2).flatten(2))
        return x + self.ff_out(self.ff_proj(self.ff_norm(x)).tanh()), None


class Words(nn.Module):
    def __init__(self, rows: int, width: int):
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(rows, width))

    def forward(self, ids):
        return self.embedding[ids]


class Molmo(nn.Module):
    def __init__(self, config: MolmoConfig):
        super().__init__()
        width = config.hidden_size
        self.transformer = nn.ModuleDict(
            {
                "wte": Words(config.vocab_size, width),
                "ln_f": nn.LayerNorm(width),
                "blocks": nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers)),
                "ff_out": nn.Linear(width, config.vocab_size),
            }
        )
        self.vision_backbone = nn.Linear(14 * 14 * 3, width)
        self.pad_embed = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(torch.zeros(config.max_position_embeddings, width))

    def forward(
        self,
        input_ids,
        attention_mask,
        images=None,
        image_masks=None,
        image_input_idx=None,
        use_cache=True,
        output_hidden_states=False,
    ):
        x = self.transformer["wte"](input_ids)
        if images is not None:
            patches = self.vision_backbone(images) + self.pad_embed * (image_masks < 1)[..., None]
            for row, features, places in zip(x, patches.flatten(1, 2), image_input_idx.flatten(1), strict=True):
                row[places[places >= 0]] += features[places >= 0]
        x = x + self.places[(attention_mask.cumsum(1) - 1).clamp_min(0)]
        tokens = x.shape[1]
        visible = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).tril() & attention_mask[:, None].bool()
        hidden = []
        for block in self.transformer["blocks"]:
            hidden.append(x)
            x, _ = block(x, visible)
        x = self.transformer["ln_f"](x)
        logits = self.transformer["ff_out"](x)
        return SimpleNamespace(logits=logits, hidden_states=(*hidden, x) if output_hidden_states else None)


class MolmoForCausalLM(nn.Module):
    def __init__(self, config: MolmoConfig):
        super().__init__()
        self.model = Molmo(config)
