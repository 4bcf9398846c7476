"""What a carried probe loses against the own probe of the states that it reads, on the same items, layer by layer.

Differences are own less carried, so a positive one is a loss. Items of one image count as one unit, and where images
share texts, texts are units too (:mod:`layerwise.probes.clusters`). Standard errors are computed from what each item
adds to the difference, not from resamples, because a study has thousands of such differences.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from layerwise.compare.statistics.gains import Gains, LabelItems, area_residuals, image_gains, item_residuals
from layerwise.compare.statistics.shared_texts import CrossedDifference, enough_texts, greatest_difference_test
from layerwise.compare.statistics.swaps import enough_images, greatest_swap_test
from layerwise.probes.bootstrap import Crossed
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS

LEVEL = 0.95
# Margins of equal states differ by no more.
CONSTANT = 1e-6


class TransferLoss:
    """Collects the layers of one carried probe, and tests them together."""

    def __init__(
        self,
        metric: str,
        n_classes: int,
        y: Sequence[np.ndarray],
        groups: Sequence[np.ndarray],
        texts: Sequence[np.ndarray] | None = None,
    ):
        """
        Args:
            metric: one of :data:`layerwise.probes.metrics.catalogue.METRICS`, defined for all labels.
            n_classes: of each label.
            y: class indices, per label of shape (n,).
            groups: the items' groups (images), likewise.
            texts: numbers that are equal where items read the same, likewise. Default - no text is shared.
        """
        self.metric, self.n_classes, self._y, self._texts = metric, n_classes, list(y), texts
        distinct, codes = np.unique(np.concatenate(groups).astype(str), return_inverse=True)
        self._images = np.split(codes, np.cumsum([len(of_label) for of_label in groups])[:-1])
        self._clusters = Clusters(self._images, texts)
        self.n_groups, self._crossed = len(distinct), isinstance(self._clusters.units(), Crossed)
        self._gains: list[Gains] = []
        self._differences: list[CrossedDifference] = []
        self._testable: bool | None = None
        # Of the layers to be tested, whether some probe tells items apart there.
        self._says: list[bool] = []

    def layer(self, own: Sequence[np.ndarray], carried: Sequence[np.ndarray], test: bool = False) -> dict[str, float]:
        """The scores of a layer's two probes, and the loss with its 95 % interval.

        Args:
            own, carried: margins, per label of shape (n, 1) for two classes, else (n, K).
            test: whether the layer is one of those that :meth:`p_values` tests.
        """
        values = [self._value(margins) for margins in (own, carried)]
        loss = values[0] - values[1]
        labels = [LabelItems(*each) for each in zip(self._y, own, carried, self._images, strict=True)]
        parts = [self._residuals(label) / len(labels) for label in labels]
        error, freedom = self._clusters.error_of_sum(parts)
        if not METRICS[self.metric].ranks:
            # Two probes may agree on nearly all items. One more item on which they differ, half of it either way, keeps
            # the interval from being a point (Agresti and Min 2005, doi:10.1002/sim.1781).
            error = float(np.hypot(error, 1 / sum(map(len, self._y))))
        half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
        bound = METRICS[self.metric].greatest_difference
        if test:
            self._says.append(any(np.ptp(scores) > CONSTANT for scores in (*own, *carried)))
            if self._says[-1]:
                self._keep(labels, loss)
        return {
            "value": values[1],
            "own": values[0],
            "loss": loss,
            "loss_low": max(-bound, loss - half),
            "loss_high": min(bound, loss + half),
        }

    def p_values(self, n_draws: int, seed: int) -> list[float]:
        """Of the layers to be tested: one-sided p-values of "the own probe is not better", adjusted over these layers.

        NaN where there are too few images (or texts, where they count), and in layers whose states are the same for all
        items, as the embedding output of a prompt's last token is.

        Args:
            n_draws: swaps of the two probes' predictions, or draws of the greatest statistic.
            seed: of these.
        """
        p_values = np.full(len(self._says), np.nan)
        if self._testable:
            found = (
                greatest_difference_test(self._differences, n_draws, seed)
                if self._crossed
                else greatest_swap_test(self._gains, n_draws, seed)
            )
            p_values[self._says] = found
        return [float(p) for p in p_values]

    def _value(self, margins: Sequence[np.ndarray]) -> float:
        values = METRICS[self.metric].values
        of_labels = zip(self._y, margins, strict=True)
        return float(np.mean([values(y, scores, np.ones((1, len(y))), self.n_classes)[0] for y, scores in of_labels]))

    def _residuals(self, label: LabelItems) -> np.ndarray:
        if self.metric == "roc_auc":
            return area_residuals(label.y, label.first, self.n_classes) - area_residuals(
                label.y, label.second, self.n_classes
            )
        return item_residuals(self.metric, label, self.n_classes)

    def _keep(self, labels: list[LabelItems], loss: float) -> None:
        gains = image_gains(self.metric, labels, self.n_groups, self.n_classes)
        if self._testable is None:
            # Depends on counts alone, which all layers share.
            texts = list(self._texts or ())
            enough = not self._crossed or enough_texts(self.metric, labels, texts, self.n_classes)
            self._testable = enough and enough_images(gains, self.metric)
        if self._crossed:
            difference = CrossedDifference.of(loss, self.metric, labels, self.n_classes, self._clusters)
            self._differences.append(difference)
        else:
            self._gains.append(gains)
