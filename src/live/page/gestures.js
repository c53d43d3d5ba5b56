/** Wheel, pinch and drag on the plot, which uPlot has not: for the mouse, a pen and fingers alike. */

const WHEEL_ZOOM = 0.0015;
/** A press that moves less is a click. */
const CLICK_PX = 5;

/**
 * @typedef {object} Actions
 * @property {(part: number) => void} pan by a part of the width
 * @property {(factor: number, x: number) => void} zoom
 * @property {(x: number) => void} pick
 * @param {HTMLElement} surface
 * @param {Actions} actions all of them in pixels from the left of the surface
 */
export function listenToGestures(surface, actions) {
  const fingers = new Map();
  let moved = 0;
  const left = () => surface.getBoundingClientRect().left;

  surface.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const isPan = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const delta = pixels(event, Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY);
      if (isPan) actions.pan(delta / surface.clientWidth);
      // A pinch on a touch pad comes as a wheel with the control key and small steps.
      else actions.zoom(Math.exp(delta * WHEEL_ZOOM * (event.ctrlKey ? 6 : 1)), event.clientX - left());
    },
    { passive: false },
  );

  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    if (fingers.size === 0) moved = 0;
    fingers.set(event.pointerId, event.clientX);
  });

  surface.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    const step = event.clientX - before;
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, event.clientX);
    moved += Math.abs(step);
    if (other !== undefined) pinch(before, event.clientX, other);
    else if (moved > CLICK_PX) actions.pan(-step / surface.clientWidth);
  });

  function pinch(before, now, other) {
    const [was, is] = [Math.abs(before - other), Math.abs(now - other)];
    if (was > 10 && is > 10) actions.zoom(was / is, other - left());
  }

  surface.addEventListener("pointerup", (event) => {
    if (fingers.size === 1 && moved <= CLICK_PX) actions.pick(event.clientX - left());
    fingers.delete(event.pointerId);
  });
  surface.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
}

/** Some browsers count the wheel in lines. */
function pixels(event, delta) {
  return event.deltaMode === 1 ? delta * 30 : delta;
}
