"use strict";
// Charts follow the choice: each shows the rows that fit it, and says in words where it cannot.
{
  const MOST_ROWS = 200;
  // Columns that say how a row is drawn.
  const LOOKS = ["colour", "marker", "dash"];
  const SHAPES = { circle: "●", square: "■", "triangle-up": "▲", diamond: "◆", "triangle-down": "▼", cross: "✚",
    "triangle-left": "◀", "triangle-right": "▶" };
  // Rounded to four digits.
  const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : value);

  class Chart {
    constructor(name, view) {
      this.name = name;
      this.view = view;
      this.section = document.querySelector(`[data-view="${name}"]`);
      this.hidden = new Set();
      this.numbers = this.section.querySelector(".numbers");
      this.numbers.addEventListener("toggle", () => this.tell());
    }

    part(name) { return this.section.querySelector(`.${name}`); }

    // Draws it, or draws it anew, as on a change of theme.
    async draw() {
      this.fit();
      this.stale = false;
      const fit = { width: "container", autosize: { type: "fit", contains: "padding" } };
      const spec = { ...fit, ...this.view.chart, datasets: { ...this.view.chart.datasets, rows: this.shownRows() } };
      const values = this.values();
      spec.params = spec.params?.map((param) => (param.name in values ? { ...param, value: values[param.name] } : param));
      const options = { actions: false, renderer: "svg", config: layerwise.vegaConfig(), logLevel: 1 };
      const { view } = await vegaEmbed(this.part("chart"), spec, options);
      this.drawn = layerwise.views[this.name] = view;
      // The element around it has the words for it.
      this.part("chart").querySelector("svg").setAttribute("aria-hidden", "true");
      view.addEventListener("click", (event, mark) => this.pick(mark));
      if (this.stale) await this.show();
      else this.describe();
    }

    pick(mark) {
      // A line, an area or a group stands for many rows.
      if (!mark || ["line", "area", "group"].includes(mark.mark.marktype)) return;
      const { datum } = mark;
      const picked = Object.entries(this.view.picks).filter(([field]) => datum?.[field] !== undefined);
      if (picked.length) layerwise.choose(Object.fromEntries(picked.map(([field, key]) => [key, datum[field]])));
    }

    // Its rows: those of what is chosen or, where there are none, of the first that there is.
    fit() {
      const { rows: table, follows } = this.view;
      this.followed = this.follows();
      this.wanted = {};
      this.ignored = [];
      this.own = {};
      let among = null;
      for (const key of follows) {
        const there = layerwise.values(table, key, {}, among);
        const chosen = layerwise.choice[key];
        if (layerwise.offers[key]?.several) {
          this.wanted[key] = chosen.split(",");
          const missing = this.wanted[key].filter((one) => one && !there.includes(one));
          this.ignored.push(...missing.map((one) => `it has no ${layerwise.named(key, one)}`));
        } else {
          this.wanted[key] = there.includes(chosen) ? chosen : there[0];
          if (chosen !== undefined && chosen !== this.wanted[key] && there.length) this.ignored.push(
            `its ${layerwise.word(key)} is ${layerwise.named(key, there[0])}, not ${layerwise.named(key, chosen)}`);
          if (!layerwise.isOffered(key) && there.length > 1) this.own[key] = there;
        }
        among = layerwise.find(table, { [key]: this.wanted[key] }, among);
      }
      this.rows = layerwise.rowsWhere(table, {}, among);
    }

    shownRows() { return this.rows.filter((row) => !this.hidden.has(row[this.view.legend])); }

    // What the parameters of the chart are set to.
    values() {
      const found = {};
      for (const { name } of this.view.chart.params ?? []) {
        const key = name.replace(/_name$/, "");
        const value = this.wanted[key] ?? layerwise.choice[key];
        if (value !== undefined) found[name] = key === name ? value : layerwise.named(key, value);
      }
      return found;
    }

    // What decides its rows.
    follows() { return JSON.stringify([this.view.follows.map((key) => layerwise.choice[key]), ...this.hidden]); }

    show() {
      this.stale = true;
      this.late = false;
      if (!this.drawn) return;
      if (this.follows() !== this.followed) {
        this.fit();
        this.drawn.data("rows", this.shownRows());
      }
      for (const [name, value] of Object.entries(this.values())) this.drawn.signal(name, value);
      this.shown = this.drawn.runAsync();
      this.describe();
      return this.shown;
    }

    describe() {
      if (this.view.legend) this.showLegend();
      this.showControls();
      this.say();
      this.tell();
    }

    // Controls of what this chart alone follows.
    showControls() {
      const focused = document.activeElement?.dataset.choice;
      const labels = Object.entries(this.own).map(([key, values]) => {
        const select = document.createElement("select");
        select.dataset.choice = key;
        select.append(...values.map((value) => new Option(layerwise.named(key, value), value)));
        select.value = this.wanted[key];
        select.addEventListener("change", () => layerwise.choose({ [key]: select.value }));
        const label = document.createElement("label");
        label.append(layerwise.word(key), select);
        return label;
      });
      const controls = this.part("controls");
      const had = controls.contains(document.activeElement);
      controls.replaceChildren(...labels);
      if (had) controls.querySelector(`[data-choice="${focused}"]`)?.focus();
    }

    say() {
      const shown = this.shownRows();
      const chosen = Object.entries(this.wanted).filter(([key, value]) => value !== undefined && !Array.isArray(value)
        && layerwise.values(this.view.rows, key).length > 1);
      const what = chosen.map(([key, value]) => `${layerwise.word(key)} ${layerwise.named(key, value)}`).join(", ");
      const line = this.part("shows");
      const missing = document.createElement("strong");
      missing.textContent = this.ignored.length ? ` Not as chosen: ${this.ignored.join("; ")}.` : "";
      if (!shown.length) missing.textContent += " There is nothing to draw for this choice.";
      line.replaceChildren(what && `Shown: ${what}.`, missing);
      this.part("chart").hidden = !shown.length;
      const title = this.section.querySelector("h3").textContent;
      this.part("chart").setAttribute("aria-label", `Chart. ${title} ${what}. ${this.extremes(shown)}`);
    }

    // The highest and the lowest value in words.
    extremes(rows) {
      const column = ["value", "difference", "score", "mean", "effect"].find((name) => rows.some((row) => row[name] !== undefined));
      if (!column) return `${rows.length} marks.`;
      const sorted = rows.filter((row) => row[column] !== null).sort((a, b) => a[column] - b[column]);
      const fields = [...new Set([this.view.legend, ...Object.keys(this.view.picks)])];
      const where = (row) => fields.filter((field) => row[field] !== undefined)
        .map((field) => `${layerwise.word(field)} ${row[field]}`).join(", ");
      return [["Highest", sorted.at(-1)], ["lowest", sorted[0]]].filter(([, row]) => row)
        .map(([end, row]) => `${end}: ${short(row[column])} (${where(row)})`).join("; ");
    }

    // A scale of the chart, if it has one of this name: bars and boxes have no shapes.
    scale(name) {
      try { return this.drawn.scale(name); } catch { return undefined; }
    }

    showLegend() {
      const field = this.view.legend;
      const legend = this.part("legend");
      const focused = document.activeElement?.dataset.value;
      const values = [...new Set(this.rows.map((row) => row[field]))];
      const [colour, shape] = ["color", "shape"].map((name) => this.scale(name));
      legend.replaceChildren(...values.map((value) => {
        const button = document.createElement("button");
        const mark = document.createElement("span");
        mark.textContent = `${SHAPES[shape?.(value)] ?? "●"} `;
        mark.style.color = colour?.(value);
        mark.ariaHidden = true;
        Object.assign(button, { type: "button", ariaPressed: !this.hidden.has(value) });
        button.dataset.value = value;
        button.append(mark, layerwise.named(field, value));
        button.addEventListener("click", () => {
          if (!this.hidden.delete(value)) this.hidden.add(value);
          this.show();
        });
        return button;
      }));
      if (focused !== undefined) [...legend.children].find((button) => button.dataset.value === focused)?.focus();
    }

    // The numbers as a table, of the chosen layer if it has rows.
    tell() {
      if (!this.numbers.open || !this.rows) return;
      const of_layer = this.rows.filter((row) => row.layer === layerwise.choice.layer || row.layer === -1);
      const rows = of_layer.length ? of_layer : this.rows;
      const columns = Object.keys(rows[0] ?? {}).filter(
        (name) => !LOOKS.includes(name) && (!(name in this.wanted) || Array.isArray(this.wanted[name])));
      const line = (tag, cells) => {
        const row = document.createElement("tr");
        for (const cell of cells) row.append(Object.assign(document.createElement(tag), { textContent: cell ?? "" }));
        return row;
      };
      const table = this.numbers.querySelector("table");
      table.replaceChildren(line("th", columns.map(layerwise.word)), ...rows.slice(0, MOST_ROWS).map(
        (row) => line("td", columns.map((name) => short(typeof row[name] === "string" ? layerwise.named(name, row[name]) : row[name])))));
    }
  }

  const charts = Object.entries(layerwise.data("charts")).map(([name, view]) => new Chart(name, view));
  const draw = (chart) => (chart.drawing ??= chart.draw());
  // What is out of sight follows the choice when it comes near: a large study has dozens of charts.
  const near = new Set();
  const catchUp = (chart) => chart.drawing?.then(() => (chart.late ? chart.show() : chart.shown));
  layerwise.views = {}; // Drawn Vega views, by name.
  layerwise.drawAll = () => Promise.all(charts.map((chart) => draw(chart).then(() => catchUp(chart))));
  // Fulfilled when the charts drawn so far show the choice.
  layerwise.settled = () => Promise.all(charts.map(catchUp)).then(() => {});
  layerwise.ready = new Promise((ready) => {
    const look = new IntersectionObserver((entries) => {
      const found = [];
      for (const { target, isIntersecting } of entries) {
        const chart = charts.find(({ section }) => section === target);
        if (isIntersecting) found.push(chart);
        near[isIntersecting ? "add" : "delete"](chart);
      }
      Promise.all(found.map((chart) => draw(chart).then(() => catchUp(chart)))).then(ready);
    }, { rootMargin: "400px" });
    for (const { section } of charts) look.observe(section);
  });
  const isInSight = ({ section }) => {
    const { top, bottom } = section.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  layerwise.onChoice(() => {
    for (const chart of charts) {
      if (near.has(chart) && isInSight(chart)) chart.show();
      else chart.late = true;
    }
    // Once what is in sight has been painted.
    requestAnimationFrame(() => setTimeout(() => near.forEach(catchUp), 50));
  });
  layerwise.onTheme(() => { for (const chart of charts) if (chart.drawn) chart.drawing = chart.draw(); });
  addEventListener("beforeprint", layerwise.drawAll);
}
