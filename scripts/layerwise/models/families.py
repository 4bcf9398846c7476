"""What is particular about model types: how each may be run, and what it does not allow. Imports nothing.

None of it is part of a code digest, so that a row for a new family makes no other one's states stale. That is right as
long as a row only chooses between ways that give the same states, or refuses: the checks before each run hold the ways
against each other. A row that was wrong and let wrong states pass needs more than a change here: say in CHANGELOG.md
which cells to delete.
"""

# Model types whose decoder is causal over image and prefix, and for which tests/unit/test_families.py shows that
# sharing it changes nothing. Left out, among others: PaliGemma, whose prefix attends to all of itself, the text too,
# and InstructBLIP, whose image tokens depend on the text.
SHARES_PREFIX = frozenset(
    {
        "aria",
        "blip-2",
        "chameleon",
        "emu3",
        "gemma3",
        "glm4v",
        "idefics2",
        "idefics3",
        "internvl",
        "janus",
        "llava",
        "llava_next",
        "llava_onevision",
        "mistral3",
        "mllama",
        "ovis2",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
        "smolvlm",
        "vipllava",
    }
)

# Model types that do not read a text without an image as they do one with it, and why.
NEEDS_IMAGE = {
    "mllama": "leaves out its blocks of cross-attention without an image",
    "paligemma": "attends both ways over image and prompt, and only so far as its processor says where they end",
}

# Model types whose processor writes the token that a text begins with. Their tokenizer must not add another.
WRITES_BEGIN = frozenset({"emu3", "mllama"})

# Model types that make a picture's tokens from the padding to the batch's greatest picture, too. Each runs by itself.
RUN_ALONE = frozenset({"emu3"})

# Model types whose image an intervention on image tokens would not reach, or whose text it would reach too.
IMAGE_OUT_OF_REACH = {
    "instructblip": "its image tokens are made with the text, and carry on what they read of it",
    "mllama": "its blocks look across at the image, which has no tokens of its own in the text",
    "paligemma": "its image tokens see the text, and carry on what they read of it",
}

# Model types in which what was read of the image goes on to the text past its tokens, however these are cut off.
CUT_LEAKS = {
    "inkling2": "its convolutions carry states from each token to the next ones",
    "inkling_mm_model": "its convolutions carry states from each token to the next ones",
    "molmo2": "tokens before the image see it, too, and the text sees them",
}
