/** Shapes below each other as in a sum: above the line what is combined, below it what comes out, and why. */

import { make } from "./parts.js";

/** What becomes of two sizes that meet in broadcasting, in words. */
function verdict({ a, b, size }) {
  if (size === undefined) return differ(a, b);
  const repeated = size === 1 ? "" : `, repeated ${size} times`;
  if (a === undefined || b === undefined) return `missing in ${a === undefined ? "a" : "b"}, counts as 1${repeated}`;
  return a === b ? "equal" : `the 1 of ${a === 1 ? "a" : "b"}${repeated.replace(",", " is")}`;
}

export const differ = (a, b) => `refused: ${a} and ${b} differ`;

/** A size that a shape lacks: what is heard before it, and the 1 that torch puts there. */
export const missing = (heard) => [
  make("span", { class: "heard" }, `${heard} `),
  make("span", { class: "missing" }, 1),
];

/** A column for `lineup`, of a dimension that `align` found. */
export function broadcastColumn(head, dimension) {
  const [a, b] = [dimension.a, dimension.b].map((size) =>
    size === undefined ? missing("missing, counts as") : [size],
  );
  return {
    head,
    a,
    b,
    result: [dimension.size ?? "?"],
    why: verdict(dimension),
    refused: dimension.size === undefined,
  };
}

/** A table of columns `{head, a, b, result, why, refused}`. */
export function lineup(result, columns) {
  const row = (head, cell) => make("tr", {}, make("th", { scope: "row" }, head), ...columns.map(cell));
  const sizes = (name) => (column) => make("td", {}, ...column[name]);
  const heads = columns.map(({ head }) => make("th", { scope: "col" }, head));
  return make(
    "table",
    { class: "aligned", "aria-label": "shapes lined up" },
    make("thead", {}, make("tr", {}, make("td"), ...heads)),
    make("tbody", {}, row("a", sizes("a")), row("b", sizes("b"))),
    make(
      "tfoot",
      {},
      row(result, sizes("result")),
      row("why", ({ why, refused }) => make("td", refused ? { class: "refused" } : {}, why)),
    ),
  );
}
