// The runs of the page side by side.
import { address, clock, dollars, html, number, share, Table, Text, useFound } from "./base.js";

export function Runs({ live }) {
  const { found } = useFound("api/runs", live.status?.at_ms);
  if (!found) return html`<h1>Runs</h1><p>Looking.</p>`;
  const of = (read) => (one) => (one.status ? read(one.status) : "–");
  return html`<h1>Runs</h1>
    <${Table} caption="Runs of this page" rows=${found.runs} columns=${[
      ["run", (one) => html`<a href=${address("overview", { run: one.name })}><${Text}>${one.name}<//></a>`], ["from", (one) => html`<${Text}>${one.source}<//>`],
      ["generated", of((status) => number(status.generated)), "number"], ["kept", of((status) => number(status.kept)), "number"], ["yield", of((status) => share(status.yield)), "number"],
      ["cost", of((status) => dollars(status.cost)), "number"], ["cost per kept", of((status) => (status.cost.usd_per_kept === null ? "–" : `$${status.cost.usd_per_kept.toFixed(5)}`)), "number"],
      ["calls", of((status) => number(status.calls.answered)), "number"], ["steps", of((status) => number(status.steps)), "number"], ["seeds replaced", of((status) => number(status.replacements)), "number"],
      ["first event", of((status) => clock(status.first_event_ms))], ["last event", of((status) => clock(status.last_event_ms))], ["stopped", of((status) => html`<${Text}>${status.stopped ?? ""}<//>`)]]} />
    ${found.others.length ? html`<p>Further runs on the cluster, which <code>sedi web --run NAME</code> shows: ${found.others.join(", ")}.</p>` : null}`;
}
