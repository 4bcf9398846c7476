"""A plain loop over inputs with ``output_hidden_states``, as transformers documents it."""

import argparse

import numpy as np
from prompts import batches, prepared
from serving import Extract, Inputs, serve


def load(args: argparse.Namespace) -> Extract:
    """The model, behind a loop."""
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    processor = transformers.AutoProcessor.from_pretrained(args.model)
    model = transformers.AutoModelForImageTextToText.from_pretrained(args.model, dtype=torch.float32).eval()

    @torch.inference_mode()
    def extract(inputs: Inputs) -> np.ndarray:
        rows = []
        for batch in batches(inputs, args.batch):
            layers = model(**prepared(processor, batch), output_hidden_states=True).hidden_states
            rows.append(torch.stack([layer[:, -1] for layer in layers], dim=1))
        return torch.cat(rows).numpy()

    return extract


if __name__ == "__main__":
    serve(load)
