"""A policy is refused with the reason when no run could be decided by it."""

import math

import msgspec
import pytest

from schemas.errors import ConfigurationError
from schemas.policy import ALL_RULES, Policy, policy_for


def test_by_default_a_run_does_as_the_paper():
    assert policy_for("sedi") == policy_for() == Policy()
    assert (
        Policy(
            mode="sedi",
            threshold=0.85,
            compare_with_seeds=False,
            rules=ALL_RULES,
            clusters=16,
            batch_size=16,
            feedback=True,
            metric="grad_norm",
            window_steps=10,
            warm_up_steps=10,
            candidate_threshold=0.7,
        )
        == Policy()
    )


def test_the_baseline_compares_with_seeds_at_0_7_in_one_cluster_and_replaces_no_seed():
    assert policy_for("self-instruct") == Policy(
        mode="self-instruct", threshold=0.7, compare_with_seeds=True, feedback=False, clusters=1, batch_size=16
    )


def test_a_change_wins_over_the_default_of_a_mode():
    assert policy_for("self-instruct", threshold=0.8, batch_size=4) == Policy(
        mode="self-instruct", threshold=0.8, compare_with_seeds=True, feedback=False, clusters=1, batch_size=4
    )


def test_values_may_come_as_text_as_from_a_command_line():
    assert policy_for(threshold="0.5", batch_size="8", feedback="false") == Policy(
        threshold=0.5, clusters=8, batch_size=8, feedback=False
    )


@pytest.mark.parametrize(
    ("given", "clusters", "batch_size"),
    [
        ({"batch_size": 4}, 4, 4),
        ({"batch_size": 12}, 4, 12),
        ({"batch_size": 64}, 16, 64),
        ({"clusters": 4}, 4, 16),
        ({"clusters": 32}, 32, 32),
        ({"clusters": 2, "batch_size": 6}, 2, 6),
    ],
)
def test_of_clusters_and_batch_size_one_may_be_given_alone(given, clusters, batch_size):
    policy = policy_for(**given)
    assert (policy.clusters, policy.batch_size) == (clusters, batch_size)


@pytest.mark.parametrize(("clusters", "axes"), [(1, 0), (2, 1), (4, 2), (16, 4), (1024, 10)])
def test_two_to_the_n_clusters_have_n_axes(clusters, axes):
    assert policy_for(clusters=clusters).axes == axes


@pytest.mark.parametrize("clusters", [3, 6, 12, 15, 17, 100])
def test_a_number_of_clusters_that_is_no_power_of_two_is_refused(clusters):
    with pytest.raises(ConfigurationError, match=f"clusters is {clusters}; it must be a power of two"):
        policy_for(clusters=clusters)


@pytest.mark.parametrize(("clusters", "batch_size"), [(4, 6), (4, 2), (16, 24)])
def test_a_batch_that_takes_more_rows_of_one_cluster_than_of_another_is_refused(clusters, batch_size):
    with pytest.raises(ConfigurationError, match=f"batch_size is {batch_size} and clusters {clusters}"):
        policy_for(clusters=clusters, batch_size=batch_size)


@pytest.mark.parametrize("refit_growth", [1.0, math.nan])
def test_a_refit_that_would_never_end_is_refused(refit_growth):
    with pytest.raises(ConfigurationError, match="refit_growth"):
        Policy(refit_growth=refit_growth)


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan"])
def test_a_least_score_that_json_cannot_hold_is_refused(value):
    """It would stand on the log as null, which means no judge."""
    with pytest.raises(ConfigurationError, match="candidate_min_score"):
        policy_for(candidate_min_score=value)


@pytest.mark.parametrize("name", ["threshold", "candidate_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.0, 2, math.nan, math.inf, "nan", "inf", "high", None, True])
def test_a_threshold_is_at_least_0_and_below_1(name, value):
    with pytest.raises(ConfigurationError, match=name):
        policy_for(**{name: value})


@pytest.mark.parametrize("name", ["threshold", "candidate_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan, math.inf])
def test_a_policy_made_directly_refuses_such_thresholds_too(name, value):
    with pytest.raises(ConfigurationError, match=name):
        Policy(**{name: value})


@pytest.mark.parametrize("batch_size", [0, -4])
def test_a_policy_made_directly_refuses_a_batch_of_no_rows(batch_size):
    with pytest.raises(ConfigurationError, match="batch_size"):
        Policy(batch_size=batch_size)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"batch_size": -2},
        {"batch_size": 1.5},
        {"window_steps": 0},
        {"warm_up_steps": -1},
        {"refit_from": 0},
        {"seeds_per_request": 0},
        {"min_words": 0},
        {"rng_seed": "x"},
        {"metric": "accuracy"},
        {"tokenizer": "words"},
        {"classifier": "deep"},
        {"rules": ["too_short", "too_dull"]},
        {"feedback": "perhaps"},
    ],
)
def test_a_value_out_of_its_range_is_refused_by_the_name_of_its_field(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        policy_for(**change)


def test_fewer_words_at_most_than_at_least_are_refused():
    with pytest.raises(ConfigurationError, match="min_words is 10 and max_words 9"):
        policy_for(min_words=10, max_words=9)


def test_an_unknown_field_is_refused_by_its_name():
    with pytest.raises(ConfigurationError, match="treshold"):
        policy_for(treshold=0.5)


def test_an_unknown_mode_is_refused_with_those_there_are():
    with pytest.raises(ConfigurationError, match="'alpaca'; choose one of sedi, self-instruct"):
        policy_for("alpaca")


def test_a_policy_is_the_same_after_the_log():
    policy = policy_for("self-instruct", rules=("too_long",), rng_seed=-7)
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
