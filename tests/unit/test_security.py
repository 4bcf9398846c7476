"""What the sources may not do: run what a file holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerwise.config.base import NAME
from tests.conftest import REPOSITORY

# Module and function: those that run what they read, or hand a text to a shell.
RUN_WHAT_THEY_READ = {
    *((None, name) for name in ("eval", "exec", "compile", "__import__")),
    *(
        (module, name)
        for module in ("pickle", "dill", "joblib", "marshal", "shelve")
        for name in ("load", "loads", "open")
    ),
    *(("yaml", name) for name in ("load", "load_all", "full_load", "unsafe_load")),
    *(("os", name) for name in ("system", "popen")),
    ("torch", "load"),
    ("np", "load"),
    ("pd", "read_pickle"),
}
# Of these only tensors are read.
ALLOWED = {
    # Checked by checksum first: tests/unit/models/test_conversion.py.
    ("scripts/layerwise/models/conversion.py", "torch", "load"),
    # VLM-Lens wrote them a moment before.
    ("benchmarks/peers/run_vlm_lens.py", "torch", "load"),
}


def sources() -> Iterator[Path]:
    return (file for folder in ("scripts", "benchmarks") for file in sorted((REPOSITORY / folder).rglob("*.py")))


def forbidden(code: str, file: str) -> list[str]:
    """What in ``code`` runs what it reads, by line."""
    found = []
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        function, words = call.func, {word.arg: word.value for word in call.keywords}
        if isinstance(function, ast.Name):
            called = (None, function.id)
        elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            called = (function.value.id, function.attr)
        else:
            called = (None, None)
        only_tensors = isinstance(words.get("weights_only"), ast.Constant) and words["weights_only"].value is True
        if called in RUN_WHAT_THEY_READ and not ((file, *called) in ALLOWED and only_tensors):
            found.append(f"{file}:{call.lineno}: {called[0]}.{called[1]}")
        for word in ("shell", "allow_pickle"):
            if word in words and not (isinstance(words[word], ast.Constant) and words[word].value is False):
                found.append(f"{file}:{call.lineno}: {word}")
        if isinstance(words.get("trust_remote_code"), ast.Constant) and words["trust_remote_code"].value is True:
            found.append(f"{file}:{call.lineno}: trust_remote_code")
    return found


def test_nothing_runs_what_it_reads():
    read = {str(file.relative_to(REPOSITORY)): file.read_text(encoding="utf-8") for file in sources()}
    assert len(read) > 80
    assert [line for file, code in read.items() for line in forbidden(code, file)] == []


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "pickle.load(file)",
        "yaml.load(text)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
    ],
)
def test_the_check_finds_what_it_looks_for(code):
    assert forbidden(code, "scripts/layerwise/models/conversion.py")


# What may stand in a command without quotes: numbers, words of a fixed list, and names, which the schema restricts.
NUMBERS = {
    "C",
    "n_items",
    "random_labels",
    "permutations",
    "resamples",
    "seed",
    "steps_scale",
    "train",
    "val",
    "flickr",
}
NUMBERS |= {"batch_size", "mem_mb"}
NUMBERS |= {"cards", "shard", "penalties", "training_draws", "draws", "megabytes", "side", "wanted"}
WORDS = {"kind", "permuted", "description_length", "engine", "position", "python", "sharing", "commit", "objective"}
WORDS |= {"pictures"}
NAMES = {"cells", "comparison", "figure", "left_out", "model", "questions", "stimuli", "task"}


def test_what_a_user_writes_is_quoted_in_every_command():
    commands = ""
    for file in [REPOSITORY / "Snakefile", *sorted((REPOSITORY / "rules").glob("*.smk"))]:
        commands += "".join(re.findall(r"^    shell:\n((?:^        .*\n)+)", file.read_text(), flags=re.MULTILINE))
    unquoted = set(re.findall(r"\{(?:params|resources|wildcards|input|output|log)\.?(\w*)\}", commands))
    assert "engine" in unquoted
    assert unquoted <= NUMBERS | WORDS | NAMES, "quote it: {params.name:q}"


def test_names_are_what_a_shell_leaves_alone():
    assert NAME.check("llava-1.5_7b")
    for name in ("a b", "a;b", "$(a)", "`a`", "a/b", "..", "-a", "a'b", "a\nb", "a\n", "{a}", "a*", ""):
        assert not NAME.check(name), name
