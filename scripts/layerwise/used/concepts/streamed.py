"""What ``stream_concept.py`` does: fit a concept to all tokens of texts, or of images, behind one block."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file
from layerwise.jobs.options import Options
from layerwise.models.interventions.concept_file import Concept, write_concept
from layerwise.states.device import start_torch
from layerwise.states.job import Job
from layerwise.states.plan import plan_parts, prefixes, running_order
from layerwise.tasks.labels import read_task
from layerwise.used.concepts.erasers import Covariance
from layerwise.used.concepts.labelled import Labelled, concept_cell
from layerwise.used.concepts.moments import Moments, one_hot
from layerwise.used.concepts.steering import along_means

if TYPE_CHECKING:
    from layerwise.models.frozen import FrozenModel

log = logging.getLogger(__name__)

# A share of the variance between classes that is rounding: little is left of it in a mean over thousands of tokens.
ROUNDING = 1e-12


def stream_concept(options: Options, task: Path, at: str, block: int, cards: int, threads: int) -> None:
    """Write the concept of a task at all tokens of the text or of the image.

    Args:
        options: the cell of the model as it is, and the file to write.
        task: folder of the task.
        at: ``text`` or ``image``.
        block: whose output is read, from 1.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.

    Raises:
        InputError: when the task has no concept, the model cannot run, or nothing there tells the classes apart.
    """
    labels, description = read_task(task)
    job = Job(options)
    rows = job.rows(0)
    labelled = Labelled.of(description, labels, rows.item_ids, np.asarray(rows.row_of_item))
    training = labelled.table[labelled.table["split"] == "train"].sort_values("row")
    inputs = rows.inputs.iloc[training["row"]].reset_index(drop=True)
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model

    model = open_model(job.description, device, device_map=options.device_map)
    y = training["y"].to_numpy()
    moments = _moments(model, job, inputs, one_hot(y, len(labelled.classes)), at, block, device)
    concept = fit_tokens(moments, f"tasks.{description['task']}", f"the {at} tokens behind block {block}")
    told = {"blocks": [block], "position": at, "classes": labelled.classes, "draws": 0, "seed": None}
    told |= {"cell": concept_cell(description, labels, job.cell, at), "tokens": moments.count, "inputs": len(inputs)}
    with finished_file(options.out) as file:
        write_concept(file, told, [concept])


def fit_tokens(moments: Moments, task: str, where: str) -> Concept:
    """The eraser and the direction of the class means; there are no controls, and no probe.

    Args:
        moments: of the tokens and their classes.
        task, where: for messages.

    Raises:
        InputError: when the class means are equal up to rounding.
    """
    apart = moments.class_means - moments.mean
    variance = float(np.trace(moments.covariance))
    between = float(moments.share @ (apart**2).sum(axis=1)) / (variance or 1)
    log.info("%s: %.2g of the variance of %s is between the classes", task, between, where)
    covariance = Covariance(moments)
    eraser = covariance.eraser()
    if between <= ROUNDING or not eraser.from_.any():
        raise InputError(
            f"{task}: {where} do not tell its classes apart, so that there is nothing to erase or to steer along; "
            "choose another block, or `at: last`"
        )
    return Concept(
        mean=eraser.mean,
        erase=(eraser.from_, eraser.to),
        control=(np.empty((0, *eraser.to.shape)),) * 2,
        steer={"means": along_means(moments, covariance)},
    )


def _moments(
    model: "FrozenModel", job: Job, inputs: pd.DataFrame, classes: np.ndarray, at: str, block: int, device: str
) -> Moments:
    from layerwise.states.checks import check_batches, check_prompts, check_sharing
    from layerwise.states.image_checks import check_sight
    from layerwise.states.shape_checks import check_pictures
    from layerwise.states.sharing import least_texts
    from layerwise.used.concepts.streaming import streamed_moments

    check_prompts(model, inputs)
    share_from = 0
    if at == "image":
        _check_tells_apart(model, inputs, classes)
        share_from = least_texts(model, inputs, job.options.sharing, device)
    order = running_order(inputs, share_from)
    inputs, classes = inputs.iloc[order].reset_index(drop=True), classes[order]
    parts = plan_parts(inputs, share_from, job.options.batch_size)
    check_pictures(model, inputs)
    check_sight(model, job.description["model"], inputs, untrained=job.description["weights"] == "random")
    check_batches(model, inputs, parts, ["last"])
    check_sharing(model, inputs, parts, ["image-mean"])
    return streamed_moments(model, inputs, classes, [unit for units in parts for unit in units], at, block)


def _check_tells_apart(model: "FrozenModel", inputs: pd.DataFrame, classes: np.ndarray) -> None:
    """Tokens of an image that come before the text are the same for all its texts, whatever their classes."""
    if not model.shares_prefix:
        return
    shares = pd.DataFrame(classes).groupby(prefixes(inputs).to_numpy()).mean().to_numpy()
    mixed = int((shares.max(axis=1) < 1).sum())
    if np.ptp(shares, axis=0).max() == 0:
        raise InputError(
            f"the image's tokens come before the text, so that they are the same for all texts about it, and each of "
            f"the {len(shares)} training images has texts of all classes alike: they cannot tell the classes apart; "
            "write `at: text` or `at: last`, or name a task about the image"
        )
    if mixed:
        log.warning(
            "%d of %d training images have texts of several classes, which the image's tokens before the text cannot "
            "tell apart",
            *(mixed, len(shares)),
        )
