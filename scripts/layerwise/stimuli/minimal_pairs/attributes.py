"""Adjectives that captions put before nouns, as far as two of them exclude each other."""

# By adjective its family, and the word for it in statements. Colours are the basic terms of Berlin & Kay (1969).
ADJECTIVES: dict[str, tuple[str, str]] = {
    word: (family, value)
    for family, values in {
        "colour": {
            "white": "white",
            "black": "black",
            "red": "red",
            "blue": "blue",
            "green": "green",
            "yellow": "yellow",
            "brown": "brown, tan",
            "gray": "gray, grey, silver",
            "orange": "orange",
            "pink": "pink",
            "purple": "purple, violet",
        },
        "size": {"large": "large, big, huge, giant, enormous", "small": "small, little, tiny, mini"},
        "material": {
            "wooden": "wooden, wood",
            "metal": "metal, metallic, steel",
            "glass": "glass",
            "plastic": "plastic",
            "leather": "leather",
            "stone": "stone, concrete, marble, brick",
        },
    }.items()
    for value, words in values.items()
    for word in words.split(", ")
}
# Words that say an object has several values of a family, or one that no statement is about. They only contradict.
CONTRADICTING: dict[str, str] = {
    **dict.fromkeys(
        ("golden", "gold", "beige", "cream", "maroon", "teal", "turquoise", "colorful", "colourful", "multicolored",
         "multi-colored", "multicolor", "rainbow", "striped", "spotted", "checkered", "plaid", "calico", "tabby"),
        "colour",
    ),
    **dict.fromkeys(("medium", "medium-sized", "oversized", "long", "short", "tall"), "size"),
    **dict.fromkeys(("ceramic", "porcelain", "paper", "cloth", "rubber", "iron", "granite"), "material"),
}  # fmt: skip
# These may stand before a colour: a light blue car is blue.
SHADES = {"light", "dark", "bright", "pale", "deep", "all"}
# Two colours that one object may be called in: neither can be said to be false where the other is true.
NEAR = {
    frozenset(pair)
    for pair in (
        ("red", "orange"),
        ("red", "pink"),
        ("pink", "purple"),
        ("purple", "blue"),
        ("blue", "green"),
        ("orange", "yellow"),
        ("orange", "brown"),
        ("gray", "white"),
        ("gray", "black"),
        ("gray", "blue"),
        ("brown", "black"),
        ("metal", "plastic"),
    )
}
