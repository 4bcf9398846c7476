"""The figures and the tables, by name. The caption of each is ``report/NAME.rst``.

To add one, write its module and its caption, and name it here.
"""

from layerwise.catalogue import Catalogue
from layerwise.figures.entry import Figure, Table

FIGURES: Catalogue[Figure] = Catalogue(
    "FIGURE",
    {
        "which-layer": "layerwise.figures.which_layer",
        "entailment": "layerwise.figures.entailment",
        "recognition-by-model": "layerwise.figures.recognition_by_model",
        "recognition-by-prompt": "layerwise.figures.recognition_by_prompt",
        "known-and-said": "layerwise.figures.known_and_said",
        "known-not-said": "layerwise.figures.known_not_said",
        "carried-matrix": "layerwise.figures.carried_matrix",
        "carried-by-layer": "layerwise.figures.carried_by_layer",
        "complexity": "layerwise.figures.complexity",
        "numbers": "layerwise.figures.numbers",
        "test-parts": "layerwise.figures.test_parts",
        "premise": "layerwise.figures.premise",
        "picture-controls": "layerwise.figures.picture_controls",
        "pictures-by-layer": "layerwise.figures.pictures_by_layer",
        "patch-lens": "layerwise.figures.patch_lens",
        "patch-maps": "layerwise.figures.patch_maps",
        "selectivity": "layerwise.figures.selectivity",
        "code-length": "layerwise.figures.code_length",
        "learning-curve": "layerwise.figures.learning_curve",
        "specification-curve": "layerwise.figures.specification_curve",
        "sites-by-layer": "layerwise.figures.sites_by_layer",
        "head-map": "layerwise.figures.head_map",
        "image-ablation": "layerwise.figures.image_ablation",
        "bypass": "layerwise.figures.bypass",
        "erased": "layerwise.figures.erased",
        "training-curve": "layerwise.figures.training_curve",
        "used-by-layer": "layerwise.figures.used_by_layer",
        "used-between-tasks": "layerwise.figures.used_between_tasks",
        "used-above-block": "layerwise.figures.used_above_block",
        "likeness": "layerwise.figures.likeness",
        "knockout": "layerwise.figures.knockout",
        "objects": "layerwise.figures.objects",
        "pictures": "layerwise.figures.flow_pictures",
        "spans": "layerwise.figures.flow_spans",
        "logit-difference": "layerwise.figures.logit_difference",
        "tracing": "layerwise.figures.tracing",
        "heads": "layerwise.figures.heads",
        "heads-logit-difference": "layerwise.figures.heads_logit_difference",
    },
)
TABLES: Catalogue[Table] = Catalogue(
    "TABLE",
    {
        "table-which-layer": "layerwise.figures.which_layer_table",
        "table1": "layerwise.figures.table1",
        "table2": "layerwise.figures.table2",
        "table3": "layerwise.figures.table3",
        "table4": "layerwise.figures.table4",
        "table-routes": "layerwise.figures.routes_table",
        "table-language-models": "layerwise.figures.language_models_table",
        "table-shortcuts": "layerwise.figures.shortcuts_table",
        "table-known-said": "layerwise.figures.table_known_said",
        "table-test-parts": "layerwise.figures.test_parts_table",
        "table-picture-controls": "layerwise.figures.picture_controls_table",
        "table-consistency": "layerwise.figures.consistency_table",
        "number-layers": "layerwise.figures.number_layers",
        "specifications": "layerwise.figures.specifications_table",
        "flow": "layerwise.figures.flow_table",
        "flow-heads": "layerwise.figures.flow_heads_table",
    },
)
