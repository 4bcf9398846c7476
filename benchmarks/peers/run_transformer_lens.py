"""TransformerLens: the bridge over a model of transformers, with a cache of the wanted hooks."""

import argparse

import numpy as np
from PIL import Image
from prompts import prompt_of
from serving import Extract, Inputs, serve


def load(args: argparse.Namespace) -> Extract:
    """The model, behind the bridge."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    torch.set_num_threads(args.threads)
    bridge = TransformerBridge.boot_transformers(args.model, device="cpu", dtype=torch.float32)
    blocks = bridge.cfg.n_layers
    names = ["blocks.0.hook_in", *(f"blocks.{block}.hook_out" for block in range(blocks - 1)), "ln_final.hook_out"]

    @torch.inference_mode()
    def extract(inputs: Inputs) -> np.ndarray:
        rows = []
        for one in inputs:
            image = Image.open(one["image"]).convert("RGB")
            given = bridge.prepare_multimodal_inputs(prompt_of(bridge.processor, one["text"]), image)
            ids = given.pop("input_ids")
            _, cache = bridge.run_with_cache(ids, names_filter=names, **given)
            rows.append(torch.stack([cache[name][0, -1] for name in names]))
        return torch.stack(rows).numpy()

    return extract


if __name__ == "__main__":
    serve(load)
