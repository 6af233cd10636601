"use strict";
// The server stamps, the page shows: the numbers of every step come from the function that the explainer of the command line draws.

const short = (number) => String(Math.round(number * 100) / 100).replace("-", "−");
// Never so dark that the number on it cannot be read.
function tint(cell, number, full) {
  cell.classList.toggle("positive", number > 0);
  cell.classList.toggle("negative", number < 0);
  cell.style.setProperty("--share", `${Math.round(60 * Math.min(1, Math.abs(number) / (full || 1)))}%`);
}

const between = (low, high) => low + Math.floor(Math.random() * (high - low + 1));
const drawn = (side, low, high) => Array.from({ length: side }, () => Array.from({ length: side }, () => between(low, high)));
const numbers = { input: [[1, 2, 0], [3, 1, 2], [0, 1, 4]], kernel: [[1, 2, 1], [0, 1, 0], [-1, -2, -1]] };
const limits = { input: [0, 5], kernel: [-2, 3] };
let said = null, step = 0;

function table(name) {
  const rows = numbers[name].map((row, y) => {
    const line = document.createElement("tr");
    line.append(...row.map((number, x) => {
      const cell = document.createElement("td"), input = document.createElement("input");
      Object.assign(input, { type: "number", step: "any", value: number });
      input.setAttribute("aria-label", `${name}, row ${y + 1}, column ${x + 1}`);
      input.addEventListener("input", () => { numbers[name][y][x] = input.value === "" ? null : Number(input.value); shade(name); ask(); });
      cell.append(input);
      return cell;
    }));
    return line;
  });
  el(name).replaceChildren(...rows);
  shade(name);
}
function shade(name) {
  const full = Math.max(...numbers[name].flat().map((number) => Math.abs(number ?? 0)));
  [...el(name).rows].forEach((row, y) => [...row.cells].forEach((cell, x) => tint(cell, numbers[name][y][x] ?? 0, full)));
}

function sized(name, side) {
  if (numbers[name].length === side) return;
  numbers[name] = Array.from({ length: side }, (_, y) => Array.from({ length: side }, (_, x) => numbers[name][y]?.[x] ?? between(...limits[name])));
  table(name);
}

function show() {
  const { size: [rows, columns], output, first, steps } = said;
  step = Math.max(0, Math.min(step, steps.length - 1));
  el("step").max = steps.length - 1;
  el("step").value = step;
  el("step-words").textContent = `${step} of ${steps.length - 1}`;
  const { cell, at, field } = steps[step], side = numbers.kernel.length;
  const last = steps[steps.length - 1].field, full = Math.max(...last.map(Math.abs), 1e-9);
  const top = Math.min(0, first[0]), left = Math.min(0, first[1]);
  const down = Math.max(rows, first[0] + output[0]), right = Math.max(columns, first[1] + output[1]);
  const lines = [];
  for (let y = top; y < down; y++) {
    const line = document.createElement("tr");
    for (let x = left; x < right; x++) {
      const made = document.createElement("td"), inside = y >= 0 && x >= 0 && y < rows && x < columns;
      const number = inside ? field[y * columns + x] : 0;
      made.textContent = short(number);
      tint(made, number, full);
      made.classList.toggle("cut", y < first[0] || x < first[1] || y >= first[0] + output[0] || x >= first[1] + output[1]);
      made.classList.toggle("stamp", at !== null && y >= at[0] && x >= at[1] && y < at[0] + side && x < at[1] + side);
      line.append(made);
    }
    lines.push(line);
  }
  el("field").replaceChildren(...lines);
  [...el("input").rows].forEach((row, y) => [...row.cells].forEach((made, x) => made.classList.toggle("stamp", cell !== null && cell[0] === y && cell[1] === x)));
  el("field-words").textContent = `Output: ${output[0]} × ${output[1]}${output[0] !== rows || output[1] !== columns ? `, out of ${rows} × ${columns}` : ""}`;
  el("words").textContent = cell === null ? "Nothing is added yet: all zeros."
    : `The cell in row ${cell[0] + 1}, column ${cell[1] + 1}: ${short(numbers.input[cell[0]][cell[1]] ?? 0)} times the kernel is added to rows ${at[0] + 1} to ${at[0] + side} and columns ${at[1] + 1} to ${at[1] + side}.`;
  el("before").disabled = step === 0;
  el("after").disabled = step === steps.length - 1;
}

let busy = false, again = false;
async function ask() {
  if (busy) { again = true; return; }
  busy = true;
  const value = (id) => Math.round(Number(el(id).value) || 0);
  try {
    const empty = [...numbers.input, ...numbers.kernel].flat().some((number) => number === null);
    if (empty) throw new Error("Every cell needs a number.");
    said = await post("/draws/stamps", { ...numbers, stride: value("stride"), padding: value("padding"), more: value("more") });
    el("mistake").hidden = true;
    show();
  } catch (error) {
    el("mistake").textContent = error.message;
    el("mistake").hidden = false;
  }
  busy = false;
  if (again) { again = false; ask(); }
}

for (const name of ["input", "kernel"]) {
  table(name);
  el(`${name}-side`).addEventListener("input", (event) => { const side = Math.round(Number(event.target.value)); if (side >= 1 && side <= 6) { sized(name, side); ask(); } });
}
for (const id of ["stride", "padding", "more"]) el(id).addEventListener("input", ask);
el("conv").addEventListener("submit", (event) => event.preventDefault());
el("numbers").addEventListener("click", () => { for (const name of ["input", "kernel"]) { numbers[name] = drawn(numbers[name].length, ...limits[name]); table(name); } ask(); });
el("step").addEventListener("input", () => { step = Number(el("step").value); if (said) show(); });
el("before").addEventListener("click", () => { step--; show(); });
el("after").addEventListener("click", () => { step++; show(); });
let playing = 0;
function stop() { clearInterval(playing); playing = 0; el("run-on").textContent = "Play"; }
el("run-on").addEventListener("click", () => {
  if (playing) { stop(); return; }
  if (said && step === said.steps.length - 1) { step = 0; show(); }
  el("run-on").textContent = "Pause";
  playing = setInterval(() => { step++; show(); if (step >= said.steps.length - 1) stop(); }, 900);
});
ask();

// The layers of a trained generator.
if (el("which")) {
  const which = () => { const [step, ...name] = el("which").value.split(" "); return { training: name.join(" "), step: Number(step) }; };
  let layers = [], looking = false, anew = false;
  async function look() {
    if (looking) { anew = true; return; }
    looking = true;
    try {
      const layer = Number(el("layer").value), { channels, full } = await post("/draws/maps", { ...which(), seed: Math.max(0, Math.round(Number(el("seed").value) || 0)), layer });
      const [count, rows, columns] = layers[layer].size;
      el("layer-words").textContent = `${layers[layer].what}: ${count} channels of ${rows} × ${columns}. ${channels.length < count ? `The ${channels.length} that vary most are shown. ` : ""}Red is positive, blue negative, full colour is ${short(full)}.`;
      el("channels").replaceChildren(...channels.map(({ channel, picture }) => {
        const item = document.createElement("li"), image = document.createElement("img"), words = document.createElement("span");
        Object.assign(image, { src: picture, alt: `Channel ${channel + 1}` });
        words.textContent = channel + 1;
        item.append(image, words);
        return item;
      }));
      el("says").textContent = "";
    } catch (error) { el("says").textContent = error.message; }
    looking = false;
    if (anew) { anew = false; look(); }
  }
  async function open() {
    el("state").textContent = "Loading the generator…";
    try {
      ({ layers } = await post("/latent/open", which()));
      const was = el("layer").value;
      el("layer").replaceChildren(...layers.map((layer, at) => new Option(`${at + 1} · ${layer.what}, ${layer.size.join(" × ")}`, at)));
      el("layer").value = was !== "" && Number(was) < layers.length ? was : String(Math.min(layers.length - 1, 1));
      el("state").textContent = "";
      await look();
    } catch (error) { el("state").textContent = ""; el("says").textContent = error.message; }
  }
  el("which").addEventListener("change", open);
  el("layer").addEventListener("change", look);
  el("seed").addEventListener("input", look);
  open();
}
