"use strict";
// Decisions about photos that show the same. The page is made anew by the server after each, so it shows what is on the disk.
const groups = document.getElementById("groups");
if (groups) {
  const says = document.getElementById("says");
  const last = [];

  const send = (body) => post("/duplicates/decide", { stage: groups.dataset.stage, ...body });

  async function show(digest) {
    const text = await (await fetch(location.href)).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("groups");
    if (!fresh) return location.reload();
    groups.replaceChildren(...fresh.childNodes);
    groups.querySelector(`[data-digest="${digest}"], [data-other="${digest}"]`)?.focus();
  }

  async function decide(body) {
    try {
      await send(body);
      says.textContent = "";
      if (body.choice !== "undo") last.push(body);
      await show(body.other ?? body.digest);
    } catch (error) {
      says.textContent = `Not decided: ${error.message}`;
    }
  }

  groups.addEventListener("click", (event) => {
    const button = event.target.closest("[data-choice]");
    if (!button) return;
    const { choice, digest, other } = button.dataset;
    decide({ choice, digest, ...(other ? { other } : {}) });
  });
  addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "u" || event.ctrlKey || event.metaKey || event.altKey || !last.length) return;
    decide({ ...last.pop(), choice: "undo" });
  });
}
