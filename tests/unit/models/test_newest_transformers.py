"""What the newest release of transformers registers, beside what the pinned one does: for those who raise the pin."""

import json
import os
import subprocess
import sys
import warnings

import pytest
from transformers import __version__

from layerwise.errors import InputError
from layerwise.models.families import FAMILIES
from layerwise.models.registration import describe_model
from tests.conftest import REPOSITORY
from tests.families.registered import registered

ENTRY = {"weights": "pretrained", "dtype": "float32", "adapter": "generic", "conversation": "auto"}


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    """Its version, and its types with their classes. Only transformers is downloaded; all else is what is here."""
    folder = tmp_path_factory.mktemp("newest")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--target", folder, "transformers"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the newest transformers cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    (about,) = folder.glob("transformers-*.dist-info")
    if about.name == f"transformers-{__version__}.dist-info":
        pytest.skip(f"the pinned transformers {__version__} is the newest")
    path = os.pathsep.join([str(folder), str(REPOSITORY / "scripts")])
    # Without the folder of the program, whose modules have names of families.
    command = [sys.executable, "-P", REPOSITORY / "tests/families/registered.py"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1]
        pytest.skip(f"{about.name} does not run beside the other pinned packages: {said}")
    # Configurations may print as they are imported.
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.whole
def test_the_newest_transformers_has_all_types_that_are_served(newest, tmp_path):
    """New types are told as a warning. They run with the defaults, or need a row: docs/extending.md."""
    assert newest["version"] != __version__
    types = set(newest["types"])
    if new := sorted(types - set(registered())):
        warnings.warn(f"transformers {newest['version']} has new types: {', '.join(new)}", stacklevel=1)
    by_authors = {model_type for model_type, row in FAMILIES.items() if not row.measured}
    served = {model_type for model_type, row in FAMILIES.items() if not row.refused} - by_authors
    assert served <= types, f"served, but gone or renamed: {', '.join(sorted(served - types))}"
    # Until the pin is raised, a model of a new type is one clear error.
    for model_type in new:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(
            InputError, match=rf"transformers {__version__} knows no type {model_type} .* a newer release"
        ):
            describe_model("m", ENTRY | {"source": str(tmp_path)}, None, seed=0)
