"""Let a model write its answers, part by part."""

import logging
from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from layerwise.answers.written import as_bytes
from layerwise.models.frozen import AnsweringModel
from layerwise.models.greedy import greedy_answers
from layerwise.models.memory import Room
from layerwise.states.checks import check_prompts
from layerwise.states.images import read_images
from layerwise.states.named import naming
from layerwise.states.plan import Unit
from layerwise.states.shape_checks import check_pictures
from layerwise.states.work import WorkFolder

log = logging.getLogger(__name__)


def write_parts(
    model: AnsweringModel, inputs: pd.DataFrame, parts: Sequence[Sequence[Unit]], most_tokens: int, work: WorkFolder
) -> None:
    """Make every part that is missing: the texts of its inputs, in UTF-8.

    Args:
        model: the loaded model.
        inputs: ``image``, ``prompt``, ``item_id`` in running order.
        parts: the same inputs in parts, from :func:`layerwise.states.plan.plan_parts`.
        most_tokens: longer answers are cut off.
        work: where parts are kept.

    Raises:
        InputError: when the model refuses an item's picture or wording, or not even one input fits on the device.
    """
    check_prompts(model, inputs)
    check_pictures(model, inputs)
    room = Room(len(inputs), "inputs in a batch")

    def answer(some: pd.DataFrame) -> list[str]:
        images = list(map(read_images, some["image"]))
        return [one.text for one in greedy_answers(model, images, list(some["prompt"]), most_tokens)]

    with tqdm(total=len(inputs), unit="input", mininterval=5) as progress:
        for units in parts:
            start, stop = units[0].start, units[-1].stop
            if work.load(start, stop, ["text"]) is not None:
                log.info("inputs %d to %d were finished by an earlier job", start, stop)
                progress.update(stop - start)
                continue
            texts: list[str] = []
            for unit in units:
                rows = inputs.iloc[unit.start : unit.stop]

                def answer_piece(first: int, last: int, rows: pd.DataFrame = rows) -> list[str]:
                    return naming(model, "answer", answer, rows[first:last])

                texts += [text for piece in room.over(len(rows), answer_piece) for text in piece]
                progress.update(len(rows))
            work.save(start, stop, {"text": as_bytes(texts)})
