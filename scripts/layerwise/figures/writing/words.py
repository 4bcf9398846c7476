"""How tables write p-values, and what their notes say of intervals and tests."""

from layerwise.compare.statistics.shared_texts import LEAST_TEXTS
from layerwise.compare.statistics.swaps import LEAST_IMAGES
from layerwise.figures.writing.sections import number
from layerwise.probes.clusters import FEWEST_TEXTS


def _least(of_metric: dict[str, int], units: str) -> str:
    return (
        f"fewer than {of_metric['accuracy']} {units} ({of_metric['roc_auc']} for ROC AUC, "
        f"{of_metric['average_precision']} for average precision)"
    )


# For the notes of tables: what intervals hold for, where a p-value comes from, and why a row may have none.
HOLDS_FOR = (
    f"Where at least {FEWEST_TEXTS} texts are shared by images, intervals are over texts too; with fewer, scores hold "
    "for these texts only. A mean over categories holds for these categories only."
)
HOW_TESTED = (
    "p: swap test on the same test items; where at least "
    f"{FEWEST_TEXTS} texts are shared by images, Student's t with the error by image and text; with fewer, p holds for "
    "these texts only. Adjusted over the rows of all tasks by Holm's method."
)
TOO_FEW = (
    f"{_least(LEAST_IMAGES, 'images')} or, where those are counted, {_least(LEAST_TEXTS, 'shared texts')}; unequal "
    "numbers of items make them count as fewer"
)


def p_in_words(p: float, is_bound: bool) -> str:
    """A p-value for reading: at most three decimals, ``≤`` where it is a bound, a dash where there is none."""
    if p < 0.001:
        return "< 0.001"
    return f"≤ {number(p, '.3f')}" if is_bound else number(p, ".3f")
