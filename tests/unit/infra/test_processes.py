"""Process identity and file locks."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from infra.machine.processes import file_lock, find_process, port_listener, process_mark


def test_a_running_process_is_found_by_its_mark() -> None:
    found = find_process(process_mark(os.getpid()))

    assert found is not None
    assert found.pid == os.getpid()


def test_another_process_with_the_same_pid_is_not_taken_for_it() -> None:
    assert find_process(replace(process_mark(os.getpid()), started="some other boot:1")) is None


def test_a_process_that_ended_is_not_found_even_before_its_parent_has_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        marked = process_mark(child.pid)
        assert find_process(marked) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is a zombie now

        assert find_process(marked) is None
    assert find_process(marked) is None


def test_who_listens_on_a_port_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert f"(pid {os.getpid()})" in (port_listener(port) or "")
    assert port_listener(port) is None


def test_who_comes_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from infra.machine.processes import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('mine', flush=True)"
    )
    with file_lock(tmp_path / "lock"):
        second = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
        )
        try:
            second.wait(1.0)
            waited = False
        except subprocess.TimeoutExpired:
            waited = True
    with second:
        assert second.stdout is not None
        assert second.stdout.read() == "mine\n"
    assert waited
