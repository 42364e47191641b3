// What other thresholds would have kept: each is a pass over the recorded answers, shown as they come.
import { useEffect, useState } from "preact/hooks";
import { api, Fault, html, number, share, Table, useFound } from "./base.js";
import { Plot } from "./plot.js";

const REPORTED = [["kept", (one) => number(one.kept)], ["yield", (one) => share(one.yield)], ["balance of the clusters", (one) => number(one.balance)],
  ["cost per 1,000 kept", (one) => (one.usd_per_1000_kept === null ? "–" : `$${one.usd_per_1000_kept.toFixed(4)}`)],
  ["calls per 1,000 kept", (one) => number(one.calls_per_1000_kept === null ? null : Math.round(one.calls_per_1000_kept))], ["seeds replaced", (one) => number(one.replacements)]];

function Compared({ real, one }) {
  const same = one.outcome.curve.length === real.curve.length;
  const x = same ? real.curve.map(([generated]) => generated) : one.outcome.curve.map(([generated]) => generated);
  const lines = [{ label: `at ${one.threshold}`, unit: "rows kept", values: one.outcome.curve.map(([, kept]) => kept) },
    ...(same ? [{ label: "the run", values: real.curve.map(([, kept]) => kept) }] : [])];
  const reasons = [...new Set([...Object.keys(real.rejected), ...Object.keys(one.outcome.rejected)])];
  return html`<div id="compared" data-threshold=${one.threshold}>
    <${Plot} title=${`Kept at ${one.threshold}`} x=${x} xLabel="generated instructions" lines=${lines} />
    <p><b id="would-keep">${number(one.kept)}</b> rows would be kept, where the run kept ${number(real.kept)}: ${number(one.in_both)} are the same, ${number(one.kept - one.in_both)} others, and ${number(real.kept - one.in_both)} of the run's would not be.</p>
    <div class="columns">
      <${Table} caption="Side by side" rows=${REPORTED} columns=${[["", ([name]) => name], ["the run", ([, read]) => read(real), "number"], [`at ${one.threshold}`, ([, read]) => read(one.outcome), "number"]]} />
      <${Table} caption="Rejected" rows=${reasons} columns=${[["reason", (reason) => reason], ["the run", (reason) => number(real.rejected[reason] ?? 0), "number"], [`at ${one.threshold}`, (reason) => number(one.outcome.rejected[reason] ?? 0), "number"]]} />
      <${Table} caption="Kept by cluster" rows=${real.clusters.map((count, cluster) => [cluster, count, one.outcome.clusters[cluster]])} columns=${[["cluster", ([cluster]) => cluster, "number"], ["the run", ([, count]) => number(count), "number"], [`at ${one.threshold}`, ([, , count]) => number(count), "number"]]} />
    </div></div>`;
}

export function WhatIf({ run }) {
  const [tick, turn] = useState(0);
  const [chosen, choose] = useState(null);
  const { found, error } = useFound(api(run, "what-if", { again: tick < 0 ? 1 : undefined }), tick);
  const working = found && !found.error && found.found.length < found.thresholds.length;
  useEffect(() => {
    if (!working && tick >= 0) return;
    const timer = setTimeout(() => turn(Math.abs(tick) + 1), 700);
    return () => clearTimeout(timer);
  }, [found, tick]);
  if (!found) return html`<h1>What if</h1><${Fault} error=${error} /><p class="quiet">Beginning.</p>`;
  const at = chosen ?? found.thresholds.indexOf(found.own);
  const threshold = found.thresholds[at];
  const one = found.found.find((other) => other.threshold === threshold);
  return html`<h1>What if</h1><${Fault} error=${error ?? found.error} />
    <p class="quiet">Which rows are kept depends on those kept before. So the whole run is decided again for each threshold, from its recorded answers; no call is made, and nothing is written. What the LLM would have said to other seeds is not known.</p>
    <div class="inline"><label>Similarity threshold <input type="range" id="threshold" min="0" max=${found.thresholds.length - 1} step="1" value=${at} aria-valuetext=${threshold} onInput=${(event) => choose(Number(event.target.value))} /></label>
      <output id="chosen">${threshold}${threshold === found.own ? " (the run's)" : ""}</output>
      <span role="status" id="passes">${found.found.length} of ${found.thresholds.length} thresholds decided${found.at === null ? "" : `; ${found.at} is at work: ${number(found.done)} of ${number(found.of)} generations`}</span>
      ${working ? null : html`<button onClick=${() => turn(-tick - 1)}>Decide again</button>`}</div>
    ${one ? html`<${Compared} real=${found.real} one=${one} />` : html`<p class="quiet">${threshold} is not decided yet.</p>`}
    ${found.found.length > 1 ? html`<${Plot} title="Kept by threshold" x=${found.found.map((other) => other.threshold)} xLabel="similarity threshold" again=${found.found.length} lines=${[
      { label: "kept", unit: "rows", values: found.found.map((other) => other.kept) }, { label: "of them the run kept", values: found.found.map((other) => other.in_both) }]} />` : null}
    ${found.through_offset === null ? null : html`<p class="quiet">Decided through offset ${number(found.through_offset)} of generated.</p>`}`;
}
