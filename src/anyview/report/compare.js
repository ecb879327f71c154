// Two pictures one over the other, with an edge between them that follows the slider. Without a script it stays in the
// middle.
"use strict";
for (const figure of document.querySelectorAll(".compare")) {
  const slider = figure.querySelector("input");
  const move = () => figure.style.setProperty("--at", `${slider.value}%`);
  slider.addEventListener("input", move);
  move();
}
