// One renderer for three widgets: to choose a region, edit markers, and choose cells on a picture.
// Positions are {x, y} in px of the image, x along the columns, or {px, py} on the screen.

const DEEPEST_PIXEL = 40; // px of the screen for one of the image at the deepest zoom
const CLICK_SLOP = 4; // px that a click may move before it is a drag
const KEY_STEP = 8; // px of the image for one arrow key
const HALO = "rgba(0, 0, 0, 0.75)";
const RING = "#f0e442"; // yellow and vermilion of Okabe and Ito: different for colour-blind people
const CHOSEN = "#ff7a1a";

const viewers = new WeakMap();
const stores = new WeakMap();
// Streamlit may load this module once for each component: what they share lives on the page.
const shared = (globalThis.cellcutterPictures ??= { pictures: new Map(), memory: new Map() });

export default function (component) {
  const { parentElement: root, setTriggerValue } = component;
  if (component.data instanceof Uint8Array) return keepPixels(root, component.data);
  const [data] = component.data;
  let viewer = viewers.get(root);
  if (!viewer || viewer.stage !== root.querySelector(".stage")) {
    viewer?.close();
    viewer = new Viewer(root, data);
    viewers.set(root, viewer);
  }
  viewer.update(data, setTriggerValue);
  return () => {
    viewers.get(root)?.close();
    viewers.delete(root);
  };
}

// --- pixels: kept under their digest as long as an element of the page holds them

function pictureOf(digest) {
  let picture = shared.pictures.get(digest);
  if (!picture) {
    picture = { users: 0 };
    picture.ready = new Promise((resolve) => (picture.resolve = resolve));
    shared.pictures.set(digest, picture);
  }
  return picture;
}

function keepPixels(root, data) {
  const digest = new TextDecoder().decode(data.subarray(0, 32));
  const before = stores.get(root);
  if (digest !== before) {
    const picture = pictureOf(digest);
    picture.users += 1;
    picture.resolve(createImageBitmap(new Blob([data.subarray(32)], { type: "image/webp" })));
    stores.set(root, digest);
    dropPixels(before);
  }
  return () => {
    dropPixels(stores.get(root));
    stores.delete(root);
  };
}

function dropPixels(digest) {
  const picture = shared.pictures.get(digest);
  if (picture && --picture.users <= 0) shared.pictures.delete(digest);
}

// --- the user's edits, sent one at a time, so that Python takes each exactly once

class Outbox {
  constructor() {
    this.client = Math.random().toString(36).slice(2);
    this.number = 0;
    this.sent = 0;
    this.pending = []; // edits that the data from Python does not contain yet
  }

  push(edit) {
    const last = this.pending.at(-1);
    if (edit.kind === "select" && last?.kind === "select" && last.number > this.sent) {
      this.pending.pop();
    }
    this.pending.push({ ...edit, client: this.client, number: ++this.number });
    this.send();
  }

  send(free = this.applied >= this.sent) {
    const next = this.pending.find((edit) => edit.number > this.sent);
    if (!free || !next) return;
    this.sent = next.number;
    this.trigger("edit", next);
  }

  update(data, trigger) {
    this.trigger = trigger;
    const reached = (mark) => (mark?.[0] === this.client ? mark[1] : 0);
    this.applied = reached(data.applied);
    this.pending = this.pending.filter((edit) => edit.number > this.applied);
    this.send();
    // A page that takes an edit without a rerun must not block the next edit.
    clearTimeout(this.timer);
    if (reached(data.seen) >= this.sent) this.timer = setTimeout(() => this.send(true), 250);
  }
}

// --- which part of the image is visible

class View {
  constructor() {
    Object.assign(this, { rows: 1, cols: 1, width: 1, zoom: 1, x: 0, y: 0 });
  }

  get pixel() {
    return (this.zoom * this.width) / this.cols;
  }

  get deepest() {
    return Math.max(1, (DEEPEST_PIXEL * this.cols) / this.width);
  }

  toImage({ px, py }) {
    return { x: this.x + px / this.pixel, y: this.y + py / this.pixel };
  }

  toScreen({ x, y }) {
    return { px: (x - this.x) * this.pixel, py: (y - this.y) * this.pixel };
  }

  zoomAt(place, factor) {
    const { x, y } = this.toImage(place);
    this.zoom = Math.min(this.deepest, Math.max(1, this.zoom * factor));
    this.place({ x, y }, place);
  }

  // Move a position of the image to a place on the screen, as far as the image allows.
  place({ x, y }, { px, py }) {
    const clip = (value, length) => Math.min(Math.max(value, 0), length - length / this.zoom);
    this.x = clip(x - px / this.pixel, this.cols);
    this.y = clip(y - py / this.pixel, this.rows);
  }

  reset() {
    Object.assign(this, { zoom: 1, x: 0, y: 0 });
  }
}

// --- the frame that both widgets share: drawing, zoom, pointers, keys

class Viewer {
  constructor(root, data) {
    this.root = root;
    this.stage = root.querySelector(".stage");
    this.canvas = root.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.badge = root.querySelector(".badge");
    this.status = root.querySelector(".status");
    this.outbox = new Outbox();
    this.pointers = new Map();
    this.memory = shared.memory.get(data.name) ?? { view: new View() };
    shared.memory.set(data.name, this.memory);
    this.view = this.memory.view;
    this.tool = new { region: RegionTool, markers: MarkerTool, cells: CellTool }[data.mode](this);
    this.listen();
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(this.stage);
  }

  close() {
    this.resizes.disconnect();
    this.stopListening.abort();
    clearTimeout(this.outbox.timer);
    cancelAnimationFrame(this.frame);
  }

  update(data, trigger) {
    const [rows, cols] = data.shape;
    if (rows !== this.view.rows || cols !== this.view.cols) this.view.reset();
    Object.assign(this.view, { rows, cols });
    this.stage.style.aspectRatio = `${cols} / ${rows}`;
    // A picture taller than the window could not be dragged across.
    this.stage.style.maxWidth = `calc(85vh * ${cols / rows})`;
    this.pixelSize = data.pixelSize;
    this.canvas.setAttribute("aria-label", data.alt);
    this.stage.setAttribute("aria-label", this.tool.title);
    this.outbox.update(data, trigger);
    this.tool.update(data);
    this.load(data.picture);
    this.draw();
  }

  async load(digest) {
    if (digest === this.digest) return;
    this.digest = digest;
    const bitmap = await pictureOf(digest).ready;
    if (digest !== this.digest) return;
    this.bitmap = bitmap;
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const { view, context, canvas, stage } = this;
    const density = globalThis.devicePixelRatio || 1;
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    if (!width || !height) return;
    view.width = width;
    view.zoom = Math.min(view.zoom, view.deepest);
    const size = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) {
      [canvas.width, canvas.height] = size;
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.bitmap) {
      const { px, py } = view.toScreen({ x: 0, y: 0 });
      const across = view.cols * view.pixel;
      context.imageSmoothingEnabled = across * density < this.bitmap.width;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.bitmap, px, py, across, view.rows * view.pixel);
    }
    this.tool.paint(context, { width, height, density });
    if (this.pixelSize) this.paintScaleBar(context, { width, height });
    this.showZoom();
  }

  // As view/scale_bar.py draws it into files; here its length follows the zoom.
  paintScaleBar(context, { width, height }) {
    const wanted = 0.2 * (width / this.view.pixel) * this.pixelSize;
    const power = Math.floor(Math.log10(wanted));
    const rounds = [1, 2, 5, 10].map((digit) => digit * 10 ** power);
    const apart = (length) => Math.abs(Math.log(length / wanted));
    const length = rounds.reduce((a, b) => (apart(b) < apart(a) ? b : a));
    const long = (length / this.pixelSize) * this.view.pixel;
    const [x, y] = [width - 12 - long, height - 16];
    context.fillStyle = "#000";
    context.fillRect(x - 1, y - 1, long + 2, 6);
    context.fillStyle = "#fff";
    context.fillRect(x, y, long, 4);
    context.font = "600 13px sans-serif";
    context.textAlign = "center";
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = "#000";
    const text = inWords(length);
    context.strokeText(text, x + long / 2, y - 6);
    context.fillText(text, x + long / 2, y - 6);
  }

  showZoom() {
    const { zoom, deepest } = this.view;
    const level = this.root.querySelector('[data-zoom="reset"]');
    level.textContent = `${zoom < 9.95 ? Math.round(zoom * 10) / 10 : Math.round(zoom)}×`;
    level.setAttribute("aria-label", `Zoom ${level.textContent}. Show the whole picture`);
    this.root.querySelector('[data-zoom="out"]').disabled = zoom <= 1;
    this.root.querySelector('[data-zoom="in"]').disabled = zoom >= deepest;
    // For tests and scripts that have to find a pixel on the screen.
    this.stage.dataset.view = [this.view.x, this.view.y, this.view.pixel].join(" ");
  }

  showHints(texts, shown) {
    const hints = this.root.querySelector(".hints");
    if (hints.children.length !== texts.length) {
      hints.replaceChildren(...texts.map(() => document.createElement("span")));
    }
    texts.forEach((text, i) => {
      hints.children[i].textContent = text;
      hints.children[i].classList.toggle("shown", i === shown);
    });
  }

  zoomBy(factor) {
    const { clientWidth, clientHeight } = this.stage;
    this.view.zoomAt({ px: clientWidth / 2, py: clientHeight / 2 }, factor);
    this.draw();
  }

  reset() {
    this.view.reset();
    this.draw();
  }

  place(event) {
    const bounds = this.stage.getBoundingClientRect();
    return {
      px: event.clientX - bounds.left,
      py: event.clientY - bounds.top,
      touch: event.pointerType === "touch",
    };
  }

  listen() {
    this.stopListening = new AbortController();
    const options = { signal: this.stopListening.signal };
    const on = (name, handler, more) =>
      this.stage.addEventListener(name, handler.bind(this), { ...options, ...more });
    on("pointerdown", this.down);
    // The middle button pans the picture; the browser must not scroll the page as well.
    on("mousedown", (event) => event.button === 1 && event.preventDefault());
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.cancel);
    on("pointerleave", () => this.tool.hover(null));
    on("wheel", this.wheel, { passive: false });
    on("dblclick", () => this.tool.resetsOnDoubleClick && this.reset());
    on("keydown", this.key);
    on("keyup", (event) => {
      if (event.key === " ") this.space = false;
      this.tool.keyUp?.(event);
    });
    on("blur", () => {
      this.space = false;
      this.tool.keyUp?.();
    });
    // Scrolling the page under a resting pointer does not zoom.
    window.addEventListener("scroll", () => (this.awake = false), { ...options, capture: true });
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      const factor = { in: 1.5, out: 1 / 1.5 }[button.dataset.zoom];
      button.onclick = () => (factor ? this.zoomBy(factor) : this.reset());
    }
  }

  down(event) {
    const place = this.place(event);
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, place);
    this.gesture?.cancel?.();
    this.gesture = null;
    if (this.pointers.size === 2) this.gesture = this.pinch();
    else if (event.button === 1 || this.space) this.gesture = this.pan(place);
    else if (event.button === 0) {
      this.gesture = this.tool.down(place, this.clicks(event, place), event.shiftKey);
    }
    this.draw();
  }

  // 2 for the second half of a double click: a pointerdown does not count them itself.
  clicks({ timeStamp }, place) {
    const last = this.lastDown;
    this.lastDown = { timeStamp, place };
    const double = last && timeStamp - last.timeStamp < 350 && distance(place, last.place) < 8;
    return double ? 2 : 1;
  }

  move(event) {
    const place = this.place(event);
    if (event.movementX || event.movementY) this.awake = true;
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, place);
    if (this.gesture) this.gesture.move?.(place);
    else if (!place.touch) this.tool.hover(place);
    this.stage.style.cursor = this.gesture?.cursor ?? (this.space ? "grab" : this.tool.cursor);
    this.draw();
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    const gesture = this.gesture;
    this.gesture = null;
    gesture?.up?.(this.place(event));
    this.draw();
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.gesture?.cancel?.();
    this.gesture = null;
    this.draw();
  }

  // Drag the picture. A drag shorter than CLICK_SLOP is a click, if the tool takes clicks.
  pan(start, click) {
    const held = this.view.toImage(start);
    let dragged = !click;
    return {
      cursor: click ? undefined : "grabbing",
      move: (place) => {
        dragged ||= distance(place, start) > CLICK_SLOP;
        if (dragged) this.view.place(held, place);
      },
      up: () => dragged || click(),
    };
  }

  pinch() {
    const between = () => {
      const [a, b] = [...this.pointers.values()];
      return {
        middle: { px: (a.px + b.px) / 2, py: (a.py + b.py) / 2 },
        length: Math.max(1, distance(a, b)),
      };
    };
    let before = between();
    return {
      move: () => {
        const now = between();
        const held = this.view.toImage(before.middle);
        this.view.zoomAt(before.middle, now.length / before.length);
        this.view.place(held, now.middle);
        before = now;
      },
    };
  }

  wheel(event) {
    if (!this.awake && !event.ctrlKey) return;
    const out = event.deltaY > 0;
    // When the whole picture is shown, the wheel scrolls the page again.
    if (out && this.view.zoom <= 1 && !event.ctrlKey) return;
    event.preventDefault();
    const step = event.deltaY * (event.deltaMode ? 16 : 1) * (event.ctrlKey ? 0.01 : 0.002);
    this.view.zoomAt(this.place(event), Math.exp(-Math.min(Math.max(step, -0.7), 0.7)));
    this.draw();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " ") this.space = true;
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (!this.tool.key(event)) return;
    event.preventDefault();
    this.draw();
  }
}

// --- choosing a region

class RegionTool {
  title = "Region: arrow keys move it, shift and arrow keys resize it";
  resetsOnDoubleClick = true;
  cursor = "crosshair";

  constructor(viewer) {
    this.viewer = viewer;
    viewer.showHints(
      ["Drag to choose a region, inside it to move it, on its edge to resize it. Scroll to zoom."],
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
        this.viewer.badge.hidden = true;
        if (dragged && !sameBox(before, this.box)) this.commit();
      },
      cancel: () => {
        this.viewer.badge.hidden = true;
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
    const step = {
      ArrowLeft: [-KEY_STEP, 0], ArrowRight: [KEY_STEP, 0],
      ArrowUp: [0, -KEY_STEP], ArrowDown: [0, KEY_STEP],
    }[event.key];
    if (!step) return false;
    const grip = event.shiftKey
      ? { right: true, bottom: true }
      : { left: true, right: true, top: true, bottom: true };
    this.box = this.changed(this.box, grip, { x: 0, y: 0 }, { x: step[0], y: step[1] });
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
    const { viewer, box } = this;
    viewer.badge.textContent = `${box.bottom - box.top} × ${box.right - box.left} px`;
    viewer.badge.hidden = false;
    const { px, py } = viewer.view.toScreen({ x: box.left, y: box.bottom });
    const most = [
      viewer.stage.clientWidth - viewer.badge.offsetWidth - 6,
      viewer.stage.clientHeight - viewer.badge.offsetHeight - 6,
    ];
    const x = Math.min(Math.max(px, 6), most[0]);
    const y = Math.min(Math.max(py + 8, 6), most[1]);
    viewer.badge.style.transform = `translate(${x}px, ${y}px)`;
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
  const moves = (end) => end !== undefined && end !== false;
  if (moves(first) && moves(second)) {
    const moved = clip(start + first, 0, length - (stop - start));
    return [moved, moved + stop - start];
  }
  if (moves(first)) return [clip(start + first, 0, stop - side), stop];
  if (moves(second)) return [start, clip(stop + second, start + side, length)];
  return [start, stop];
}

function inWords(micrometres) {
  const [unit, factor] =
    [["mm", 1e-3], ["µm", 1], ["nm", 1e3]].find(([, times]) => micrometres * times >= 0.999) ??
    ["nm", 1e3];
  return `${Number((micrometres * factor).toPrecision(3))} ${unit}`;
}

function sameBox(a, b) {
  return ["top", "left", "bottom", "right"].every((side) => a[side] === b[side]);
}

function distance(a, b) {
  return Math.hypot(a.px - b.px, a.py - b.py);
}

// --- choosing cells

class CellTool {
  title = "Cells: Escape chooses none";
  resetsOnDoubleClick = false;

  hints = [
    "Click a cell to choose it, with shift to choose several. Scroll to zoom, drag to move.",
    "Click in the cell: the nearer of the two points moves there. Escape leaves it whole.",
  ];

  constructor(viewer) {
    this.viewer = viewer;
    this.sprites = new Map();
  }

  get cursor() {
    return this.viewer.view.zoom > 1 ? "grab" : "pointer";
  }

  update(data) {
    this.outlines = data.outlines;
    this.points = data.points;
    this.viewer.status.textContent = data.status;
    this.viewer.showHints(this.hints, this.points.length ? 1 : 0);
  }

  hover() {}

  down(start, clicks, more) {
    return this.viewer.pan(start, () => {
      const { x, y } = this.viewer.view.toImage(start);
      const { rows, cols } = this.viewer.view;
      if (x < 0 || y < 0 || x >= cols || y >= rows) return;
      this.viewer.outbox.push({ kind: "pick", point: [Math.floor(y), Math.floor(x)], more });
    });
  }

  key(event) {
    if (event.key !== "Escape") return false;
    this.viewer.outbox.push({ kind: "pick", point: null, more: false });
    return true;
  }

  paint(context, { density }) {
    const { view } = this.viewer;
    context.lineJoin = "round";
    for (const [color, line] of [[HALO, 5], [CHOSEN, 2.5]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.beginPath();
      for (const ring of this.outlines) {
        for (let i = 0; i < ring.length; i += 2) {
          const { px, py } = view.toScreen({ x: ring[i + 1], y: ring[i] });
          if (i) context.lineTo(px, py);
          else context.moveTo(px, py);
        }
        context.closePath();
      }
      context.stroke();
    }
    for (const [row, col] of this.points) {
      const { canvas, half } = this.point(density);
      const { px, py } = view.toScreen({ x: col + 0.5, y: row + 0.5 });
      context.drawImage(canvas, px - half, py - half, 2 * half, 2 * half);
    }
  }

  point(density) {
    if (!this.sprites.has(density)) this.sprites.set(density, markerSprite("ring", 5, density));
    return this.sprites.get(density);
  }
}

// --- selecting and editing markers

class MarkerTool {
  title = "Markers: arrow keys go from one to the next, Delete removes the selected one";
  hints = [
    "Click a marker to select it. Scroll to zoom, drag to move the picture.",
    "Click to add a marker, click a marker to remove it, drag it to move it.",
  ];

  constructor(viewer) {
    this.viewer = viewer;
    this.points = [];
    this.sprites = new Map();
    this.buttons = [...viewer.root.querySelectorAll("[data-tool]")];
    viewer.root.querySelector(".tools").hidden = false;
    for (const button of this.buttons) {
      button.onclick = () => this.choose(button.dataset.tool);
    }
    this.choose(viewer.memory.tool ?? "select");
  }

  get editing() {
    return this.viewer.memory.tool === "edit";
  }

  get resetsOnDoubleClick() {
    return !this.editing;
  }

  get cursor() {
    if (this.hovered >= 0) return "pointer";
    return this.editing ? "crosshair" : this.viewer.view.zoom > 1 ? "grab" : "default";
  }

  choose(tool) {
    this.viewer.memory.tool = tool;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
    this.viewer.showHints(this.hints, this.editing ? 1 : 0);
    this.viewer.draw();
  }

  update(data) {
    this.radius = data.radius;
    this.points = [];
    for (let i = 0; i < data.points.length; i += 2) {
      this.points.push([data.points[i], data.points[i + 1]]);
    }
    this.selected = data.selected ?? -1;
    this.hovered = -1;
    this.viewer.outbox.pending.forEach((edit) => this.apply(edit));
  }

  // As Python will do it, so that the user need not wait for the answer.
  apply({ kind, index, point }) {
    if (kind === "add") this.points.push(point);
    else if (kind === "select") this.selected = index ?? -1;
    else if (kind === "move" && this.points[index]) this.points[index] = point;
    else if (kind === "remove") {
      this.points.splice(index, 1);
      if (this.selected === index) this.selected = -1;
      else if (this.selected > index) this.selected -= 1;
    }
  }

  edit(kind, index, point = null) {
    const origin = index === null ? null : [...this.points[index]];
    this.apply({ kind, index, point });
    this.hovered = -1;
    this.viewer.outbox.push({ kind, index, point, origin });
    this.viewer.draw();
  }

  // In px of the screen; smaller if many markers are close together.
  get size() {
    const { rows, cols, pixel } = this.viewer.view;
    const room = Math.sqrt((rows * cols) / Math.max(1, this.points.length)) * pixel;
    return Math.max(Math.min(3, this.radius), Math.min(this.radius, 0.3 * room));
  }

  nearest(place) {
    const reach = Math.max(this.size + 2, place.touch ? 18 : 7);
    const { x, y } = this.viewer.view.toImage(place);
    let [best, least] = [-1, (reach / this.viewer.view.pixel) ** 2];
    this.points.forEach(([row, col], i) => {
      const apart = (col + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2;
      if (apart <= least) [best, least] = [i, apart];
    });
    return best;
  }

  // [row, col] of the pixel under the pointer.
  pixelAt(place) {
    const { rows, cols } = this.viewer.view;
    const { x, y } = this.viewer.view.toImage(place);
    const clip = (value, length) => Math.min(Math.max(Math.floor(value), 0), length - 1);
    return [clip(y, rows), clip(x, cols)];
  }

  hover(place) {
    this.pointer = place;
    this.hovered = place ? this.nearest(place) : -1;
    this.viewer.draw();
  }

  down(start, clicks) {
    const index = this.nearest(start);
    this.pointer = null;
    if (!this.editing) return this.viewer.pan(start, () => this.select(index));
    // The second half of a double click would undo the first.
    if (index < 0) return this.viewer.pan(start, () => clicks > 1 || this.add(start));
    return this.drag(start, index, clicks);
  }

  select(index) {
    if (index !== this.selected) this.edit("select", index < 0 ? null : index);
  }

  add(place) {
    this.edit("add", null, this.pixelAt(place));
  }

  drag(start, index, clicks) {
    const origin = this.points[index];
    this.dragged = { index, point: null };
    return {
      cursor: "grabbing",
      move: (place) => {
        if (this.dragged.point || distance(place, start) > CLICK_SLOP) {
          this.dragged.point = this.pixelAt(place);
        }
      },
      up: () => {
        const { point } = this.dragged;
        this.dragged = null;
        if (String(this.points[index]) !== String(origin)) return; // Python has changed it
        if (point) this.edit("move", index, point);
        else if (clicks <= 1) this.edit("remove", index);
      },
      cancel: () => (this.dragged = null),
    };
  }

  key(event) {
    const way = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    }[event.key];
    if (way) {
      const next = this.neighbour(way);
      if (next >= 0) this.select(next);
      return true;
    }
    if ((event.key === "Delete" || event.key === "Backspace") && this.selected >= 0) {
      this.edit("remove", this.selected);
      return true;
    }
    return false;
  }

  // The closest marker in a quarter of the plane; the first marker if none is selected.
  neighbour([down, right]) {
    const from = this.points[this.selected];
    if (!from) return this.points.length ? 0 : -1;
    let [best, least] = [-1, Infinity];
    this.points.forEach(([row, col], i) => {
      const along = (row - from[0]) * down + (col - from[1]) * right;
      const aside = Math.abs((row - from[0]) * right) + Math.abs((col - from[1]) * down);
      const apart = along + 2 * aside;
      if (along > 0 && aside <= along && apart < least) [best, least] = [i, apart];
    });
    return best;
  }

  paint(context, { width, height, density }) {
    const { view } = this.viewer;
    const size = this.size;
    const ring = this.sprite("ring", size, density);
    const draw = (sprite, [row, col]) => {
      const { px, py } = view.toScreen({ x: col + 0.5, y: row + 0.5 });
      const half = sprite.half;
      if (px < -half || py < -half || px > width + half || py > height + half) return;
      context.drawImage(sprite.canvas, px - half, py - half, 2 * half, 2 * half);
    };
    this.points.forEach((point, i) => {
      if (i !== this.dragged?.index && i !== this.selected && i !== this.hovered) draw(ring, point);
    });
    if (this.selected >= 0 && this.points[this.selected]) {
      draw(this.sprite("chosen", size, density), this.points[this.selected]);
    }
    if (this.hovered >= 0 && this.hovered !== this.dragged?.index && this.points[this.hovered]) {
      const kind = this.editing ? "cross" : "hover";
      draw(this.sprite(kind, size, density), this.points[this.hovered]);
    }
    if (this.dragged) {
      const { point, index } = this.dragged;
      draw(this.sprite("hover", size, density), point ?? this.points[index]);
    }
    if (this.editing && this.pointer && this.hovered < 0) {
      draw(this.sprite("plus", size, density), this.pixelAt(this.pointer));
    }
  }

  // Thousands of rings are drawn as copies of one small picture.
  sprite(kind, size, density) {
    const name = `${kind} ${size.toFixed(1)} ${density}`;
    if (!this.sprites.has(name)) {
      if (this.sprites.size > 60) this.sprites.clear();
      this.sprites.set(name, markerSprite(kind, size, density));
    }
    return this.sprites.get(name);
  }
}

function markerSprite(kind, size, density) {
  const radius = { ring: size, chosen: Math.max(size * 1.4, 7) }[kind] ?? Math.max(size * 1.15, 5);
  const half = Math.ceil(radius + (kind === "chosen" ? 7 : 4));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.ceil(2 * half * density);
  const context = canvas.getContext("2d");
  context.scale(density, density);
  context.translate(half, half);
  context.lineCap = "round";
  const thin = size < 4.5 ? 1.25 : 1.75;
  const color = kind === "chosen" ? CHOSEN : kind === "ring" ? RING : "#fff";
  const line = kind === "chosen" ? 3 : thin;
  for (const [style, extra] of [[HALO, 2.2], [color, 0]]) {
    context.strokeStyle = style;
    context.lineWidth = line + extra;
    context.beginPath();
    if (kind === "plus") context.setLineDash(extra ? [] : [3, 3]);
    context.arc(0, 0, radius, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
    const arm = Math.max(2.5, radius * 0.5);
    context.lineWidth = thin + extra;
    context.beginPath();
    if (kind === "plus") lines(context, [[-arm, 0, arm, 0], [0, -arm, 0, arm]]);
    if (kind === "cross") {
      const reach = arm * 0.8;
      lines(context, [[-reach, -reach, reach, reach], [-reach, reach, reach, -reach]]);
    }
    // Ticks outside the ring: the selected marker also differs in shape, not only in colour.
    if (kind === "chosen") {
      const [a, b] = [radius + 1, radius + 5];
      lines(context, [[a, 0, b, 0], [-a, 0, -b, 0], [0, a, 0, b], [0, -a, 0, -b]]);
    }
    context.stroke();
  }
  return { canvas, half };
}

function lines(context, segments) {
  for (const [x0, y0, x1, y1] of segments) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
}
