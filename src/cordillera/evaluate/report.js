"use strict";
// Filters of the table of failures: a row is shown where it has every chosen value.
const filters = [...document.querySelectorAll(".filters select")];
const rows = [...document.querySelectorAll("#failures tbody tr")];
const shown = document.getElementById("shown");
function apply() {
  let count = 0;
  for (const row of rows) {
    const fits = filters.every((filter) => !filter.value || row.dataset[filter.name] === filter.value);
    row.hidden = !fits;
    count += fits;
  }
  if (shown) shown.textContent = count + " of " + rows.length;
}
for (const filter of filters) filter.addEventListener("change", apply);
apply();
// A film shows its last frame until it is played; one plays at a time.
const films = [...document.querySelectorAll("video")];
for (const film of films) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", "Play: " + film.closest("figure").querySelector("figcaption").textContent);
  film.controls = false;
  film.after(button);
  button.addEventListener("click", () => {
    button.remove();
    film.controls = true;
    film.focus();
    film.play();
  });
  film.addEventListener("play", () => films.forEach((other) => other !== film && other.pause()));
}
