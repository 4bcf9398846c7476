"""Put the finished parts of a job together into its states file. No torch, and no model."""

from layerwise.jobs.command import finished_file
from layerwise.models.versions import library_versions
from layerwise.states.job import Job
from layerwise.states.plan import path_of, ranges_of
from layerwise.states.work import WorkFolder
from layerwise.states.writing import new_states, write_rows


def is_whole(job: Job, work: WorkFolder) -> bool:
    """Whether a job recorded that all parts are there, and none has been damaged since."""
    if not (finished := work.finished()):
        return False
    parts = ranges_of(job.rows(finished["share_from"]).parts)
    return all(work.load(start, stop, job.positions) is not None for start, stop in parts)


def assemble(job: Job, work: WorkFolder) -> None:
    """Write the states file from a work folder in which all parts are finished.

    Raises:
        InputError: on a part that was lost or damaged since it was made.
        ValueError: when not all parts have been made.
    """
    finished = work.finished()
    if finished is None:
        raise ValueError(f"{work.folder}: parts are missing")
    rows = job.rows(finished["share_from"])
    parts = ranges_of(rows.parts)
    widths = work.widths(parts[0], job.positions)
    processor = job.description.get("image_processor")
    made_with = {
        "revision": job.description["revision"],
        "path": path_of(rows.parts),
        "image_processor": processor["class"] if processor else None,
        **library_versions(),
    }
    whole = job.cell["positions"]
    with (
        finished_file(job.options.out) as partial,
        new_states(
            partial,
            positions=whole,
            layers=finished["layers"],
            rows=len(rows.inputs),
            width=finished["width"],
            sites={position: width for position, width in widths.items() if position not in whole},
            heads=finished["heads"] if "last-heads" in job.positions else 0,
            dtype=job.cell["dtype"],
            item_ids=rows.item_ids,
            row_of_item=rows.row_of_item,
            cell=job.cell | made_with | job.shard,
            places=rows.places if job.shard else None,
        ) as datasets,
    ):
        for start, states in work.assemble(parts, job.positions):
            for position, values in states.items():
                write_rows(datasets[position], start, values)
