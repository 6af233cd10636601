"use strict";
// A grid that holds only the tiles in sight. Positions are arithmetic, so a stage of 76,000 pictures costs what is on the screen.
const grid = document.getElementById("grid");
if (grid) {
  const { stage, before, show, find, page } = grid.dataset;
  const chunk = 200, gap = 8, known = new Map(), asked = new Set(), tiles = new Map();
  let total = 0, columns = 1, side = 128;

  const query = (from) => new URLSearchParams({ stage, show, find, from, count: chunk });

  async function ask(at) {
    if (asked.has(at)) return;
    asked.add(at);
    try {
      const answer = await fetch("/items.json?" + query(at * chunk));
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.error);
      data.items.forEach((item, nth) => known.set(at * chunk + nth, item));
      if (data.total !== total) { total = data.total; layout(); }
      draw();
    } catch (error) {
      asked.delete(at);
      document.getElementById("says").textContent = `The pictures cannot be listed: ${error.message}`;
    }
  }

  function layout() {
    const width = grid.clientWidth;
    side = width < 480 ? 96 : 136;
    columns = Math.max(1, Math.floor((width + gap) / (side + gap)));
    grid.style.height = `${Math.ceil(total / columns) * (side + gap)}px`;
    for (const [, tile] of tiles) tile.remove();
    tiles.clear();
    document.getElementById("count").textContent =
      total === 0 ? (find ? "Nothing here is called so." : "There is nothing here.") : `${total.toLocaleString("en").replaceAll(",", "\u202f")} ${show === "rejected" ? "rejected" : "pictures"}`;
  }

  function tile(at, item) {
    const link = document.createElement("a");
    link.setAttribute("role", "listitem");
    const shown = item.digest ? [item.digest, stage] : [item.input, before];
    if (item.digest) link.href = `${page}&name=${encodeURIComponent(item.name)}`;
    else if (item.input && before) link.href = `/picture?stage=${encodeURIComponent(before)}&name=${encodeURIComponent(item.name)}`;
    const note = item.rejected ? `${item.rejected}${item.of ? " of " + item.of : ""}` : item.flags.join(" ");
    link.title = [item.name, item.reason ?? note].filter(Boolean).join("\n");
    if (shown[0] && shown[1]) {
      const image = document.createElement("img");
      image.className = "board";
      image.alt = item.name;
      image.decoding = "async";
      image.src = `/thumb/${shown[0]}?stage=${encodeURIComponent(shown[1])}&side=128`;
      link.append(image);
    }
    if (note || !shown[0]) {
      const words = document.createElement("span");
      words.className = "note";
      words.textContent = note || item.name;
      link.append(words);
    }
    const row = Math.floor(at / columns), column = at % columns;
    Object.assign(link.style, { left: `${column * (side + gap)}px`, top: `${row * (side + gap)}px`, width: `${side}px`, height: `${side}px` });
    return link;
  }

  let due = false;
  function draw() {
    due = false;
    const top = -grid.getBoundingClientRect().top, row = side + gap;
    const first = Math.max(0, Math.floor((top - innerHeight) / row) * columns);
    const last = Math.min(total, Math.ceil((top + 2 * innerHeight) / row) * columns);
    for (const [at, drawn] of tiles) if (at < first || at >= last) { drawn.remove(); tiles.delete(at); }
    for (let at = first; at < last; at++) {
      const item = known.get(at);
      if (!item) { ask(Math.floor(at / chunk)); continue; }
      if (!tiles.has(at)) { const made = tile(at, item); tiles.set(at, made); grid.append(made); }
    }
  }
  const soon = () => { if (!due) { due = true; requestAnimationFrame(draw); } };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", () => { layout(); soon(); });
  ask(0);
}
