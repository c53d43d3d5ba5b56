// The keyboard. Keys that are typed into a field stay there.

import { byId } from "./dom.js";

/** @param {{plot: object, episodes: object, toNeighbour: (direction: number) => void}} page */
export function listenForKeys({ plot, episodes, toNeighbour }) {
  const acts = {
    ArrowLeft: (event) => (event.shiftKey ? plot.earlier() : plot.step(-1)),
    ArrowRight: (event) => (event.shiftKey ? plot.later() : plot.step(1)),
    "+": () => plot.zoomIn(),
    "=": () => plot.zoomIn(),
    "-": () => plot.zoomOut(),
    0: () => plot.backToNow(),
    n: () => toNeighbour(1),
    p: () => toNeighbour(-1),
    e: () => episodes.answerChosen("expected"),
    r: () => episodes.answerChosen("real"),
    "/": () => {
      byId("list-panel").classList.add("shown");
      byId("search").focus();
    },
    "?": () => byId("help-dialog").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const isTyped = event.target.closest?.("input, select, textarea, dialog, .scroll") !== null;
    if (isTyped || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = acts[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act(event);
  });
}
