# Inputs and params of the rules of stimuli and tasks.
def prompts_entry(wildcards):
    """The prompts of a stimulus set, as JSON."""
    return as_json({name: prompt.shown() for name, prompt in grid.prompts(wildcards.stimuli).items()})


def asked_of(file):
    """A file of the stimulus set that a task is about."""
    return lambda wildcards: stimuli_file(study.config.tasks[wildcards.task].stimuli, file)


def asked_texts(wildcards):
    """The items of a task with unseen texts; others are made without them."""
    task = study.config.tasks[wildcards.task]
    return [] if task.split.unseen_texts is None else stimuli_file(task.stimuli, "items.parquet")


def task_code(wildcards):
    """The digest of the program that makes tasks, and of the modules that make its stimuli."""
    return code_digest("make_task.py", *kind_files(study.config.tasks[wildcards.task].stimuli))


# Tasks of whose small test split the user has been told in this run.
warned_of = set()


def warn_of_small_tests():
    """Print a line for each made task whose test split is too small to decide anything."""
    for task in study.config.tasks:
        made = Path(study.task_folder(task)) / "task.json"
        if task not in warned_of and made.exists():
            if warning := json.loads(made.read_text(encoding="utf-8")).get("warning"):
                warned_of.add(task)
                logger.warning(warning)
