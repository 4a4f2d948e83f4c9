// The link of a page, with the zoom of its pictures, which only the browser knows.

const listening = new WeakMap();

export default function ({ parentElement: root, data: [data] }) {
  listening.get(root)?.abort();
  const stop = new AbortController();
  listening.set(root, stop);
  const [text, button] = [root.querySelector("textarea"), root.querySelector("button")];
  const write = () => {
    const link = data.link + zoomAt(data.place);
    if (text.value === link) return;
    text.value = link;
    button.textContent = "Copy"; // what was copied was another link
  };
  write();
  globalThis.addEventListener("cellcutter-view", write, { signal: stop.signal });
  text.onfocus = () => text.select();
  button.onclick = async () => {
    const said = (await copy(text)) ? "Copied" : "Press Ctrl+C to copy";
    button.textContent = said;
  };
  return () => stop.abort();
}

function zoomAt(place) {
  const view = globalThis.cellcutterPictures?.memory.get(place)?.view;
  if (!view || view.zoom <= 1) return "";
  const [zoom, row, col] = view.shown;
  const enlarged = Math.min(zoom, 1000); // the most that a link may say, see choices/link.py
  // To a thousandth of the zoom and a tenth of a pixel: less is not seen.
  return `&zoom=${enlarged.toFixed(3)},${row.toFixed(1)},${col.toFixed(1)}`;
}

// A browser gives the clipboard only to pages with https or on this machine.
async function copy(text) {
  text.select();
  try {
    await navigator.clipboard.writeText(text.value);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}
