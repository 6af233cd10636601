"use strict";
// Start and stop a run; follow it live. Everything shown was recorded by the engine: this only asks again when a stage is finished.
function say(text) { el("says").textContent = text; }

function working(is) {
  el("run").disabled = is;
  el("stop").disabled = !is;
  if (!is) { el("at").textContent = ""; follow([], 0, 0); }
}

const cards = () => [...document.querySelectorAll(".card")];

// Which stages are at work, and how far.
function follow(stages, done, total) {
  for (const card of cards()) {
    const on = stages.includes(card.dataset.stage);
    card.classList.toggle("at-work", on);
    const live = card.querySelector(".live");
    live.hidden = !on;
    if (!on) continue;
    Object.assign(live.querySelector("progress"), { max: Math.max(total, 1), value: done });
    live.querySelector("span").textContent = `${grouped(done)} of ${grouped(total)}`;
  }
}

// A few pictures of every stage that has some: what a stage does is seen sooner than read.
async function samples() {
  for (const strip of document.querySelectorAll(".strip[data-of]:empty")) {
    const answer = await fetch("/items.json?" + new URLSearchParams({ stage: strip.dataset.of, count: 6, spread: true }));
    if (!answer.ok) continue;
    const { items } = await answer.json();
    strip.replaceChildren(...items.map((item) => {
      const box = document.createElement("span"), image = new Image(...item.size);
      box.className = "boxed";
      image.className = `board ${item.size[1] > item.size[0] ? "tall" : "wide"}`;
      image.alt = "";
      image.src = `/thumb/${item.digest}?stage=${encodeURIComponent(strip.dataset.of)}&side=128`;
      box.append(image);
      return box;
    }));
  }
}

// The page's own markup, made anew by the server: one truth about how a stage looks.
let asking = false, again = false;
async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const text = await (await fetch("/", { headers: { accept: "text/html" } })).text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const selector of ["#todo", "#flow", "#last", "#busy"]) {
      const [now, then] = [fresh.querySelector(selector), document.querySelector(selector)];
      if (!now || !then) continue;
      // Pictures that are there stay, so that nothing flickers; the focus stays where it was.
      const focus = document.activeElement?.closest(".card")?.dataset.stage;
      for (const strip of now.querySelectorAll(".strip[data-key]")) {
        const old = then.querySelector(`.strip[data-key="${strip.dataset.key}"]`);
        if (old) strip.replaceWith(old);
      }
      then.replaceWith(document.adoptNode(now));
      if (focus && selector === "#flow") cards().find((card) => card.dataset.stage === focus)?.querySelector("a")?.focus();
    }
    await samples();
  } finally {
    asking = false;
    if (again) { again = false; refresh(); }
  }
}

el("run").addEventListener("click", () => {
  say("");
  working(true);
  el("at").textContent = "Starting";
  post("/run", { until: el("until").value || null }).catch((error) => { working(false); say(error.message); });
});
el("stop").addEventListener("click", () => { el("at").textContent = "Stopping: what is in flight is finished first"; post("/stop", {}).catch((error) => say(error.message)); });

const events = new EventSource("/events");
let gone = false;
// If a run is at work the studio says so next.
events.addEventListener("open", () => { if (gone) { gone = false; say(""); working(false); refresh(); } });
events.addEventListener("error", () => { gone = true; say("The studio does not answer. If it was ended, start it again with `catgen-pipe studio`."); });
events.addEventListener("message", (message) => {
  const said = JSON.parse(message.data);
  switch (said.event) {
    case "started": el("words").textContent = ""; working(true); el("at").textContent = "Starting"; break;
    case "progress":
      working(true);
      follow(said.stages, said.done, said.total);
      el("at").textContent = `${said.stages.map((stage) => stage.split("/").at(-1)).join(" → ")}: ${grouped(said.done)} of ${grouped(said.total)}`;
      break;
    case "words": el("words").textContent += said.text + "\n"; el("words").scrollTop = el("words").scrollHeight; break;
    case "stage": case "missed": refresh(); break;
    case "ended":
      working(false);
      if (said.code === 130) say("Stopped. The next run goes on from here.");
      else if (said.words) say(said.words);
      refresh();
      break;
  }
});
// Photos may have come or gone meanwhile, and another run may be at work.
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!document.hidden && document.querySelector("#busy p")) refresh(); }, 3000);
samples();
