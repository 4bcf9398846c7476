"""Which models are asked which questions: the part of a study's grid under ``flow``.

Without torch, because the Snakefile builds it each time it plans.
"""

from typing import Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.datasets.gqa_sources import check_questions
from layerwise.errors import InputError
from layerwise.grid import PLACEHOLDER, Grid
from layerwise.recipes import adapter_file, dataset_mark, recipe_of, without


class FlowCell(NamedTuple):
    """One model that is asked one set of questions."""

    model: str
    questions: str


class FlowGrid:
    """The cells of a validated config's ``flow``.

    Raises:
        InputError: when it refers to something that is not there, or to what attention cannot be blocked in.
    """

    def __init__(self, config: dict[str, Any], grid: Grid):
        self.config = config
        self.data = grid.data
        self.entry = config["flow"]
        for key, other in (("questions", "models"), ("models", "questions")):
            if self.entry[key] and not self.entry[other]:
                raise InputError(f"flow.{other}: there are none, though flow.{key} has {', '.join(self.entry[key])}")
        for name, questions in self.entry["questions"].items():
            self._check_questions(f"flow.questions.{name}", questions)
        for name in self.entry["models"]:
            self._check_model(f"flow.models.{name}", name)

    def cells(self) -> list[FlowCell]:
        """Every model x questions."""
        return [FlowCell(model, questions) for model in self.entry["models"] for questions in self.entry["questions"]]

    def planned(self, model: str, questions: str) -> dict[str, Any]:
        """What decides what is measured beside the model and the questions; see :meth:`layerwise.grid.Grid.planned`."""
        return {
            "model": model,
            "questions": questions,
            "prompt_entry": self.prompt(questions),
            "window": self.window(model),
            "question_tokens": self.entry["question_tokens"],
            "code": code_digest("trace_flow.py", adapter_file(self.config, model)),
        }

    def window(self, model: str) -> int:
        """How many blocks are blocked at a time."""
        return self.entry["models"][model]["window"]

    def prompt(self, questions: str) -> dict[str, Any]:
        """The prompt entry of a set of questions."""
        return self.config["prompts"]["gqa"][self.entry["questions"][questions]["prompt"]]

    def files(self, questions: str) -> list[str]:
        """The files whose change makes a set of questions stale."""
        entry = self.entry["questions"][questions]
        dataset = self.config["datasets"][entry["dataset"]]
        if "world" in dataset:
            return [f"<results>/worlds/{dataset['world']}/world.json"]
        return [str(file) for file in self.data.annotation_files(entry["dataset"], entry["types"])]

    def image_receipts(self, questions: str) -> list[str]:
        """The downloads that the images are unpacked from; none for images that are used where they lie."""
        entry = self.entry["questions"][questions]
        return self.data.image_receipts(entry["dataset"], entry["types"])

    def receipts(self, questions: str) -> list[str]:
        """Receipts of all downloads that a set of questions needs."""
        entry = self.entry["questions"][questions]
        return self.data.receipts(entry["dataset"], entry["types"])

    def folder(self, questions: str) -> str:
        """The folder of a set of questions under the results root; see :mod:`layerwise.recipes`."""
        entry = self.entry["questions"][questions]
        sources = dataset_mark(self.config, entry["dataset"], entry["types"])
        asked = [without(entry, "dataset", "prompt"), sources, self.config["seed"], code_digest("make_questions.py")]
        return f"questions/{questions}/{recipe_of(asked)}"

    def _check_questions(self, where: str, entry: dict[str, Any]) -> None:
        datasets, name = self.config["datasets"], entry["dataset"]
        if name not in datasets:
            known = ", ".join(datasets) or "nothing"
            raise InputError(f"{where}.dataset: there is no {name!r}; the config has {known}")
        if datasets[name]["format"] != "gqa":
            raise InputError(f"{where}.dataset: questions are read from data sets of format gqa, and {name} is none")
        if "world" not in datasets[name] and "annotations" in datasets[name]:
            try:
                check_questions(self.data.folders(name)["annotations"], entry["types"])
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
        prompts = self.config["prompts"].get("gqa", {})
        if entry["prompt"] not in prompts:
            known = ", ".join(prompts) or "nothing"
            raise InputError(f"{where}.prompt: there is no {entry['prompt']!r}; prompts.gqa has {known}")
        prompt, which = prompts[entry["prompt"]], f"prompts.gqa.{entry['prompt']}"
        if set(PLACEHOLDER.findall(prompt["text"])) != {"text"}:
            raise InputError(f"{which}: the prompt needs {{text}}, which stands for the question, and nothing else")
        if prompt.get("image", "shown") != "shown":
            raise InputError(f"{which}: flows start at the question's own image; leave out `image`")

    def _check_model(self, where: str, name: str) -> None:
        models = self.config["models"]
        if name not in models:
            raise InputError(f"{where}: there is no {name!r}; models has {', '.join(models)}")
        if "intervention" in models[name]:
            raise InputError(f"{where}: attention is blocked in models without an intervention; leave it out")
        adapter = models[name]["adapter"]
        if self.config["adapters"].get(adapter, {}).get("environment") == "legacy":
            raise InputError(f"{where}: its adapter {adapter} runs code whose attention is not blocked; leave it out")
