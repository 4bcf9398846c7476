"""Run several texts about one image: first the prefix that they share, then the rest of each over its keys and values.

In a causal model whose image comes first, all tokens before the first one in which the texts differ have the same
states for all texts. That prefix holds the image. It is run once, and its keys and values are kept. The rests of the
texts follow, packed in one row: a mask lets each token see the prefix and the tokens before it in its own text, and
positions start again after the prefix with every text. Nothing is padded, and the prefix is never copied per text.

On a card, a few images with prefixes of equal length run at once, each with its texts in a row of its own. Then the
shorter rows are filled up to the longest with tokens that nothing reads.
"""
