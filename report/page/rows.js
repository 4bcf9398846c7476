"use strict";
// Tables of the page: columns, see layerwise/explore/columns.py. `layerwise` holds all that the scripts share.
const layerwise = { blocks: {} };

// A block of JSON, each of its tables with whole columns; null if the page has none of that name.
layerwise.data = (name) => {
  if (!(name in layerwise.blocks)) {
    const block = document.getElementById(`data-${name}`);
    layerwise.blocks[name] = block && layerwise.unpack(JSON.parse(block.textContent));
  }
  return layerwise.blocks[name];
};

layerwise.unpack = (value) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if (typeof value.rows === "number" && value.columns) {
    for (const [name, column] of Object.entries(value.columns)) value.columns[name] = layerwise.unpackColumn(column);
  } else for (const part of Object.values(value)) layerwise.unpack(part);
  return value;
};

// As columns.py packs them: text has {values, codes}, repeated numbers {numbers, codes}; runs may stand for codes.
layerwise.unpackColumn = (column) => {
  if (Array.isArray(column)) return column;
  const { values, numbers, runs } = column;
  let codes = column.codes;
  if (runs) {
    codes = [];
    for (let at = 0; at < runs.length; at += 2) for (let n = runs[at + 1]; n > 0; n--) codes.push(runs[at]);
  }
  return numbers ? codes.map((code) => numbers[code] ?? null) : { values, codes };
};

// Numbers of the rows, among some or all, that have these values. Of a list, a row has one of its values.
layerwise.find = (table, wanted = {}, among = null) => {
  let found = among ?? Array.from({ length: table.rows }, (_, row) => row);
  for (const [name, value] of Object.entries(wanted)) {
    const column = table.columns[name];
    const isText = !Array.isArray(column);
    const codes = isText ? column.codes : column;
    const these = new Set([value].flat().map((one) => (isText ? column.values.indexOf(one) : one)));
    found = found.filter((row) => these.has(codes[row]));
  }
  return found;
};

// The values of a column that occur in these rows, in the order of the table.
layerwise.values = (table, name, wanted = {}, among = null) => {
  const column = table.columns[name];
  const isText = !Array.isArray(column);
  if (isText && !among && !Object.keys(wanted).length) return column.values;
  const found = new Set();
  for (const row of layerwise.find(table, wanted, among)) found.add(isText ? column.codes[row] : column[row]);
  found.delete(isText ? -1 : null);
  return [...found].map((value) => (isText ? column.values[value] : value));
};

// These rows as objects.
layerwise.rowsWhere = (table, wanted, among) =>
  layerwise.find(table, wanted, among).map((row) => layerwise.row(table, row));

layerwise.row = (table, row) => Object.fromEntries(Object.entries(table.columns).map(
  ([name, column]) => [name, Array.isArray(column) ? column[row] : column.values[column.codes[row]] ?? null]));
