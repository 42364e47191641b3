// What comes in: one connection a page, which carries the status and, on the log's page, records.
import { useEffect, useState } from "preact/hooks";
import { api, parse } from "./base.js";

const AGAIN_MS = 2000; // after an answer that is no stream, for which the browser itself does not ask again

/**
 * The status of a run as it comes: {status, behind, connected, detail, ended, reached}. `reached` is false while the
 * page's server does not answer. With `topics`, records after `from` go to `take(lines)`; the browser asks for what came
 * after the last one when a connection is lost.
 */
export function useLive(run, topics, from, take) {
  const [state, set] = useState({ reached: true });
  useEffect(() => {
    if (!run) return;
    let source, timer, last = from;
    const open = () => {
      source = new EventSource(api(run, "events", topics === null ? {} : { topics, from: last }));
      source.addEventListener("status", (event) => set({ ...parse(event.data), reached: true }));
      source.addEventListener("lines", (event) => { last = event.lastEventId; take(parse(event.data)); });
      source.onopen = () => set((now) => ({ ...now, reached: true }));
      source.onerror = () => {
        set((now) => ({ ...now, reached: false }));
        if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
      };
    };
    open();
    return () => { clearTimeout(timer); source.close(); };
  }, [run, topics, from]);
  return state;
}
