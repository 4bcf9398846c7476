"""Several draws of an untrained twin: an entry of ``models`` with ``seeds`` becomes one model per seed."""

from typing import TYPE_CHECKING

from layerwise.config.models import Model
from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.config.study import StudyConfig

# As in layerwise.config.base.NAME.
LONGEST_NAME = 80


def expand_draws(config: "StudyConfig") -> "StudyConfig":
    """The config with NAME-0, NAME-1, ... in place of each entry NAME of ``models`` that has ``seeds``.

    Raises:
        InputError: An entry has ``seeds`` without random weights or beside ``seed``, a draw has the name of another
            model, or it is named where only a single model can be.
    """
    if all(entry.seeds is None for entry in config.models.values()):
        return config
    models: dict[str, Model] = {}
    for name, entry in config.models.items():
        drawn = {name: entry} if entry.seeds is None else _draws(name, entry)
        for draw in drawn:
            if draw in models or (draw != name and draw in config.models):
                raise InputError(
                    f"models: {draw!r} is the name of two models, one of them a draw of an entry with `seeds`; rename "
                    "one of the entries"
                )
        models |= drawn
    several = {name for name, entry in config.models.items() if entry.seeds is not None}
    curves = None if config.specifications is None else config.specifications.models
    used = None if config.used is None else config.used.models
    lens = None if config.lens is None else config.lens.models
    named = {
        "flow.models": [*config.flow.models],
        "states.sites_of.models": config.states.sites_of.models or [],
        "probes.kinds_of.models": config.probes.kinds_of.models or [],
        "specifications.models": curves or [],
        "used.models": used or [],
        "lens.models": lens or [],
    }
    for where, names in named.items():
        for name in names:
            if name in several:
                raise InputError(f"{where}: {name} has `seeds` and is several models; name a model with one `seed`")
    return config.model_copy(update={"models": models})


def _draws(name: str, entry: Model) -> dict[str, Model]:
    if entry.weights != "random":
        raise InputError(f"models.{name}.seeds: they draw random weights; add `weights: random`, or leave them out")
    if entry.seed is not None:
        raise InputError(f"models.{name}: `seed` and `seeds` exclude each other; leave one of them out")
    if entry.intervention is not None:
        raise InputError(f"models.{name}.seeds: not with an `intervention`; give one `seed`")
    drawn = {}
    for seed in entry.seeds or ():
        draw = entry.model_copy(update={"seeds": None, "seed": seed})
        draw._draw_of = name
        drawn[f"{name}-{seed}"] = draw
    if too_long := [draw for draw in drawn if len(draw) > LONGEST_NAME]:
        raise InputError(
            f"models.{name}: with its seed the name becomes {too_long[0]}, longer than {LONGEST_NAME} characters; "
            "shorten it"
        )
    return drawn
