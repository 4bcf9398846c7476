"""Shortcuts: simple features of an item's text and picture, and what the probes of a task reach on them.

They say how much of a task can be solved without a model that relates picture and text. ``words`` is a bag of words,
as in the hypothesis-only baselines of Poliak et al. 2018 (arXiv 1805.01042) and Gururangan et al. 2018 (arXiv
1803.02324); ``picture`` is what the decoder gets from the vision tower. ``words + picture`` puts both side by side. A
linear probe on them adds a score of the text and one of the picture, and cannot tell which belongs to which.
``words x picture`` adds products of the two, a bilinear form as in Kim et al. 2017 (arXiv 1610.04325), on principal
components: it can learn that a word goes with a feature of the picture.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer

from layerwise.errors import InputError
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.problems import Problem
from layerwise.probes.shortcut_names import FEATURES, MOST_COMPONENTS, MOST_WORDS, SCORE_COLUMNS

log = logging.getLogger(__name__)

# A word is a run of letters and digits, and may be a single one: numbers count.
WORD = r"(?u)\b\w+\b"


class ShortcutFeatures:
    """The features of some items.

    Args:
        texts: what each item reads.
        pictures: what the decoder gets of each item's picture, shape (items, width), float32; None for a model whose
            decoder has no tokens of the image.
        training: rows of the training items. Vocabulary and components come from them alone.
        seed: of the principal components, which are approximated where there are many dimensions.

    Raises:
        InputError: when the training texts have no words.
    """

    def __init__(self, texts: Sequence[str], pictures: np.ndarray | None, training: np.ndarray, seed: int):
        self._pictures, self._training, self._seed = pictures, training, seed
        self.vocabulary = CountVectorizer(binary=True, token_pattern=WORD, max_features=MOST_WORDS, dtype=np.float32)
        try:
            self.vocabulary.fit([texts[row] for row in training])
        except ValueError as error:
            raise InputError(
                f"the training items have no words to count ({error}); set probes.shortcuts to false"
            ) from error
        # Sparse: the features of a large study fit into memory only once.
        self._words = self.vocabulary.transform(texts)

    def tables(self) -> Iterator[tuple[str, np.ndarray]]:
        """The name of each kind of features, one of :data:`FEATURES`, and a new array of shape (items, width)."""
        yield FEATURES[0], self._words.toarray()
        if self._pictures is None:
            return
        yield FEATURES[1], self._pictures.copy()
        yield FEATURES[2], np.hstack([self._words.toarray(), self._pictures])
        words, pictures = self._components(self._words.toarray()), self._components(self._pictures)
        products = (words[:, :, None] * pictures[:, None, :]).reshape(len(words), -1)
        yield FEATURES[3], np.hstack([words, pictures, products])

    def _components(self, table: np.ndarray) -> np.ndarray:
        """The principal components of the training rows, for all rows: of mean 0 and deviation 1 over the former."""
        of_training = table[self._training]
        kept = min(MOST_COMPONENTS, *of_training.shape)
        components = PCA(kept, whiten=True, random_state=self._seed).fit(of_training)
        # Directions without variance would be scaled up from rounding errors.
        spread = components.explained_variance_ > 1e-6 * components.explained_variance_[0]
        return components.transform(table)[:, spread].astype(np.float32)


def fit_shortcuts(
    problems: list[Problem],
    features: ShortcutFeatures,
    engine: ProbeEngine,
    C: Sequence[float],
    metric: str,
    resamples: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit and score a task's probes on each kind of features, as on a layer of hidden states.

    Args:
        problems: the task's labels, over the rows of the features.
        features: of the items.
        engine: fits the probes.
        C: inverse strengths of the penalty; the best by validation loss is taken.
        metric: the task's own.
        resamples: of the bootstrap, the same as those of layers with this ``seed``.
        seed: of the resamples.

    Returns:
        Scores with their intervals, with the columns :data:`SCORE_COLUMNS`; and held-out predictions as those of
        layers, where ``layer`` is the place of the features among :data:`FEATURES`.
    """
    metrics = list(dict.fromkeys(("accuracy", metric)))
    probes = LayerProbes(problems, engine, C, metric, resamples, seed, own="task", metrics=metrics)
    scores, predictions = [], []
    for place, (name, table) in enumerate(features.tables()):
        log.info("%s: %d features", name, table.shape[1])
        found = probes.layer(table, name)
        scores.append(found.scores.assign(features=name))
        predictions.append(found.predictions.assign(layer=place))
    return pd.concat(scores, ignore_index=True)[SCORE_COLUMNS], pd.concat(predictions, ignore_index=True)
