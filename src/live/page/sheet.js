/** On a phone the list of series is a sheet over the page. */

import { byId } from "./elements.js";

const COVERED = ["main", "episodes-panel"];

export function openSheet() {
  byId("series-panel").classList.add("open");
  for (const id of COVERED) byId(id).inert = true;
  byId("search").focus();
}

export function closeSheet() {
  if (!byId("series-panel").classList.contains("open")) return;
  byId("series-panel").classList.remove("open");
  for (const id of COVERED) byId(id).inert = false;
  byId("open-series").focus();
}
