"use strict";
// What is changed is tried at once, on a few photos; what a person waits for is the last thing they asked for.
const tuning = document.getElementById("tuning");
if (tuning) {
  const form = el("params");
  const controls = [...form.querySelectorAll("[data-name]")];

  const typed = (control) => {
    if (control.tagName === "FIELDSET") {
      // Words that were on stay in their order; new ones come after them.
      const on = [...control.querySelectorAll("input:checked")].map((box) => box.value);
      const was = JSON.parse(control.dataset.was);
      return JSON.stringify([...was.filter((word) => on.includes(word)), ...on.filter((word) => !was.includes(word))]);
    }
    return control.type === "checkbox" ? String(control.checked) : control.value;
  };
  const was = (control) => control.tagName === "FIELDSET" ? JSON.stringify(JSON.parse(control.dataset.was)) : control.dataset.was;
  const changes = () => Object.fromEntries(controls.filter((control) => !control.disabled && typed(control) !== was(control)).map((control) => [control.dataset.name, typed(control)]));
  const asked = () => ({ stage: tuning.dataset.stage, base: tuning.dataset.base, changes: changes(), count: Number(el("count").value) });
  function mistake(text) { el("mistake").textContent = text; el("mistake").hidden = !text; }

  function make(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }
  function shown(address, words, alt) {
    return make("figure", {}, make("img", { className: "board", src: address, alt, decoding: "async" }), make("figcaption", { textContent: words }));
  }
  const facts = (facts) => Object.entries(facts).map(([name, value]) => `${name} ${typeof value === "number" ? Math.round(value * 1000) / 1000 : value}`).join(", ");

  function cells(after, words, photo) {
    if (after.rejected) return [make("figure", { className: "rejected" }, make("div", { textContent: "✗ does not go on" }), make("figcaption", { textContent: `${words}: ${after.reason || after.rejected}` }))];
    return after.pictures.map((one) => {
      const figure = shown(one.picture, [words, one.tag.replaceAll("_", " "), `${one.size[0]} × ${one.size[1]}`].filter(Boolean).join(" · "), `${photo}, ${words} ${one.tag}`);
      figure.title = facts(one.facts);
      return figure;
    });
  }

  function draw(data) {
    const into = el("shown");
    if (data.groups) {
      const then = data.dropped_then === null || data.dropped_then === undefined ? "" : ` With what is changed: ${data.dropped_then}.`;
      const words = make("p", { textContent: `${data.dropped_now} of ${data.all} photos do not go on as it is set.${then}` });
      const groups = data.groups.map((group) => make("div", { className: "tried" }, make("h3", { textContent: `Kept: ${group.kept}` }),
        make("div", { className: "cells" }, shown(group.picture, "kept", group.kept), ...group.dropped.map((one) => shown(one.picture, `${one.photo}: ${one.why}`, one.photo)))));
      into.replaceChildren(words, ...groups);
      return;
    }
    const rows = data.photos.map((row) => make("div", { className: "tried" }, make("h3", { textContent: row.photo }),
      make("div", { className: "cells" }, shown(row.before, "before", `${row.photo} before`), ...cells(row.now, "as set", row.photo), ...(row.then ? cells(row.then, "tried", row.photo).map((cell) => { cell.classList.add("then"); return cell; }) : []))));
    const stopped = data.stopped.map((one) => make("p", { className: "quiet", textContent: `${one.photo} does not come this far: ${one.stage}: ${one.reason}` }));
    into.replaceChildren(...rows, ...stopped);
  }

  // One question at a time; what changed meanwhile is asked when the answer is there.
  let busy = false, again = false, timer = 0;
  async function look() {
    if (busy) { again = true; return; }
    busy = true;
    el("state").textContent = "Working it out…";
    try {
      draw(await post("/tuning/look", asked()));
      mistake("");
      el("state").textContent = "";
    } catch (error) {
      mistake(error.message);
      el("state").textContent = "";
    }
    busy = false;
    if (again) { again = false; look(); }
  }
  const soon = () => { clearTimeout(timer); timer = setTimeout(look, 350); };

  function marks() {
    const changed = changes();
    for (const control of controls) control.closest(".param").classList.toggle("touched", control.dataset.name in changed);
    el("apply").disabled = el("back").disabled = Object.keys(changed).length === 0;
  }
  form.addEventListener("input", () => { marks(); soon(); });
  el("count").addEventListener("change", look);
  el("of-stage").addEventListener("change", (event) => event.target.form.requestSubmit());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try { await post("/tuning/apply", asked()); location.reload(); } catch (error) { mistake(error.message); el("mistake").scrollIntoView({ block: "nearest" }); }
  });
  el("undo").addEventListener("click", async () => {
    try { await post("/tuning/undo", {}); location.reload(); } catch (error) { mistake(error.message); }
  });
  el("back").addEventListener("click", () => { form.reset(); marks(); look(); });
  form.reset();
  form.noValidate = true; // the pipeline's own parser says what is wrong, in the same words as everywhere
  marks();
  look();
}
