"use strict";
// A link of an answer writes its choice into the address; the charts are then brought into view.
for (const link of document.querySelectorAll(".answer a")) {
  link.addEventListener("click", () => document.getElementById("charts").scrollIntoView());
}
{
  const show = (choice) => {
    for (const answer of document.querySelectorAll(".answer")) {
      const link = answer.querySelector("h3 a");
      if (answer.dataset.task === choice.task) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  layerwise.onChoice(show);
  show(layerwise.choice);
}
