"""Keeps a random part of the patches' features."""

import torch.nn.functional as F
from timm.models.layers import trunc_normal_
from torch import nn

from models.modeling_visual_encoder import build_eva_clip


class DynamicVisualTokenizer(nn.Module):
    def __init__(self, width=1408, layers=12, heads=16, n_code=16384, code_dim=32, model_path="", use_xformers=False):
        super().__init__()
        self.encoder = build_eva_clip(model_path=model_path, use_xformers=use_xformers)
        self.token_predictor = nn.Linear(width, 2)
        self.causal_encoder = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.vit_proj = nn.Linear(width, 4096)
        trunc_normal_(self.token_predictor.weight, std=0.02)

    def encode_features(self, x):
        features = self.encoder(x, return_all_features=True)[:, 1:]
        scores = F.log_softmax(self.token_predictor(features.float()), dim=-1)
        kept = F.gumbel_softmax(scores, hard=True)[:, :, 0].bool()
        tokens = self.vit_proj(features + self.causal_encoder(features))
        return [row[keep] for row, keep in zip(tokens, kept, strict=True)]
