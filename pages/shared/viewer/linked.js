// Panes that show the same part of the same pixels. Positions are shares of a pane, 0 to 1.

const DEEPEST_PIXEL = 40; // px of the screen for one of the image at the deepest zoom
const SHARP_FROM = 3; // px of the screen for one of the image, from which pixels are squares

const viewers = new WeakMap();
// The zoom and position of each place, for a page that is left and opened again.
const seen = (globalThis.cellcutterLinked ??= new Map());

export default function (component) {
  const { parentElement: root } = component;
  const [data] = component.data;
  let viewer = viewers.get(root);
  if (!viewer || viewer.grid !== root.querySelector(".panes")) {
    viewer?.close();
    viewer = new Viewer(root);
    viewers.set(root, viewer);
  }
  viewer.update(data);
  return () => {
    viewers.get(root)?.close();
    viewers.delete(root);
  };
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.grid = root.querySelector(".panes");
    this.closing = new AbortController();
    const on = (target, name, act, more) =>
      target.addEventListener(name, act, { signal: this.closing.signal, ...more });
    on(this.grid, "wheel", (event) => this.wheel(event), { passive: false });
    on(this.grid, "pointerdown", (event) => this.grab(event));
    on(this.grid, "pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) on(this.grid, name, () => this.drop());
    on(this.grid, "dblclick", () => this.reset());
    on(this.grid, "keydown", (event) => this.key(event));
    // Scrolling the page under a resting pointer does not zoom.
    on(window, "scroll", () => (this.awake = false), { capture: true });
    for (const button of root.querySelectorAll("[data-zoom]")) {
      const factor = { in: 1.5, out: 1 / 1.5 }[button.dataset.zoom];
      on(button, "click", () => (factor ? this.zoomBy(factor) : this.reset()));
    }
    this.level = root.querySelector(".level");
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.grid);
  }

  close() {
    this.closing.abort();
    this.resized.disconnect();
  }

  update(data) {
    this.root.querySelector(".linked").setAttribute("aria-label", data.alt);
    [this.rows, this.cols] = data.shape;
    if (data.place !== this.place) {
      this.place = data.place;
      this.view = seen.get(data.place) ?? { zoom: 1, x: 0, y: 0 };
      seen.set(data.place, this.view);
    }
    this.grid.style.setProperty("--columns", data.columns);
    this.grid.style.setProperty("--ratio", this.cols / this.rows);
    while (this.grid.children.length > data.panes.length) this.grid.lastChild.remove();
    while (this.grid.children.length < data.panes.length) this.grid.append(newPane());
    data.panes.forEach((pane, i) => fill(this.grid.children[i], pane));
    this.root.querySelector(".legend").replaceChildren(...data.legend.map(entry));
    this.draw();
  }

  draw() {
    const { zoom, x, y } = this.view;
    const width = this.grid.querySelector(".stage")?.clientWidth || 1;
    const sharp = (zoom * width) / this.cols >= SHARP_FROM;
    for (const image of this.grid.querySelectorAll("img")) {
      image.style.transform = `scale(${zoom}) translate(${-100 * x}%, ${-100 * y}%)`;
      image.style.imageRendering = sharp ? "pixelated" : "auto";
    }
    this.grid.classList.toggle("movable", zoom > 1);
    this.level.textContent = `${zoom.toFixed(1)} ×`;
    this.level.setAttribute("aria-label", `Zoom ${zoom.toFixed(1)}, show all`);
  }

  // --- what a person does

  at(event) {
    const stage = event.target.closest(".stage");
    if (!stage) return null;
    const box = stage.getBoundingClientRect();
    return {
      u: (event.clientX - box.left) / box.width,
      v: (event.clientY - box.top) / box.height,
      box,
    };
  }

  zoomBy(factor, { u, v } = { u: 0.5, v: 0.5 }) {
    const width = this.grid.querySelector(".stage").clientWidth;
    const deepest = Math.max(1, (DEEPEST_PIXEL * this.cols) / width);
    const { zoom, x, y } = this.view;
    const next = Math.min(deepest, Math.max(1, zoom * factor));
    this.move(x + u / zoom - u / next, y + v / zoom - v / next, next);
  }

  move(x, y, zoom = this.view.zoom) {
    const clip = (value) => Math.min(Math.max(value, 0), 1 - 1 / zoom);
    Object.assign(this.view, { zoom, x: clip(x), y: clip(y) });
    this.draw();
  }

  reset() {
    this.move(0, 0, 1);
  }

  wheel(event) {
    const place = this.at(event);
    if (!place || (!this.awake && !event.ctrlKey)) return;
    // When the whole picture is shown, the wheel scrolls the page again.
    if (event.deltaY > 0 && this.view.zoom <= 1 && !event.ctrlKey) return;
    event.preventDefault();
    const step = event.deltaY * (event.deltaMode ? 16 : 1) * (event.ctrlKey ? 0.01 : 0.002);
    this.zoomBy(Math.exp(-Math.min(Math.max(step, -0.7), 0.7)), place);
  }

  grab(event) {
    const place = this.at(event);
    if (!place || event.button || this.view.zoom <= 1) return;
    event.preventDefault();
    event.target.closest(".stage").focus({ preventScroll: true });
    this.grid.setPointerCapture(event.pointerId);
    this.held = { px: event.clientX, py: event.clientY, box: place.box, ...this.view };
  }

  drag(event) {
    this.awake = true;
    if (!this.held) return;
    const { px, py, box, x, y, zoom } = this.held;
    this.move(
      x - (event.clientX - px) / box.width / zoom,
      y - (event.clientY - py) / box.height / zoom,
    );
  }

  drop() {
    this.held = null;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = 0.1 / this.view.zoom;
    const move = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    }[event.key];
    if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (move && this.view.zoom > 1) this.move(this.view.x + move[0], this.view.y + move[1]);
    else return;
    event.preventDefault();
  }
}

function newPane() {
  const pane = document.createElement("figure");
  const title = document.createElement("figcaption");
  const stage = document.createElement("div");
  stage.className = "stage";
  stage.tabIndex = 0;
  const image = document.createElement("img");
  image.draggable = false;
  stage.append(image);
  pane.append(title, stage);
  return pane;
}

function fill(pane, { title, source }) {
  const image = pane.querySelector("img");
  pane.querySelector("figcaption").textContent = title;
  image.alt = title;
  if (pane.source === source) return;
  pane.source = source;
  // The old picture stays until the new one can be painted: no flash between epochs.
  const next = new Image();
  next.src = source;
  const swap = () => pane.source === source && (image.src = source);
  next.decode().then(swap, swap);
}

function entry({ name, color }) {
  const item = document.createElement("span");
  const mark = document.createElement("i");
  mark.style.background = color;
  item.append(mark, name);
  return item;
}
