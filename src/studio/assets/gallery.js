"use strict";
// A grid that holds only the tiles in sight. Positions are arithmetic, so a stage of 76,000 pictures costs what is on the screen.
const grid = document.getElementById("grid");
if (grid) {
  const { stage, before, show, find, page } = grid.dataset;
  const chunk = 200, gap = 8, known = new Map(), asked = new Set(), tiles = new Map();
  let total = 0, columns = 1, side = 136, wanted = null;

  const query = (from) => new URLSearchParams({ stage, show, find, from, count: chunk });

  async function ask(at) {
    if (asked.has(at)) return;
    asked.add(at);
    try {
      const answer = await fetch("/items.json?" + query(at * chunk));
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.error);
      data.items.forEach((item, nth) => known.set(at * chunk + nth, item));
      if (data.total !== total || !data.total) { total = data.total; layout(); }
      soon();
    } catch (error) {
      asked.delete(at);
      document.getElementById("says").textContent = `The pictures cannot be listed: ${error.message}`;
    }
  }

  function words() {
    if (total === 0) return find ? "Nothing here is called so." : show === "kept" ? "There is nothing here." : `Nothing is ${show} here.`;
    return `${grouped(total)} ${show === "rejected" ? "rejected" : total === 1 ? "picture" : "pictures"}`;
  }

  function layout() {
    const width = grid.clientWidth, least = width < 480 ? 96 : 128;
    columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
    side = Math.floor((width + gap) / columns) - gap;
    grid.style.height = `${Math.ceil(total / columns) * (side + gap)}px`;
    for (const [at, tile] of tiles) place(at, tile);
    document.getElementById("count").textContent = words();
  }

  function place(at, tile) {
    const row = Math.floor(at / columns), column = at % columns;
    Object.assign(tile.style, { left: `${column * (side + gap)}px`, top: `${row * (side + gap)}px`, width: `${side}px`, height: `${side}px` });
  }

  function make(at, item) {
    const tile = document.createElement("div"), link = document.createElement("a");
    tile.setAttribute("role", "listitem");
    tile.setAttribute("aria-setsize", total);
    tile.setAttribute("aria-posinset", at + 1);
    tile.dataset.at = at;
    tile.append(link);
    const shown = item.digest ? [item.digest, stage] : [item.input, before];
    if (item.digest) link.href = `${page}&name=${encodeURIComponent(item.name)}`;
    else if (item.input && before) link.href = `/picture?stage=${encodeURIComponent(before)}&name=${encodeURIComponent(item.name)}`;
    else link.tabIndex = 0;
    const note = item.rejected ? `${item.rejected}${item.of ? " of " + item.of : ""}` : item.flags.join(" ");
    link.title = [item.name, item.reason ?? note].filter(Boolean).join("\n");
    if (shown[0] && shown[1]) {
      const image = document.createElement("img");
      const [width, height] = item.size ?? [0, 0];
      link.className = "boxed";
      image.className = width ? `board ${height > width ? "tall" : "wide"}${Math.max(width, height) <= 64 ? " pixels" : ""}` : "unknown";
      if (width) Object.assign(image, { width, height });
      image.alt = item.name;
      image.decoding = "async";
      image.src = `/thumb/${shown[0]}?stage=${encodeURIComponent(shown[1])}&side=128`;
      link.append(image);
    }
    if (note || !shown[0]) {
      const words = document.createElement("span");
      words.className = item.rejected ? "note bad" : "note";
      words.textContent = shown[0] ? note : `${item.name}: ${note}`;
      link.append(words);
    }
    place(at, tile);
    return tile;
  }

  let due = false;
  function draw() {
    due = false;
    const top = -grid.getBoundingClientRect().top, row = side + gap;
    let first = Math.max(0, Math.floor((top - innerHeight / 2) / row) * columns);
    let last = Math.min(total, Math.ceil((top + 1.5 * innerHeight) / row) * columns);
    if (first > last) first = Math.max(0, last - columns);
    const focused = Number(document.activeElement?.closest?.("[data-at]")?.dataset.at ?? -1);
    for (const [at, tile] of tiles) if ((at < first || at >= last) && at !== focused) { tile.remove(); tiles.delete(at); }
    // In their order, whichever way one scrolls: that is the order of the Tab key and of screen readers.
    let previous = focused >= 0 && focused < first ? tiles.get(focused) : null;
    for (let at = first; at < last; at++) {
      const item = known.get(at);
      if (!item) { ask(Math.floor(at / chunk)); continue; }
      let tile = tiles.get(at);
      if (!tile) {
        tile = make(at, item);
        tiles.set(at, tile);
        if (previous) previous.after(tile); else grid.prepend(tile);
      }
      previous = tile;
    }
    if (wanted !== null && tiles.has(wanted)) { tiles.get(wanted).firstChild.focus({ preventScroll: true }); wanted = null; }
  }
  const soon = () => { if (!due) { due = true; requestAnimationFrame(draw); } };

  // Arrow keys go from picture to picture, Home and End to the first and last.
  function go(to) {
    wanted = Math.min(Math.max(to, 0), total - 1);
    const top = Math.floor(wanted / columns) * (side + gap), here = grid.getBoundingClientRect().top;
    if (top + here < 0) scrollBy(0, top + here - gap);
    else if (top + here + side > innerHeight) scrollBy(0, top + here + side - innerHeight + gap);
    soon();
  }
  grid.addEventListener("keydown", (event) => {
    const at = Number(event.target.closest("[data-at]")?.dataset.at);
    const rows = Math.max(1, Math.floor(innerHeight / (side + gap)) - 1);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: total - 1 - at, PageUp: -rows * columns, PageDown: rows * columns };
    const step = steps[event.key];
    if (step === undefined || Number.isNaN(at) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(at + step);
  });

  // Back from a picture, one is where one was.
  if ("scrollRestoration" in history) history.scrollRestoration = "manual";
  const kept = history.state?.gallery === location.search ? history.state : null;
  if (kept) { total = kept.total; layout(); scrollTo(0, kept.y); }
  addEventListener("pagehide", () => history.replaceState({ gallery: location.search, total, y: scrollY }, ""));

  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", () => { layout(); soon(); });
  ask(0);
  soon();
}
for (const choice of document.querySelectorAll("form[role=search] select")) choice.addEventListener("change", () => choice.form.requestSubmit());
