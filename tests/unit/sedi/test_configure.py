"""What a run that was only configured is to be started with."""

from sedi.configure import commands_to_start
from sedi.run_options import RunOptions, read_options


def test_each_part_is_named_with_what_the_preset_says_of_it() -> None:
    options = RunOptions(max_kept=500, generate=("--style", "two-step"), train=("--model", "./my model"))
    assert commands_to_start("mine", options, "host:9092") == [
        "sedi worker --run mine --bootstrap-servers host:9092",
        "sedi generate --run mine --bootstrap-servers host:9092 --max-kept 500 --style two-step",
        "sedi train --run mine --bootstrap-servers host:9092 --model './my model'",
    ]


def test_the_baselines_generator_asks_as_the_baseline_does() -> None:
    _, generate, _ = commands_to_start("mine", read_options("self-instruct", {}, ()), None)
    assert generate == "sedi generate --run mine --style self-instruct"
