"""The type that a machine computes in is the one that it is faster in, by measurement."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from infra.models import precision
from infra.models.precision import choose, compared, for_cpu

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("fp32", "bf16", "wanted", "reason"),
    [
        (20.0, 10.0, "bf16", "2.0 times as fast"),
        (11.0, 10.0, "bf16", "1.1 times as fast"),
        (10.9, 10.0, "fp32", "hardly faster"),
        (10.0, 100.0, "fp32", "10.0 times slower"),
    ],
)
def test_bf16_is_taken_where_it_is_faster_by_a_tenth(fp32: float, bf16: float, wanted: str, reason: str) -> None:
    found = for_cpu({"fp32": fp32, "bf16": bf16})
    assert found.precision == wanted
    assert reason in found.reason


class Clock:
    """Work that takes so many seconds a token; the first of each type and size ten times as long."""

    def __init__(self, fp32: float, bf16: float) -> None:
        self._per_token = {"fp32": fp32, "bf16": bf16}
        self.done: list[tuple[str, int]] = []

    def seconds(self, name: str, tokens: int) -> float:
        first = (name, tokens) not in self.done
        self.done.append((name, tokens))
        return self._per_token[name] * tokens * (10 if first else 1)


def test_the_best_round_counts_and_not_the_first_in_which_kernels_are_compiled() -> None:
    clock = Clock(fp32=1e-5, bf16=2e-5)

    def seconds(name: str, tokens: int) -> float:
        disturbed = name == "bf16" and len(clock.done) % 3 == 0
        return clock.seconds(name, tokens) * (2.5 if disturbed else 1)

    assert compared(seconds, 128) == {"fp32": pytest.approx(1.28), "bf16": pytest.approx(2.56)}


def test_a_hopeless_bf16_is_not_tried_on_all_tokens() -> None:
    clock = Clock(fp32=1e-4, bf16=20e-4)
    assert compared(clock.seconds, 128) == {"fp32": pytest.approx(1.6), "bf16": pytest.approx(32)}
    assert ("bf16", 128) not in clock.done


@pytest.mark.parametrize(("s_a_token", "small", "whole"), [(1e-5, 3, 9), (2e-4, 3, 3), (2e-3, 3, 0)])
def test_the_slower_the_machine_the_less_is_measured(s_a_token: float, small: int, whole: int) -> None:
    clock = Clock(fp32=s_a_token, bf16=s_a_token)
    compared(clock.seconds, 128)
    assert (clock.done.count(("bf16", 16)), clock.done.count(("bf16", 128))) == (small, whole)


def test_time_in_which_others_have_the_processor_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = torch.nn.functional.linear

    def interrupted(*given: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return linear(*given)

    monkeypatch.setattr(torch.nn.functional, "linear", interrupted)
    work = precision._work(torch, torch.float32)
    work(16)
    assert min(work(16) for _ in range(3)) < 0.1  # three sleeps alone are 0.15 s


def test_measuring_leaves_threads_and_random_numbers_as_they_were() -> None:
    precision.measured.cache_clear()
    torch.manual_seed(7)
    threads, wanted = torch.get_num_threads(), torch.rand(3)
    torch.manual_seed(7)
    found = choose("cpu", training=True)
    assert found.milliseconds is not None and min(found.milliseconds.values()) > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("native", "training", "wanted"), [(True, True, "bf16"), (False, True, "fp32"), (False, False, "fp16")]
)
def test_a_gpu_trains_in_bf16_only_where_it_has_it(
    native: bool, training: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    found = choose("cuda", training=training)
    assert found.precision == wanted
    assert found.reason.startswith("Some GPU")


def test_masked_to_avx2_a_processor_takes_fp32() -> None:
    """Also where it has newer instructions; the script has the effect it is there for."""
    masked = [str(ROOT / ".ci" / "masked_cpu.sh"), sys.executable]
    command = [*masked, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output(command, text=True, timeout=120, env=environment).strip() in ("AVX2", "DEFAULT")
    found = json.loads(
        subprocess.check_output([*masked, "-m", "infra.models.precision"], timeout=120, env=environment, cwd=ROOT)
    )
    assert found["precision"] == "fp32", found
    assert found["milliseconds"]["bf16"] > 1.5 * found["milliseconds"]["fp32"], found
