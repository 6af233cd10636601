"use strict";
// Start, stop, go on; curves live; the grids of all epochs on one slider.
const say = (text) => { el("says").textContent = text; };
const tried = (promise) => { say(""); promise.catch((error) => say(error.message)); };

function working(is) {
  const begin = el("begin");
  if (!begin) return;
  begin.querySelector("[type=submit]").disabled = is;
  el("stop").disabled = !is;
  if (!is) el("at").textContent = "";
}

el("begin")?.addEventListener("submit", (event) => { event.preventDefault(); tried(post("/training/begin", { stage: el("train-stage").value, set: el("set").value })); });
el("stop")?.addEventListener("click", () => { el("at").textContent = "Stopping: writing a checkpoint"; tried(post("/stop", {})); });
addEventListener("click", (event) => {
  const name = event.target.closest?.("[data-on]")?.dataset.on;
  if (name) tried(post("/training/go-on", { training: name }));
});

// Grids: every picture shows its newest epoch up to the slider's.
const slider = el("slider-epoch");
function show() {
  el("epoch").textContent = slider.value;
  for (const image of document.querySelectorAll("img.grid")) {
    const epoch = image.dataset.epochs.split(" ").map(Number).filter((epoch) => epoch <= Number(slider.value)).pop() ?? 0;
    const address = `/training/grid?of=${encodeURIComponent(image.dataset.of)}&epoch=${epoch}`;
    if (image.getAttribute("src") !== address) {
      image.src = address;
      image.alt = `Pictures drawn after epoch ${epoch}`;
      image.closest("figure").querySelector("figcaption span").textContent = epoch;
    }
  }
}
slider?.addEventListener("input", show);

// The page's own markup, made anew by the server: one truth about how a training looks. What a person is using stays.
let asking = false;
async function refresh() {
  if (asking) return;
  asking = true;
  try {
    const fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const [now, then] = [fresh.getElementById("live"), el("live")];
    if (!now || !then || (slider === null && fresh.getElementById("grids"))) { if (now) location.reload(); return; }
    if (!then.contains(document.activeElement)) {
      const made = document.importNode(now, true), before = new Map([...then.querySelectorAll("[name=of]")].map((box) => [box.value, box.checked]));
      for (const box of made.querySelectorAll("[name=of]")) box.checked = before.get(box.value) ?? box.checked;
      then.replaceWith(made);
    }
    const newer = fresh.getElementById("slider-epoch");
    if (slider && newer && newer.max !== slider.max) {
      const followed = slider.value === slider.max;
      for (const image of document.querySelectorAll("img.grid")) {
        const other = [...fresh.querySelectorAll("img.grid")].find((other) => other.dataset.of === image.dataset.of);
        if (other) image.dataset.epochs = other.dataset.epochs;
      }
      slider.max = newer.max;
      if (followed) { slider.value = newer.max; show(); }
    }
  } catch { /* the studio may be ending; the next tick tries again */ }
  asking = false;
}

// Epochs of a small training follow one another faster than anybody looks.
let due = 0;
function soon() { if (!due) due = setTimeout(() => { due = 0; refresh(); }, 1500); }

new EventSource("/events").addEventListener("message", (message) => {
  const said = JSON.parse(message.data);
  switch (said.event) {
    case "started": working(true); soon(); break;
    case "progress": if (el("at")) el("at").textContent = `${said.stages.join(" → ")}: ${said.done} of ${said.total}`; break;
    // The words of the run: an epoch that is done is one of them.
    case "words": if (el("at")) el("at").textContent = said.text; if (/: epoch \d/.test(said.text)) soon(); break;
    case "stage": case "missed": soon(); break;
    case "ended": working(false); if (said.words && said.code !== 130) say(said.words); refresh(); break;
  }
});
// A training that was started elsewhere says nothing here.
setInterval(() => { if (el("live")?.dataset.running !== undefined && !document.hidden) refresh(); }, 3000);
