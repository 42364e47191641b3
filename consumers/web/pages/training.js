// The training: loss and gradient norm by step, and what each window's answer was.
import { address, api, clock, Fault, html, number, Table, useFound } from "./base.js";
import { Plot } from "./plot.js";

export function Training({ run, live, query }) {
  const { found, error } = useFound(api(run, "training"), live.status?.windows);
  const steps = found?.steps;
  const x = steps?.step ?? [];
  return html`<h1>Training</h1><${Fault} error=${error} />
    ${steps && html`
      <${Plot} title="Loss" x=${x} xLabel="step" lines=${[{ label: "loss", unit: "nats a token", values: steps.loss }]} />
      <${Plot} title="Gradient norm and learning rate" x=${x} xLabel="step" lines=${[{ label: "gradient norm", unit: "L2", values: steps.grad_norm }, { label: "learning rate", scale: "rate", values: steps.learning_rate }]} />
      <${Table} caption="Windows, newest first" rows=${found.windows} columns=${[["window", (one) => `${one.epoch}.${one.window}`], ["answered", (one) => clock(one.ms)], ["outcome", (one) => one.outcome],
        ["chosen step", (one) => number(one.step), "number"], ["metric", (one) => one.metric], ["value", (one) => number(one.value), "number"], ["candidates", (one) => number(one.candidates), "number"],
        ["seeds replaced", (one) => number(one.replacements), "number"], ["", (one) => html`<a href=${address("log", { ...query, record: `seed-commands/0@${one.at}` })}>record</a>`]]} />`}`;
}
