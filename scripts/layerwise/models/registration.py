"""Find a model's files and describe them in ``model.json``, all that later stages know about a model entry."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from layerwise.checksums import file_sha256
from layerwise.errors import InputError
from layerwise.models.authors.configs import ABOUT, About
from layerwise.models.building import auto_class
from layerwise.models.configuration import read_configuration
from layerwise.models.explained import explained, said_by
from layerwise.models.families import is_text
from layerwise.models.family_revisions import REVISIONS
from layerwise.models.files import CONVERSION, deciding_files
from layerwise.models.hub import CODE, TEXT, WEIGHTS, snapshot
from layerwise.models.image_processor import describe_image_processor, left_out_of_digest, load_processor
from layerwise.models.interventions.model_checks import check_intervention, check_scores
from layerwise.models.text_processor import load_text_processor
from layerwise.models.type_checks import check_family, check_sees, check_served
from layerwise.models.weights_check import check_weights

log = logging.getLogger(__name__)


def describe_model(
    name: str,
    entry: dict[str, Any],
    made_folder: Path | None,
    seed: int,
    upstream: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Describe a model entry. Files are used in place, never copied.

    Args:
        name: the model's name in the config.
        entry: its config entry.
        made_folder: made by the workflow, for the source ``embedded``, for converted weights and for an image processor
            with other settings.
        seed: draws the weights of an entry with ``weights: random``.
        upstream: ``commit`` and ``folder`` of the authors' code, for a family that runs it.

    Returns:
        ``model, source, revision, folder, weights, convert, seed, dtype, quantization, trust_remote_code, adapter,
        conversation, model_type, n_layers, width, image_processor``, ``upstream`` and ``digest``, a SHA-256 over all
        that decides what the model computes. An entry with an intervention also has ``intervention`` and, as ``base``,
        the digest of the model without it.

    Raises:
        InputError: when the source cannot be downloaded, has no safetensors or not all of the model's weights, when its
            configuration or its processor cannot be loaded, its type is unknown, is not served or needs another
            adapter, or the model does not allow the intervention.
    """
    source, revision, trust = entry["source"], None, entry.get("trust_remote_code", False)
    if made_folder:
        folder = made_folder
        if "convert" in entry or "processor" in entry:
            revision = json.loads((folder / CONVERSION).read_text())["revision"]
    elif Path(source).is_dir():
        folder = Path(source)
    else:
        if entry["adapter"] not in ABOUT:
            # At one commit, and before all else: weights are large.
            folder, revision = snapshot(name, source, entry.get("revision"), ["config.json"])
            check_served(name, entry["adapter"], folder, trust)
        patterns = [*TEXT, *(WEIGHTS if entry["weights"] == "pretrained" else []), *(CODE if trust else [])]
        folder, revision = snapshot(name, source, revision or entry.get("revision"), patterns)
    if entry["adapter"] not in ABOUT:
        check_served(name, entry["adapter"], folder, trust)
    if not any(folder.glob("*.safetensors")) and entry["weights"] == "pretrained":
        raise InputError(
            f"models.{name}: there is no .safetensors file in {folder}; `convert` takes .bin and .pt files with their "
            "checksums"
        )
    if entry["adapter"] in ABOUT:
        about = ABOUT[entry["adapter"]](folder, Path(upstream["folder"]) if upstream else None)
        conversation = about.conversation if entry["conversation"] == "auto" else entry["conversation"]
        _check_own_preprocessing(name, entry)
        image_processor, left_out = None, True
    else:
        about, conversation = _about(name, entry["adapter"], folder, trust), entry["conversation"]
        check_family(name, entry["adapter"], about.model_type, trust)
        if is_text(entry["adapter"]):
            _check_own_preprocessing(name, entry)
            load_text_processor(name, folder, trust)
            image_processor, left_out = None, True
        else:
            processor = load_processor(name, folder, entry.get("image_processor", "auto"), trust)
            image_processor, left_out = describe_image_processor(processor), left_out_of_digest(processor)
            log.info("models.%s: %s makes its pixels", name, image_processor["class"])
        # The workflow's own models are complete. Adapters of authors' code compare weights when they load.
        if entry["weights"] == "pretrained" and source != "embedded":
            check_weights(name, folder, trust, auto_class(entry["adapter"]))
    description = {
        "source": source,
        "revision": revision,
        "weights": entry["weights"],
        "convert": entry.get("convert"),
        "seed": seed if entry["weights"] == "random" else None,
        "dtype": about.dtype if entry["dtype"] == "auto" else entry["dtype"],
        "adapter": entry["adapter"],
        "conversation": conversation,
        "quantization": entry.get("quantization", "none"),
        "trust_remote_code": entry.get("trust_remote_code", False),
        "model_type": about.model_type,
        "n_layers": about.n_layers,
        "width": about.width,
    }
    if upstream:
        description["upstream"] = upstream
    # A hub commit fixes its files, but not changed settings. A folder can be moved, and its files can change.
    with_weights = entry["weights"] == "pretrained"
    fixed = None if "processor" in entry else revision
    files = fixed or {str(file.relative_to(folder)): file_sha256(file) for file in deciding_files(folder, with_weights)}
    identity = {key: value for key, value in description.items() if key != "source" or fixed}
    if upstream:
        # A commit fixes its files.
        identity["upstream"] = upstream["commit"]
    if not left_out:
        identity["image_processor"] = image_processor
    if revision_of_family := REVISIONS.get(about.model_type, 0):
        identity["family"] = revision_of_family
    described = {"model": name, "folder": str(folder), **description, "image_processor": image_processor}
    digest = _digest(identity, files)
    if "intervention" not in entry:
        return described | {"digest": digest}
    intervention = {"intervention": entry["intervention"]}
    check_intervention(name, entry["intervention"], about.n_layers, about.model_type)
    check_scores(name, entry["intervention"], about.kinds)
    return described | intervention | {"base": digest, "digest": _digest(identity | intervention, files)}


def _digest(identity: dict[str, Any], files: Any) -> str:
    return hashlib.sha256(json.dumps([identity, files], sort_keys=True).encode()).hexdigest()


def _check_own_preprocessing(name: str, entry: dict[str, Any]) -> None:
    """Refuse a choice of image processor for an adapter that makes the pixels itself.

    Which pixels it makes is decided by its code (in the cell's code digest), the authors' code (by its commit) or the
    model's files (by their content).

    Raises:
        InputError: when the entry asks for an image processor of transformers.
    """
    if entry.get("image_processor", "auto") != "auto":
        raise InputError(
            f"models.{name}.image_processor: the adapter {entry['adapter']!r} "
            f"{'shows no picture' if is_text(entry['adapter']) else 'makes the pixels itself'}; leave it out"
        )


def _about(name: str, adapter: str, folder: Path, trust: bool) -> About:
    """What the configuration says: transformers' own, or with ``trust`` one that comes with the model."""
    try:
        config = read_configuration(folder, trust_remote_code=trust)
    except (OSError, ValueError, ImportError) as error:
        hint = "; code that comes with it runs with `trust_remote_code: true`" if "trust_remote" in str(error) else ""
        raise InputError(
            f"models.{name}: {folder} has no config.json that transformers knows{hint} ({error})"
        ) from error
    except Exception as error:
        raise InputError(f"models.{name}: cannot read {folder}/config.json: {said_by(error)}") from error
    with explained(
        f"models.{name}: the configuration of a model of type {config.model_type} ({folder}/config.json) names no text "
        "decoder",
        "this family needs an adapter of its own",
    ):
        text = config.get_text_config()
        kinds = tuple(getattr(text, "layer_types", None) or ())
        check_sees(name, adapter, config)
        return About(config.model_type, text.num_hidden_layers, text.hidden_size, _precision(config), "auto", kinds)


def _precision(config: Any) -> str:
    """The precision of the saved weights according to their config; float32 if it names none."""
    return str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
