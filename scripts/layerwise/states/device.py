"""Import torch, and say which device models run on.

Counted by code digests: what is set here (threads, the device) decides how numbers are rounded.
"""

import os


def start_torch(threads: int) -> str:
    """Set up torch and go offline. Call it before torch or transformers is imported, and after GPUs have been taken.

    Args:
        threads: how many threads torch may use.

    Returns:
        ``cuda`` or ``cpu``.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # All files of a model were downloaded when it was registered. Compute nodes may have no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(threads)
    return "cuda" if torch.cuda.is_available() else "cpu"
