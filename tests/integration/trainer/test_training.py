"""The trainer on a real log: what it trains, what it logs, when it waits and when it ends."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from consumers.trainer.run import TrainSummary
from infra.log.reader import LogReader
from infra.models import precision
from schemas import ids
from schemas.errors import TopicMismatch, TrainerError
from schemas.events import StepLogged
from schemas.topics import topic_name
from tests.integration.trainer.rig import CLUSTERS, TrainerRig
from tests.unit.trainer.tiny import kept, save_tiny


def clusters_of(step: StepLogged) -> list[tuple[int, int]]:
    return [(row.slot, row.cluster) for row in step.rows]


def test_every_batch_is_one_of_each_cluster_and_the_log_says_what_was_trained(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(48)])
    summary, steps = rig.train()
    assert (summary.reason, summary.steps, summary.borrowed, summary.rows) == ("end_of_stream", 12, 0, 48)
    assert all(clusters_of(step) == [(n, n) for n in range(CLUSTERS)] for step in steps)
    windows = rig.windows()
    assert [(each.epoch, each.window) for each in windows] == [(1, 0), (1, 1), (1, 2)]
    assert [step for window in windows for step in window.steps] == steps
    assert {window.model for window in windows} == {rig.model_folder.name}
    trained = [row.id for step in steps for row in step.rows]
    assert sorted(trained) == sorted(kept(number, 0).id for number in range(48))
    assert steps[-1].loss < steps[0].loss - 1
    assert all(step.grad_norm > 0 and step.loss_variance > 0 and step.tokens > 0 for step in steps)


def test_what_comes_out_is_a_model_that_transformers_loads(rig: TrainerRig) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rig.write([n % CLUSTERS for n in range(8)])
    summary, _ = rig.train()
    assert summary.model_folder == rig.folder / "out" / "model"
    loaded = AutoModelForCausalLM.from_pretrained(summary.model_folder)
    tokenizer = AutoTokenizer.from_pretrained(summary.model_folder)
    asked = tokenizer("Say number", return_tensors="pt")
    assert loaded.generate(**asked, max_new_tokens=2, min_new_tokens=2).shape[1] == asked["input_ids"].shape[1] + 2


def test_records_that_stand_twice_are_trained_once(rig: TrainerRig) -> None:
    for _ in range(2):
        rig.write([n % CLUSTERS for n in range(16)])
    assert rig.train()[0].rows == 16


def test_at_the_end_of_the_stream_empty_clusters_borrow_and_the_rest_is_dropped_or_trained(rig: TrainerRig) -> None:
    rig.write([0, 1, 2, 3, 2, 2, 2, 2, 3])
    summary, steps = rig.train()
    assert [clusters_of(step) for step in steps] == [[(0, 0), (1, 1), (2, 2), (3, 3)], [(0, 2), (1, 2), (2, 2), (3, 3)]]
    assert (summary.rows, summary.borrowed) == (8, 2)
    summary, steps = rig.train(output=rig.folder / "other", last_batch=True, write_log=False)
    assert clusters_of(steps[-1]) == [(2, 2)]
    assert summary.rows == 9


def test_later_epochs_train_the_same_rows_again(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(12)] + [1, 1, 1, 1, 1])
    summary, steps = rig.train(epochs=3)
    epochs = [[row.id for step in steps[first : first + 4] for row in step.rows] for first in (0, 4, 8)]
    assert (summary.epoch, summary.steps, summary.rows) == (3, 12, 48)
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert [(each.epoch, [step.step for step in each.steps]) for each in rig.windows()] == [
        (1, [1, 2, 3, 4]),
        (2, [5]),
        (2, [6, 7, 8]),
        (3, [9, 10]),
        (3, [11, 12]),
    ]


def test_a_live_trainer_waits_for_rows_says_so_and_ends_when_the_run_is_stopped(rig: TrainerRig) -> None:
    rig.write([0, 1, 2])
    waits = "Waiting for rows: 1 of 4 clusters are empty ([3])"

    def go_on_once_it_waits() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(waits in line for line in rig.lines):
            time.sleep(0.05)
        rig.write([3, 0, 1, 2, 3, 3], 3)
        rig.stop_run()

    later = threading.Thread(target=go_on_once_it_waits)
    later.start()
    summary, steps = rig.train(until_end=False)
    later.join()
    assert (summary.reason, len(steps)) == ("end_of_stream", 2)
    assert any(waits in line for line in rig.lines)


def test_a_stop_before_the_run_was_started_again_does_not_end_the_stream(rig: TrainerRig) -> None:
    rig.write([0, 1, 2, 3])
    rig.stop_run()
    rig.start_run()
    later = threading.Timer(2.0, rig.write, ([3, 0, 1, 2], 4))
    later.start()
    summary, steps = rig.train(until_end=False, max_steps=2)
    later.join()
    assert (summary.reason, len(steps)) == ("max_steps", 2)


def test_an_impatient_trainer_borrows_after_its_time(rig: TrainerRig) -> None:
    rig.write([2, 2, 2, 2])
    summary, steps = rig.train(until_end=False, borrow_after_s=0.5, max_steps=1)
    assert clusters_of(steps[0]) == [(0, 2), (1, 2), (2, 2), (3, 2)]
    assert summary.borrowed == 3


def test_sigterm_ends_it_after_the_step_with_a_checkpoint_and_it_goes_on_from_there(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(40)])

    def interrupt(step: StepLogged) -> None:
        if step.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    summary, _ = rig.train(on_step=interrupt)
    assert (summary.reason, summary.steps, summary.model_folder) == ("stopped", 3, None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    again, more = rig.train()
    assert (again.resumed_from, again.steps_now, more[0].step) == (3, 7, 4)
    assert rig.logged_steps() == list(range(1, 11))


def test_sigterm_ends_it_while_it_waits(rig: TrainerRig) -> None:
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    summary, _ = rig.train(until_end=False)
    timer.join()
    assert (summary.reason, summary.steps, summary.checkpoint) == ("stopped", 0, None)


def test_limits_end_it_and_a_larger_one_goes_on(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(48)])
    ended: list[TrainSummary] = [rig.train(max_steps=3)[0], rig.train(max_windows=2)[0]]
    assert [(each.reason, each.steps) for each in ended] == [("max_steps", 3), ("max_windows", 10)]
    assert rig.logged_steps() == list(range(1, 11))


def test_a_row_that_cannot_be_read_goes_to_the_dead_letters_and_the_others_are_trained(rig: TrainerRig) -> None:
    rig.write([0, 1, 2, 3])
    with rig.writer() as writer:
        misplaced = kept(9, 1)
        writer.write(misplaced, key=misplaced.id, id=misplaced.id, partition=3)
    summary, _ = rig.train()
    assert (summary.rows, summary.rows_unreadable) == (4, 1)
    assert any("dead letters" in line for line in rig.lines)
    from kafka import KafkaConsumer, TopicPartition

    dead = TopicPartition(topic_name(rig.run, "kept") + ".dlq", 0)
    consumer = KafkaConsumer(bootstrap_servers=rig.settings.bootstrap_servers)
    assert consumer.end_offsets([dead])[dead] == 1
    consumer.close()


def test_rows_without_a_response_are_trained_with_no_weight_and_counted(rig: TrainerRig) -> None:
    with rig.writer() as writer:
        for cluster in range(CLUSTERS):
            for number, output in ((cluster, "" if cluster else "yes"), (cluster + 4, "")):
                row = kept(number, cluster, output=output)
                writer.write(row, key=row.id, id=row.id, partition=cluster)
    summary, steps = rig.train()
    assert (summary.rows_without_response, summary.skipped_steps) == (7, 1)
    assert steps[0].loss is not None
    assert (steps[1].loss, steps[1].grad_norm, steps[1].tokens) == (None, None, 0)


def test_a_topic_with_another_partition_count_is_refused(rig: TrainerRig, run: str) -> None:
    other = TrainerRig(rig.settings, f"{run}-b", rig.model_folder, rig.folder)
    other.configure(partitions=2)
    with pytest.raises(TopicMismatch, match="2 partitions"):
        other.train()


def test_a_log_of_another_model_is_refused_unless_nothing_is_written(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(24)])
    rig.train()
    stranger = str(save_tiny(rig.folder / "stranger"))
    with pytest.raises(TrainerError, match="another run"):
        rig.train(model=stranger, output=rig.folder / "b")
    assert rig.train(model=stranger, output=rig.folder / "b", write_log=False)[0].steps == 6
    assert len(rig.logged_steps()) == 6


def test_two_trainers_do_not_share_a_folder(rig: TrainerRig) -> None:
    rig.write([0, 1, 2, 3])
    refused: list[str] = []

    def second(_step: StepLogged) -> None:
        try:
            rig.train()
        except TrainerError as error:
            refused.append(str(error))

    rig.train(on_step=second)
    assert len(refused) == 1
    assert "Another trainer" in refused[0]


def test_a_training_keeps_its_precision_and_by_itself_takes_what_the_machine_is_faster_in(
    rig: TrainerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"fp32": 20.0, "bf16": 10.0}
    monkeypatch.setattr(precision, "measured", lambda: measured)
    rig.write([n % CLUSTERS for n in range(8)])
    rig.train(precision="auto", max_steps=1)
    assert any(line.startswith("Training in bf16: bf16 is 2.0 times as fast") for line in rig.lines)
    measured["bf16"] = 100.0  # as on a machine without bf16
    rig.train(precision="auto")
    assert "Training in bf16: so was the checkpoint." in rig.lines
    with pytest.raises(TrainerError, match="precision 'bf16'"):
        rig.train(precision="fp32")
    rig.train(precision="auto", fresh=True)
    assert any(line.startswith("Training in fp32: bf16 is 5.0 times slower") for line in rig.lines)


def test_a_window_is_keyed_by_its_id(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(20)])
    rig.train()
    with LogReader(rig.settings, rig.run, ["training-log"]) as reader:
        (record,) = list(reader.read_to_end())
    assert record.decoded is not None
    assert record.decoded.key == record.decoded.meta.id == ids.window_id(1, 0)
    assert Path(rig.folder / "out" / "deepspeed.log").is_file()


def test_with_a_threshold_rows_wait_for_their_score_and_those_below_it_are_passed_over(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(16)])
    scores = {number: 2.0 if number in {1, 4, 5} else 4.5 for number in range(16)}
    rig.judge({number: scores[number] for number in range(8)})
    rig.stop_run()
    later = threading.Timer(2.0, rig.judge, ({number: scores[number] for number in range(8, 16)},))
    later.start()
    summary, steps = rig.train(until_end=False, min_score=4.0, epochs=2, last_batch=True)
    later.join()
    admitted = [number for number, score in scores.items() if score >= 4.0]
    trained = [row.generated_offset for step in steps for row in step.rows]
    assert sorted(trained) == sorted(admitted * 2)
    assert (summary.epoch, summary.rows) == (2, 26)
