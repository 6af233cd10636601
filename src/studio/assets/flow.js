"use strict";
// Start and stop a run; follow it live. Everything shown was recorded by the engine: this only asks again when a stage is finished.
const token = document.querySelector('meta[name="catgen-token"]').content;
const el = (id) => document.getElementById(id);

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json", "x-catgen-token": token }, body: JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw new Error([data.error, data.hint].filter(Boolean).join("\n"));
  return data;
}

function say(text) { el("says").textContent = text; }

function working(is) {
  el("run").disabled = is;
  el("stop").disabled = !is;
  el("progress").hidden = !is;
  if (!is) el("at").textContent = "";
}

// The page's own markup, made anew by the server: one truth about how a stage looks.
async function refresh() {
  const text = await (await fetch("/", { headers: { accept: "text/html" } })).text();
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const selector of ["#todo", "main > .flow"]) {
    const [now, then] = [fresh.querySelector(selector), document.querySelector(selector)];
    if (now && then) then.replaceWith(document.importNode(now, true));
  }
}

el("run").addEventListener("click", () => { say(""); post("/run", {}).catch((error) => say(error.message)); });
el("stop").addEventListener("click", () => { el("at").textContent = "Stopping: finishing what is in flight"; post("/stop", {}).catch((error) => say(error.message)); });

new EventSource("/events").addEventListener("message", (message) => {
  const said = JSON.parse(message.data);
  switch (said.event) {
    case "started": el("words").textContent = ""; working(true); break;
    case "progress":
      el("progress").max = Math.max(said.total, 1);
      el("progress").value = said.done;
      el("at").textContent = `${said.stages.join(" → ")}: ${said.done} of ${said.total}`;
      break;
    case "words": el("words").textContent += said.text + "\n"; break;
    case "stage": case "missed": refresh(); break;
    case "ended": working(false); if (said.words) say(said.words); refresh(); break;
  }
});
