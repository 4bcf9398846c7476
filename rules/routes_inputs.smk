# Inputs and params of the rule that trains routes.
ROUTE_CELLS = grid.route_cells()
ROUTE = "<results>/used/routes/{model}/{task}/{prompt}/{route}.safetensors"
ROUTE_CONTROL = "<results>/used/routes/{model}/{task}/{prompt}/{route}.control.parquet"
# The routes that some model runs with.
USED_ROUTES = list(dict.fromkeys(route for model in study.config.models if (route := grid.route_of(model)) is not None))


def route_entry(wildcards):
    """What decides a route besides the states, the labels and the model; see states_cell."""
    return as_json(grid.planned_route(wildcards.route))


def reads_image(wildcards):
    """Whether a route reads the image's tokens, for which the model is run."""
    return grid.planned_route(wildcards.route)["kind"] == "attention"


def route_gpus(wildcards):
    """GPUs of a job that trains a route."""
    return gpus(wildcards) if reads_image(wildcards) else 0


def route_memory_mb(wildcards, input, attempt):
    """Main memory of a job that trains a route: that of the model, or of its states alone."""
    return memory_mb(wildcards, input, attempt) if reads_image(wildcards) else 8000 * attempt
