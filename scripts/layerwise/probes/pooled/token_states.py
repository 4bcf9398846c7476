"""One layer's image tokens, as probes read them: in the mean over a picture, and each for itself."""

import numpy as np

from layerwise.probes.all_layers import AllLayers
from layerwise.probes.problems import Standardisation

# Numbers of tokens that are copied at a time.
NUMBERS_PER_BLOCK = 2**22


def means_of(tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean over each picture's tokens.

    Args:
        tokens: shape (pictures, most tokens, width), 0 beyond a picture's own.
        counts: tokens of each picture, shape (pictures,), at least 1.

    Returns:
        Shape (pictures, width), float32.
    """
    means = np.empty((len(tokens), tokens.shape[2]), np.float32)
    for part in _blocks(tokens):
        means[part] = tokens[part].sum(1, dtype=np.float64) / counts[part, None]
    return means


class TokenStates(AllLayers):
    """The tokens of one layer, and what makes values of them that a probe of their mean could read.

    It stands where other probes have the states of a layer: with row numbers (of pictures) as index it gives these
    back, since an attention probe knows its margins by row. It is standardised already.

    Attributes:
        tokens: shape (pictures, most tokens, width), float32: every dimension has mean 0 and deviation 1 over the
            tokens of the training pictures; 0 beyond a picture's own tokens.
        there: which of them are a picture's own, shape (pictures, most tokens).
        means: the standardised means that an ordinary probe reads, shape (pictures, width), float32.
        ratio, offset: shape (width,), float32: ``tokens * ratio + offset`` are the tokens in units of ``means``, so
            that their mean over a picture is ``means``.
    """

    def __init__(self, tokens: np.ndarray, counts: np.ndarray, training_rows: np.ndarray):
        """
        Args:
            tokens: shape (pictures, most tokens, width), float32; overwritten.
            counts: tokens of each picture, shape (pictures,), at least 1.
            training_rows: the pictures that give means and deviations.
        """
        pictures, most, width = tokens.shape
        self.shape = pictures, width
        self.n_layers = 1
        self.there = np.arange(most) < counts[:, None]
        means = means_of(tokens, counts)
        of_means = Standardisation.of(means, training_rows)
        self.means = of_means.apply(means)
        flat = tokens.reshape(-1, width)
        used = np.zeros(pictures, bool)
        used[training_rows] = True
        of_tokens = Standardisation.of(flat, np.flatnonzero(self.there & used[:, None]))
        for part in _blocks(tokens):
            of_tokens.apply(tokens[part])[~self.there[part]] = 0
        self.tokens = tokens
        # A dimension that is constant over tokens is so over means.
        undone = np.where(of_tokens.scale > 0, of_tokens.deviation, 0)
        self.ratio = undone * of_means.scale
        self.offset = (of_tokens.mean - of_means.mean) * of_means.scale

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return rows


def _blocks(tokens: np.ndarray) -> list[slice]:
    at_once = max(1, NUMBERS_PER_BLOCK // max(1, tokens.shape[1] * tokens.shape[2]))
    return [slice(start, start + at_once) for start in range(0, len(tokens), at_once)]
