"""The groups of MMLU's 57 subjects, as in Table 5 of SEDI-Instruct.

The groups are MMLU's own, but for `anatomy`: its authors count it among Other (health), lm-evaluation-harness among
STEM. Table 5 is of the second kind. With the questions of that grouping as weights, its group accuracies give its MMLU
accuracies; with the first they give 65.8 instead of 65.7 and 56.7 instead of 56.6. (The column of Gemma fits neither:
its Other repeats Humanities.)
"""

from collections.abc import Mapping

_SUBJECTS = {
    "STEM": """
        abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science
        college_mathematics college_physics computer_security conceptual_physics electrical_engineering
        elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science
        high_school_mathematics high_school_physics high_school_statistics machine_learning
    """,
    "Humanities": """
        formal_logic high_school_european_history high_school_us_history high_school_world_history international_law
        jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law
        world_religions
    """,
    "Social sciences": """
        econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics
        high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations
        security_studies sociology us_foreign_policy
    """,
    "Other": """
        business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing
        medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology
    """,
}

MMLU_GROUPS: Mapping[str, tuple[str, ...]] = {group: tuple(names.split()) for group, names in _SUBJECTS.items()}
"""Subjects of each group, in the order of Table 5."""

MMLU_QUESTIONS: Mapping[str, int] = {"STEM": 3153, "Humanities": 4705, "Social sciences": 3077, "Other": 3107}
"""Questions of each group in the published test set of 14,042: the weights of its accuracy in MMLU's."""
