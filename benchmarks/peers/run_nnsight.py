"""nnsight: outputs of the decoder's modules, saved within a trace of each batch."""

import argparse

import numpy as np
from prompts import batches, prepared
from serving import Extract, Inputs, serve


def load(args: argparse.Namespace) -> Extract:
    """The model, wrapped."""
    import torch
    import transformers
    from nnsight import NNsight

    torch.set_num_threads(args.threads)
    processor = transformers.AutoProcessor.from_pretrained(args.model)
    model = transformers.AutoModelForImageTextToText.from_pretrained(args.model, dtype=torch.float32).eval()
    wrapped = NNsight(model)
    body = wrapped.model
    decoder = body.language_model if hasattr(body, "language_model") else body.text_model

    @torch.inference_mode()
    def extract(inputs: Inputs) -> np.ndarray:
        rows = []
        for batch in batches(inputs, args.batch):
            with wrapped.trace(**prepared(processor, batch)):
                # The first block's input rather than the embedding's output: pictures have been put in.
                kept = [decoder.layers[0].input[:, -1]]
                for block in decoder.layers[:-1]:
                    kept.append(block.output[:, -1])
                kept.append(decoder.norm.output[:, -1])
                states = torch.stack(kept, dim=1).save()
            rows.append(states)
        return torch.cat(rows).numpy()

    return extract


if __name__ == "__main__":
    serve(load)
