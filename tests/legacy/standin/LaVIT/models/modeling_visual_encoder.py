"""A vision tower of patches and a few mixing layers."""

from torch import nn


class Tower(nn.Module):
    """Features of a class token and of every patch."""

    def __init__(self, width, layers, image_size, patch_size, **_other):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch_size, patch_size)
        self.mix = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True) for _ in range(layers)
        )

    def forward(self, x, return_all_features=False):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = nn.functional.pad(x, (0, 0, 1, 0))
        for layer in self.mix:
            x = layer(x)
        return x if return_all_features else x[:, 0]


def _build_vision_tower(embed_dim, vision_cfg):
    return Tower(**vision_cfg)


def build_eva_clip(model_path, use_xformers=False):
    raise AssertionError("the tower of the real size takes 4 GB")
