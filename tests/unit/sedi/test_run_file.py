"""A run is described by one file: read, overridden, checked whole, and every mistake told with its place."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.policy import Policy, policy_for
from sedi.run_file.fields import COMMANDS, SECTIONS, fields, secrets
from sedi.run_file.plan import RunPlan, RunRequest, plan_run, values_of
from sedi.run_file.values import parsed
from sedi.run_options import RunOptions, policy_of
from sedi.run_prices import stale_prices


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEDI_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(text: str = "", *pairs: str, **more: Any) -> RunPlan:
    Path("mine.toml").write_text(text, encoding="utf-8")
    return plan_run(RunRequest(file="mine.toml", pairs=pairs, **more))


def told(text: str = "", *pairs: str, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        plan(text, *pairs, **more)
    return str(raised.value)


WHOLE = """
run = "mine"
windows = 3
max_kept = 500
judging = true

[policy]
mode = "self-instruct"
rules = ["too_short",
  "too_long"]  # over two lines

[generate]
style = "two-step"
safety = true
inject = ["cut=0.1", "garbled=0.1"]
max_ahead = "none"

[train]
lr = 1e-5
borrow_after = 3
tensorboard = false
"max_length" = 256

[judge]
rubric = "helpfulness"

[settings]
usd_per_1m_prompt_tokens = 0.5
"""


def test_a_file_becomes_options_policy_settings_and_the_arguments_of_the_parts() -> None:
    found = plan(WHOLE)

    assert found.run == "mine" and found.hints == ()
    assert (found.options.windows, found.options.max_kept, found.options.judging) == (3, 500, True)
    assert policy_of(found.options) == policy_for("self-instruct", rules=("too_short", "too_long"))
    assert found.options.generate == (
        *("--style", "two-step", "--safety", "--max-ahead", "none"),
        *("--inject", "cut=0.1", "--inject", "garbled=0.1"),
    )
    assert found.options.train == (
        *("--borrow-after", "3", "--no-tensorboard", "--lr", "1e-05", "--max-length", "256"),
    )
    assert found.options.judge == ("--rubric", "helpfulness")
    assert found.settings.usd_per_1m_prompt_tokens == 0.5
    assert found.variables == {"SEDI_USD_PER_1M_PROMPT_TOKENS": "0.5"}


def test_dotted_keys_and_inline_tables_are_the_same_file() -> None:
    dotted = plan('policy.threshold = 0.5\ntrain = {lr = 1e-5, precision = "fp32"}\ngenerate . "style" = "alpaca"')
    assert (
        dotted.options
        == plan(
            '[policy]\nthreshold = 0.5\n[generate]\nstyle = "alpaca"\n[train]\nlr = 1e-5\nprecision = "fp32"\n'
        ).options
    )


def test_without_anything_a_run_has_every_default() -> None:
    found = plan_run(RunRequest())
    assert found.options == RunOptions() and policy_of(found.options) == Policy()


@pytest.mark.parametrize(
    ("pair", "wanted"),
    [
        ("windows=3", {"windows": 3}),
        ("seeds=my seeds", {"seeds": "my seeds"}),
        ("threshold=0.8", {"policy": {"threshold": 0.8}}),
        ("policy.threshold=0.8", {"policy": {"threshold": 0.8}}),
        ("policy.metric=sum", {"policy": {"metric": "sum"}}),
        ('policy.metric="sum"', {"policy": {"metric": "sum"}}),
        ("reject_cut=false", {"policy": {"reject_cut": False}}),
        ("rules=too_short,too_long", {"policy": {"rules": ("too_short", "too_long")}}),
        ('policy.rules=["too_short"]', {"policy": {"rules": ("too_short",)}}),
        ("rules=", {"policy": {"rules": ()}}),
        ("candidate_min_score=null", {"policy": {}}),
        ("generate.in_flight=8", {"generate": ("--in-flight", "8")}),
        ("generate.max_ahead=none", {"generate": ("--max-ahead", "none")}),
        ("generate.safety=true", {"generate": ("--safety",)}),
        ("generate.model=7", {"generate": ("--model", "7")}),
        ("train.precision=fp32", {"train": ("--precision", "fp32")}),
        ("train.lr=1e-5", {"train": ("--lr", "1e-05")}),
        ("train.tensorboard=false", {"train": ("--no-tensorboard",)}),
        ("judge.rubric=helpfulness", {"judge": ("--rubric", "helpfulness")}),
    ],
)
def test_any_field_is_set_on_the_command_line(pair: str, wanted: dict[str, Any]) -> None:
    options = plan_run(RunRequest(pairs=[pair, "seeds=null"])).options if "my seeds" not in pair else None
    if options is None:
        with pytest.raises(ConfigurationError, match="my seeds"):  # read as it is, and not there
            plan_run(RunRequest(pairs=[pair]))
        return
    assert {name: getattr(options, name) for name in wanted} == wanted


def test_set_wins_over_the_file_and_single_flags_over_both() -> None:
    flags = {("--windows", "windows"): 3}
    found = plan("windows = 1\nmax_kept = 1\nmax_calls = 1", "windows=2", "max_kept=2", flags=flags)
    assert (found.options.windows, found.options.max_kept, found.options.max_calls) == (3, 2, 1)


def test_the_environment_wins_over_the_files_settings_and_set_wins_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_MAX_FILTER_LAG", "7")
    text = "[settings]\nmax_filter_lag = 5\nbroker_heap_mb = 300"
    found = plan(text)
    assert (found.settings.max_filter_lag, found.settings.broker_heap_mb) == (7, 300)
    assert found.variables == {"SEDI_BROKER_HEAP_MB": "300"}
    assert plan(text, "settings.max_filter_lag=6").settings.max_filter_lag == 6


def test_a_run_is_named_by_its_file_and_by_a_flag_over_it() -> None:
    assert plan('run = "mine"').run == "mine"
    assert plan('run = "mine"', flags={("--run", "run"): "other"}).run == "other"


def test_the_older_form_goes_on_with_a_hint_that_shows_the_newer_one() -> None:
    given = ["--style", "alpaca", "--safety", "--max-kept", "5", "--model", "a b"]
    found = plan("", arguments={"generate": given, "train": ["--lr=1e-5"]})
    assert found.options.generate == tuple(given) and found.options.train == ("--lr=1e-5",)
    generate, train = found.hints
    assert generate.startswith(
        "--generate goes on working. The same: --set generate.style=alpaca --set generate.safety"
    )
    assert "--set max_kept=5 --set 'generate.model=a b'; in a run file" in generate
    assert 'generate.style = "alpaca", generate.safety = true, max_kept = 5' in generate
    assert "--set train.lr=1e-05" in train


def test_what_the_hint_shows_is_the_same_run() -> None:
    old = plan("", arguments={"train": ["--precision", "fp32", "--no-tensorboard", "--borrow-after", "none"]})
    pairs = [pair for pair in old.hints[0].partition("The same: ")[2].partition(";")[0].split("--set ") if pair]
    new = plan("", *(pair.strip() for pair in pairs))
    assert parsed("train", new.options.train) == parsed("train", old.options.train)


def test_a_file_that_lists_arguments_as_presets_once_did_goes_on() -> None:
    found = plan('windows = 3\ngenerate = ["--style", "two-step"]\ntrain = ["--lr", "2e-5"]')
    assert found.options.generate == ("--style", "two-step") and found.options.train == ("--lr", "2e-5")
    assert found.hints[0].startswith("mine.toml: generate = [...] goes on working")


MISTAKES = [
    ('[""]\nwindows = 3', "mine.toml:1:2: [] is no section. There are [policy], "),
    ("[train]\nborrow_after = -1", "mine.toml:2:1: borrow_after is -1.0; it must be at least 0."),
    ("[train]\neval_every = 5", "mine.toml:2:1: eval_every and eval_rows are for held-out rows. Give eval too."),
    (
        "[generate]\nin_flight = 4\nin_flight_least = 5",
        "mine.toml:2:1: Calls in flight: at least 5, 4 at first, at most 4",
    ),
    ("[generate]\nin_flight_step = 0", "mine.toml:2:1: Calls in flight: at least 1, "),
    ("[generate]\ninject = ['cut=0.1', 'late']", "mine.toml:2:1: --inject takes FAULT=SHARE"),
    ("[generate]\ninject = ['cut=0.7', 'garbled=0.7']", "mine.toml:2:1: Fault shares are"),
    ("[generate]\nrpm = 0", "mine.toml:2:1: A rate is 0 a minute; it must be above 0."),
    ("judging = true\n[judge]\ntpm = -1", "mine.toml:3:1: A rate is -1 a minute; it must be above 0."),
    ("[generate]\ntemperature = -1", "mine.toml:2:1: generate.temperature is -1; it takes a number, at least 0."),
    ("[generate]\ntop_p = 2", "mine.toml:2:1: generate.top_p is 2; it takes a number, at least 0, at most 1."),
    *(
        (f"[generate]\n{name} = 0", f"mine.toml:2:1: generate.{name} is 0; it takes a whole number, at least 1.")
        for name in ("call_max_tokens", "answer_max_tokens", "max_generations", "concurrency")
    ),
    ("judging = true\n[judge]\nmax_calls = 0", "mine.toml:3:1: judge.max_calls is 0; it takes a whole"),
    ("[train]\nprocesses = 3", "mine.toml:2:1: 3 processes cannot share 16 clusters evenly"),
    ("windows = 3\nwindows = 4\n", "mine.toml:2:12: this is not TOML: Cannot overwrite a value."),
    ("[trian]\nlr = 1", "mine.toml:1:2: [trian] is no section. The nearest is [train]. There are [policy], "),
    ("\n\n  windwos = 3", "mine.toml:3:3: the top of the file has no field windwos. The nearest is windows; "),
    ("[policy]\ntreshold = 1", "mine.toml:2:1: [policy] has no field treshold. The nearest is threshold; "),
    ("train.lr = 1\ntrain.learning_rate = 1", "mine.toml:2:7: [train] has no field learning_rate. The nearest is lr; "),
    ("threshold = 0.8", "mine.toml:1:1: the top of the file has no field threshold; it belongs to [policy]."),
    (
        "[train]\nmax_kept = 5",
        "mine.toml:2:1: [train] has no field max_kept; it belongs to the top of the file, before",
    ),
    ("[generate]\nmax_kept = 5", "max_kept is no field of [generate]: it is a budget of the run: write it at the top"),
    ("[train]\noffline = true", "offline is no field of [train]: a run trains its own rows"),
    ("[train]\nbatch_size = 4", "batch_size is no field of [train]: write it in [policy]"),
    ("[answerer]\nshare = '1/2'", "share is no field of [answerer]: a run's answerer works on all clusters"),
    ("[generate]\nbatch_api = true", "mine.toml:2:1: The backend is 'builtin', and only an endpoint takes batches."),
    (
        "[settings]\nbackend = 'openai'\nmodel = 'm'\n[generate]\nbatch_api = true\nrpm = 9",
        "mine.toml:5:1: --in-flight, --rpm and --tpm limit calls that are made one by one.",
    ),
    ("[answerer]\nrpm = 0", "mine.toml:2:1: A rate is 0 a minute; it must be above 0."),
    (
        "[policy]\nanswer = 'all'\n[answerer]\nin_flight = 4",
        "[answerer] is for a run that answers kept instructions alone, and this one does not. Set policy.answer =",
    ),
    (
        "[policy]\nanswer = 'kept'\n[answerer]\nstyle = 'alpaca'",
        "mine.toml:4:1: The style alpaca asks for instructions and answers at once",
    ),
    ("[judge]\nuntil_end = true", "until_end is no field of [judge]: the run ends its judge itself"),
    ("policy = 3", "mine.toml:1:1: policy is a section: write [policy], and its fields below it."),
    ('windows = "3"', 'mine.toml:1:1: windows is "3"; it takes a whole number, at least 1.'),
    ("windows = 0", "windows is 0; it takes a whole number, at least 1."),
    ("windows = true", "windows is true; it takes a whole number, at least 1."),
    ("[train]\nlr = inf", "mine.toml:2:1: train.lr is inf; it takes a number."),
    ("[train]\nlr = 2026-11-21", "mine.toml:2:1: train.lr is 2026-11-21; it takes a number."),
    ('[train]\nprecision = "fp23"', 'it takes one of "auto", "bf16", "fp32". The nearest is "fp32".'),
    ("[train]\nzero_stage = 4", "train.zero_stage is 4; it takes one of 0, 1, 2, 3."),
    ("[train]\nborrow_after = 'soon'", 'train.borrow_after is "soon"; it takes a number or "none".'),
    (
        '[policy]\nrules = [\n "too_short",\n "to_long",\n]',
        'mine.toml:2:1: policy.rules is ["too_short", "to_long"]; it',
    ),
    ("[generate]\nin_flight = 300", "generate.in_flight is 300; it takes a whole number, at least 1, at most 256."),
    (
        "[settings]\nbase_url = 'here'",
        "mine.toml:2:1: settings.base_url: 'here' does not begin with http:// or https://",
    ),
    ("\nrun = 'No Good'", "mine.toml:2:1: run: Run name 'No Good' will not do."),
    ("\n[policy]\nclusters = 12", "mine.toml:3:1: clusters is 12; it must be a power of two"),
    ("[policy]\nbatch_size = 6\nclusters = 4", "mine.toml:2:1: batch_size is 6 and clusters 4; a batch takes"),
    ("[policy]\nmin_words = 200", "mine.toml:2:1: min_words is 200 and max_words 150: no text can pass."),
    ("\nseeds = 'nowhere.jsonl'", "mine.toml:2:1: "),
    ("seed_count = 9999", "mine.toml:1:1: seed_count is 9999, and there are 184 seeds."),
    ("fit_s = 10", "mine.toml:1:1: fit_s is about a run that ends by windows. Set windows too, or take it out."),
    (
        "windows = 1\nshow_replacement = true\npolicy.feedback = false",
        "mine.toml:2:1: show_replacement waits for a seed that training replaced, and the policy has no feedback.",
    ),
    ("max_usd = 5", "mine.toml:1:1: max_usd is 5, but what a call costs is not known. Set usd_per_1m_prompt_tokens"),
    (
        "max_usd = 5\n[settings]\nbackend = 'openai'\nmodel = 'm'\nprices_file = 'nowhere.toml'",
        "mine.toml:5:1: The prices file nowhere.toml cannot be used",
    ),
    (
        "[train]\nlora_alpha = 3",
        "mine.toml:2:1: lora_alpha, lora_dropout and lora_targets are for LoRA. Give lora_rank",
    ),
    ("[train]\n\nlr = -1", "mine.toml:3:1: lr is -1.0; it must be greater than 0."),
    ("[train]\nschedule = 'linear'", "mine.toml:2:1: schedule 'linear' falls to 0 at the last step"),
    ("[train]\neval = 'held.json'", "mine.toml:2:1: eval is held.json, and there is no such file here."),
    ("[generate]\nrecorded = 'a.jsonl'", "mine.toml:2:1: recorded is a.jsonl, and there is no such file here."),
    ("[generate]\nbackend = 'recorded'", "mine.toml:2:1: The backend `recorded` takes its answers from a file."),
    ("[generate]\nbackend = 'openai'", "mine.toml:2:1: The backend `openai` needs the name of a model"),
    ("[settings]\nbackend = 'openai'", "mine.toml:2:1: The backend `openai` needs the name of a model"),
    ("[generate]\nmax_ahead = 5", "mine.toml:2:1: --max-ahead is 5, but the trainer logs its progress only every 160"),
    ("[generate]\nmax_tokens_per_kept = -1", "mine.toml:2:1: min_yield is None, max_tokens_per_kept -1.0"),
    ("corpus = ['x']", 'mine.toml:1:1: corpus is for the producer from documents. Set producer = "goliath" or "both".'),
    ("producer = 'both'\ncorpus = ['x']", "mine.toml:2:1: corpus names x, and there is no such file or folder here."),
    ("producer = 'goliat'", 'mine.toml:1:1: producer is "goliat"; it takes one of "sedi", "goliath", "both". The near'),
    (
        "producer = 'both'\nwindows = 3\nfit_s = 99",
        "mine.toml:3:1: fit_s measures the producer from seeds alone. Take it out, or set producer",
    ),
    ("[documents]\nstyle = 'alpaca'", "style is no field of [documents]: it is about seeds: write it in [generate]."),
    ("[generate]\ncandidates = 4", "candidates is no field of [generate]: it is about documents: write it in [docu"),
    ("[generate]\nproducer = 'goliath'", "producer is no field of [generate]: write `producer` at the top of the fil"),
    ("[documents]\nmax_kept = 4", "max_kept is no field of [documents]: it is a budget of the run"),
    (
        "[documents]\nstrategies = 'best=1'",
        "mine.toml:2:1: --strategies: there is no strategy 'best': choose among random,",
    ),
    ("[documents]\nsegment_words = '9'", "mine.toml:2:1: --segment-words: '9' names no lengths"),
    ("[documents]\nshare = '3/2'", "mine.toml:2:1: share is 3/2; two machines take 1/2 and 2/2"),
    ("[documents]\nscorer_backend = 'far'", 'scorer_backend is "far"; it takes one of "local", "endpoint".'),
    (
        "[policy]\nstrategies = ['salient']\n[documents]\nstrategies = 'random'",
        "mine.toml:4:1: The strategies random are not among those of the run's policy (salient)",
    ),
    (
        "producer = 'both'\n[generate]\nlane = 'a'\n[documents]\nlane = 'a'",
        "mine.toml:5:1: lane is a of both producers, and each needs its own.",
    ),
    ("judging = true\n[judge]\nsample = 2", "mine.toml:3:1: sample is 2.0 and limit None"),
    ("judging = true\n[judge]\nmax_usd = 2", "mine.toml:3:1: max_usd is 2, but what a call costs is not known."),
    (
        'generate = ["--stle", "x"]',
        "mine.toml:1:1: `sedi generate` does not take these arguments: No such option: --st",
    ),
    (
        'generate = ["x y"]',
        "mine.toml:1:1: `sedi generate` does not take these arguments: Got unexpected extra argument.",
    ),
    ('\ngenerate = ["--style", "x"]', 'mine.toml:2:1: generate.style is "x"; it takes one of "alpaca", "two-step"'),
    (
        'train = ["--precision=fp23"]',
        'mine.toml:1:1: train.precision is "fp23"; it takes one of "auto", "bf16", "fp32".',
    ),
    ('train = ["--help"]', "mine.toml:1:1: `sedi train` does not take these arguments: No such option: --help"),
    ('train = ["--offline"]', "mine.toml:1:1: --offline does not belong here: a run trains its own rows"),
    ('judge = ["--until-end"]', "mine.toml:1:1: --until-end does not belong here: the run ends its judge itself"),
    ('generate = ["--run", "x"]', "mine.toml:1:1: --run does not belong here: it is the run's: write `run` at the top"),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES, ids=[text.replace("\n", "|") for text, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_what_to_do(text: str, sentence: str) -> None:
    message = told(text)
    assert sentence in message
    assert message.endswith("Nothing was started.") and "\n" not in message


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (
            "model=x",
            "the top of the file has no field model; it belongs to [generate] or [documents] or [answerer] or [train]",
        ),
        (
            "generate=--style",
            "--set generate: generate is a section: name one of its fields, such as --set generate.lane=",
        ),
        ("threshold", "--set threshold: it takes KEY=VALUE, such as"),
        ("treshold=1", "--set treshold: the top of the file has no field treshold. The nearest is policy.threshold"),
        ("trian.lr=1", "--set trian.lr: [trian] is no section. The nearest is [train]."),
        ("train.lr=fast", '--set train.lr: train.lr is "fast"; it takes a number.'),
        ("clusters=12", "--set clusters: clusters is 12; it must be a power of two"),
        ("settings.api_key=hush", "--set settings.api_key: api_key is a secret"),
    ],
)
def test_a_mistake_of_the_command_line_is_told_with_its_flag(pair: str, sentence: str) -> None:
    message = told("", pair)
    assert sentence in message and "hush" not in message


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    message = told(
        'windows = "3"\n[policy]\nclusters = 12\nmin_words = 200\n[train]\nlr = "x"\nlora_alpha = 1\n'
        "[generate]\nmax_ahead = 5\n[trian]\n",
        "train.clip=x",
    )
    first, *lines = message.split("\n")
    assert first == "7 mistakes, and nothing was started:"
    places = ["mine.toml:1:1", "mine.toml:3:1", "mine.toml:4:1", "mine.toml:6:1", "mine.toml:7:1", "mine.toml:10:2"]
    assert [line.strip().split(": ")[0] for line in lines] == [*places, "--set train.clip"]


@pytest.mark.parametrize("section", ["", "[settings]\n", "[generate]\n"])
def test_a_secret_in_the_file_is_refused_and_not_shown(section: str) -> None:
    assert secrets() == {"api_key", "sasl_password", "tls_key_password"}
    for name in secrets():
        message = told(f'{section}{name} = "hush-hush"')
        assert f"{name} is a secret, and a run file is kept and shared" in message
        assert f"export SEDI_{name.upper()}=" in message and "hush-hush" not in message


@pytest.mark.parametrize("url", ["http://u:hush-9@h/v1", "https://hush-9@h/v1", "http://h/v1?api_key=hush-9"])
def test_a_base_url_with_a_secret_is_refused_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for message in (told(f'[settings]\nbase_url = "{url}"'), told("", f"settings.base_url={url}")):
        assert "export SEDI_BASE_URL=..." in message and "hush" not in message
    with pytest.raises(ConfigurationError, match="export SEDI_BASE_URL"):  # as `sedi init --preset` reads it
        values_of(RunRequest(preset="mine.toml", pairs=[f"settings.base_url={url}"]))
    assert "mine.toml:2:1" in told(f'[settings]\nbase_url = "{url}"', "settings.base_url=http://h/v1")
    monkeypatch.setenv("SEDI_BASE_URL", "http://other/v1")
    assert "export SEDI_BASE_URL=..." in told(f'[settings]\nbase_url = "{url}"')
    assert plan('[settings]\nbase_url = "http://h/v1?api-version=2"', "settings.backend=builtin").run == "demo"


@pytest.mark.parametrize("words", [["--api-key=hush-9"], ["--api-key", "hush-9"], ["--safety", "hush-9"]])
def test_a_secret_among_arguments_is_refused_and_not_shown(words: list[str]) -> None:
    of_file = told(f"windows = 3\ngenerate = {words!r}".replace("'", '"'))
    of_flag = told("", arguments={"generate": words})
    assert of_file.startswith("mine.toml:2:1: `sedi generate`") and of_flag.startswith("--generate: `sedi generate`")
    for message in (of_file, of_flag):
        assert "hush" not in message and ("export SEDI_API_KEY=..." in message) == words[0].startswith("--api-key")


def test_a_file_that_is_not_there_and_one_beside_a_preset_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no file gone\.toml\. `sedi init FILE` writes one; our presets are demo"
    ):
        plan_run(RunRequest(file="gone.toml"))
    with pytest.raises(ConfigurationError, match="There is no preset 'gone': no such file"):
        plan_run(RunRequest(preset="gone"))
    with pytest.raises(ConfigurationError, match="Give one of them"):
        plan_run(RunRequest(file="mine.toml", preset="demo"))
    Path("latin.toml").write_bytes(b'run = "\xe4"')
    with pytest.raises(ConfigurationError, match=r"latin\.toml cannot be read as text in UTF-8"):
        plan_run(RunRequest(file="latin.toml"))


def test_no_name_means_two_things_on_the_command_line() -> None:
    assert not {name for section, name in fields() if section == ""} & {
        name for section, name in fields() if section == "policy"
    }
    assert set(COMMANDS) < set(SECTIONS)


def test_a_policy_is_taken_as_the_command_line_took_it_before() -> None:
    assert policy_of(plan_run(RunRequest(pairs=["clusters=8"])).options) == policy_for(clusters="8")
    assert policy_of(plan_run(RunRequest(preset="demo", pairs=["clusters=8", "batch_size=8"])).options).refit_from == 8


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    Path("mine.toml").write_text("\ufeffwindows = 3", encoding="utf-8")
    assert plan_run(RunRequest(file="mine.toml")).options.windows == 3


def test_reading_and_checking_loads_nothing_heavy() -> None:
    program = (
        "import sys; from sedi.run_file.plan import RunRequest, plan_run; plan_run(RunRequest(preset='demo')); "
        "print([name for name in ('torch', 'transformers', 'faust', 'sklearn', 'openai') if name in sys.modules])"
    )
    here = Path(__file__).parents[3]
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "[]"


def test_files_and_settings_of_parts_that_start_elsewhere_are_not_looked_for_here() -> None:
    text = "max_usd = 5\n[train]\neval = 'held.json'\n[settings]\nbackend = 'openai'"
    assert told(text).startswith("3 mistakes")
    assert plan(text, here=False).options.max_usd == 5


def test_old_prices_of_a_runs_models_are_named_once_each_before_it_starts() -> None:
    settings = Settings(base_url="https://api.openai.com/v1")
    asked = ("--backend", "openai", "--model", "gpt-4o-mini")
    options = RunOptions(generate=asked, judging=True, judge=("--backend", "openai", "--model", "gpt-4.1"))
    old = date(2028, 1, 1)
    assert [said.partition(" are")[0] for said in stale_prices(options, settings, old)] == [
        "The prices of gpt-4o-mini",
        "The prices of gpt-4.1",
    ]
    assert stale_prices(options, settings, date(2026, 8, 1)) == stale_prices(RunOptions(), settings, old) == []
