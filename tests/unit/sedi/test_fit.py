"""What is chosen for a machine from the speeds that were measured on it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sedi.fit
from infra.settings import Settings
from schemas.errors import RunError
from schemas.policy import Policy
from sedi.fit import ANSWERS, Fitting, lay_out
from sedi.run_file.plan import RunRequest, plan_run
from sedi.run_options import RunOptions
from sedi.trial import Speeds

POLICY = Policy(clusters=4, batch_size=4)
DEMO = plan_run(RunRequest(preset="demo")).options
TARGET_S = 270.0


def speeds(llm: float | None = 100.0, trainee: float = 100.0, update_s: float = 0.4) -> Speeds:
    return Speeds(
        llm_tokens_per_s=llm, trainee_tokens_per_s=trainee, update_s=update_s, layers=30, precision="fp32", reason="so"
    )


def chosen(measured: Speeds) -> tuple[int, int]:
    layout = lay_out(measured, 30, 4, TARGET_S)
    return layout.layers, layout.answer_tokens


def test_a_fast_machine_trains_all_layers_on_long_answers() -> None:
    assert chosen(speeds(llm=120, trainee=200)) == (30, 96)


def test_a_medium_machine_trains_fewer_layers_and_ends_in_time() -> None:
    layout = lay_out(speeds(llm=40, trainee=45), 30, 4, TARGET_S)

    assert 9 <= layout.layers < 30 and layout.answer_tokens < 96
    assert layout.seconds <= TARGET_S


def test_a_slow_machine_is_laid_out_for_the_least_and_told_how_long_that_takes() -> None:
    layout = lay_out(speeds(llm=10, trainee=4), 30, 4, TARGET_S)

    assert (layout.layers, layout.answer_tokens) == (3, ANSWERS[-1][0])
    assert layout.seconds > TARGET_S
    assert "longer than the 4.5 it should take" in layout.sentences(TARGET_S)[1]


def test_what_is_slow_decides_which_of_the_two_gives_way() -> None:
    assert chosen(speeds(llm=25, trainee=300)) == (30, 24)
    layers, answer = chosen(speeds(llm=300, trainee=25))
    assert layers < 30 and answer == 96


def test_a_slow_optimizer_costs_layers_too() -> None:
    assert chosen(speeds(trainee=200, update_s=5.0))[0] < chosen(speeds(trainee=200))[0]


def test_an_llm_elsewhere_sets_no_limit() -> None:
    assert chosen(speeds(llm=None, trainee=200)) == (30, 96)


def test_more_steps_take_longer_with_the_same_layout() -> None:
    fast = speeds(llm=500, trainee=500)

    assert lay_out(fast, 60, 4, 1e9).seconds > lay_out(fast, 30, 4, 1e9).seconds


# -- with a trial, of which only the process is not the real one -----------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, cache_dir=tmp_path)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Speeds | str]:
    """What the next trials find; a text is what a failing one says last."""
    found: list[Speeds | str] = []

    def start_trial(options: RunOptions, settings: Settings) -> subprocess.Popen[bytes]:
        now = found.pop(0)
        program = f"import sys; sys.exit('first line\\n{now}')"
        if isinstance(now, Speeds):
            program = f"print({msgspec.json.encode(now).decode()!r})"
        return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    monkeypatch.setattr(sedi.fit, "start_trial", start_trial)
    return found


def fitted(options: RunOptions, settings: Settings, said: list[str] | None = None) -> RunOptions:
    with Fitting(options, settings, "demo", (said if said is not None else []).append) as fitting:
        return fitting.options(POLICY)


def test_the_demo_is_measured_once_and_goes_on_as_it_began(settings: Settings, trials: list[Any]) -> None:
    trials += [speeds(llm=60, trainee=30), speeds(llm=500, trainee=500)]
    said: list[str] = []

    first = fitted(DEMO, settings, said)
    again = fitted(DEMO, settings)

    assert "--layers" in first.train and "--answer-max-tokens" in first.generate
    assert again == first and len(trials) == 1
    assert "trainee takes 30 tokens/s in fp32" in said[1] and "layers are trained" in said[2]


def test_what_the_user_says_is_heeded(settings: Settings, trials: list[Any]) -> None:
    trials.append(speeds(llm=10, trainee=4))
    options = msgspec.structs.replace(
        DEMO, train=(*DEMO.train, "--layers", "20"), generate=(*DEMO.generate, "--answer-max-tokens", "77")
    )

    assert fitted(options, settings) == options


def test_a_fast_machine_trains_the_model_whole_under_its_own_name(settings: Settings, trials: list[Any]) -> None:
    trials.append(speeds(llm=500, trainee=500))

    assert fitted(DEMO, settings).train == DEMO.train


def test_a_run_that_began_without_a_layout_keeps_the_size_of_its_checkpoints(settings: Settings) -> None:
    (settings.state_dir / "demo" / "checkpoints").mkdir(parents=True)

    assert fitted(DEMO, settings) == DEMO


@pytest.mark.parametrize("change", [{"fit_s": None}, {"windows": None}, {"trainer": False}])
def test_nothing_is_measured_where_nothing_is_asked(settings: Settings, change: dict[str, Any]) -> None:
    options = msgspec.structs.replace(DEMO, **change)

    assert fitted(options, settings) == options


def test_an_endpoint_gets_no_limit_from_us(settings: Settings, trials: list[Any]) -> None:
    trials.append(speeds(llm=None, trainee=30))
    options = msgspec.structs.replace(DEMO, generate=("--backend", "openai"))

    found = fitted(options, settings)

    assert found.generate == options.generate and "--layers" in found.train


def test_a_trial_that_fails_says_why_and_what_to_do(settings: Settings, trials: list[Any]) -> None:
    trials.append("There is no model.")

    with pytest.raises(RunError, match=r"could not be measured: There is no model\.\. `sedi doctor`"):
        fitted(DEMO, settings)
    assert not (settings.state_dir / "demo" / "layout.json").exists()


def test_a_layout_that_cannot_be_read_is_not_replaced_by_another(settings: Settings) -> None:
    (settings.state_dir / "demo").mkdir()
    (settings.state_dir / "demo" / "layout.json").write_text("{}", encoding="utf-8")

    with pytest.raises(RunError, match=r"layout\.json cannot be read"):
        fitted(DEMO, settings)


def test_a_trial_ends_with_whoever_wanted_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    processes: list[subprocess.Popen[bytes]] = []

    def start_trial(options: RunOptions, settings: Settings) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(sleeping, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return processes[0]

    monkeypatch.setattr(sedi.fit, "start_trial", start_trial)
    with pytest.raises(KeyboardInterrupt), Fitting(DEMO, settings, "demo", lambda line: None):
        raise KeyboardInterrupt
    assert processes[0].returncode is not None
