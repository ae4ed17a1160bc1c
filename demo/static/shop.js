// The shop works without this file. It only closes the small menu when something else is touched, and keeps the number
// on the basket true when a page comes out of the browser's own cache.
"use strict";

const drawer = document.querySelector(".drawer");
document.addEventListener("click", (event) => {
  if (drawer && !drawer.contains(event.target)) drawer.removeAttribute("open");
});
document.addEventListener("keydown", (event) => {
  if (drawer && event.key === "Escape") drawer.removeAttribute("open");
});

window.addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  const answer = await fetch("/api/cart", { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { count } = await answer.json();
  for (const place of document.querySelectorAll(".basket-count")) place.textContent = count;
});
