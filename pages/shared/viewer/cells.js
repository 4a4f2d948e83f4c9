// --- choosing cells

class CellTool extends Tool {
  title = "Cells: Escape chooses none";
  resetsOnDoubleClick = false;

  hints = [
    "Click a cell to choose it, with shift to choose several. Scroll or pinch to zoom, drag to move.",
    "Click in the cell: the nearer of the two points moves there. Escape leaves it whole.",
  ];

  get cursor() {
    return this.viewer.view.zoom > 1 ? "grab" : "pointer";
  }

  update(data) {
    this.outlines = data.outlines;
    this.points = data.points;
    this.viewer.status.textContent = data.status;
    this.viewer.showHints(this.hints, this.points.length ? 1 : 0);
  }

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
      const { canvas, half } = markerSprite("ring", 5, density);
      const { px, py } = view.toScreen({ x: col + 0.5, y: row + 0.5 });
      context.drawImage(canvas, px - half, py - half, 2 * half, 2 * half);
    }
  }
}
