"use strict";
// Tables of the page: columns, see layerwise/explore/columns.py. `layerwise` holds all that the scripts share.
const layerwise = {};

layerwise.data = (name) => JSON.parse(document.getElementById(`data-${name}`).textContent);

// The values of a column that occur, in the order of the table.
layerwise.values = (table, name) => {
  const column = table.columns[name];
  return column.values ?? [...new Set(column)];
};

// The rows that have these values, as objects.
layerwise.rowsWhere = (table, wanted) => {
  const tests = Object.entries(wanted).map(([name, value]) => {
    const column = table.columns[name];
    if (!column.values) return (row) => column[row] === value;
    const code = column.values.indexOf(value);
    return (row) => column.codes[row] === code;
  });
  const found = [];
  for (let row = 0; row < table.rows; row++) {
    if (tests.every((test) => test(row))) found.push(layerwise.row(table, row));
  }
  return found;
};

layerwise.row = (table, row) => Object.fromEntries(Object.entries(table.columns).map(
  ([name, column]) => [name, column.values ? column.values[column.codes[row]] ?? null : column[row]]));
