"""Lays a run of the built-in models out for the machine it is on: measure, then choose what ends in time.

How it works. From the speeds of a trial (`sedi.trial`), which is at work while the broker starts, follows how long the
run's steps take (`lay_out`, pure), and the most that ends in time is chosen: how many of the trainee's layers are
trained, and how long the LLM's answers may be.

What was chosen is kept in the run's folder, and a run that goes on goes on with it, since a checkpoint is of one size.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from infra.settings import Settings
from schemas.errors import RunError
from schemas.policy import Policy
from sedi.run_options import RunOptions
from sedi.trial import Speeds, start_trial, uses_builtin

FEWEST_LAYERS = 0.1
"""Share of the trainee's layers that are trained at least."""

ANSWERS = ((96, 37), (48, 30), (32, 24), (24, 20))
"""How long an answer may be, in tokens, and how long the built-in model's are then."""

_FILE = "layout.json"
_LIST_TOKENS = 20.0  # that the LLM writes of a list, for each kept row
_PROMPT_TOKENS = 55.0  # of a row that is trained, beside its answer
_SPARE_ROWS = 1.3  # rows that are written for each that is trained: some are rejected, some are left over at the end
_SAFE = 0.8  # share of the measured speeds that is counted on
_HEAD_LAYERS = 8.0  # layers of the built-in trainee that cost as much as its output layer
_AROUND_S = 55.0  # from the start to the first step, with the trial, and from the last step to the end
_TRIAL_S = 180.0


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen: layers that are trained, tokens that an answer may have, and how long it should take."""

    speeds: Speeds
    layers: int
    answer_tokens: int
    seconds: float

    def sentences(self, target_s: float) -> tuple[str, str]:
        """What was measured and what was chosen, for people."""
        speeds = self.speeds
        llm = "" if speeds.llm_tokens_per_s is None else f"the LLM writes {speeds.llm_tokens_per_s:.0f} tokens/s, "
        trained = "all" if self.layers == speeds.layers else f"the first {self.layers} of"
        slow = "" if self.seconds <= target_s else f", longer than the {target_s / 60:.1f} it should take"
        return (
            f"Measured, both at work: {llm}the trainee takes {speeds.trainee_tokens_per_s:.0f} tokens/s in "
            f"{speeds.precision} ({speeds.reason})",
            f"Chosen: {trained} {speeds.layers} layers are trained, answers have at most {self.answer_tokens} tokens; "
            f"that takes about {self.seconds / 60:.1f} minutes{slow}",
        )


def lay_out(speeds: Speeds, steps: int, batch_size: int, target_s: float) -> Layout:
    """The most that ends in `target_s`: answers as long as possible first, then layers. The least when nothing does."""
    layers = range(speeds.layers, max(1, round(FEWEST_LAYERS * speeds.layers)) - 1, -1)
    answers = [(limit, length, _writing_s(speeds, steps * batch_size, length)) for limit, length in ANSWERS]
    limit, length, writing_s = next((each for each in answers if _AROUND_S + each[2] <= target_s), answers[-1])
    times = [(count, _training_s(speeds, steps, batch_size, length, count)) for count in layers]
    count, training_s = next((each for each in times if _AROUND_S + each[1] <= target_s), times[-1])
    seconds = _AROUND_S + max(writing_s, training_s)
    return Layout(speeds=speeds, layers=count, answer_tokens=limit, seconds=seconds)


def _writing_s(speeds: Speeds, rows: int, answer_length: float) -> float:
    if speeds.llm_tokens_per_s is None:
        return 0.0
    return _SPARE_ROWS * rows * (_LIST_TOKENS + answer_length) / (speeds.llm_tokens_per_s * _SAFE)


def _training_s(speeds: Speeds, steps: int, batch_size: int, answer_length: float, layers: int) -> float:
    share = (layers + _HEAD_LAYERS) / (speeds.layers + _HEAD_LAYERS)
    tokens = batch_size * (_PROMPT_TOKENS + answer_length)
    return steps * share * (tokens / speeds.trainee_tokens_per_s + speeds.update_s) / _SAFE


class Fitting:
    """Chooses what `fit_s` asks for, with a trial that begins when the context does; nothing where it is not asked."""

    def __init__(self, options: RunOptions, settings: Settings, run: str, say: Callable[[str], None]) -> None:
        self._options = options
        self._settings = settings
        self._say = say
        self._folder = settings.state_dir / run
        self._trial: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._is_asked and not self._path.is_file() and not self._began_without:
            self._say("Measuring what this machine can do (some 15 s)")
            self._trial = start_trial(self._options, self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._end_trial()

    def options(self, policy: Policy) -> RunOptions:
        """The options with what was chosen; what they say themselves stays as it is.

        Raises RunError when the trial fails, or what was chosen before cannot be read.
        """
        options, target_s = self._options, self._options.fit_s
        if not self._is_asked or target_s is None or options.windows is None:
            return options
        if self._trial is not None:
            layout = lay_out(self._speeds(), options.windows * policy.window_steps, policy.batch_size, target_s)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(msgspec.json.format(msgspec.json.encode(layout)))
            for sentence in layout.sentences(target_s):
                self._say(sentence)
        elif self._path.is_file():
            layout = self._kept()
            self._say(f"Laid out as this run began: {layout.layers} of {layout.speeds.layers} layers are trained")
        else:
            return options
        fewer = layout.layers < layout.speeds.layers and "--layers" not in options.train
        shorter = uses_builtin(self._options, self._settings) and not {"--answer-max-tokens", "--call-max-tokens"} & {
            *options.generate
        }
        return msgspec.structs.replace(
            options,
            train=(*options.train, *(("--layers", str(layout.layers)) if fewer else ())),
            generate=(*options.generate, *(("--answer-max-tokens", str(layout.answer_tokens)) if shorter else ())),
        )

    @property
    def _is_asked(self) -> bool:
        options = self._options
        return options.fit_s is not None and options.windows is not None and options.trainer

    @property
    def _began_without(self) -> bool:
        """Whether this run has a training that was not laid out: it goes on with the size it has."""
        return (self._folder / "checkpoints").is_dir()

    @property
    def _path(self) -> Path:
        return self._folder / _FILE

    def _kept(self) -> Layout:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Layout)
        except (OSError, msgspec.MsgspecError) as error:
            raise RunError(
                f"{self._path} cannot be read ({error}). It says how many layers this run's training has: put it back, "
                "or name them: --set train.layers=N."
            ) from error

    def _speeds(self) -> Speeds:
        assert self._trial is not None
        try:
            out, err = self._trial.communicate(timeout=_TRIAL_S)
            if self._trial.returncode == 0:
                return msgspec.json.decode(out, type=Speeds)
            said = err.decode(errors="replace").strip().splitlines()
            why = said[-1] if said else f"it ended with {self._trial.returncode}"
        except subprocess.TimeoutExpired:
            why = f"it took over {_TRIAL_S:.0f} s"
        except msgspec.MsgspecError as error:
            why = str(error)
        finally:
            self._end_trial()
        raise RunError(
            f"This machine could not be measured: {why}. `sedi doctor` says what is missing; without measuring: "
            "`sedi run --windows 3`."
        )

    def _end_trial(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.kill()
            with trial:  # closes the pipes and waits
                pass
