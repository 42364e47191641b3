// An act with its confirmation: what would follow is asked for first, and nothing is done before it was read.
import { useEffect, useRef, useState } from "preact/hooks";
import { act, Fault, html, Text } from "./base.js";

/** A button that asks for a reason and shows what follows; `given` are the other arguments. */
export function Act({ run, name, title, given }) {
  const [state, set] = useState(null);
  const box = useRef();
  useEffect(() => { if (state && !box.current.open) box.current.showModal(); }, [state]);
  const ask = (confirmed, reason = "") => act(run, name, { ...given, reason }, confirmed)
    .then((follows) => set({ follows, done: confirmed }), (problem) => set({ ...state, error: problem.message, follows: state?.follows ?? [] }));
  return html`<button class="act" onClick=${() => ask(false)}>${title}…</button>
    ${state && html`<dialog ref=${box} aria-label=${title} onKeyDown=${(event) => event.stopPropagation()} onClose=${() => set(null)}>
      <h2>${title}</h2><${Fault} error=${state.error} />
      <ul id="follows">${state.follows.map((line) => html`<li><${Text}>${line}<//></li>`)}</ul>
      ${state.done || !state.follows.length ? html`<button onClick=${() => box.current.close()}>Close</button>`
        : html`<form onSubmit=${(event) => { event.preventDefault(); ask(true, new FormData(event.target).get("reason")); }}>
          <label>Why; it stays on the log <input name="reason" required maxlength="500" /></label>
          <p><button id="confirm">${title}</button> <button type="button" onClick=${() => box.current.close()}>Leave it</button></p></form>`}
    </dialog>`}`;
}
