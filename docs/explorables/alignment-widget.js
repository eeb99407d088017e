/** What `<explore-alignment>` becomes: two shapes to write, how they line up, and which of their elements meet. */

import { align, broadcast, fits, met, pairs, stridesIn } from "./broadcast.js";
import { broadcastColumn, lineup } from "./lineup.js";
import { matrix } from "./matrix.js";
import { Pair } from "./pair.js";
import { bracketed, make, stopAt, term, times, tint, walk } from "./parts.js";
import { readShape, Unread } from "./read.js";
import { count, dense, indexOf, tuple } from "./views.js";

const EXAMPLES = [
  ["a bias", "32, 10", "10"],
  ["the trap of a loss", "4, 1", "4"],
  ["the trap of a square", "8, 8", "8"],
  ["channels, refused", "3, 32, 32", "3"],
  ["channels with None", "3, 32, 32", "3, 1, 1"],
  ["all pairs of digits", "1797, 1, 64", "1797, 64"],
  ["an empty batch", "0, 10", "10"],
];
const COLUMNS = ["Tensor", "Strides in a + b", "Elements", "Bytes", "Used"];
const LARGEST = 10 ** 15;
/** How much of every dimension is drawn. */
const MOST = 6;

const inGroups = (n) => n.toLocaleString("en");
const corner = (shape) => shape.map((size) => Math.min(size, MOST));
const isLarge = (shape) => count(shape.map((size) => Math.max(size, 1))) > LARGEST;

/** The shape that the reader wrote. Throws `Unread` where there is none to line up. */
function read(text) {
  const shape = readShape(text);
  if (shape.length <= 4 && shape.every((size) => size >= 0) && !isLarge(shape)) return shape;
  throw new Unread(text, "Lined up are up to 4 dimensions and 10**15 elements, and no size below zero.", "Not shown");
}

/** The broadcast shape. Throws `Unread` where it is larger than numbers are exact, and what torch raises. */
function combine(a, b) {
  const shape = broadcast(a, b);
  if (!isLarge(shape)) return shape;
  throw new Unread(`${tuple(a)} and ${tuple(b)}`, "The result has more than 10**15 elements.", "Not shown");
}

const often = (n) => (n === 1 ? "once" : `${inGroups(n)} times`);

/** What runs, and is a mistake in many programs: a sentence and an advice for each. */
function traps(a, b) {
  const each = pairs(a, b);
  const found = [];
  if (each) {
    const sentence = `Each of ${each} in a meets each of ${each} in b.`;
    const otherwise = "In a loss or a comparison every prediction meets every target: give a and b one shape.";
    found.push([sentence, `Right for all pairs. ${otherwise}`]);
  }
  const [short, long] = a.length < b.length ? ["a", "b"] : ["b", "a"];
  const [sizes, behind] = [{ a, b }[short], Math.abs(a.length - b.length)];
  const [here, ...others] = fits(sizes, { a, b }[long]);
  if (here === behind && others.length) {
    const elsewhere = others.map((first) => {
      const shape = [...sizes, ...times(behind - first, () => 1)];
      return `As ${tuple(shape)} it would meet ${named(sizes, first)}.`;
    });
    const sentence = `${short} fits ${long} in more than one place, so a mistake would not raise.`;
    found.push([sentence, `Lined up from the right it meets ${named(sizes, here)}. ${elsewhere.join(" ")}`]);
  }
  return found;
}

/** The dimensions that a shape meets with sizes above 1, if its first one meets `first`. */
function named(shape, first) {
  const dims = [...shape.keys()].filter((dim) => shape[dim] !== 1).map((dim) => first + dim);
  return `dimension${dims.length > 1 ? "s" : ""} ${dims.join(" and ")}`;
}

/** The shapes below each other, and below each dimension its verdict. */
function lined(a, b) {
  const columns = align(a, b).map((dimension, dim) => broadcastColumn(`dimension ${dim}`, dimension));
  if (columns.length) return [lineup("a + b", columns)];
  return [make("p", {}, "a, b and a + b have the shape (). No dimension is there to line up.")];
}

/** A number of bytes for people: 63400000 is `63.4 MB`. */
function inUnits(bytes) {
  const units = ["kB", "MB", "GB", "TB", "PB"];
  const n = Math.min(Math.floor((String(bytes).length - 1) / 3), units.length);
  return n ? [make("small", {}, `${(bytes / 1000 ** n).toFixed(1)} ${units[n - 1]}`)] : [];
}

function memoryRow(name, shape, stride, used) {
  const elements = count(shape);
  const values = [stride, inGroups(elements), inGroups(4 * elements), used];
  const cells = values.map((value, i) => make("td", { "data-name": COLUMNS[i + 1] }, value));
  cells[2].append(...inUnits(4 * elements));
  return make("tr", {}, make("th", { scope: "row" }, name), ...cells);
}

/** What a, b and the result take of the memory, and how a and b are walked. */
function memoryTable(a, b, result) {
  const own = (name, shape) =>
    memoryRow(
      name,
      shape,
      tuple(stridesIn(result, shape)),
      count(shape) ? often(count(result) / count(shape)) : "none",
    );
  const heads = COLUMNS.map((name) => make("th", { scope: "col" }, name));
  return make(
    "table",
    { class: "steps memory", "aria-label": "memory" },
    make("thead", {}, make("tr", {}, ...heads)),
    make(
      "tbody",
      {},
      own("a", a),
      own("b", b),
      memoryRow("a + b", result, count(result) ? tuple(dense(result)) : "none", ""),
    ),
  );
}

/** A matrix of a tensor, or all of it below rank 3: `build` makes the cell for an index. */
function drawn(name, shape, lead, attributes, build) {
  const rank = shape.length;
  const [rows, columns] = [-2, -1].map((dim) => corner(shape).at(dim) ?? 1);
  const indexAt = (i, j) => (rank ? [...lead, i, j].slice(-rank) : []);
  const ends = shape.slice(-2).map((size) => (size > MOST ? `:${MOST}` : ":"));
  const label = rank ? `${name}${bracketed([...lead, ...ends])}` : name;
  const cell = (i, j) => build(indexAt(i, j), i * columns + j, rows * columns);
  return matrix(label, [rows, columns], [rank > 1, rank > 0], attributes, cell);
}

/** Whether a tensor is better drawn beside the result than above it: its columns are repeated, or the other's rows. */
function isBeside(shape, other) {
  const [isColumn, isRow] = [-1, -2].map((dim) => (sizes) => (sizes.at(dim) ?? 1) === 1);
  return (isColumn(shape) && !isColumn(other)) || (isRow(other) && !isRow(shape));
}

/** An index without the part that the name of the table tells. */
const short = (index) => index.slice(-2).join(",") || "()";
const element = (name, index) => `${name}[${index.length ? index.join(", ") : "()"}]`;

class Widget {
  #pair;
  #memory = make("div", { class: "wide" });
  #which = make("select");
  #choice = make("label", { class: "choice" }, "Matrix of the result ", this.#which);
  #meeting = make("div", { class: "wide" });
  #told = make("p", { class: "sum" });
  /** The shapes that the fields say, the broadcast shape, and of each cell that is drawn `{box, index, a, b}`. */
  #a;
  #b;
  #result;
  #cells;

  constructor(shapes) {
    const detail = make(
      "div",
      {},
      this.#memory,
      make(
        "p",
        { class: "hint" },
        "Four bytes each, as in float32. However often it is used, an element is stored once.",
      ),
      make("h3", {}, "Which elements meet"),
      this.#choice,
      this.#told,
      this.#meeting,
    );
    const show = (...all) => this.#show(...all);
    this.#pair = new Pair(shapes, { examples: EXAMPLES, read, combine, lined, show, detail });
    this.form = this.#pair.form;
    this.#which.addEventListener("input", () => this.#draw());
    this.#meeting.addEventListener("keydown", (event) => this.#walk(event));
    this.#meeting.addEventListener("pointerover", (event) => this.#point(this.#cellAt(event)));
    this.#meeting.addEventListener("focusin", (event) => {
      this.#point(this.#cellAt(event));
      this.#stop(this.#cellAt(event));
    });
    this.#pair.run();
  }

  #show(a, b, result) {
    [this.#a, this.#b, this.#result] = [a, b, result];
    const doubts = traps(a, b).map(([sentence, advice]) => [make("b", {}, sentence), ` ${advice}`]);
    this.#pair.tell(`a + b: shape ${tuple(result)}`, doubts);
    this.#memory.replaceChildren(memoryTable(a, b, result));
    const leading = corner(result.slice(0, -2));
    const matrices = times(count(leading), (n) => indexOf(n, leading));
    this.#which.replaceChildren(
      ...matrices.map((index) => make("option", { value: index.join() }, bracketed([...index, ":", ":"]))),
    );
    this.#which.value = matrices.at(-1)?.join();
    this.#choice.hidden = matrices.length < 2;
    this.#draw();
  }

  /** Draw the matrix of the result that is chosen, and of a and b what meets there. */
  #draw() {
    const [a, b, result] = [this.#a, this.#b, this.#result];
    this.#cells = [];
    this.#told.hidden = !count(result);
    if (!count(result)) return this.#meeting.replaceChildren("None: a size is 0.");
    const lead = this.#which.value.split(",").filter(Boolean).map(Number);
    const start = [...lead, ...result.slice(-2).map(() => 0)];
    const operand = (name, shape, place) => {
      const boxes = {};
      const own = met(start, shape).slice(0, -2);
      const table = drawn(name, shape, own, { class: `numbers ${place}` }, (index, n, all) => {
        boxes[index] = make("td", { class: `of-${name}`, style: tint(n, all) }, short(index));
        return boxes[index];
      });
      return { table, boxes };
    };
    const swapped = isBeside(b, a);
    const places = swapped ? ["above", "beside"] : ["beside", "above"];
    const columns = (corner(swapped ? b : a).at(-1) ?? 1) + corner(result).at(-1);
    const [first, second] = [operand("a", a, places[0]), operand("b", b, places[1])];
    const half = (box) => make("span", { class: box.className, style: box.getAttribute("style") }, box.textContent);
    const cell = (index) => {
      const [i, j] = [met(index, a), met(index, b)];
      const label = `${bracketed(index)}: ${element("a", i)} and ${element("b", j)}`;
      const halves = [half(first.boxes[i]), half(second.boxes[j])];
      const box = make("td", { tabindex: -1, "data-cell": this.#cells.length, "aria-label": label }, ...halves);
      this.#cells.push({ box, index, a: i, b: j, boxes: [first.boxes[i], second.boxes[j]] });
      return box;
    };
    const together = drawn("(a + b)", result, lead, { class: "numbers", role: "grid" }, cell);
    const place = { class: columns > MOST ? "meeting halves much" : "meeting halves" };
    this.#meeting.replaceChildren(make("div", place, first.table, second.table, together));
    this.#stop(this.#cells.at(-1).box);
    this.#point(this.#cells.at(-1).box);
  }

  #cellAt({ target }) {
    return target.closest("[data-cell]");
  }

  #boxes() {
    return this.#cells.map(({ box }) => box);
  }

  #stop(box) {
    if (box) stopAt(box, this.#boxes());
  }

  /** Mark a cell and the two elements that meet in it, and name them. */
  #point(box) {
    if (!box) return;
    const { index, a, b, boxes } = this.#cells[box.dataset.cell];
    for (const marked of this.#meeting.querySelectorAll(".on")) marked.classList.remove("on");
    for (const marked of [box, ...boxes]) marked.classList.add("on");
    this.#told.replaceChildren(
      term("of the result", bracketed(index)),
      term("of a", element("a", a), "="),
      term("of b", element("b", b), "+"),
    );
  }

  #walk(event) {
    const box = this.#cellAt(event);
    if (box) walk(event, this.#boxes(), box, corner(this.#result).at(-1));
  }
}

/** Put the widget above the worked example, which makes `a` and `b` with `reshape`, and start where that does. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const shapes = ["a", "b"].map((name) => new RegExp(`^${name} = .*\\.reshape\\((.*)\\)`, "m").exec(code)[1]);
  element.prepend(new Widget(shapes).form);
}
