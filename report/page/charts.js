"use strict";
// Charts follow the choice: each shows the rows that fit it.
for (const [name, view] of Object.entries(layerwise.data("charts"))) {
  const section = document.querySelector(`[data-view="${name}"]`);
  const options = { actions: false, renderer: "svg" };
  vegaEmbed(section.querySelector(".chart"), { width: "container", ...view.chart }, options).then(({ view: drawn }) => {
    const show = (choice) => {
      const wanted = {};
      for (const column of view.follows) {
        const known = layerwise.values(view.rows, column);
        wanted[column] = known.includes(choice[column]) ? choice[column] : known[0];
      }
      drawn.data("rows", layerwise.rowsWhere(view.rows, wanted)).runAsync();
    };
    drawn.addEventListener("click", (event, mark) => {
      if (!mark?.datum) return;
      const picked = Object.entries(view.picks).filter(([field]) => field in mark.datum);
      layerwise.choose(Object.fromEntries(picked.map(([field, choice]) => [choice, mark.datum[field]])));
    });
    layerwise.onChoice(show);
    show(layerwise.choice);
  });
}
