// Wheel, drag and two fingers on the plot.

const WHEEL_STEP = 1.2;

/**
 * @param {HTMLElement} over the element of the plot that gets pointers
 * @param {{zoom: (factor: number, share: number) => void, pan: (share: number) => void}} plot shares are of its width
 */
export function listenForGestures(over, plot) {
  const pointers = new Map();
  const share = (x) => {
    const box = over.getBoundingClientRect();
    return (x - box.left) / box.width;
  };
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      plot.pan((event.deltaX || event.deltaY) / over.clientWidth);
    } else {
      plot.zoom(event.deltaY > 0 ? WHEEL_STEP : 1 / WHEEL_STEP, share(event.clientX));
    }
  }, { passive: false });
  over.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    over.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event.clientX);
  });
  over.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) return;
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    pointers.set(event.pointerId, event.clientX);
    if (other === undefined) plot.pan((before - event.clientX) / over.clientWidth);
    else pinch(before, event.clientX, other);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    over.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }

  function pinch(before, now, other) {
    const [was, is] = [Math.abs(before - other), Math.abs(now - other)];
    if (was > 10 && is > 10) plot.zoom(was / is, share((now + other) / 2));
  }
}
