// Calls to the LLM: latency, tokens, cost, failures, and the last ones.
import { api, clock, dollars, Fault, html, number, Table, Text, useFound } from "./base.js";
import { Plot } from "./plot.js";

const seconds = (value) => (value === null ? "–" : `${number(value)} s`);

export function Calls({ run, live }) {
  const calls = live.status?.calls;
  const { found, error } = useFound(api(run, "calls"), calls && Math.floor((calls.started + calls.answered + calls.failed) / 10));
  return html`<h1>Calls</h1><${Fault} error=${error} />
    ${calls && html`<dl class="facts">${Object.entries({ started: calls.started, answered: calls.answered, failed: calls.failed, "failed and paid": calls.failed_paid, "perhaps paid": calls.perhaps_paid,
      lost: calls.lost, "in flight": calls.open }).map(([name, value]) => html`<div class="fact"><dt>${name}</dt><dd>${number(value)}</dd></div>`)}
      <div class="fact"><dt>cost</dt><dd>${dollars(live.status.cost)}</dd></div>
      <div class="fact"><dt>tokens in, out</dt><dd>${number(live.status.tokens.prompt)}, ${number(live.status.tokens.completion)}</dd></div>
      ${found && html`<div class="fact"><dt>latency, median and 95 %</dt><dd>${seconds(found.latency_s.p50)}, ${seconds(found.latency_s.p95)}</dd></div>`}</dl>`}
    ${found && html`
      <${Plot} title="Latency and tokens of answers" x=${found.series.ended_ms} time xLabel="time" lines=${[{ label: "latency", unit: "s", values: found.series.latency_s },
        { label: "completion tokens", scale: "tokens", values: found.series.completion_tokens }]} />
      <${Table} caption="Failures" rows=${found.failures} columns=${[["status", (one) => one.status ?? "no response"], ["calls", (one) => number(one.calls), "number"], ["last", (one) => clock(one.last_ms)], ["an example", (one) => html`<${Text}>${one.example}<//>`, "wide"]]} />
      <${Table} caption="The last calls" rows=${found.recent} columns=${[["started", (one) => clock(one.started_ms)], ["model", (one) => html`<${Text}>${one.model}<//>`], ["lane", (one) => html`<${Text}>${one.lane}<//>`], ["attempt", (one) => one.attempt, "number"],
        ["outcome", (one) => `${one.outcome}${one.status ? ` ${one.status}` : ""}`], ["latency", (one) => seconds(one.latency_s), "number"], ["tokens in, out", (one) => `${number(one.prompt_tokens)}, ${number(one.completion_tokens)}`, "number"],
        ["cost", (one) => (one.cost === null ? "–" : `$${one.cost.toFixed(5)}`), "number"]]} />`}`;
}
