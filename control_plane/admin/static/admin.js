// Small conveniences for pages that work without them. No dependency, no inline code, no data of its own.
"use strict";

// A refused form: take the reader to what must be mended.
for (const summary of document.querySelectorAll("[data-focus]")) summary.focus();

// Another type of mutation: its fields at once, instead of by the button.
const form = document.querySelector("form[data-typed]");
if (form) {
  const button = form.querySelector('.type-button button');
  button.closest(".type-button").hidden = true;
  form.addEventListener("change", (event) => {
    if (event.target.name === "mutationType") form.requestSubmit(button);
  });
  keepFromLeaving(form);
  form.addEventListener("change", () => showWhatDepends(form));
  addEventListener("pageshow", () => showWhatDepends(form)); // after a way back, when what was typed is there again
  showWhatDepends(form);
}

// A field that means something with one value of a choice only is out of sight with the others, and while the choice is.
// A choice stands before what depends on it.
function showWhatDepends(form) {
  for (const field of form.querySelectorAll("[data-only-when]")) {
    const choice = form.elements[field.dataset.onlyWhen];
    field.hidden = choice.value !== field.dataset.is || choice.closest("[hidden]") !== null;
  }
}

// A form with changes in it is not left by accident.
function keepFromLeaving(form) {
  let changed = form.ownerDocument.querySelector("#problems") !== null;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", () => { changed = false; });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
}

// A switch's question closes with Escape or a click beside it, and begins in its first field.
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.turn[open]")) event.target.querySelector("input[type=text]")?.focus();
}, true);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.turn[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.turn[open]")) if (!open.contains(event.target)) open.open = false;
});
