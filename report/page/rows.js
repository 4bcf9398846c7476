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

// As columns.py packs them. Text stays {values, codes}; numbers become a list. Plain loops: there may be millions.
layerwise.unpackColumn = (column) => {
  if (Array.isArray(column)) return column;
  const { values, numbers, floats, runs } = column;
  if (floats !== undefined) {
    const letters = atob(floats);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
    const found = [...new Float64Array(bytes.buffer)];
    for (let row = 0; row < found.length; row++) if (!Number.isFinite(found[row])) found[row] = null;
    return found;
  }
  let codes = column.codes;
  if (runs) {
    codes = [];
    for (let at = 0; at < runs.length; at += 2) for (let n = runs[at + 1]; n > 0; n--) codes.push(runs[at]);
  }
  return numbers ? codes.map((code) => numbers[code] ?? null) : { values, codes };
};

// Numbers of the rows, among some or all, that have these values. Of a list, a row has one of its values.
layerwise.find = (table, wanted = {}, among = null) => {
  let found = among;
  for (const [name, value] of Object.entries(wanted)) {
    const column = table.columns[name];
    const isText = !Array.isArray(column);
    const codes = isText ? column.codes : column;
    const these = new Set([value].flat().map((one) => (isText ? column.values.indexOf(one) : one)));
    const rows = [];
    if (found) for (const row of found) if (these.has(codes[row])) rows.push(row);
    if (!found) for (let row = 0; row < table.rows; row++) if (these.has(codes[row])) rows.push(row);
    found = rows;
  }
  return found ?? Array.from({ length: table.rows }, (_, row) => row);
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

// These rows as objects. A choice makes thousands.
layerwise.rowsWhere = (table, wanted, among) => {
  const columns = Object.entries(table.columns)
    .map(([name, column]) => (Array.isArray(column) ? [name, column] : [name, column.codes, column.values]));
  return layerwise.find(table, wanted, among).map((row) => {
    const found = {};
    for (const [name, codes, values] of columns) found[name] = values ? values[codes[row]] ?? null : codes[row];
    return found;
  });
};

layerwise.row = (table, row) => layerwise.rowsWhere(table, {}, [row])[0];
