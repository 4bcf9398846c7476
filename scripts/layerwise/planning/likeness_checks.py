"""What is refused under ``likeness`` when a study is planned."""

from layerwise.errors import InputError
from layerwise.planning.grid import Grid
from layerwise.planning.grid_checks import check_prompt_names, find


def check_likeness(grid: Grid) -> None:
    """Refuse names that are not there, and a section that asks for nothing.

    Raises:
        InputError: naming the key, what does not fit, and what to change.
    """
    config, asked = grid.config, grid.config.likeness
    for model in asked.models or []:
        find(dict.fromkeys(grid.base_models()), model, "likeness.models", "`models`, without interventions,")
    check_prompt_names(config, "likeness.prompts", asked.prompts or [])
    named = asked.measured or asked.models is not None or asked.prompts is not None
    # A run without the models that are named measures none.
    if named and asked.measured is not False and not grid.likeness_cells() and not config.leave_out:
        raise InputError(
            "likeness: no model is asked such a prompt; name others (`models`, `prompts`), or leave the section out"
        )
