/** Keys for everything. They are left alone where somebody types, and can be turned off for those whom they disturb. */

const OFF = "streamgauge.keys-off";

/**
 * @param {Record<string, () => void>} actions by key, `Shift+` before the arrows that are shifted
 */
export function listenToKeys(actions) {
  const isOff = document.getElementById("keys-off");
  isOff.checked = sessionStorage.getItem(OFF) !== null;
  isOff.addEventListener("change", () => {
    if (isOff.checked) sessionStorage.setItem(OFF, "1");
    else sessionStorage.removeItem(OFF);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key !== "Escape" && (isTyped(event.target) || document.querySelector("dialog[open]"))) return;
    if (isOff.checked && event.key.length === 1 && event.key !== "?") return;
    const isShiftedArrow = event.shiftKey && event.key.startsWith("Arrow");
    const action = actions[isShiftedArrow ? `Shift+${event.key}` : event.key];
    if (!action) return;
    if (event.key !== "Escape") event.preventDefault();
    action();
  });
}

const isTyped = (target) =>
  target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null;
