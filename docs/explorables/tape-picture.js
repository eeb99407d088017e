/** Draws a tape: its nodes in layers, the gradients on the edges, and how far backward has come. */

import { nodesOf } from "./engine.js";
import { inLayers } from "./layers.js";

const GAP = 14;
const LINE = 13;
const BOX = 7 + 3 * LINE;
const LAYER = 88;
const TOP = 26;
const PORT = 18;
/** The head of an arrow that points down. */
const HEAD = " m -4 -6 l 4 6 l 4 -6";
/** Units are pixels of a rem of 20, and a letter takes so many. */
const REM = 20;
const LETTER = 6.7;
const LONGEST = 14;

/** A number with four digits, as Python names what is none. */
export function brief(n) {
  if (Number.isNaN(n)) return "nan";
  return Number.isFinite(n) ? String(Number(n.toPrecision(4))) : `${n < 0 ? "-" : ""}inf`;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const text = (x, y, content, name = "", anchor = "middle") =>
  draw("text", { x, y, class: name, "text-anchor": anchor }, content);

const labelled = ({ text: name, value, isTensor }) => {
  const short = name.length > LONGEST ? "…" : name;
  return isTensor || !Number.isFinite(Number(name)) ? `${short} = ${brief(value)}` : brief(value);
};

/** The tensor or number of a box. */
const shown = ({ node, constant }) => constant ?? node.leaf ?? node.result;

/** What stands in the box of a node. */
function words(node, grads, isFreed) {
  if (node.leaf) return [node.name, labelled(node.leaf), `grad ${grads.has(node) ? brief(grads.get(node)) : "None"}`];
  const saved = Object.keys(node.saved).join(", ");
  return [node.name, labelled(node.result), saved ? `${isFreed ? "freed" : "saves"} ${saved}` : "saves nothing"];
}

/** A tape, or where there is none what stands in its place: the result, which requires no gradient. */
export class Picture {
  nodes;
  #result;
  #items;
  #edges;
  #size;

  constructor(result) {
    this.#result = result;
    this.nodes = result.node ? nodesOf(result.node) : [];
    this.#place();
  }

  /** Boxes for the nodes and, where an edge leads to none, for the constant there. */
  #place() {
    const items = this.nodes.map((node) => ({ node }));
    if (!items.length) items.push({ constant: this.#result, ends: [] });
    for (const [n, node] of this.nodes.entries()) {
      items[n].ends = node.ends.map((end, edge) => {
        if (end) return this.nodes.indexOf(end);
        return items.push({ constant: node.inputs[edge], ends: [] }) - 1;
      });
    }
    for (const item of items) {
      const lines = item.node ? words(item.node, new Map(), false) : ["None", labelled(shown(item))];
      item.width = Math.max(56, ...lines.map((line) => line.length * LETTER + 12));
    }
    const { places, between } = inLayers(items, GAP);
    const lefts = places.map(({ x, width }) => x - width / 2);
    const rights = places.map(({ x, width }) => x + width / 2);
    const passed = between.flat(2).map(({ x }) => x);
    const left = Math.min(...lefts, ...passed) - 10;
    for (const place of new Set([...places, ...between.flat(2)])) {
      place.x -= left;
      place.y = TOP + place.layer * LAYER;
    }
    for (const [n, item] of items.entries()) Object.assign(item, { x: places[n].x, y: places[n].y });
    this.#items = items;
    const depth = Math.max(...places.map(({ layer }) => layer));
    this.#size = [Math.max(...rights, ...passed) - left + 10, TOP + depth * LAYER + BOX + 6];
    this.#edges = items.flatMap(({ ends }, from) =>
      ends.map((to, edge) => ({ from, to, edge, passed: between[from][edge] })),
    );
    const nextX = ({ to, passed }) => (passed[0] ?? items[to]).x;
    for (const [n, item] of items.entries()) {
      // The edges of a node leave it and arrive in the order in which they do not cross.
      const leaving = this.#edges.filter(({ from }) => from === n).sort((one, other) => nextX(one) - nextX(other));
      for (const [i, edge] of leaving.entries()) edge.side = 2 * i + 1 - leaving.length;
      const lastX = ({ from, side, passed }) => (passed.at(-1) ?? items[from]).x + side;
      const coming = this.#edges.filter(({ to }) => to === n).sort((one, other) => lastX(one) - lastX(other));
      for (const [i, edge] of coming.entries()) edge.end = item.x + (i - (coming.length - 1) / 2) * 12;
    }
  }

  /** The picture after some steps of a pass. `failed` is the node at which torch raised. */
  draw({ steps, grads, freed, failed }) {
    const [width, height] = this.#size;
    const order = new Map(steps.map(({ node }, n) => [node, n + 1]));
    const out = new Map(steps.map((step) => [step.node, step.out]));
    const on = failed ?? steps.at(-1)?.node;
    const state = (node) => {
      if (!node) return "constant";
      if (node === on) return failed ? "failed" : "on";
      return order.has(node) ? "done" : "";
    };
    const edges = this.#edges.map((edge) => this.#edge(edge, out.get(this.#items[edge.from].node)?.[edge.edge]));
    if (this.nodes.length) edges.push(this.#start(order.size > 0));
    const boxes = this.#items.map((item, n) => {
      const { node } = item;
      const lines = node ? words(node, grads, freed.has(node)) : ["None", labelled(shown(item))];
      return box(n, item, {
        state: state(node),
        value: shown(item).value,
        lines,
        order: order.get(node),
        hasGrad: grads.has(node),
      });
    });
    return draw(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, style: `width: ${width / REM}rem; min-width: ${(0.8 * width) / REM}rem` },
      ...edges.map(({ path }) => path),
      ...boxes,
      ...edges.flatMap(({ label }) => label),
    );
  }

  /** Where the first gradient comes in. */
  #start(isGone) {
    const { x } = this.#items[0];
    return {
      path: draw("path", { class: isGone ? "gone" : "", d: `M ${x} 4 V ${TOP}${HEAD}` }),
      label: isGone ? [text(x + 6, 14, "1", "gone", "start")] : [],
    };
  }

  #edge({ from, to, edge, side, passed, end }, gradient) {
    const [above, below] = [this.#items[from], this.#items[to]];
    const [x, y] = [above.x + side * PORT, above.y + BOX];
    const isGone = gradient !== undefined;
    const middle = (x + (passed[0]?.x ?? end)) / 2 + (side < 0 ? -4 : 4);
    const state = isGone ? "gone" : below.node ? "" : "constant";
    return {
      path: draw("path", {
        class: state,
        d: way([x, y], [...passed, { x: end, y: below.y }]),
        "data-edge": `${from} ${edge} ${to}`,
      }),
      label: isGone ? [text(middle, y + 25, brief(gradient), "gone", side < 0 ? "end" : "start")] : [],
    };
  }
}

/** A curve from a place through others, upright where it arrives and leaves. */
function way([x, y], places) {
  let d = `M ${x} ${y}`;
  for (const place of places) {
    const middle = (y + place.y) / 2;
    d += ` C ${x} ${middle} ${place.x} ${middle} ${place.x} ${place.y}`;
    [x, y] = [place.x, place.y + BOX];
    d += place === places.at(-1) ? HEAD : ` V ${y}`;
  }
  return d;
}

function box(n, { x, y, width }, { state, value, lines, order, hasGrad }) {
  const left = x - width / 2;
  const height = 7 + lines.length * LINE;
  const badge = order ? [draw("circle", { cx: left, cy: y, r: 8 }), text(left, y + 3.5, order, "order")] : [];
  const names = ["name", "value", hasGrad ? "note grad" : "note"];
  return draw(
    "g",
    { class: state, "data-item": n, "data-value": value },
    draw("rect", { x: left, y, width, height, rx: 5 }),
    ...lines.map((line, i) => text(x, y + (i + 1) * LINE, line, names[i])),
    ...badge,
  );
}
