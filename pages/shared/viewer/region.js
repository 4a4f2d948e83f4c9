// --- choosing a region

const KEY_STEP = 8; // px of the image for one arrow key

class RegionTool extends Tool {
  title = "Region: arrow keys move it, shift and arrow keys resize it";
  cursor = "crosshair";
  takesDrags = true;

  constructor(viewer) {
    super(viewer);
    this.badge = document.createElement("div");
    this.badge.className = "badge";
    this.badge.hidden = true;
    viewer.stage.append(this.badge);
    viewer.showHints(
      ["Drag to choose a region, inside it to move it, on its edge to resize it. Scroll or pinch to zoom."],
      0,
    );
  }

  update(data) {
    this.side = data.minSide;
    // The box that the user holds or has just released takes precedence over Python's older one.
    if (!this.viewer.gesture && !this.viewer.outbox.pending.length && !this.keyed) {
      const [top, left, bottom, right] = data.box;
      this.box = { top, left, bottom, right };
    }
    this.describe();
  }

  describe() {
    const { top, left, bottom, right } = this.box;
    this.viewer.status.textContent =
      `${bottom - top} × ${right - left} px, from row ${top}, column ${left}`;
  }

  commit() {
    const { top, left, bottom, right } = this.box;
    this.describe();
    this.viewer.outbox.push({ kind: "box", box: [top, left, bottom, right] });
  }

  // Which sides of the box are under the pointer: all four inside the box, none outside.
  grip(place) {
    const { view } = this.viewer;
    const reach = place.touch ? 22 : 9;
    const a = view.toScreen({ x: this.box.left, y: this.box.top });
    const b = view.toScreen({ x: this.box.right, y: this.box.bottom });
    const { px, py } = place;
    if (px < a.px - reach || px > b.px + reach || py < a.py - reach || py > b.py + reach) {
      return {};
    }
    const near = (value, edge, other) =>
      Math.abs(value - edge) <= reach && Math.abs(value - edge) <= Math.abs(value - other);
    const sides = {
      left: near(px, a.px, b.px),
      right: near(px, b.px, a.px),
      top: near(py, a.py, b.py),
      bottom: near(py, b.py, a.py),
    };
    if (Object.values(sides).some(Boolean)) return sides;
    const { rows, cols } = view;
    const whole = this.box.bottom - this.box.top >= rows && this.box.right - this.box.left >= cols;
    // A box of the whole image cannot be moved, so a drag inside it chooses a new box.
    return whole ? {} : { left: true, right: true, top: true, bottom: true };
  }

  hover(place) {
    if (!place) return;
    const { left, right, top, bottom } = this.grip(place);
    if (left && right) this.cursor = "move";
    else if ((left && top) || (right && bottom)) this.cursor = "nwse-resize";
    else if ((left && bottom) || (right && top)) this.cursor = "nesw-resize";
    else if (left || right) this.cursor = "ew-resize";
    else if (top || bottom) this.cursor = "ns-resize";
    else this.cursor = "crosshair";
  }

  down(start) {
    const { view } = this.viewer;
    const before = { ...this.box };
    const from = view.toImage(start);
    const grip = this.grip(start);
    const fresh = !Object.values(grip).some(Boolean);
    this.hover(start);
    let dragged = false;
    return {
      cursor: this.cursor,
      move: (place) => {
        dragged ||= distance(place, start) > CLICK_SLOP;
        if (!dragged) return;
        const to = view.toImage(place);
        this.box = fresh ? this.drawn(from, to) : this.changed(before, grip, from, to);
        this.describe();
        this.showSize();
      },
      up: () => {
        this.badge.hidden = true;
        if (dragged && !sameBox(before, this.box)) this.commit();
      },
      cancel: () => {
        this.badge.hidden = true;
        this.box = before;
        this.describe();
      },
    };
  }

  drawn(from, to) {
    const { rows, cols } = this.viewer.view;
    const [left, right] = drawnSide(from.x, to.x, cols, this.side);
    const [top, bottom] = drawnSide(from.y, to.y, rows, this.side);
    return { top, left, bottom, right };
  }

  changed(before, grip, from, to) {
    const { rows, cols } = this.viewer.view;
    const [dx, dy] = [Math.round(to.x - from.x), Math.round(to.y - from.y)];
    const [left, right] = changedSide(
      [before.left, before.right], [grip.left && dx, grip.right && dx], cols, this.side);
    const [top, bottom] = changedSide(
      [before.top, before.bottom], [grip.top && dy, grip.bottom && dy], rows, this.side);
    return { top, left, bottom, right };
  }

  key(event) {
    const way = ARROWS[event.key];
    if (!way) return false;
    const grip = event.shiftKey
      ? { right: true, bottom: true }
      : { left: true, right: true, top: true, bottom: true };
    this.box = this.changed(this.box, grip, { x: 0, y: 0 }, { x: KEY_STEP * way[0], y: KEY_STEP * way[1] });
    this.keyed = true;
    this.describe();
    return true;
  }

  // One rerun when the key is released, not one for each repetition.
  keyUp(event) {
    if (!this.keyed || event?.key === "Shift") return;
    this.keyed = false;
    this.commit();
  }

  showSize() {
    const { viewer, badge, box } = this;
    badge.textContent = `${box.bottom - box.top} × ${box.right - box.left} px`;
    badge.hidden = false;
    const { px, py } = viewer.view.toScreen({ x: box.left, y: box.bottom });
    const most = [
      viewer.stage.clientWidth - badge.offsetWidth - 6,
      viewer.stage.clientHeight - badge.offsetHeight - 6,
    ];
    const x = Math.min(Math.max(px, 6), most[0]);
    const y = Math.min(Math.max(py + 8, 6), most[1]);
    badge.style.transform = `translate(${x}px, ${y}px)`;
  }

  paint(context, { width, height }) {
    const { view } = this.viewer;
    const { px: x0, py: y0 } = view.toScreen({ x: this.box.left, y: this.box.top });
    const { px: x1, py: y1 } = view.toScreen({ x: this.box.right, y: this.box.bottom });
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.fill("evenodd");
    for (const [color, line] of [[HALO, 4], ["#fff", 1.5]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    // Corners at the edge of the picture are moved inside, so that they can be seen.
    const inside = (value, length) => Math.min(Math.max(value, 5), length - 5);
    const shown = (x, y) => x > -10 && y > -10 && x < width + 10 && y < height + 10;
    for (const x of [x0, x1]) {
      for (const y of [y0, y1]) {
        if (!shown(x, y)) continue;
        context.fillStyle = HALO;
        context.fillRect(inside(x, width) - 6, inside(y, height) - 6, 12, 12);
        context.fillStyle = "#fff";
        context.fillRect(inside(x, width) - 4.5, inside(y, height) - 4.5, 9, 9);
      }
    }
  }
}

// A side drawn from one position to another: at least `least` long, inside of the image.
function drawnSide(from, to, length, least) {
  const side = Math.min(least, length);
  const clip = (value) => Math.min(Math.max(Math.round(value), 0), length);
  const [a, b] = [clip(from), clip(to)];
  let [start, stop] = [Math.min(a, b), Math.max(a, b)];
  if (stop - start < side) {
    if (to < from) start = stop - side;
    else stop = start + side;
  }
  const shift = Math.max(0, -start) - Math.max(0, stop - length);
  return [start + shift, stop + shift];
}

// A side of which both ends move together, or one of them.
function changedSide([start, stop], [first, second], length, least) {
  const side = Math.min(least, length);
  const clip = (value, low, high) => Math.min(Math.max(value, low), high);
  if (first && second) {
    const moved = clip(start + first, 0, length - (stop - start));
    return [moved, moved + stop - start];
  }
  // An end that is not held moves by 0.
  const low = clip(start + (first || 0), 0, stop - side);
  return [low, clip(stop + (second || 0), start + side, length)];
}

function sameBox(a, b) {
  return ["top", "left", "bottom", "right"].every((side) => a[side] === b[side]);
}
