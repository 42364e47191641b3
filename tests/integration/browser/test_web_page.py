"""The page of a run in a real browser: the report's numbers, texts that stay texts, and nothing missing or twice
after a reload or the death of the broker."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace
from playwright.sync_api import Route

from consumers.index.follow import Follower
from consumers.replay.what_if import what_if
from consumers.report import report
from consumers.web.server import PageServer
from infra.cluster.topics import apply
from infra.local_broker.temporary_broker import TemporaryBroker, temporary_broker
from infra.log.archive import ArchiveSource
from infra.log.reader import LogReader
from infra.log.run import configuration
from infra.log.source import KafkaSource, Source
from infra.log.writer import LogWriter
from infra.settings import Settings
from infra.visible import visible
from schemas import ids
from schemas.documents import DocumentWithdrawn
from schemas.events import CallStarted, Instruction, InstructionsGenerated
from sedi.main import main
from sedi.web import _explain, _WithdrawDocument
from tests.browser.install import AXE
from tests.golden import HERE
from tests.harness.browser import Tab, open_tab
from tests.harness.page_server import serving
from tests.unit.consumers.document_run import documents_run
from tests.unit.consumers.recorded_run import whole_run

HOSTILE = (
    "<script>ran = 1</script><img src=x onerror='ran = 1'> \x1b]0;x\x07 \u202eabc\u202c "
    "\u0645\u0631\u062d\u0628\u0627 &lt;b&gt;"
)
FACTS = {"generated": "generated", "kept": "kept", "rejected": "rejected_total", "undecided": "undecided"}
PAGES = ("overview", "rows", "map", "log", "seeds", "training", "calls", "evaluation", "what-if", "runs")
BURST = 10_000
TOKEN = "0123456789abcdef"
LINES = "[...document.querySelectorAll('#log tbody tr')].map(row => row.id)"


@pytest.fixture
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("browser"), limit_s=150.0, locale="en-US") as opened:
        yield opened


@contextmanager
def served(source: Source, folder: Path, settings: Settings | None = None, token: str | None = None) -> Iterator[str]:
    """The address of a run's page. Playwright's event loop is in this thread, so the log is opened in another."""
    with ThreadPoolExecutor(1) as other:
        follower = other.submit(Follower, source, folder, settings).result()
    runs = {follower.source.run: follower}
    acts = {} if settings is None else {"withdraw-document": _WithdrawDocument(settings)}
    server = PageServer(runs, host="127.0.0.1", port=0, token=token, explain=_explain, acts=acts)
    try:
        with serving(server) as address:
            yield address
    finally:
        follower.close()


def wait_for(tab: Tab, expression: str, limit_s: float = 20.0) -> None:
    """Wait until an expression holds. The page's policy forbids Playwright's own way, which evaluates a text there."""
    until = time.monotonic() + limit_s
    while not tab.page.evaluate(expression):
        if time.monotonic() > until:
            raise AssertionError(f"{expression}: {tab.page.locator('body').inner_text()[:2000]}")
        tab.page.wait_for_timeout(50)


def test_every_page_shows_an_archive_and_fetches_nothing_else(tab: Tab, tmp_path: Path) -> None:
    source = ArchiveSource(HERE / "undisturbed")
    expected = report(source)
    with served(source, tmp_path) as address:
        for name in PAGES:
            tab.page.goto("about:blank")
            tab.page.goto(f"{address}#{name}")
            wait_for(tab, "document.querySelector('#state').textContent === 'archive, read to its end'")
            assert tab.page.locator("h1").text_content() == name.capitalize().replace("-", " ")
        tab.page.goto(f"{address}#rows?reason=similar")
        wait_for(tab, f"document.querySelector('#total')?.textContent === '{expected.rejected['similar']}'")
        tab.page.locator("#rows a.row").first.click()
        tab.page.locator("#story").wait_for()
        assert tab.page.locator("#drawer .beside mark").count() > 0
        assert "similar" in (tab.page.locator("#story").text_content() or "")
        tab.page.keyboard.press("Escape")
        wait_for(tab, "document.querySelector('#drawer') === null")
        assert [url for url in tab.requests if not url.startswith((address, "about:", "data:"))] == []
        assert (tab.problems, tab.dialogs) == ([], [])
        tab.page.set_viewport_size({"width": 390, "height": 800})
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding_on_any_page(scheme: str, tmp_path: Path) -> None:
    source = ArchiveSource(HERE / "undisturbed")
    shown = [*PAGES, "rows?reason=similar", "log?record=generated/0@3"]
    found = {}
    with (
        open_tab(tmp_path, limit_s=150.0, color_scheme=scheme, bypass_csp=True) as tab,
        served(source, tmp_path) as address,
    ):
        for name in shown:
            tab.page.goto("about:blank")
            tab.page.goto(f"{address}#{name}")
            wait_for(tab, "document.querySelector('#state').textContent === 'archive, read to its end'")
            if name.startswith("rows?"):
                tab.page.locator("#rows a.row").first.click()
                tab.page.locator("#story").wait_for()
            tab.page.wait_for_timeout(300)
            tab.page.add_script_tag(path=AXE)
            for one in tab.page.evaluate("axe.run().then((all) => all.violations)"):
                if one["impact"] in ("serious", "critical"):
                    found[f"{name}: {one['id']}"] = [node["html"][:200] for node in one["nodes"]]
    assert found == {}


def test_a_dragged_threshold_shows_what_it_would_keep_and_plots_are_saved(tab: Tab, tmp_path: Path) -> None:
    source = ArchiveSource(HERE / "undisturbed")
    policy = configuration(source)[0].policy
    expected = what_if(source, replace(policy, threshold=0.5)).what_if.kept
    with served(source, tmp_path) as address:
        tab.page.goto(f"{address}#what-if")
        wait_for(tab, "document.querySelector('#passes')?.textContent.startsWith('11 of 11')")
        tab.page.locator("#threshold").focus()
        tab.page.keyboard.press("Home")
        tab.page.keyboard.press("ArrowRight")
        wait_for(tab, f"document.querySelector('#would-keep').textContent === '{expected}'")
        assert tab.page.locator("#chosen").text_content() == "0.5"
        saved = {}
        for kind in ("CSV", "PNG", "SVG"):
            with tab.page.expect_download() as coming:
                tab.page.get_by_role("button", name=f"Save Kept at 0.5 as {kind}").click()
            saved[kind] = Path(coming.value.path()).read_bytes()
        rows = saved["CSV"].decode().splitlines()
        assert rows[0] == "generated instructions,at 0.5,the run" and rows[-1].split(",")[1] == str(expected)
        assert saved["PNG"].startswith(b"\x89PNG")
        assert len(ElementTree.fromstring(saved["SVG"]).findall("{*}path")) == 2

        tab.page.goto(f"{address}#map")
        tab.page.locator("#sample").wait_for()
        tab.page.locator("#time").focus()
        tab.page.keyboard.press("Home")
        wait_for(tab, "document.querySelector('#until').textContent === '0 of 92 shown rows'")
        assert (tab.problems, tab.dialogs) == ([], [])


def test_a_stream_that_is_refused_is_asked_for_again(tab: Tab, tmp_path: Path) -> None:
    """A browser gives up by itself after an answer that is no stream."""
    refused: list[str] = []

    def once(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=503, body="busy")

    tab.page.route("**/events*", once)
    with served(ArchiveSource(HERE / "undisturbed"), tmp_path) as address:
        tab.page.goto(address)
        wait_for(tab, "document.querySelector('#banner')?.textContent.includes('does not answer')")
        wait_for(tab, "document.querySelector('#state').textContent === 'archive, read to its end'")
        wait_for(tab, "document.querySelector('#banner') === null")


def test_a_document_is_withdrawn_once_that_was_confirmed(
    broker: TemporaryBroker, run: str, tab: Tab, tmp_path: Path
) -> None:
    story = documents_run(run)
    apply(broker.settings, run, story.policy.clusters)
    with LogWriter(broker.settings, run, "test") as log:
        story.write(log)

    def withdrawals() -> list[DocumentWithdrawn]:
        with ThreadPoolExecutor(1) as other:  # Playwright's event loop is in this thread
            return other.submit(_withdrawals, broker.settings, run).result()

    with served(KafkaSource(broker.settings, run), tmp_path, broker.settings, TOKEN) as address:
        tab.page.goto(f"{address}?token={TOKEN}")
        tab.page.goto(f"{address}#rows?producer=goliath")
        tab.page.locator("#rows a.row").first.click()
        tab.page.locator("#story .act").click()
        tab.page.locator("#follows li").first.wait_for()
        assert "Would be withdrawn" in (tab.page.locator("#follows").text_content() or "")
        assert withdrawals() == [], "nothing before it is confirmed"
        tab.page.locator("dialog input").fill("the author asked for it")
        tab.page.locator("#confirm").click()
        wait_for(tab, "document.querySelector('#follows').textContent.startsWith('Withdrawn: ')")
        assert [one.reason for one in withdrawals()] == ["the author asked for it"]
        assert (tab.problems, tab.dialogs) == ([], [])


def _withdrawals(settings: Settings, run: str) -> list[DocumentWithdrawn]:
    with LogReader(settings, run, ["documents"]) as reader:
        return [record.event for record in reader.read_to_end() if isinstance(record.event, DocumentWithdrawn)]


def test_a_live_page_misses_nothing_through_reloads_and_a_broker_that_dies(
    settings: Settings, run: str, tab: Tab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = whole_run(run)
    last = next(
        i for i in reversed(range(len(story.written))) if isinstance(story.written[i].event, InstructionsGenerated)
    )
    event = story.written[last].event
    assert isinstance(event, InstructionsGenerated)
    spoilt = replace(event, instructions=(Instruction(instruction=HOSTILE, output=HOSTILE),), model="m<b>\x1b")
    story.written[last] = replace_event(story.written[last], spoilt)
    with temporary_broker(settings) as broker:
        apply(broker.settings, run, story.policy.clusters)
        with LogWriter(broker.settings, run, "test") as log:
            story.write(log)
        with served(KafkaSource(broker.settings, run), tmp_path, broker.settings) as address:
            shows_the_reports_numbers(broker, run, tab, address, capsys)

            tab.page.goto(f"{address}#rows?outcome=undecided")
            tab.page.locator("#rows a.row").first.click()
            tab.page.locator("#story").wait_for()
            assert tab.page.locator("#drawer h2").text_content() == visible(HOSTILE)
            assert tab.page.locator("#rows a.row").first.text_content() == visible(HOSTILE)
            assert tab.page.evaluate("typeof ran") == "undefined"

            tab.page.goto(f"{address}#log?topics=calls")
            wait_for(tab, f"{LINES}.length > 0")
            before = len(tab.page.evaluate(LINES))
            writing = threading.Thread(target=write_calls, args=(broker.settings, run, range(BURST)))
            writing.start()
            wait_for(tab, f"{LINES}.length > {before + 50}")
            tab.page.reload()
            wait_for(tab, f"{LINES}.length > 0")
            tab.page.locator("#pause").click()
            writing.join()
            tab.page.locator("#pause").click()
            all_lines_to(tab, before + BURST)

            broker.kill()
            tab.page.locator("#banner").wait_for(timeout=20_000)
            assert "cannot be read now" in (tab.page.locator("#banner").text_content() or "")
            broker.restart()
            write_calls(broker.settings, run, range(BURST, BURST + 50))
            all_lines_to(tab, before + BURST + 50)
            tab.page.locator("#banner").wait_for(state="detached", timeout=20_000)
            shows_the_reports_numbers(broker, run, tab, address, capsys)
        assert (tab.problems, tab.dialogs) == ([], [])


def replace_event(entry: object, event: InstructionsGenerated) -> object:
    from dataclasses import replace as with_fields

    return with_fields(entry, event=event)  # type: ignore[type-var]


def write_calls(settings: Settings, run: str, numbers: range) -> None:
    sent = []
    with LogWriter(settings, run, "burst") as log:
        for number in numbers:
            generation, step = number % 8, number // 8
            request = ids.request_id(ids.generation_id("burst", generation), step)
            started = CallStarted(
                request_id=request,
                attempt=1,
                generation_id=ids.generation_id("burst", generation),
                lane="burst",
                number=generation,
                step=step,
                backend="recorded",
                model="m",
            )
            sent.append(log.send(started, key=request, id=ids.child(request, "started/1")))
        for one in sent:
            log.wait(one)


def all_lines_to(tab: Tab, count: int) -> None:
    """The page shows the last records of `calls` up to that many, each once and in order."""
    wait_for(tab, f"{LINES}.at(-1) === 'calls/0@{count - 1}'")
    shown = tab.page.evaluate(LINES)
    assert shown == [f"calls/0@{at}" for at in range(count - len(shown), count)]


def shows_the_reports_numbers(
    broker: TemporaryBroker, run: str, tab: Tab, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = ["--bootstrap-servers", broker.bootstrap]
    assert main(["report", "--run", run, "--json", *servers]) == 0
    printed = json.loads(capsys.readouterr().out)
    tab.page.goto("about:blank")
    tab.page.goto(address)
    for id, name in FACTS.items():
        wait_for(tab, f"document.querySelector('#{id}')?.textContent === '{printed[name]:,}'")
    wait_for(tab, "document.querySelector('#books')?.textContent === 'yes'")
    answered = tab.page.evaluate(f"fetch('{address}api/runs/{run}/report').then((answer) => answer.json())")
    assert answered == printed
