"""The curves of a soak: kills are not slopes, noise is not growth, and a leak is seen."""

import random
from pathlib import Path

import pytest

from tests.harness.soak_curves import SETTLED_S, as_csv, from_csv, judged, second_half, slope, write_plot

LIFE_S = 1200.0


def hour(leak_mb: float, noise_mb: float = 0.5, seed: int = 1) -> list[dict[str, float]]:
    """An hour of samples of a process that is killed every 20 minutes and then begins 100 MB lower."""
    draw = random.Random(seed)
    samples = []
    for second in range(0, 3600, 5):
        age = second % LIFE_S
        settling = 100.0 * max(0.0, 1 - age / SETTLED_S)
        memory = 300.0 + 40.0 * (second // LIFE_S) - settling + leak_mb * age / 3600 + draw.gauss(0, noise_mb)
        samples.append(
            {
                "seconds": float(second),
                "hours": second / 3600,
                "generator_life": 1.0 + second // LIFE_S,
                "generator_age_s": age,
                "generator_mb": memory,
                "generator_handles": 20.0,
                "lag": draw.uniform(0, 5),
                "disk_mb": second / 10,
            }
        )
    return samples


def verdicts(samples: list[dict[str, float]]) -> dict[str, str]:
    return {each.curve: each.verdict for each in judged(samples, ["generator"])}


def test_a_process_that_is_killed_and_does_not_leak_is_flat_and_one_that_leaks_is_not() -> None:
    sound, leaking = verdicts(hour(leak_mb=0.0)), verdicts(hour(leak_mb=30.0))
    assert sound["memory of the generator"] == "flat"
    assert leaking["memory of the generator"] == "GROWS"
    assert sound["handles of the generator"] == sound["lag of the filter"] == "flat"
    assert sound["disk of the broker"] == "grows, as expected"
    assert verdicts(hour(leak_mb=60.0)[:200])["memory of the generator"] == "rises, in a time too short to judge"


def test_the_slope_is_that_of_each_life_and_its_interval_holds_it() -> None:
    held = 0
    for seed in range(40):
        found = slope(second_half(hour(30.0, seed=seed), "generator"), "generator_mb", "hours", "generator_life")
        assert found is not None
        assert found.per == pytest.approx(30.0, abs=3.0)
        held += found.low < 30.0 < found.high
    assert held >= 34  # of intervals of 95 %


def test_samples_that_are_alike_widen_the_interval() -> None:
    samples = [{"hours": n / 100, "mb": 10.0 + (n // 20 % 2)} for n in range(200)]
    shuffled = list(samples)
    random.Random(1).shuffle(shuffled)
    mixed = [{"hours": n / 100, "mb": each["mb"]} for n, each in enumerate(shuffled)]
    alike, apart = (slope(each, "mb", "hours") for each in (samples, mixed))
    assert alike is not None and apart is not None
    assert alike.high - alike.low > 3 * (apart.high - apart.low)


def test_what_could_not_be_sampled_is_left_out(tmp_path: Path) -> None:
    samples = hour(0.0)
    for sample in samples[100:140]:  # the broker is away
        del sample["lag"]
    assert from_csv(as_csv(samples))[120].keys() == samples[120].keys()
    write_plot(tmp_path / "soak.svg", samples, ["generator"], [600.0])
    assert b"Lag of the filter" in (tmp_path / "soak.svg").read_bytes()
    assert slope([], "mb", "hours") is None
