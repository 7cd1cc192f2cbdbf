"use strict";
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
