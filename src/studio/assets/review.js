"use strict";
// One picture after the other, by keyboard. The next picture shows only when the server says that the decision is on the disk.
const review = document.getElementById("review");
if (review) {
  const token = document.querySelector('meta[name="catgen-token"]').content;
  const el = (id) => document.getElementById(id);
  let list = { items: [] }, at = 0, busy = false, against = false;
  const done = [];

  const thumb = (digest, stage, side) => `/thumb/${digest}?stage=${encodeURIComponent(stage)}&side=${side}`;
  const undecided = (item) => !item.decision;
  const flagged = (item) => item.flags.length > 0;

  function show() {
    const item = list.items[at];
    const left = list.items.filter(undecided).length, doubtful = list.items.filter((item) => undecided(item) && flagged(item)).length;
    el("left").textContent = list.items.length === 0 ? "There are no pictures to look at." :
      `${at + 1} of ${list.items.length} · ${left} undecided, ${doubtful} of them flagged`;
    if (!item) return;
    el("shown").src = thumb(item.digest, list.before, 1024);
    el("shown").alt = item.name;
    el("name").textContent = item.name;
    el("flags").textContent = item.flags.join(" ");
    el("decision").textContent = item.decision === "accept" ? "kept" : item.decision === "reject" ? "rejected" : "";
    el("photo").alt = `the photo ${item.photo_name}`;
    if (against) el("photo").src = thumb(item.photo, list.source, 1024);
    // What comes next is fetched while this one is looked at.
    for (const next of list.items.slice(at + 1, at + 4)) new Image().src = thumb(next.digest, list.before, 1024);
  }

  function move(to) { if (to >= 0 && to < list.items.length) { at = to; show(); } }

  function slide() {
    el("photo").hidden = el("sliderlabel").hidden = !against;
    el("photo").style.clipPath = `inset(0 ${100 - el("slider").value}% 0 0)`;
  }

  async function send(item, choice) {
    const answer = await fetch("/decide", { method: "POST", headers: { "content-type": "application/json", "x-catgen-token": token },
      body: JSON.stringify({ stage: list.stage, digest: item.digest, choice }) });
    const data = await answer.json();
    if (!answer.ok) throw new Error([data.error, data.hint].filter(Boolean).join("\n"));
    item.decision = data.decision;
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

  const actions = {
    keep: () => decide("accept"), reject: () => decide("reject"), undo,
    previous: () => move(at - 1), next: () => move(at + 1),
    flagged: () => { const found = list.items.findIndex((item, nth) => nth > at && flagged(item) && undecided(item)); if (found >= 0) move(found); },
    zoom: () => el("stage").classList.toggle("zoomed"),
    photo: () => { against = !against; slide(); show(); },
  };
  const keys = { k: "keep", Enter: "keep", x: "reject", Delete: "reject", u: "undo", ArrowLeft: "previous", ArrowRight: "next", f: "flagged", z: "zoom", b: "photo" };

  addEventListener("keydown", (event) => {
    const name = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const inControl = event.target.closest("input, select, summary") || (event.key === "Enter" && event.target.closest("a, button"));
    if (!name || event.ctrlKey || event.metaKey || event.altKey || inControl) return;
    event.preventDefault();
    actions[name]();
  });
  review.addEventListener("click", (event) => { const button = event.target.closest("[data-do]"); if (button) actions[button.dataset.do](); });
  el("slider").addEventListener("input", slide);

  fetch("/review.json?" + new URLSearchParams({ stage: review.dataset.stage })).then(async (answer) => {
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error);
    list = data;
    // Where one left off: the first that nobody has decided about.
    at = Math.max(0, list.items.findIndex(undecided));
    show();
  }).catch((error) => { el("left").textContent = `The pictures cannot be listed: ${error.message}`; });
}
