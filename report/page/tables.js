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
  // DataTables is run when the first table is opened: the page needs it for nothing else.
  const loadLibrary = () => {
    if (window.jQuery) return;
    document.head.append(Object.assign(document.createElement("script"), { textContent: layerwise.data("datatables") }));
    for (const [type, numeric] of Object.entries(types)) {
      const text = (cell) => key(String(cell).replace(/<[^>]*>/g, "").trim(), numeric);
      jQuery.fn.dataTable.type(type, "order", { pre: text, asc: compare(1), desc: compare(-1) });
    }
  };

  const makeSortable = (table, title) => {
    const long = table.tBodies[0].rows.length > ROWS || null;
    const made = jQuery(table).DataTable({
      autoWidth: false,
      order: [],
      columnDefs: [{ targets: "number", type: "numbers" }, { targets: "_all", type: "words" }],
      layout: { topStart: null, topEnd: null, bottomStart: long && "info", bottomEnd: long && "paging" },
      paging: long,
      pageLength: ROWS,
      language: {
        paginate: { first: "First", previous: "Previous", next: "Next", last: "Last" },
        zeroRecords: "No row holds these words.", info: "Rows _START_ to _END_ of _TOTAL_", infoEmpty: "", infoFiltered: "(_MAX_ without the filter)",
      },
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
      loadLibrary();
      const sections = details.querySelector(".sections");
      // Hidden until a page of rows is left, so that the browser lays out no more than that.
      sections.hidden = true;
      sections.innerHTML = content().html;
      let title = "";
      for (const part of [...sections.children]) {
        if (part.matches("h3")) title = part.textContent;
        const table = part.querySelector("table");
        if (!table) continue;
        // It scrolls within what DataTables puts around it.
        part.classList.remove("scroll");
        made.push(makeSortable(table, title));
      }
      sections.hidden = false;
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
