"use strict";
// The controls show the choice, and change it. Those with a single value are hidden.
{
  const form = document.querySelector("#controls form");
  const slider = form.elements.layer;
  const lines = [...form.querySelectorAll("[name=what]")];
  const first = ["probe", "twin", "majority"].filter((what) => lines.some((box) => box.value === what));
  layerwise.offer("axis", [...form.elements.axis.options].map((option) => option.value), "layer");
  layerwise.offer("what", lines.map((box) => box.value), first.join(), true);

  const show = (choice) => {
    for (const select of form.querySelectorAll("select:not([name=axis])")) {
      const values = layerwise.possible(select.name);
      select.replaceChildren(...values.map((value) => new Option(layerwise.named(select.name, value), value)));
      select.value = choice[select.name];
      select.parentElement.hidden = values.length < 2;
    }
    form.elements.axis.value = choice.axis;
    const { last_layer, best_layer } = layerwise.cell();
    slider.max = last_layer;
    slider.value = choice.layer;
    form.querySelector("output").textContent =
      `${choice.layer} of ${last_layer}${choice.layer === best_layer ? ", best on validation" : ""}`;
    const shown = choice.what.split(",");
    for (const box of lines) box.checked = shown.includes(box.value);
  };

  form.addEventListener("input", ({ target }) => {
    if (target === slider) layerwise.choose({ layer: slider.valueAsNumber });
    else if (target.name === "what") {
      layerwise.choose({ what: lines.filter((box) => box.checked).map((box) => box.value).join() });
    } else layerwise.choose({ [target.name]: target.value });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  layerwise.onChoice(show);
  show(layerwise.choice);
}
