"use strict";
// Test items in the chosen layer. Their data are described in layerwise/explore/items/block.py.
{
  const data = layerwise.data("items");
  const part = document.getElementById("items");
  const controls = part.querySelector("#items-controls");
  const at = Object.fromEntries(
    ["status", "missing", "cards", "more", "layer"].map((name) => [name, part.querySelector(`#items-${name}`)]));
  const AT_ONCE = 24;
  let wanted = AT_ONCE;

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  const decoded = new Map();
  // The numbers of a cell: decoded when it is first looked at.
  const numbersOf = (cell) => {
    if (!decoded.has(cell)) {
      decoded.set(cell, {
        margins: new Float32Array(bytes(cell.margins)),
        predicted: new Int16Array(bytes(cell.predicted)),
        p: cell.p ? new Float32Array(bytes(cell.p)) : null,
      });
    }
    return decoded.get(cell);
  };
  const rounded = (value) =>
    (value !== 0 && Math.abs(value) < 0.005 ? value.toExponential(1) : value.toFixed(2)).replaceAll("-", "\u2212");
  const layerName = (layer, layers) =>
    layer === 0 ? "embeddings" : layer === layers - 1 ? "final norm" : `block ${layer}`;

  // What is looked at: the reader's choice as far as there are items of it, and in words what is shown instead.
  const looked = (choice) => {
    const instead = [];
    const names = Object.keys(data.tasks);
    const name = names.includes(choice.task) ? choice.task : names[0];
    if (choice.task && name !== choice.task) instead.push(`the task ${name}`);
    const task = data.tasks[name];
    const matches = (cell, keys) => keys.every((key) => !choice[key] || cell[key] === choice[key]);
    const cell = [["model", "prompt"], ["prompt"], ["model"], []]
      .map((keys) => task.cells.find((found) => matches(found, keys))).find(Boolean);
    if (choice.prompt && cell.prompt !== choice.prompt) instead.push(`the prompt ${cell.prompt}`);
    if (choice.model && cell.model !== choice.model) instead.push(`the model ${cell.model}`);
    const label = task.labels.length > 1 && task.labels.includes(choice.label) ? choice.label : null;
    const layerOf = (value, otherwise) => {
      const layer = value === undefined || value === "" ? NaN : Number(value);
      return Number.isInteger(layer) && layer >= 0 && layer < cell.layers ? layer : otherwise;
    };
    // Unless the reader says otherwise, the topmost block.
    const layer = layerOf(choice.layer, Math.max(0, cell.layers - 2));
    const from = layerOf(choice.itemsFrom, 0);
    const to = layerOf(choice.itemsTo, layer);
    const says = Boolean(cell.said || cell.written) && !task.number;
    const offered = (value) => (["known", "said"].includes(value) ? says : value !== "misread" || !task.number);
    const known = [...controls.elements.items.options].map((option) => option.value);
    const show = known.includes(choice.items) && offered(choice.items) ? choice.items : "all";
    const order = choice.itemsOrder === "right" ? "right" : "wrong";
    return { name, task, cell, label, layer, from, to, says, offered, show, order, instead };
  };

  const itemsOf = (seen) => {
    const { task, cell } = seen;
    const { margins, predicted, p } = numbersOf(cell);
    const count = cell.layers;
    const found = [];
    for (let row = 0; row < task.rows.item.length; row++) {
      if (seen.label !== null && task.labels[task.rows.label[row]] !== seen.label) continue;
      const values = margins.subarray(row * count, (row + 1) * count);
      const classes = predicted.subarray(row * count, (row + 1) * count);
      const y = task.rows.y[row];
      const said = cell.said ? cell.said[row] : cell.written ? task.classes.indexOf(cell.writtenClass[row]) : null;
      found.push({
        row, y, values, classes, said,
        p: p ? p[row] : null,
        right: classes[seen.layer] === y,
        // How far on the right side; numbers have a distance instead.
        margin: task.number ? -Math.abs(values[seen.layer] - y) : values[seen.layer],
        change: Math.abs(values[seen.to] - values[seen.from]),
      });
    }
    const tests = {
      misread: (item) => !item.right,
      known: (item) => item.right && item.said !== item.y,
      said: (item) => !item.right && item.said === item.y,
    };
    const kept = found.filter(tests[seen.show] ?? (() => true));
    const sign = seen.order === "right" ? -1 : 1;
    kept.sort(seen.show === "changed" ? (a, b) => b.change - a.change : (a, b) => sign * (a.margin - b.margin));
    return { found, kept };
  };

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const pictureOf = (place, alt, caption, unseen) => {
    const picture = data.pictures[place];
    const gone = () => element("div", { className: "gone" }, `${alt}: not found`);
    let shown;
    if (picture.src || picture.address) {
      shown = element("img", { alt, loading: "lazy", decoding: "async", src: picture.src ?? picture.address });
      if (picture.width) Object.assign(shown, { width: picture.width, height: picture.height });
      if (picture.width && picture.width < 100) shown.className = "tiny";
      shown.addEventListener("error", () => shown.replaceWith(gone()));
    } else {
      shown = gone();
    }
    const figure = element("figure", { className: unseen ? "not-shown" : "" }, shown);
    if (caption) figure.append(element("figcaption", {}, caption));
    return figure;
  };

  const SEEN = {
    blank: "Shown in its place: grey",
    shuffled: "Shown in its place: another item's",
    "random-order": "As shown, in an order drawn for this item",
    chosen: "As this prompt shows it",
  };
  const picturesOf = (seen, row) => {
    const prompt = seen.task.prompts[seen.cell.prompt];
    const id = seen.task.rows.item[row];
    const own = seen.task.rows.own[row];
    const shown = prompt.pictures[row];
    const numbered = (places, alt, said, unseen) => places.map((place, number) => {
      const which = places.length > 1 ? ` ${number + 1}` : "";
      const caption = [which.trim(), said].filter(Boolean).join(". ");
      return pictureOf(place, `${alt}${which} of test item ${id}`, caption, unseen);
    });
    const { shown: how } = prompt;
    if (JSON.stringify(own) === JSON.stringify(shown)) {
      return numbered(own, "Picture", how === "random-order" ? SEEN[how] : "", false);
    }
    const seenOnes = numbered(shown, "Picture shown", SEEN[how], false);
    if (how === "random-order") return seenOnes;
    // The label is about the item's own pictures, so they stand beside what was shown.
    const said = { none: "Not shown with this prompt", chosen: "Its own, for comparison" }[how] ?? "Its own, not shown";
    return [...seenOnes, ...numbered(own, "Picture", said, true)];
  };

  // Heights on a scale that all cards share: margins reach far, and their sign matters most.
  const lineOf = (svg, seen, item, extent) => {
    const { cell, task, layer } = seen;
    const x = (place) => (cell.layers > 1 ? 4 + (232 * place) / (cell.layers - 1) : 120);
    const scaled = task.number
      ? (value) => (value - extent.low) / (extent.high - extent.low || 1)
      : (value) => (Math.asinh(value) - Math.asinh(extent.low)) / (Math.asinh(extent.high) - Math.asinh(extent.low));
    const y = (value) => 60 - 56 * scaled(value);
    const level = y(task.number ? item.y : 0).toFixed(1);
    const points = Array.from(item.values, (value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
    const here = points[layer].split(",");
    const side = task.number ? "" : item.right ? "right" : "wrong";
    const sides = task.number ? "" : `<rect class="right-side" width="240" height="${level}"/>`
      + `<rect class="wrong-side" y="${level}" width="240" height="${64 - level}"/>`;
    svg.innerHTML = `${sides}<line class="zero" x1="0" x2="240" y1="${level}" y2="${level}"/>`
      + `<line class="here" x1="${here[0]}" x2="${here[0]}" y1="0" y2="64"/>`
      + `<polyline points="${points.join(" ")}"/>`
      + `<line class="dot ${side}" x1="${here[0]}" x2="${here[0]}" y1="${here[1]}" y2="${here[1]}"/>`;
    const many = item.classes.filter((found) => found === item.y).length;
    const there = `${rounded(item.values[layer])} in ${layerName(layer, cell.layers)}`;
    svg.setAttribute("aria-label", task.number
      ? `Estimates by layer, and the number itself as a dashed line: ${there}.`
      : `Margin by layer. Right in ${many} of ${cell.layers} layers; ${there}.`);
  };

  const verdict = (right) =>
    element("span", { className: right ? "right" : "wrong" }, right ? " \u2713 right" : " \u2717 wrong");

  const saysOf = (seen, item) => {
    const { task, cell } = seen;
    const { row, y } = item;
    const found = [];
    const add = (term, ...what) => found.push(element("dt", {}, term), element("dd", {}, ...what));
    const label = task.labels.length > 1 ? `${task.labels[task.rows.label[row]]}: ` : "";
    const here = layerName(seen.layer, cell.layers);
    if (task.number) {
      add("Number", `${label}${rounded(y)} ${task.unit}`);
      add(here, `read as ${rounded(item.values[seen.layer])}, off by ${rounded(item.values[seen.layer] - y)}`);
    } else {
      add("Gold label", `${label}${task.classes[y]}`);
      add("Probe", task.classes[item.classes[seen.layer]], verdict(item.right),
        element("span", { className: "quiet" }, ` margin ${rounded(item.values[seen.layer])} in ${here}`));
    }
    if (seen.show === "changed") {
      add("Change", `${rounded(item.values[seen.from])} in ${layerName(seen.from, cell.layers)}, ${
        rounded(item.values[seen.to])} in ${layerName(seen.to, cell.layers)}`);
    }
    if (cell.said) {
      add("Model says", task.classes[cell.said[row]], verdict(cell.said[row] === y),
        element("span", { className: "quiet" }, ` probability ${item.p.toFixed(2)}`));
    }
    if (cell.written) {
      const said = cell.writtenClass[row];
      add("Model writes", `\u201c${cell.written[row]}\u201d `,
        said ? verdict(said === task.classes[y]) : element("span", { className: "quiet" }, "says none of the classes"));
    }
    return found;
  };

  const cardOf = (seen, item, extent) => {
    const card = part.querySelector("#items-card").content.firstElementChild.cloneNode(true);
    const { task, cell } = seen;
    const { row } = item;
    Object.assign(card.dataset, { item: task.rows.item[row], label: task.labels[task.rows.label[row]] });
    card.querySelector(".pictures").append(...picturesOf(seen, row));
    const prompt = task.prompts[cell.prompt];
    const text = prompt.texts[prompt.text[row]];
    const short = text.length > 220;
    card.querySelector(".prompt").append(short
      ? element("details", {}, element("summary", {}, `${text.slice(0, 160)}\u2026`), text) : text);
    lineOf(card.querySelector("svg"), seen, item, extent);
    card.querySelector("dl").append(...saysOf(seen, item));
    const { drawn, worst, part: ofTest } = task.rows;
    const why = [drawn[row] ? "drawn" : "", worst[row] ? "among the worst" : "", ofTest[row]];
    card.querySelector(".about").textContent = `${task.rows.item[row]} (${why.filter(Boolean).join(", ")})`;
    return card;
  };

  const extentOf = (task, found) => {
    const largest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
    const every = found.flatMap((item) => [largest(item.values), -largest(item.values.map((value) => -value))]);
    // With some room on either side of the line that says which is right: margins near 0 are to look like that.
    const all = [...every, ...(task.number ? found.map((item) => item.y) : [-1, 1])];
    return { high: largest(all), low: -largest(all.map((value) => -value)) };
  };

  const optionsOf = (select, layers, value) => {
    if (select.options.length !== layers) {
      const names = Array.from({ length: layers }, (_, layer) => layerName(layer, layers));
      select.replaceChildren(...names.map((name, layer) => new Option(name, layer)));
    }
    select.value = value;
  };

  const setControls = (seen) => {
    const fields = controls.elements;
    const { layers } = seen.cell;
    Object.assign(fields.layer, { max: layers - 1, value: seen.layer });
    fields.layer.setAttribute("aria-valuetext", layerName(seen.layer, layers));
    at.layer.textContent = layerName(seen.layer, layers);
    for (const option of fields.items.options) option.disabled = !seen.offered(option.value);
    fields.items.value = seen.show;
    fields.itemsOrder.value = seen.order;
    optionsOf(fields.itemsFrom, layers, seen.from);
    optionsOf(fields.itemsTo, layers, seen.to);
    for (const label of controls.querySelectorAll("[data-for]")) {
      label.hidden = (label.dataset.for === "changed") !== (seen.show === "changed");
    }
  };

  const NAMES = {
    all: "", misread: " that the probe misreads", known: " that the probe knows and the model does not say",
    said: " that the model says and the probe does not know", changed: ", most changed first",
  };
  const statusOf = (seen, found, kept) => {
    const { task, cell } = seen;
    const count = (flag) => found.filter((item) => task.rows[flag][item.row]).length;
    const tested = Object.entries(task.tested).filter(([label]) => seen.label === null || label === seen.label)
      .reduce((sum, [, n]) => sum + n, 0);
    const where = [cell.model, seen.name, seen.label, `prompt ${cell.prompt}`, layerName(seen.layer, cell.layers)];
    const shown = `${kept.length} of ${found.length} sampled items${NAMES[seen.show]}`;
    return `${where.filter(Boolean).join(", ")}: ${shown}. The sample has ${count("drawn")} items drawn at random and `
      + `${count("worst")} of the worst, out of ${tested.toLocaleString("en")} test items, so its shares are not those `
      + "of the test set.";
  };

  const show = () => {
    const seen = looked(layerwise.choice);
    const { found, kept } = itemsOf(seen);
    setControls(seen);
    at.status.textContent = statusOf(seen, found, kept);
    const missing = [];
    if (seen.instead.length) missing.push(`There are no items of this choice; shown is ${seen.instead.join(" and ")}.`);
    if (!seen.says && !seen.task.number) missing.push("What this model says with this prompt was not read.");
    at.missing.textContent = missing.join(" ");
    at.missing.hidden = !missing.length;
    const extent = extentOf(seen.task, found);
    at.cards.replaceChildren(...kept.slice(0, wanted).map((item) => cardOf(seen, item, extent)));
    at.more.hidden = kept.length <= wanted;
    at.more.textContent = `Show ${Math.min(AT_ONCE, kept.length - wanted)} more`;
  };

  controls.addEventListener("input", (event) => {
    const { name, value } = event.target;
    wanted = AT_ONCE;
    layerwise.choose({ [name]: name === "layer" ? Number(value) : value });
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  at.more.addEventListener("click", () => {
    const before = at.cards.children.length;
    wanted += AT_ONCE;
    show();
    // The reader goes on where the new cards begin.
    const next = at.cards.children[before];
    if (next) Object.assign(next, { tabIndex: -1 }).focus();
  });
  layerwise.onChoice(show);
  show();
}
