"""Run a loaded model over the inputs of a job, into its work folder."""

from pathlib import Path

from layerwise.models.frozen import FrozenModel, layer_names
from layerwise.states.checks import check_batches, check_hooks, check_prompts, check_sharing
from layerwise.states.extract import extract_parts
from layerwise.states.image_checks import check_intervention, check_sight
from layerwise.states.job import Job
from layerwise.states.shape_checks import check_pictures
from layerwise.states.sharing import least_texts
from layerwise.states.work import WorkFolder


def run_job(model: FrozenModel, job: Job, work: WorkFolder, device: str, by: Path) -> None:
    """Check the model on a few of the job's inputs, then make all parts that are missing.

    Args:
        model: the loaded model.
        job: what to run.
        work: where its parts are kept.
        device: where the model is.
        by: the states file of the job that does the work, which may be another one.

    Raises:
        InputError: when the model or the device cannot do the job.
        FloatingPointError: on a state that is not finite.
    """
    check_prompts(model, job.inputs)
    # Decided on all inputs of the cell, so that all shards do the same.
    share_from = least_texts(model, job.inputs, job.options.sharing, device)
    rows = job.rows(share_from)
    inputs, parts = rows.inputs, rows.parts
    check_pictures(model, inputs)
    check_hooks(model, inputs, job.positions)
    check_sight(model, job.description["model"], inputs, untrained=job.description["weights"] == "random")
    check_intervention(model, inputs)
    check_batches(model, inputs, parts, job.positions)
    check_sharing(model, inputs, parts, job.positions)
    extract_parts(model, inputs, parts, job.positions, work)
    heads = model.n_heads if "last-heads" in job.positions else 0
    layers = layer_names(model.n_layers)
    described = {"share_from": share_from, "layers": layers, "width": model.width, "heads": heads}
    work.finish(described | {"by": str(by)})
