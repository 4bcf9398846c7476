"""The card of a published folder: its README.md, with the header that the Hugging Face hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from layerwise.figures.names import metric_name
from layerwise.publish.kept_states import layer_file
from layerwise.study import Study
from layerwise.workflow_folder import WORKFLOW

TEMPLATE = WORKFLOW / "report/dataset-card.md.j2"


def write_card(folder: Path, said: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write the card.

    Args:
        said: what the template names.
        header: the keys of the hub's header.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = cell_of_table
    text = environment.get_template(TEMPLATE.name).render(said)
    head = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True, width=1000)
    (folder / "README.md").write_text(f"---\n{head}---\n\n{text.lstrip()}", encoding="utf-8")


def cell_of_table(value: object) -> str:
    """A value in a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def best_layers(study: Study, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """For each cell the layer that is best on validation: its test score, the topmost block's, and the majority's.

    The score is the task's own metric: over all labels, if there are several.
    """
    rows = []
    for model, task, prompt in study.grid.probe_cells():
        metric = study.config.tasks[task].metric
        of_cell = scores.query("model == @model and task == @task and prompt == @prompt and metric == @metric")
        of_cell = of_cell[of_cell["label"].eq("macro")] if of_cell["label"].eq("macro").any() else of_cell
        probes = of_cell[of_cell["probe"] == "logistic"].set_index("layer")
        val, test = (probes[probes["split"] == split] for split in ("val", "test"))
        if val.empty or test.empty:
            continue
        best = int(val["value"].idxmax())
        guess = of_cell[(of_cell["probe"] == "majority") & (of_cell["split"] == "test")]["value"]
        top = int(test["n_layers"].iloc[0])
        rows.append(
            {
                "model": model,
                "task": task,
                "prompt": prompt,
                "metric": metric_name(metric),
                "layer": best,
                "layer_name": test.loc[best, "layer_name"],
                "score": _number(test.loc[best, "value"]),
                "interval": f"{_number(test.loc[best, 'low'])} to {_number(test.loc[best, 'high'])}",
                "top": _number(test.loc[top, "value"]) if top in test.index else "",
                "majority": _number(guess.iloc[0]) if len(guess) else "",
            }
        )
    return rows


def loading(example: Mapping[str, Any]) -> str:
    """The five lines that load what was published."""
    return "\n".join(
        [
            "import pandas as pd",
            "from safetensors.numpy import load_file",
            'scores = pd.read_parquet("scores.parquet")',
            f'predictions = pd.read_parquet("predictions/{example["cell"]}.parquet")',
            f'probe = load_file("probes/{example["cell"]}.safetensors")',
        ]
    )


def applying(example: Mapping[str, Any]) -> str:
    """The lines that apply a probe to published states."""
    folder, layer = example["states"], example["layer"]
    return "\n".join(
        [
            f'items = pd.read_parquet("{folder}/items.parquet")',
            f'states = load_file("{folder}/{example["position"]}/{layer_file(layer)}")["states"]',
            'x = states[items["row"]].astype("float64")',
            f'margins = x @ probe["weights"][{layer}, 0].T + probe["bias"][{layer}, 0]',
        ]
    )


def _number(value: float) -> str:
    return f"{value:.3f}"
