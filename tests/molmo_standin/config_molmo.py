"""Sizes of the stand-in."""

from transformers import PretrainedConfig


class MolmoConfig(PretrainedConfig):
    model_type = "molmo"

    def __init__(self, vocab_size=100, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, **others):
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.max_position_embeddings = others.pop("max_position_embeddings", 256)
        self.initializer_range = others.pop("initializer_range", 0.2)
        super().__init__(**others)
