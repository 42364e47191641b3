// The run at a glance: the loop as a picture with its rates, what waits for what, yield, spending, halts.
import { clock, dollars, Fault, html, number, share, Table, Text, useFound, api } from "./base.js";
import { Plot } from "./plot.js";

const Box = ({ x, y, title, text }) => html`<g>
  <rect x=${x} y=${y} width="150" height="62" rx="6" /><text x=${x + 75} y=${y + 24} class="title">${title}</text>
  <text x=${x + 75} y=${y + 45}>${text}</text></g>`;
const Arrow = ({ d, x, y, text, anchor = "middle" }) => html`<g>
  <path d=${d} marker-end="url(#head)" /><text x=${x} y=${y} text-anchor=${anchor} class="rate">${text}</text></g>`;

function Loop({ status }) {
  const rate = (value, unit) => `${number(Math.round(value * 100) / 100)} ${unit}/s`;
  const { rates, lag } = status;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="The loop"><svg class="loop" viewBox="0 0 780 210" role="img" aria-label="The loop of the run, with its rates">
    <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" /></marker></defs>
    <${Box} x=${10} y=${20} title="LLM" text=${`${number(status.calls.open)} calls in flight`} />
    <${Box} x=${310} y=${20} title="Filter" text=${`${number(lag.generations)} generations wait`} />
    <${Box} x=${610} y=${20} title="Trainer" text=${`${number(lag.untrained)} rows wait`} />
    <${Box} x=${310} y=${140} title="Seed pool" text=${`${number(status.replacements)} replaced`} />
    <${Arrow} d="M160 51H308" x=${234} y=${42} text=${rate(rates.generated, "generated")} />
    <${Arrow} d="M460 51H608" x=${534} y=${42} text=${rate(rates.kept, "kept")} />
    <${Arrow} d="M685 82V171H462" x=${572} y=${190} text=${rate(rates.steps, "steps")} />
    <${Arrow} d="M310 171H85V84" x=${198} y=${190} text=${rate(rates.calls, "calls")} />
    <text x=${385} y=${112} class="rate">${rate(rates.rejected, "rejected")}</text>
  </svg></div>`;
}

const Fact = ({ id, name, children }) => html`<div class="fact"><dt>${name}</dt><dd id=${id}>${children}</dd></div>`;

function waits(status, live) {
  if (status.stopped !== null) return `Nothing: the run was stopped (${status.stopped}).`;
  if (live.ended) return "Nothing: this is an archive.";
  if (status.lag.generations > 0) return `${number(status.lag.generations)} generations wait for the filter.`;
  if (status.calls.open > 0) return `The filter waits for ${number(status.calls.open)} calls in flight.`;
  return "Everything generated is decided, and no call is in flight.";
}

export function Overview({ run, live, runs }) {
  const status = live.status;
  const { found, error } = useFound(api(run, "yield"), status ? Math.floor(status.generations / 20) : 0);
  const report = useFound(api(run, "report"), live.ended || (status ? Math.floor(status.generations / 100) : 0));
  if (!status) return html`<h1>Overview</h1><p>${live.detail || "Reading the log."}</p>`;
  const budget = runs.max_usd;
  const spent = status.cost.usd ?? status.cost.known_usd;
  const curve = found ?? { at: [], ms: [], generated_total: [], kept_total: [] };
  return html`<h1>Overview</h1>
    <${Loop} status=${status} />
    <dl class="facts">
      <${Fact} id="generated" name="generated">${number(status.generated)}<//>
      <${Fact} id="kept" name="kept">${number(status.kept)}<//>
      <${Fact} id="rejected" name="rejected">${number(status.rejected_total)}<//>
      <${Fact} id="undecided" name="undecided">${number(status.undecided)}<//>
      <${Fact} id="yield" name="yield">${share(status.yield)}<//>
      <${Fact} id="cost" name=${budget === null ? "spent" : `spent of $${budget}`}>${dollars(status.cost)}${budget ? html` <progress max=${budget} value=${spent} aria-label="spent of the budget" />` : null}<//>
      <${Fact} id="calls" name="calls answered, failed, lost">${number(status.calls.answered)}, ${number(status.calls.failed)}, ${number(status.calls.lost)}<//>
      <${Fact} id="steps" name="steps, windows">${number(status.steps)}, ${number(status.windows)}<//>
      <${Fact} id="replacements" name="seeds replaced">${number(status.replacements)}<//>
      <${Fact} id="lag" name="filter lag">${number(status.filter_lag)}<//>
      <${Fact} id="dead" name="dead letters">${number(Object.values(status.dead_letters).reduce((sum, one) => sum + one, 0))}<//>
      <${Fact} id="books" name="books in order">${report.found ? (report.found.accounted ? "yes" : `NO, ${number(report.found.unaccounted)} faults`) : "–"}<//>
      <${Fact} id="last" name="last event">${clock(status.last_event_ms)}<//>
    </dl>
    <p id="waits">What waits: ${waits(status, live)}</p>
    ${status.halts.map((halt) => html`<p class="fault">Lane <${Text}>${halt.lane}<//> halted at ${clock(halt.at_ms)}: <${Text}>${halt.reason}<//></p>`)}
    <${Fault} error=${error} />
    <${Plot} title="Generated and kept" x=${curve.ms} time xLabel="time" lines=${[
      { label: "generated", unit: "instructions", values: curve.generated_total }, { label: "kept", unit: "instructions", values: curve.kept_total }]} />
    <div class="columns">
      <${Table} caption="Rejected" rows=${Object.entries(status.rejected)} columns=${[["reason", ([reason]) => html`<a href=${`#rows?reason=${encodeURIComponent(reason)}&run=${encodeURIComponent(run)}`}><${Text}>${reason}<//></a>`],
        ["instructions", ([, count]) => number(count), "number"], ["share", ([, count]) => share(count / status.rejected_total), "number"]]} />
      <${Table} caption="Kept by cluster" rows=${status.clusters.map((count, cluster) => [cluster, count])} columns=${[["cluster", ([cluster]) => html`<a href=${`#rows?cluster=${cluster}&run=${encodeURIComponent(run)}`}>${cluster}</a>`, "number"],
        ["kept", ([, count]) => number(count), "number"], ["", ([, count]) => html`<meter min="0" max=${Math.max(1, ...status.clusters)} value=${count} aria-label="rows" />`]]} />
    </div>`;
}
