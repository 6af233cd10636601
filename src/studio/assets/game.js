"use strict";
// One picture, one answer. The next picture shows only when the server says that the answer is on the disk.
const start = document.getElementById("start");
if (start) {
  // Pictures by their place: this one and the next, which is fetched and decoded while this one is looked at.
  const pictures = new Map();
  let game = null, nth = 0, total = 0, since = 0, ready = false;

  function fetched(at) {
    if (at < total && !pictures.has(at)) {
      const image = new Image();
      image.src = `/game/${game}/${at}`;
      image.id = "shown";
      image.alt = "Real or generated?";
      pictures.set(at, image.decode().then(() => image));
    }
    return pictures.get(at);
  }

  async function show() {
    el("left").textContent = `${nth + 1} of ${total}`;
    el("bar").value = nth;
    let image;
    try { image = await fetched(nth); } catch { throw new Error("The picture is gone: start another game. The answers so far are kept."); }
    el("shown").replaceWith(image);
    pictures.delete(nth - 1);
    // Time counts from the frame in which the picture is there.
    requestAnimationFrame(() => { since = performance.now(); ready = true; el("play").dataset.nth = nth; fetched(nth + 1)?.catch(() => pictures.delete(nth + 1)); });
  }

  async function tell(real) {
    if (!ready) return;
    ready = false;
    const milliseconds = Math.round(performance.now() - since);
    try {
      const done = await post("/game/answer", { game, nth, real, milliseconds });
      el("says").textContent = "";
      nth = done.answered;
      if (nth >= done.total) { location.href = `/game/result/${game}`; return; }
    } catch (error) {
      el("says").textContent = `Not answered: ${error.message}`;
      ready = true;
      return;
    }
    await show().catch((error) => { el("says").textContent = error.message; });
  }

  start.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [step, ...name] = el("which").value.split(" ");
    const controls = [...start.elements];
    controls.forEach((control) => { control.disabled = true; });
    el("says").textContent = "";
    el("wait").textContent = "Drawing pictures; the first game of a checkpoint takes some seconds…";
    try {
      try { localStorage.setItem("catgen-who", el("who").value); } catch { /* a browser that keeps nothing */ }
      const dealt = await post("/game/start", { training: name.join(" "), step: Number(step), count: Number(el("count").value), who: el("who").value });
      game = dealt.game; total = dealt.total; nth = 0;
      pictures.clear();
      el("bar").max = total;
      const notes = [dealt.note];
      if (dealt.repeated) notes.push(`You have seen ${dealt.repeated} of them in an earlier game: there are no others left.`);
      el("wait").textContent = notes.filter(Boolean).join(" ");
      start.hidden = true;
      el("results").hidden = true;
      el("play").hidden = false;
      await show();
      el("play").focus();
    } catch (error) {
      el("wait").textContent = "";
      el("says").textContent = `No game: ${error.message}`;
    }
    controls.forEach((control) => { control.disabled = false; });
  });

  const keys = { f: true, ArrowLeft: true, j: false, ArrowRight: false };
  addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (game === null || event.repeat || !(key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    tell(keys[key]);
  });
  el("real").addEventListener("click", () => tell(true));
  el("generated").addEventListener("click", () => tell(false));
  try { el("who").value = localStorage.getItem("catgen-who") ?? ""; } catch { /* as above */ }
}
