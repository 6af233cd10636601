"use strict";
// What every page's own script uses; loaded before it.
const el = (id) => document.getElementById(id);
const grouped = (count) => count.toLocaleString("en").replaceAll(",", "\u202f");

// Asks the server to change something; throws what it says went wrong, in words for people.
async function post(path, body) {
  const token = document.querySelector('meta[name="catgen-token"]').content;
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json", "x-catgen-token": token }, body: JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw new Error([data.error, data.hint].filter(Boolean).join("\n"));
  return data;
}
