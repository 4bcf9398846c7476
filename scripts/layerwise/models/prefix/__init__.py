"""Several texts about one image: the prefix they share is run once, and the rest of each over its keys and values.

The image comes first in a causal model, so everything up to the first token in which the texts differ has the same
states for all of them. That prefix, which holds the image, is run once and its keys and values are kept. The rests of
the texts follow packed in one row: a mask lets each token see the prefix and what comes before it in its own text, and
positions start again behind the prefix with every text. Nothing is padded and the prefix is never copied per text.
"""
