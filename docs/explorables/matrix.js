/** A matrix as a table of boxes below its name. */

import { make, times } from "./parts.js";

/**
 * `cell(i, j)` makes the boxes. Rows and columns are numbered where a dimension is behind them: a vector has one row
 * without a number, or one column.
 */
export function matrix(label, [rows, columns], [numbersRows, numbersColumns], attributes, cell) {
  const heads = times(numbersColumns && columns, (j) => make("th", { scope: "col" }, j));
  const line = (i) =>
    make("tr", {}, numbersRows ? make("th", { scope: "row" }, i) : make("td"), ...times(columns, (j) => cell(i, j)));
  return make(
    "table",
    { "aria-label": label, ...attributes },
    make("caption", {}, label),
    make("thead", {}, make("tr", {}, make("td"), ...heads)),
    make("tbody", {}, ...times(rows, line)),
  );
}
