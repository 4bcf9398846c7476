"use strict";
// Tables are made when they are opened: to sort, to filter, in pages where they are long.
{
  const ROWS = 50;
  const DASH = "–";
  const words = new Intl.Collator("en", { numeric: true });
  // The number that a cell begins with, as "−3.1 [−5.0, −1.2]", "< 0.001" or "12 / 24".
  const number = (text) => Number.parseFloat(text.replace(/^[<≤>≥±\s]+/, "").replace("−", "-"));
  // As [group, number, text]: numbers come before words, and dashes last whichever way one sorts.
  const key = (text, numeric) => {
    if (text === DASH || text === "") return [2, 0, text];
    const value = numeric ? number(text) : Number.NaN;
    return Number.isNaN(value) ? [1, 0, text] : [0, value, text];
  };
  const compare = (way) => (a, b) => a[0] - b[0] || way * (a[1] - b[1] || words.compare(a[2], b[2]));
  const types = { words: false, numbers: true };
  for (const [type, numeric] of Object.entries(types)) {
    const text = (cell) => key(String(cell).replace(/<[^>]*>/g, "").trim(), numeric);
    jQuery.fn.dataTable.type(type, "order", { pre: text, asc: compare(1), desc: compare(-1) });
  }

  const makeSortable = (table, title) => {
    const rows = table.tBodies[0].rows.length;
    const made = jQuery(table).DataTable({
      autoWidth: false,
      order: [],
      columnDefs: [{ targets: "number", type: "numbers" }, { targets: "_all", type: "words" }],
      layout: { topStart: null, topEnd: null, bottomStart: rows > ROWS ? "info" : null, bottomEnd: rows > ROWS ? "paging" : null },
      paging: rows > ROWS,
      pageLength: ROWS,
      language: { zeroRecords: "No row holds these words.", info: "Rows _START_ to _END_ of _TOTAL_", infoEmpty: "", infoFiltered: "(_MAX_ without the filter)" },
    });
    makeReachable(table.parentElement, title);
    return made;
  };

  // What scrolls can be scrolled with the keyboard.
  const makeReachable = (box, title) => {
    box.classList.add("scroll");
    Object.assign(box, { tabIndex: 0, role: "region", ariaLabel: title });
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page without a server may not reach the clipboard: copy what is selected.
      const field = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(field);
      field.select();
      const copied = document.execCommand("copy");
      field.remove();
      if (!copied) throw new Error("the browser does not allow it");
    }
  };

  for (const details of document.querySelectorAll("[data-table]")) {
    const content = () => layerwise.data(`table-${details.dataset.table}`);
    const status = details.querySelector(".status");
    const search = details.querySelector("[type=search]");
    const made = [];
    details.addEventListener("toggle", () => {
      if (!details.open || made.length) return;
      const sections = details.querySelector(".sections");
      sections.innerHTML = content().html;
      for (const table of sections.querySelectorAll("table")) {
        const title = table.closest(".scroll").previousElementSibling?.textContent ?? "";
        table.closest(".scroll").classList.remove("scroll");
        made.push(makeSortable(table, title));
      }
    });
    search.addEventListener("input", () => {
      let left = 0;
      for (const table of made) left += table.search(search.value).draw().page.info().recordsDisplay;
      status.textContent = search.value ? `${left} ${left === 1 ? "row" : "rows"}` : "";
    });
    for (const button of details.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", async () => {
        try {
          await copy(content()[button.dataset.copy]);
          status.textContent = "Copied.";
        } catch (error) {
          status.textContent = `Not copied: ${error.message}. Take the file.`;
        }
      });
    }
  }
}
