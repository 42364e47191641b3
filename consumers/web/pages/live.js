// What comes in: one connection a page, which carries the status and, on the log's page, records.
import { useEffect, useState } from "preact/hooks";
import { api, parse } from "./base.js";

/**
 * The status of a run as it comes: {status, behind, connected, detail, ended, reached}. `reached` is false while the
 * page's server does not answer. With `topics`, records after `from` go to `take(lines)`; the browser asks for what came
 * after the last one when a connection is lost.
 */
export function useLive(run, topics, from, take) {
  const [state, set] = useState({ reached: true });
  useEffect(() => {
    if (!run) return;
    const source = new EventSource(api(run, "events", topics === null ? {} : { topics, from }));
    source.addEventListener("status", (event) => set({ ...parse(event.data), reached: true }));
    source.addEventListener("lines", (event) => take(parse(event.data)));
    source.onopen = () => set((last) => ({ ...last, reached: true }));
    source.onerror = () => set((last) => ({ ...last, reached: false }));
    return () => source.close();
  }, [run, topics, from]);
  return state;
}
