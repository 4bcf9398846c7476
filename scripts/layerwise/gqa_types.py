"""GQA's questions in the six types of arXiv 2411.18620.

They come from the tables that the paper's authors published (:mod:`layerwise.datasets.gqa_tables`), or from GQA's own
questions and scene graphs by the rules that these tables show (:mod:`layerwise.datasets.gqa_graphs`).
"""

# The six types and the authors' tables of them.
TABLES = {
    "ChooseAttr": "GQA_val_correct_question_with_choose_ChooseAttr.csv",
    "ChooseCat": "GQA_val_correct_question_with_categoryThatThisChoose_objThisChoose_ChooseCat.csv",
    "ChooseRel": "GQA_val_correct_question_with_relChooser_ChooseRel.csv",
    "CompareAttr": "GQA_val_correct_question_with_twoCommon_CompareAttr.csv",
    "LogicalObj": "GQA_val_correct_question_with_existThatOr_LogicalObj.csv",
    "QueryAttr": "GQA_val_correct_question_with_positionQuery_QueryAttr.csv",
}
