"use strict";
// The reader's choice: one for all parts of the page, kept in the address.
layerwise.choice = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
layerwise.listeners = [];

layerwise.onChoice = (listener) => layerwise.listeners.push(listener);

layerwise.choose = (changes) => {
  Object.assign(layerwise.choice, changes);
  history.replaceState(null, "", `#${new URLSearchParams(layerwise.choice)}`);
  for (const listener of layerwise.listeners) listener(layerwise.choice);
};
