"""Which models are compared with which."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

ITSELF, TWIN, MODEL = "itself", "twin", "model"


def compared(models: Iterable[str], twins: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, str]]:
    """The pairs of models whose layers are compared, and what the second is to the first.

    Args:
        models: those with finished states of the same items.
        twins: by model the names of its untrained twins.
    """
    models = list(models)
    own_twins = {twin for of_model in twins.values() for twin in of_model}
    for model in models:
        yield model, model, ITSELF
        yield from ((model, twin, TWIN) for twin in twins.get(model, ()) if twin in models)
    yield from ((*pair, MODEL) for pair in combinations([name for name in models if name not in own_twins], 2))


def models_shown(patterns: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """The models of each stimulus set and prompt.

    Args:
        patterns: MODELS/STIMULI/PROMPTS with commas between names, see :func:`layerwise.planning.grid.as_patterns`.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for pattern in patterns:
        models, stimuli, prompts = pattern.split("/")
        for prompt in prompts.split(","):
            found.setdefault((stimuli, prompt), []).extend(models.split(","))
    return found
