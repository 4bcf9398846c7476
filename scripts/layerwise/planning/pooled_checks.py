"""What is refused under ``pooled`` when a study is planned."""

from layerwise.errors import InputError
from layerwise.planning.grid import Grid
from layerwise.planning.tower_checks import check_models_read, check_tasks_of_pictures


def check_pooled(grid: Grid) -> None:
    """Refuse models, tasks and layers that cannot be read, before anything is run.

    Layers can be refused only of models whose entry says under ``expected`` how many they have; of others the job does
    so, before it runs the model.

    Raises:
        InputError: naming the key, what is wrong with it, and what can be named.
    """
    asked = grid.config.pooled
    if asked is None:
        return
    check_models_read(grid, asked.models or (), "pooled", "image tokens")
    check_tasks_of_pictures(grid, asked.tasks, "pooled", "the tokens of one are pooled")
    # A run without the models that are asked for keeps nothing.
    if not grid.config.leave_out and not grid.pooled_cells():
        raise InputError(
            "pooled: there is nothing to read: none of its tasks is asked of a model whose image tokens can be read, "
            "with a prompt that shows the picture; name others in pooled.tasks, or leave pooled out"
        )
    for model in dict.fromkeys(cell.model for cell in grid.tokens_cells()):
        expected = grid.config.models[model].expected
        beyond = [number for number in asked.layers or () if expected and number > expected.layers + 1]
        if expected and beyond:
            raise InputError(
                f"pooled.layers: there is no layer {beyond[0]} in {model}, whose entry says under expected that it has "
                f"{expected.layers} blocks; name numbers from 0 (the embeddings) to {expected.layers + 1} (the final "
                "norm), or name the models in pooled.models"
            )
