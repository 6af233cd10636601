"use strict";
// One picture after the other, by keyboard. The next picture shows only when the server says that the decision is on the disk.
const review = document.getElementById("review");
if (review) {
  const button = (name) => review.querySelector(`[data-do="${name}"]`);
  let list = { items: [] }, at = 0, busy = false, against = false, zoomed = false;
  const done = [], ahead = new Map();

  const thumb = (digest, stage, side) => `/thumb/${digest}?stage=${encodeURIComponent(stage)}&side=${side}`;
  const undecided = (item) => !item.decision;
  const flagged = (item) => item.flags.length > 0;
  const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

  function show() {
    const { items } = list, item = items[at];
    const left = items.filter(undecided).length, doubtful = items.filter((item) => undecided(item) && flagged(item)).length;
    Object.assign(el("done"), { max: Math.max(items.length, 1), value: items.length - left });
    el("left").textContent = items.length === 0 ? "There are no pictures to look at." :
      `Picture ${at + 1} of ${items.length} · ${left} left${doubtful ? `, ${many(doubtful, "of them flagged", "of them flagged")}` : ""}`;
    el("left").dataset.total = items.length;
    el("finished").hidden = left > 0 || items.length === 0;
    if (!item) return;
    el("shown").src = thumb(item.digest, list.before, 1024);
    el("shown").alt = item.name;
    el("name").textContent = item.name;
    el("flags").textContent = (item.why ?? item.flags).join(" · ");
    el("decision").textContent = item.decision === "accept" ? "kept" : item.decision === "reject" ? "rejected" : "";
    el("decision").className = item.decision ?? "";
    el("stage").className = item.decision ?? "";
    el("photo").alt = `the photo ${item.photo_name}`;
    if (against) el("photo").src = thumb(item.photo, list.source, 1024);
    zoom(false);
    fit();
    // What comes next is fetched while this one is looked at; held, so that the browser keeps it.
    for (const [nth] of ahead) if (nth < at - 1 || nth > at + 6) ahead.delete(nth);
    for (let nth = at + 1; nth <= at + 4 && nth < items.length; nth++) {
      if (ahead.has(nth)) continue;
      const image = new Image();
      image.src = thumb(items[nth].digest, list.before, 1024);
      ahead.set(nth, image);
    }
  }

  function move(to) { if (to >= 0 && to < list.items.length) { at = to; show(); } }

  function zoom(on) {
    zoomed = on;
    el("stage").classList.toggle("zoomed", on);
    button("zoom").setAttribute("aria-pressed", on);
    el("frame").style.transformOrigin = "50% 50%";
  }

  // The picture as large as fits, and the part of the photo that it shows exactly over it.
  function fit() {
    const item = list.items[at];
    if (!item) return;
    const [width, height] = item.size, stage = el("stage");
    const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height);
    Object.assign(el("frame").style, { width: `${width * scale}px`, height: `${height * scale}px` });
    el("shown").classList.toggle("pixels", Math.max(width, height) <= 64);
    const [photoWidth, photoHeight] = item.photo_size, [x, y, w, h] = item.window ?? [0, 0, photoWidth, photoHeight];
    const across = (width * scale) / w, down = (height * scale) / h;
    Object.assign(el("photo").style, { width: `${photoWidth * across}px`, height: `${photoHeight * down}px`, left: `${-x * across}px`, top: `${-y * down}px` });
  }

  function slide() {
    for (const id of ["over", "sliderlabel", "divider"]) el(id).hidden = !against;
    el("over").style.clipPath = `inset(0 ${100 - el("slider").value}% 0 0)`;
    el("divider").style.left = `${el("slider").value}%`;
    button("photo").setAttribute("aria-pressed", against);
  }

  async function send(item, choice) {
    const data = await post("/decide", { stage: list.stage, digest: item.digest, choice });
    // Equal pictures are one to the stage, whatever their names.
    for (const same of list.items) if (same.digest === item.digest) same.decision = data.decision;
  }

  async function decide(choice) {
    const item = list.items[at];
    if (busy || !item) return;
    busy = true;
    try {
      await send(item, choice);
      el("says").textContent = "";
      done.push(at);
      if (at + 1 < list.items.length) move(at + 1); else show();
    } catch (error) {
      el("says").textContent = `Not decided: ${error.message}`;
    }
    busy = false;
  }

  async function undo() {
    if (busy) return;
    const back = done.length ? done.pop() : at;
    const item = list.items[back];
    if (!item || !item.decision) return;
    busy = true;
    try { await send(item, "undo"); move(back); } catch (error) { done.push(back); el("says").textContent = `Not undone: ${error.message}`; }
    busy = false;
  }

  // From here on, and then from the start.
  function nextFlagged() {
    const wanted = (item) => flagged(item) && undecided(item);
    const after = list.items.findIndex((item, nth) => nth > at && wanted(item));
    const found = after >= 0 ? after : list.items.findIndex(wanted);
    if (found >= 0) move(found); else el("says").textContent = "Nothing flagged is left.";
  }

  const actions = {
    keep: () => decide("accept"), reject: () => decide("reject"), undo,
    previous: () => move(at - 1), next: () => move(at + 1), flagged: nextFlagged,
    zoom: () => zoom(!zoomed),
    photo: () => { against = !against; slide(); show(); },
  };
  const keys = { k: "keep", Enter: "keep", x: "reject", Delete: "reject", u: "undo", ArrowLeft: "previous", ArrowRight: "next", f: "flagged", z: "zoom", b: "photo" };

  addEventListener("keydown", (event) => {
    const name = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const inControl = event.target.closest("input, select, summary") && event.key.startsWith("Arrow") || (event.key === "Enter" && event.target.closest("a, button, summary"));
    if (!name || event.ctrlKey || event.metaKey || event.altKey || event.repeat && name !== "next" && name !== "previous" || inControl) return;
    event.preventDefault();
    actions[name]();
  });
  review.addEventListener("click", (event) => { const button = event.target.closest("[data-do]"); if (button) actions[button.dataset.do](); });
  el("slider").addEventListener("input", slide);
  addEventListener("resize", fit);
  el("stage").addEventListener("click", () => zoom(!zoomed));
  // Zoomed in, the place under the pointer is looked at.
  el("stage").addEventListener("pointermove", (event) => {
    if (!zoomed) return;
    const box = el("stage").getBoundingClientRect();
    el("frame").style.transformOrigin = `${(100 * (event.clientX - box.left)) / box.width}% ${(100 * (event.clientY - box.top)) / box.height}%`;
  });

  fetch("/review.json?" + new URLSearchParams({ stage: review.dataset.stage })).then(async (answer) => {
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error);
    list = data;
    // Where one left off: the first that nobody has decided about.
    at = Math.max(0, list.items.findIndex(undecided));
    show();
  }).catch((error) => { el("left").textContent = `The pictures cannot be listed: ${error.message}`; });
}
