"use strict";
// Dark and light: as the reader's system has it, until the button says otherwise. index.html.j2 sets it before anything is
// drawn.
layerwise.themeListeners = [];
layerwise.theme = () => document.documentElement.dataset.theme;
layerwise.onTheme = (listener) => layerwise.themeListeners.push(listener);

layerwise.setTheme = (theme) => {
  if (theme === layerwise.theme()) return;
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll(".theme")) button.setAttribute("aria-pressed", theme === "dark");
  for (const listener of layerwise.themeListeners) listener(theme);
};

// A colour of style.css, such as "--text".
layerwise.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The look of every chart.
layerwise.vegaConfig = () => {
  const [panel, text, quiet, line, accent] =
    ["--panel", "--text", "--quiet", "--line", "--accent"].map(layerwise.colour);
  const palette = [1, 2, 3, 4, 5, 6, 7].map((place) => layerwise.colour(`--c${place}`));
  const font = layerwise.colour("--body");
  const axes = { domainColor: quiet, gridColor: line, tickColor: quiet, labelColor: text, titleColor: text };
  const words = { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    // Of its own, so that a dark chart that is printed stays readable.
    background: panel,
    font,
    view: { stroke: null },
    axis: { ...axes, ...words },
    legend: { labelColor: text, titleColor: text, labelLimit: 260, ...words },
    header: { labelColor: text, titleColor: text, ...words },
    title: { color: text, subtitleColor: quiet, fontWeight: "normal" },
    range: { category: palette },
    mark: { color: palette[0] },
    text: { color: text },
    rule: { color: quiet },
    line: { strokeWidth: 2 },
    selection: { interval: { mark: { stroke: accent } } },
  };
};

{
  const KEY = "layerwise-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = false;
  // A browser may forbid a page without a server to keep anything.
  const keep = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* It is asked again next time. */ } };
  try { chosen = Boolean(localStorage.getItem(KEY)); } catch { /* Nothing is kept. */ }

  for (const button of document.querySelectorAll(".theme")) {
    button.hidden = false;
    button.setAttribute("aria-pressed", layerwise.theme() === "dark");
    button.addEventListener("click", () => {
      const theme = layerwise.theme() === "dark" ? "light" : "dark";
      chosen = true;
      keep(theme);
      layerwise.setTheme(theme);
    });
  }
  system.addEventListener("change", () => { if (!chosen) layerwise.setTheme(system.matches ? "dark" : "light"); });

  let before = null;
  addEventListener("beforeprint", () => { before = layerwise.theme(); layerwise.setTheme("light"); });
  addEventListener("afterprint", () => { if (before) layerwise.setTheme(before); before = null; });
}
