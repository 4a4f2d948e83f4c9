// --- selecting and editing markers

const RADIUS = 6; // of a marker, in px of the screen
const sprites = new Map();

class MarkerTool extends Tool {
  title = "Markers: arrow keys go from one to the next, Delete removes the selected one";
  hints = [
    "Click a marker to select it. Scroll or pinch to zoom, drag to move the picture.",
    "Click to add a marker, click a marker to remove it, drag it to move it.",
  ];

  constructor(viewer) {
    super(viewer);
    this.points = [];
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

  get takesDrags() {
    return this.editing;
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
    return Math.max(3, Math.min(RADIUS, 0.3 * room));
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
    const way = ARROWS[event.key];
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
  neighbour([right, down]) {
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
    const ring = markerSprite("ring", size, density);
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
      draw(markerSprite("chosen", size, density), this.points[this.selected]);
    }
    if (this.hovered >= 0 && this.hovered !== this.dragged?.index && this.points[this.hovered]) {
      const kind = this.editing ? "cross" : "hover";
      draw(markerSprite(kind, size, density), this.points[this.hovered]);
    }
    if (this.dragged) {
      const { point, index } = this.dragged;
      draw(markerSprite("hover", size, density), point ?? this.points[index]);
    }
    if (this.editing && this.pointer && this.hovered < 0) {
      draw(markerSprite("plus", size, density), this.pixelAt(this.pointer));
    }
  }
}

// Thousands of rings are drawn as copies of one small picture.
function markerSprite(kind, size, density) {
  const name = `${kind} ${size.toFixed(1)} ${density}`;
  if (!sprites.has(name)) {
    if (sprites.size > 60) sprites.clear();
    sprites.set(name, drawnMarker(kind, size, density));
  }
  return sprites.get(name);
}

function drawnMarker(kind, size, density) {
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
