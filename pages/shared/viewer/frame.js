// The frame of every picture: one pane or several that show the same part of the same pixels.
// A tool (region.js, markers.js, cells.js) says what a click or drag means and draws on the panes.
// Positions are {x, y} in px of the image, x along the columns, or {px, py} on the screen.
// Python joins these files into one module: what is at their top level is known to all of them.

const DEEPEST_PIXEL = 40; // px of the screen for one of the image at the deepest zoom
const SHARP_FROM = 3; // px of the screen for one of the image, from which pixels are squares
const CLICK_SLOP = 4; // px that a click may move before it is a drag
const HALO = "rgba(0, 0, 0, 0.75)";
const RING = "#f0e442"; // yellow and vermilion of Okabe and Ito: different for colour-blind people
const CHOSEN = "#ff7a1a";
const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

const viewers = new WeakMap();
const stores = new WeakMap();
// Streamlit may load this module once for each component: what they share lives on the page.
const shared = (globalThis.cellcutterPictures ??= { pictures: new Map(), memory: new Map() });

export default function (component) {
  const { parentElement: root, setTriggerValue } = component;
  if (component.data instanceof Uint8Array) return keepPixels(root, component.data);
  const [data] = component.data;
  let viewer = viewers.get(root);
  if (!viewer || viewer.grid !== root.querySelector(".panes")) {
    viewer?.close();
    viewer = new Viewer(root);
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

  // As a link has it: how many times enlarged, and the row and column in the middle.
  show([zoom, row, col]) {
    this.zoom = Math.min(this.deepest, Math.max(1, zoom));
    const middle = { px: this.width / 2, py: (this.width * this.rows) / this.cols / 2 };
    this.place({ x: col, y: row }, middle);
  }

  get shown() {
    const middle = (start, length) => start + length / this.zoom / 2;
    return [this.zoom, middle(this.y, this.rows), middle(this.x, this.cols)];
  }
}

// --- a stage with a canvas, and the title above it

class Pane {
  constructor() {
    this.figure = document.createElement("figure");
    this.figure.innerHTML =
      '<figcaption></figcaption><div class="stage" tabindex="0" role="application" ' +
      'aria-describedby="hints"><canvas role="img"></canvas></div>';
    [this.caption, this.stage] = this.figure.children;
    [this.canvas] = this.stage.children;
    this.context = this.canvas.getContext("2d");
  }

  update({ title, picture }, { alt, label }) {
    this.caption.textContent = title;
    this.caption.title = title;
    this.canvas.setAttribute("aria-label", title || alt);
    this.stage.setAttribute("aria-label", label);
    this.digest = picture;
  }

  // The old picture stays until the new one can be painted: no flash between epochs.
  async load() {
    const { digest } = this;
    if (digest === this.stage.dataset.picture) return false;
    const bitmap = await pictureOf(digest).ready;
    if (digest !== this.digest) return false;
    this.bitmap = bitmap;
    this.stage.dataset.picture = digest;
    return true;
  }

  paint(view, { width, height, density }) {
    const { canvas, context, bitmap, stage } = this;
    const size = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) {
      [canvas.width, canvas.height] = size;
    }
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    if (bitmap) {
      const { px, py } = view.toScreen({ x: 0, y: 0 });
      context.imageSmoothingEnabled = view.pixel < SHARP_FROM;
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, px, py, view.cols * view.pixel, view.rows * view.pixel);
    }
    // For tests and scripts that have to find a pixel on the screen.
    stage.dataset.view = [view.x, view.y, view.pixel].join(" ");
  }
}

// --- what every tool can do; on its own, a picture that is only looked at

class Tool {
  title = "Picture: plus and minus zoom, arrow keys move it";

  constructor(viewer) {
    this.viewer = viewer;
  }

  get resetsOnDoubleClick() {
    return true;
  }

  // Whether a finger that is dragged belongs to the tool, and does not scroll the page.
  get takesDrags() {
    return false;
  }

  get cursor() {
    return this.viewer.view.zoom > 1 ? "grab" : "default";
  }

  update(data) {
    const together = data.panes.length > 1 ? " All pictures move together." : "";
    this.viewer.showHints([`Scroll or pinch to zoom, drag to move.${together}`], 0);
  }

  hover() {}

  down(start) {
    return this.viewer.pan(start);
  }

  key() {
    return false;
  }

  paint() {}
}

// --- the frame: panes, zoom, pointers, keys

class Viewer {
  constructor(root) {
    this.root = root;
    this.frame = root.querySelector(".viewer");
    this.grid = root.querySelector(".panes");
    this.status = root.querySelector(".status");
    this.level = root.querySelector(".level");
    this.panes = [];
    this.outbox = new Outbox();
    this.pointers = new Map();
    this.listen();
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(this.grid);
  }

  get stage() {
    return this.panes[0].stage;
  }

  close() {
    this.resizes.disconnect();
    this.stopListening.abort();
    clearTimeout(this.outbox.timer);
    cancelAnimationFrame(this.drawing);
  }

  update(data, trigger) {
    const [rows, cols] = data.shape;
    if (data.place !== this.place) {
      this.place = data.place;
      this.memory = shared.memory.get(data.place) ?? { view: new View(), wanted: data.zoom };
      shared.memory.set(data.place, this.memory);
      this.view = this.memory.view;
    }
    if (rows !== this.view.rows || cols !== this.view.cols) this.view.reset();
    Object.assign(this.view, { rows, cols });
    this.pixelSize = data.pixelSize;
    this.frame.setAttribute("aria-label", data.alt);
    this.frame.style.setProperty("--columns", data.columns);
    this.frame.style.setProperty("--ratio", cols / rows);
    this.root.querySelector(".legend").replaceChildren(...data.legend.map(legendEntry));
    this.show(data);
    this.outbox.update(data, trigger);
    this.tool.update(data);
    this.draw();
  }

  show({ mode, panes, alt }) {
    while (this.panes.length > panes.length) this.panes.pop().figure.remove();
    while (this.panes.length < panes.length) {
      const pane = new Pane();
      this.listenTo(pane.stage);
      this.grid.append(pane.figure);
      this.panes.push(pane);
    }
    const tools = { look: Tool, region: RegionTool, markers: MarkerTool, cells: CellTool };
    this.tool ??= new tools[mode](this);
    panes.forEach((given, i) => {
      this.panes[i].update(given, { alt, label: this.tool.title });
      this.panes[i].load().then((changed) => changed && this.draw());
    });
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const { view } = this;
    const density = globalThis.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    view.width = width;
    if (this.memory.wanted) view.show(this.memory.wanted);
    this.memory.wanted = null;
    view.zoom = Math.min(view.zoom, view.deepest);
    const moves = view.zoom > 1 || this.tool.takesDrags;
    this.grid.style.setProperty("--touch", moves ? "none" : "pan-y");
    for (const pane of this.panes) {
      pane.paint(view, { width, height, density });
      this.tool.paint(pane.context, { width, height, density });
    }
    if (this.pixelSize) this.paintScaleBar(this.panes[0].context, { width, height });
    this.showZoom();
    globalThis.dispatchEvent(new CustomEvent("cellcutter-view", { detail: this.place }));
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
    this.level.textContent = `${zoom.toFixed(1)} ×`;
    this.level.setAttribute("aria-label", `Zoom ${zoom.toFixed(1)}, show all`);
    // Not "disabled", which would take the focus from a person who presses the button by key.
    const used = { out: zoom <= 1, in: zoom >= deepest };
    for (const [way, done] of Object.entries(used)) {
      this.root.querySelector(`[data-zoom="${way}"]`).setAttribute("aria-disabled", String(done));
    }
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

  // All stages have the same size, so a place on one of them is that place on all.
  placeOf(event) {
    const bounds = event.currentTarget.getBoundingClientRect();
    return {
      px: event.clientX - bounds.left,
      py: event.clientY - bounds.top,
      touch: event.pointerType === "touch",
    };
  }

  listen() {
    this.stopListening = new AbortController();
    const { signal } = this.stopListening;
    // Scrolling the page under a resting pointer does not zoom.
    window.addEventListener("scroll", () => (this.awake = false), { signal, capture: true });
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      const factor = { in: 1.5, out: 1 / 1.5 }[button.dataset.zoom];
      const act = () => (factor ? this.zoomBy(factor) : this.reset());
      button.addEventListener("click", act, { signal });
    }
  }

  listenTo(stage) {
    const { signal } = this.stopListening;
    const on = (name, handler, more) =>
      stage.addEventListener(name, handler.bind(this), { signal, ...more });
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
  }

  down(event) {
    const place = this.placeOf(event);
    event.currentTarget.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, place);
    this.gesture?.cancel?.();
    this.gesture = null;
    if (this.pointers.size >= 2) this.gesture = this.pinch();
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
    const place = this.placeOf(event);
    // Some browsers also send a move when the page is scrolled under a pointer that rests.
    const rested = event.screenX === this.last?.screenX && event.screenY === this.last?.screenY;
    if (!rested) this.awake = true;
    this.last = event;
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, place);
    if (this.gesture) this.gesture.move?.(place);
    else if (!place.touch) this.tool.hover(place);
    event.currentTarget.style.cursor =
      this.gesture?.cursor ?? (this.space ? "grab" : this.tool.cursor);
    this.draw();
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    const gesture = this.gesture;
    this.gesture = null;
    gesture?.up?.(this.placeOf(event));
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
    this.view.zoomAt(this.placeOf(event), Math.exp(-Math.min(Math.max(step, -0.7), 0.7)));
    this.draw();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " ") this.space = true;
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (!this.tool.key(event) && !this.step(event.key)) return;
    event.preventDefault();
    this.draw();
  }

  // Move the picture by a tenth of what is seen. Arrow keys scroll the page if all is seen.
  step(key) {
    const { view } = this;
    const way = ARROWS[key];
    if (!way || view.zoom <= 1) return false;
    const [right, down] = [way[0] * view.cols, way[1] * view.rows];
    const part = 0.1 / view.zoom;
    view.place({ x: view.x + right * part, y: view.y + down * part }, { px: 0, py: 0 });
    return true;
  }
}

function legendEntry({ name, color }) {
  const item = document.createElement("span");
  const mark = document.createElement("i");
  mark.style.background = color;
  item.append(mark, name);
  return item;
}

function distance(a, b) {
  return Math.hypot(a.px - b.px, a.py - b.py);
}

function inWords(micrometres) {
  const [unit, factor] =
    [["mm", 1e-3], ["µm", 1], ["nm", 1e3]].find(([, times]) => micrometres * times >= 0.999) ??
    ["nm", 1e3];
  return `${Number((micrometres * factor).toPrecision(3))} ${unit}`;
}
