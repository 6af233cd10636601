"use strict";
// One question at a time: while a picture is drawn sliders move on, and then the newest place is asked for.
const latent = document.getElementById("latent");
if (latent) {
  function which() { const [step, ...name] = el("which").value.split(" "); return { training: name.join(" "), step: Number(step) }; }
  const whole = (id) => Math.max(0, Math.round(Number(el(id).value) || 0));
  const moves = () => [...document.querySelectorAll("#directions input")].map((input) => Number(input.value));
  const asked = () => ({ ...which(), draw: { seed: whole("seed"), to: whole("to"), way: Number(el("way").value), truncation: Number(el("truncation").value), moves: moves(), nearest: el("with-nearest").checked } });

  let busy = false, again = false;
  async function draw() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const begun = performance.now(), question = asked(), data = await post("/latent/draw", question);
      const image = new Image();
      image.src = data.picture;
      await image.decode();
      el("shown").src = data.picture;
      el("state").textContent = `${Math.round(performance.now() - begun)} ms`;
      el("says").textContent = "";
      el("near").hidden = !data.nearest;
      if (data.nearest) {
        el("near-shown").src = data.nearest.picture;
        const { distance, photo, row, mirrored } = data.nearest;
        el("near-words").textContent = `Nearest: ${photo ?? `row ${row}`}${mirrored ? ", mirrored" : ""}; ${distance.toFixed(1)} levels away${distance < 15 ? ": a copy" : ""}`;
      }
      const { seed, to, way } = question.draw;
      el("recipe").textContent = way > 0 ? `${Math.round(100 * way)} % of the way from seed ${seed} to seed ${to}` : `seed ${seed}`;
    } catch (error) {
      el("says").textContent = error.message;
      el("state").textContent = "";
    }
    busy = false;
    if (again) { again = false; await draw(); }
  }

  function slide(input) { input.parentElement.querySelector("output").textContent = Number(input.value).toFixed(2); }

  async function open() {
    el("state").textContent = "Loading the generator…";
    el("says").textContent = "";
    try {
      const ready = await post("/latent/open", which());
      const count = ready.weights.length || 12;
      el("directions-words").textContent = ready.directions === "principal"
        ? "What the generator's first layer answers to most, the strongest first (its weights' eigenvectors, after Shen and Zhou, 2021)."
        : "Directions at right angles to one another, drawn from a fixed seed: this generator's first layer has none of its own.";
      const sliders = Array.from({ length: Math.min(count, ready.latent) }, (_, at) => {
        const label = document.createElement("label");
        label.className = "slide";
        const name = document.createElement("span"), input = document.createElement("input"), output = document.createElement("output");
        name.textContent = ready.weights.length ? `${at + 1} · ${(100 * ready.weights[at]).toFixed(1)} %` : `${at + 1}`;
        Object.assign(input, { type: "range", min: "-8", max: "8", step: "0.05" });
        input.value = "0";
        output.textContent = "0.00";
        label.append(name, input, output);
        return label;
      });
      el("directions").replaceChildren(...sliders);
      await draw();
    } catch (error) {
      el("state").textContent = "";
      el("says").textContent = error.message;
    }
  }

  latent.addEventListener("input", (event) => { if (event.target.type === "range") slide(event.target); draw(); });
  latent.addEventListener("submit", (event) => event.preventDefault());
  el("which").addEventListener("change", open);
  el("with-nearest").addEventListener("change", draw);
  latent.addEventListener("click", (event) => {
    const dice = event.target.closest("[data-dice]");
    if (dice) { el(dice.dataset.dice).value = Math.floor(Math.random() * 1e6); draw(); }
  });
  el("rest").addEventListener("click", () => {
    for (const input of latent.querySelectorAll("input[type=range]")) { input.value = input.id === "truncation" ? 1 : 0; slide(input); }
    draw();
  });
  el("save").addEventListener("click", async () => {
    try { el("saved").textContent = `Saved as ${(await post("/latent/save", asked())).saved}`; } catch (error) { el("says").textContent = error.message; }
  });

  // The walk takes its time whatever a picture costs: 4 seconds there, 4 back.
  let walking = 0;
  el("walk").addEventListener("click", () => {
    if (walking) { walking = 0; el("walk").textContent = "Walk there and back"; return; }
    const mine = walking = performance.now();
    el("walk").textContent = "Stop walking";
    (async () => {
      for (let share = 0; share < 1 && walking === mine;) {
        share = Math.min(1, (performance.now() - mine) / 8000);
        el("way").value = share < 0.5 ? 2 * share : 2 - 2 * share;
        slide(el("way"));
        await draw();
        await new Promise(requestAnimationFrame);
      }
      if (walking === mine) { walking = 0; el("walk").textContent = "Walk there and back"; }
    })();
  });
  open();
}
