"""Downloads from a local imitation of the hub, in processes of their own: pinned, resumed, checked, without secrets."""

import json

import pytest

from layerwise.states.store import StatesFile
from tests.cells import extraction, write_items
from tests.conftest import REPOSITORY
from tests.families.measure import PROMPTS, pictures
from tests.hub import COMMIT, Hub, in_process, serve

ENTRY = {"source": "lab/tiny", "dtype": "float32", "adapter": "generic", "conversation": "auto"}
# What the hub's client reads at once; less of a file is not kept.
CHUNK = 10 * 1024 * 1024
NOWHERE = "http://127.0.0.1:9"
SNAPSHOT = """
import sys
from layerwise.jobs.command import run
from layerwise.models.hub import TEXT, WEIGHTS, snapshot
revision, *patterns = sys.argv[1:]
run(lambda: print(*snapshot("tiny", "lab/tiny", revision or None, patterns)))
"""
ALL = ("*.json", "*.safetensors")


@pytest.fixture
def hub():
    """A hub with one model, and with what must not be downloaded."""
    files = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 1000, "generation_config.json": b"{ }"}
    files |= {"pytorch_model.bin": b"pickle", "consolidated.safetensors": b"twice", "modeling_tiny.py": b"1 / 0"}
    with serve(Hub("lab/tiny", files)) as running:
        yield running


@pytest.fixture
def download(hub, tmp_path):
    """Run a download as a job does; another process knows nothing of the one before."""

    def run(revision=COMMIT, patterns=ALL, **environment):
        return in_process(hub, tmp_path, ["-c", SNAPSHOT, revision, *patterns], **environment)

    run.cache = tmp_path / "hf"
    return run


def test_an_id_becomes_a_commit_and_its_files_stay_in_the_cache(download, hub):
    done = download(revision="")
    assert done.returncode == 0, done.stderr
    folder = download.cache / f"hub/models--lab--tiny/snapshots/{COMMIT}"
    assert done.stdout.split() == [str(folder), COMMIT]
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert f"pin it: `revision: {COMMIT}`" in done.stderr
    # Neither pickles, nor code, nor the same weights twice.
    assert sorted(hub.sent) == ["config.json", "generation_config.json", "model.safetensors"]
    # A pinned commit that is there is not asked for again; of a branch that cannot be asked for, the last one is taken.
    for revision in (COMMIT, ""):
        again = download(revision, HF_ENDPOINT=NOWHERE)
        assert again.stdout == done.stdout, again.stderr
        assert ("pin it" in again.stderr) is not revision


def test_what_is_missing_is_downloaded_later(download, hub):
    assert download(patterns=["*.json"]).returncode == 0
    assert "model.safetensors" not in hub.sent
    assert download().returncode == 0
    assert "model.safetensors" in hub.sent


def by_an_older_client(download, *patterns):
    """Files of the commit in the cache, without the list of them that today's client keeps there."""
    assert download(patterns=patterns).returncode == 0
    (download.cache / f"hub/models--lab--tiny/trees/{COMMIT}.json").unlink()


def test_a_pinned_commit_of_which_the_cache_holds_a_part_is_completed(download, hub):
    by_an_older_client(download, "*.json")
    # Out of reach, it is told what is missing.
    done = download(HF_ENDPOINT=NOWHERE)
    assert done.returncode == 1
    folder = download.cache / f"hub/models--lab--tiny/snapshots/{COMMIT}"
    assert f"error: models.tiny: the cache holds only part of lab/tiny (revision {COMMIT}), and" in done.stderr
    assert f"Missing in {folder}: model.safetensors. Run the same command where" in done.stderr
    hub.sent = {}
    done = download()
    assert done.returncode == 0, done.stderr
    assert list(hub.sent) == ["model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_what_is_missing_of_a_commit_is_named_by_its_own_list_or_index(download, hub):
    weights = hub.files.pop("model.safetensors")
    shards = [f"model-{i}-of-5.safetensors" for i in range(1, 6)]
    hub.files |= {shard: weights[i:] for i, shard in enumerate(shards)}
    index = {"weight_map": {str(i): shard for i, shard in enumerate(shards)}}
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    assert download(patterns=["*.json", shards[0]]).returncode == 0
    for listed in (True, False):
        if not listed:
            (download.cache / f"hub/models--lab--tiny/trees/{COMMIT}.json").unlink()
        done = download(HF_HUB_OFFLINE="1")
        assert done.returncode == 1
        assert f": {', '.join(shards[1:4])} and 1 more. Run" in done.stderr


def test_a_whole_commit_of_an_older_client_needs_no_hub_and_no_token(download, hub):
    by_an_older_client(download, *ALL)
    assert download(HF_HUB_OFFLINE="1").returncode == 0
    hub.token = "hf_tokenForThisTestOnly"
    done = download()
    assert done.returncode == 0, done.stderr


def test_an_interrupted_download_goes_on_where_it_broke_off(download, hub):
    hub.files["model.safetensors"] = weights = bytes(range(256)) * 120_000
    assert len(weights) > 2 * CHUNK + 1000
    hub.left = 2 * CHUNK + 1000
    done = download()
    assert done.returncode == 1
    first, second = done.stderr.strip().splitlines()[-2:]
    assert first.startswith(f"error: models.tiny: cannot download lab/tiny (revision {COMMIT}): ")
    assert second == "What was downloaded is kept; the same command goes on."
    hub.left, hub.sent = None, {}
    done = download()
    assert done.returncode == 0, done.stderr
    assert hub.sent["model.safetensors"] == [(2 * CHUNK, len(weights))]
    folder = download.cache / f"hub/models--lab--tiny/snapshots/{COMMIT}"
    assert (folder / "model.safetensors").read_bytes() == weights
    assert not list(download.cache.rglob("*.partial"))


def test_damaged_weights_are_refused(download, hub):
    hub.damage = True
    done = download()
    assert done.returncode == 1
    assert "error: models.tiny: what came of model.safetensors has the SHA-256" in done.stderr
    hub.damage = False
    assert download().returncode == 0
    # So is what went bad in the cache.
    blob = (download.cache / f"hub/models--lab--tiny/snapshots/{COMMIT}/model.safetensors").resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    done = download()
    assert done.returncode == 1
    assert f"delete {blob} and run again" in done.stderr


def test_a_full_disk_is_told_before_the_download(download, hub):
    hub.claimed = {"model.safetensors": 10**18}
    done = download()
    assert done.returncode == 1
    assert "error: models.tiny: 1000000000.0 GB are missing, but" in done.stderr
    assert "set HF_HOME" in done.stderr
    assert not hub.sent


def test_a_hub_that_is_not_there_is_one_clear_error(download):
    done = download(revision="", HF_ENDPOINT=NOWHERE)
    assert done.returncode == 1
    assert "error: models.tiny: cannot download lab/tiny (revision main)" in done.stderr


def test_tokens_come_from_the_environment_and_show_nowhere(download, hub):
    hub.token = "hf_tokenForThisTestOnly"
    done = download()
    assert done.returncode == 1
    assert f"error: models.tiny: cannot download lab/tiny (revision {COMMIT}): 401" in done.stderr
    done = download(HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    assert hub.token not in done.stderr + done.stdout
    for file in download.cache.rglob("*"):
        assert not file.is_file() or hub.token.encode() not in file.read_bytes()


def test_a_model_of_the_hub_is_registered_once_and_runs_without_a_network(tiny_llava, tmp_path, hub):
    """The login node downloads; the job may not even open a connection."""
    hub.files = {file.name: file.read_bytes() for file in tiny_llava.iterdir()} | {"code.py": b"pass"}
    register = [REPOSITORY / "scripts/register_model.py", "--name", "tiny", "--seed", "5", "--out"]
    for weights in ("random", "pretrained"):
        trust = {"trust_remote_code": weights == "pretrained"}
        entry = json.dumps(ENTRY | trust | {"weights": weights, "revision": COMMIT})
        done = in_process(hub, tmp_path, [*register, tmp_path / f"{weights}.json", "--entry", entry])
        assert done.returncode == 0, done.stderr
        # A twin needs no weights, and code is wanted only where it is trusted.
        assert ("model.safetensors" in hub.sent) is ("code.py" in hub.sent) is (weights == "pretrained")
    model = json.loads((tmp_path / "pretrained.json").read_text())
    assert model["revision"] == COMMIT
    (tmp_path / "denied").mkdir()
    (tmp_path / "denied/sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*_):\n"
        f"    open({str(tmp_path / 'tried')!r}, 'w').close()\n"
        "    raise PermissionError('this job has no network')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
    )
    denied = {"PYTHONPATH": f"{tmp_path}/denied:{REPOSITORY}/scripts"}
    # The denial works.
    tried = in_process(hub, tmp_path, ["-c", SNAPSHOT, "main", *ALL], **denied)
    assert "this job has no network" in tried.stderr
    (tmp_path / "tried").unlink()
    pictures()[0].save(tmp_path / "0.png")
    write_items(tmp_path, [(f"{i}", tmp_path / "0.png", prompt) for i, prompt in enumerate(PROMPTS)])
    _, *arguments = extraction(tmp_path, model, ["last"], tmp_path / "states.h5")
    done = in_process(hub, tmp_path, arguments, **denied)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "tried").exists()
    with StatesFile(tmp_path / "states.h5") as states:
        assert states.cell["revision"] == COMMIT
        assert len(states.item_ids) == len(PROMPTS)
    # Not even where a model's files ask for code of another one: it would have had to be there already.
    (tmp_path / "asks").mkdir()
    for name, content in hub.files.items():
        (tmp_path / "asks" / name).write_bytes(content)
    classes = {"AutoConfig": "lab/other--code.Config", "AutoModelForImageTextToText": "lab/other--code.Model"}
    config = json.loads(hub.files["config.json"]) | {"auto_map": classes, "model_type": "other"}
    (tmp_path / "asks/config.json").write_text(json.dumps(config))
    model |= {"folder": str(tmp_path / "asks"), "trust_remote_code": True}
    _, *arguments = extraction(tmp_path, model, ["last"], tmp_path / "other.h5")
    done = in_process(hub, tmp_path, arguments, **denied)
    assert done.returncode == 1
    assert "error: models.tiny: cannot load" in done.stderr
    assert not (tmp_path / "tried").exists()
