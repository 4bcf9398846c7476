"use strict";
// The reader's choice: one for all parts of the page, kept in the address. The block "choice" says what there is to
// choose: `cells`, a table of all combinations, first those to begin with; `words` for the choices; `names` for values.
layerwise.choice = {};
layerwise.listeners = [];
// Choices that are not about rows, such as which axis is shown: by name their values, and the one to begin with.
layerwise.offers = {};

{
  const given = layerwise.data("choice") ?? { cells: { rows: 0, columns: {} }, words: {}, names: {} };
  const keys = Object.keys(given.words).filter((key) => key in given.cells.columns);
  const initial = new URLSearchParams(location.hash.slice(1));
  let asked = location.hash.includes("=") ? Object.fromEntries(initial) : {};

  // What a choice, and a value of it, are called where people read them.
  layerwise.word = (key) => given.words[key] ?? key.replaceAll("_", " ");
  layerwise.named = (key, value) => given.names[key]?.[value] ?? String(value);

  // Whether the page has a control of its own for a choice.
  layerwise.isOffered = (key) => keys.includes(key) || key in layerwise.offers;

  // The values of a choice that exist together with what is chosen before it.
  layerwise.possible = (key) => {
    const before = keys.slice(0, keys.indexOf(key)).map((name) => [name, layerwise.choice[name]]);
    return layerwise.values(given.cells, key, Object.fromEntries(before));
  };

  // Sets the choice to what is asked for, as far as it exists. Returns a line for each thing that does not.
  const settle = () => {
    const notes = [];
    const take = (key, possible, first, several) => {
      const wanted = asked[key];
      const exists = several ? wanted?.split(",").every((part) => !part || possible.includes(part))
        : possible.includes(wanted);
      const found = exists ? wanted : first;
      layerwise.choice[key] = found;
      if (wanted === undefined || wanted === found) return;
      notes.push(`There is no ${layerwise.word(key)} “${layerwise.named(key, wanted)}” for this choice: ` +
        `“${layerwise.named(key, found)}” is shown instead.`);
    };
    for (const key of Object.keys(layerwise.choice)) delete layerwise.choice[key];
    for (const [key, value] of Object.entries(asked)) layerwise.choice[key] = value;
    for (const key of keys) {
      const possible = layerwise.possible(key);
      take(key, possible, possible[0]);
    }
    if (keys.length) {
      const cell = layerwise.cell();
      if (asked.layer !== undefined) asked.layer = asked.layer === "" ? NaN : Number(asked.layer);
      take("layer", Array.from({ length: cell.last_layer + 1 }, (_, layer) => layer), cell.best_layer);
    } else if (asked.layer !== undefined) layerwise.choice.layer = Number(asked.layer);
    for (const [key, { values, first, several }] of Object.entries(layerwise.offers)) take(key, values, first, several);
    return notes;
  };

  // The chosen combination, with its `best_layer` (on validation) and `last_layer`.
  layerwise.cell = () => layerwise.rowsWhere(given.cells,
    Object.fromEntries(keys.map((key) => [key, layerwise.choice[key]])))[0];

  // What the address says: all choices of more than one value.
  layerwise.address = () => {
    const said = Object.entries(layerwise.choice).filter(([key, value]) =>
      key in layerwise.offers ? value !== layerwise.offers[key].first
        : !keys.includes(key) || layerwise.values(given.cells, key).length > 1);
    return `#${new URLSearchParams(said)}`;
  };

  const show = () => {
    const notes = settle();
    const line = document.getElementById("choice-note");
    if (line) line.textContent = notes.join(" ");
    for (const listener of layerwise.listeners) listener(layerwise.choice);
  };

  layerwise.onChoice = (listener) => layerwise.listeners.push(listener);

  layerwise.choose = (changes) => {
    if (Object.entries(changes).every(([key, value]) => layerwise.choice[key] === value)) return;
    asked = { ...layerwise.choice, ...changes };
    show();
    // A slider moves through many layers: these are no steps to go back through.
    const write = Object.keys(changes).join() === "layer" ? "replaceState" : "pushState";
    history[write](null, "", layerwise.address());
  };

  // Offers a choice that is not about rows. `values` are strings, `first` one of them; or several, joined by commas.
  layerwise.offer = (key, values, first, several = false) => {
    layerwise.offers[key] = { values, first, several };
    show();
  };

  addEventListener("hashchange", () => {
    if (location.hash.includes("=") || location.hash.length < 2) {
      asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      show();
    } else history.replaceState(null, "", layerwise.address()); // A jump to a part of the page changes no choice.
  });

  show();
}
