// The seed pool: each seed's score, its course, and what replaced what.
import { address, api, clock, Fault, html, Id, number, share, Table, Text, useFound } from "./base.js";
import { Plot } from "./plot.js";

function Course({ run, id, again }) {
  const { found, error } = useFound(api(run, `seeds/${encodeURIComponent(id)}`), again);
  if (!found) return html`<${Fault} error=${error} />`;
  return html`<${Plot} title=${`Score of ${id}`} x=${found.at} xLabel="offset of generated" lines=${[
    { label: "score", unit: "kept / generated", values: found.kept.map((kept, place) => (found.generated[place] ? kept / found.generated[place] : null)) }]} />`;
}

export function Seeds({ run, live, query }) {
  const again = live.status && `${live.status.replacements} ${Math.floor(live.status.generations / 10)}`;
  const { found, error } = useFound(api(run, "seeds"), again);
  const to = (seed) => html`<a href=${address("seeds", { ...query, seed })}><${Id} id=${seed} /></a>`;
  return html`<h1>Seeds</h1><${Fault} error=${error} />
    ${query.seed ? html`<${Course} run=${run} id=${query.seed} again=${again} />` : html`<p class="quiet">Choose a seed to see its score over time.</p>`}
    ${found && html`
      <${Table} caption="Replaced" empty="No seed was replaced so far." rows=${[...found.replacements].reverse()} columns=${[["time", (one) => clock(one.timestamp_ms)], ["window", (one) => `${one.epoch}.${one.window}`], ["step", (one) => number(one.step), "number"],
        ["by", (one) => `${one.metric} ${number(one.value)}`], ["victim", (one) => to(one.victim_id)], ["its score", (one) => `${share(one.victim_score)} of ${number(one.victim_generated)}`, "number"],
        ["new seed", (one) => to(one.seed_id)], ["", (one) => html`<a href=${address("log", { ...query, record: `seed-commands/0@${one.commands_offset}` })}>record</a>`], ["text", (one) => html`<${Text}>${one.seed_instruction}<//>`, "wide"]]} />
      <${Table} caption="In the pool" rows=${found.seeds} columns=${[["seed", (one) => to(one.id)], ["shown", (one) => number(one.shown), "number"], ["generated", (one) => number(one.generated), "number"],
        ["kept", (one) => number(one.kept), "number"], ["score", (one) => share(one.score), "number"], ["", (one) => html`<a href=${address("rows", { seed: one.id, run: query.run })}>rows</a>`], ["text", (one) => html`<${Text}>${one.instruction}<//>`, "wide"]]} />`}`;
}
