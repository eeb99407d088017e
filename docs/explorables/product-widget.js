/** What `<explore-product>` becomes: two shapes to write, which sizes meet, and a walk through the elements. */

import { broadcastColumn, differ, lineup, missing } from "./lineup.js";
import { asMatrices, lineUp, matricesOf, meeting, multiply, valueAt } from "./matmul.js";
import { matrix } from "./matrix.js";
import { Pair } from "./pair.js";
import { announce, bracketed, make, term, walk } from "./parts.js";
import { readShape, Unread } from "./read.js";
import { count, indexOf, tuple } from "./views.js";

const EXAMPLES = [
  ["two matrices", "2, 3", "3, 4"],
  ["a vector on the left", "3", "3, 4"],
  ["a vector on the right", "2, 3", "3"],
  ["two vectors", "3", "3"],
  ["a column and a row", "3, 1", "1, 4"],
  ["points and turns", "4, 2", "4, 2, 2"],
  ["points with None", "4, 1, 2", "4, 2, 2"],
  ["a layer's weight, refused", "5, 3", "2, 3"],
  ["nothing to add up", "2, 0", "0, 3"],
];
/** What boxes beside each other may take on a telephone, in rem. */
const NARROW = 13.5;

/** The shape that the reader wrote. Throws `Unread` where there is none to draw. */
function read(text) {
  const shape = readShape(text);
  if (shape.length <= 4 && shape.every((size) => size >= 0 && size <= 6) && count(shape) <= 100) return shape;
  throw new Unread(text, "Drawn are up to 4 dimensions with sizes from 0 to 6, and 100 elements.", "Not drawn");
}

const inPython = (shape) => `torch.arange(1, ${count(shape) + 1}).view(${shape.join(", ") || "()"})`;

/** A size that is not in the result: the one that was summed over, or the 1 of a vector. */
const gone = (size) => [make("span", { class: "heard" }, "gone: "), make("s", {}, size)];

const tinted = (name, size) => [make("span", { class: `of-${name} met` }, size)];

/** The column of a size that stays. A vector has none: the 1 that it gets is taken away again. */
function outer(name, head, size, isVector) {
  const own = isVector ? missing("missing, counts as") : tinted(name, size);
  return {
    head,
    a: name === "a" ? own : [],
    b: name === "b" ? own : [],
    result: isVector ? gone(1) : own.map((part) => part.cloneNode(true)),
    why: isVector ? `${name} is a vector: a 1 is put there, then taken away` : `stays from ${name}`,
  };
}

/** The shapes below each other, and the line of Python that multiplies two such tensors. */
function lined(a, b) {
  const code = make("code", { class: "paste" }, `${inPython(a)} @ ${inPython(b)}`);
  const check = make("p", {}, make("small", {}, "To check it in Python"), code);
  if (!a.length || !b.length) return [check];
  const { batch, rows, inner, columns } = lineUp(a, b);
  const [m, n] = inner;
  const summed =
    m === n
      ? { result: gone(m), why: "equal: the sum runs over them" }
      : { result: ["?"], why: differ(m, n), refused: true };
  const table = lineup("a @ b", [
    ...batch.map((dimension, dim) => broadcastColumn(`batch ${dim}`, dimension)),
    outer("a", "rows of a", rows, a.length === 1),
    { head: "must be equal", a: tinted("a", m), b: tinted("b", n), ...summed },
    outer("b", "columns of b", columns, b.length === 1),
  ]);
  return [table, check];
}

const plural = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;

/** What the product takes. */
function cost(elements, products) {
  if (!elements) return "A size is 0, so it has no element. 0 multiplications.";
  const multiplications = plural(elements * products, "multiplication");
  return `${plural(elements, "element")}, ${plural(products, "product")} each: ${multiplications}.`;
}

/** An index in brackets. A tensor without dimensions has one element, at `[()]`. */
const placed = (index) => bracketed(index.length ? index : ["()"]);
const dot = (products) => products.reduce((sum, [m, n]) => sum + m * n, 0);
const digits = (n) => String(n).length;
/** How wide the box of a number is, in rem. */
const width = (n) => Math.max(1.8, 0.41 * digits(n) + 0.4);

/** Two numbers that are multiplied, each in the colour of its tensor. */
const factors = ([m, n]) =>
  make("span", {}, make("span", { class: "of-a met" }, m), " · ", make("span", { class: "of-b met" }, n));

class Widget {
  #pair;
  #heading = make("h3");
  #cost = make("p", { class: "hint" });
  #slider = make("input", { type: "range", min: 0 });
  #position = make("span", { "aria-hidden": "true" });
  #back = make("button", { type: "button" }, "Back");
  #next = make("button", { type: "button" }, "Next");
  #told = make("output", { class: "sum" });
  #meeting = make("div", { class: "wide" });
  #steps;
  /** The shapes of a, b and a @ b; the number of the element that is shown, and the matrix that it is in. */
  #a;
  #b;
  #result;
  #n;
  #lead;
  /** The boxes of a and b by their index, and of each that is to be filled in `{box, n, place, sum}`. */
  #boxes;
  #cells;

  constructor(shapes) {
    const label = make("label", {}, "Element ", this.#slider);
    const stepper = make("div", { class: "stepper" }, this.#back, this.#next, label, this.#position);
    this.#steps = make("div", {}, stepper, this.#told, this.#meeting);
    const detail = make("div", {}, make("div", {}, this.#heading, this.#cost), this.#steps);
    const show = (...all) => this.#show(...all);
    this.#pair = new Pair(shapes, { examples: EXAMPLES, read, combine: multiply, lined, show, detail });
    this.form = this.#pair.form;
    this.#slider.addEventListener("input", () => this.#step(this.#slider.valueAsNumber));
    this.#back.addEventListener("click", () => this.#step(this.#n - 1));
    this.#next.addEventListener("click", () => this.#step(this.#n + 1));
    this.#meeting.addEventListener("keydown", (event) => this.#walk(event));
    for (const kind of ["click", "focusin"]) this.#meeting.addEventListener(kind, (event) => this.#take(event));
    this.#pair.run();
  }

  #show(a, b, result) {
    [this.#a, this.#b, this.#result] = [a, b, result];
    this.#pair.tell(`a @ b: shape ${tuple(result)}`);
    this.#heading.textContent = `a @ b has the shape ${tuple(result)}`;
    this.#cost.textContent = cost(count(result), a.at(-1));
    this.#steps.hidden = !count(result);
    this.#slider.max = count(result) - 1;
    this.#lead = undefined;
    this.#step(0);
  }

  /** Show the nth element of the result, and fill in those up to it. */
  #step(n) {
    const [a, b, result] = [this.#a, this.#b, this.#result];
    if (n < 0 || n >= count(result)) return;
    this.#n = n;
    const index = indexOf(n, result);
    const leads = matricesOf(a, b, index);
    if (String(leads.result) !== this.#lead) this.#draw(leads);
    this.#slider.value = n;
    this.#slider.ariaValueText = `${n + 1} of ${count(result)}, ${placed(index)}`;
    this.#position.textContent = `${n + 1} of ${count(result)}`;
    this.#back.ariaDisabled = n === 0;
    this.#next.ariaDisabled = n === count(result) - 1;
    this.#mark(index);
    this.#tell(index, leads);
  }

  /** The products of an element, as pairs of factors. */
  #products(index) {
    const { row, column } = meeting(this.#a, this.#b, index);
    return row.map((at, k) => [valueAt(this.#a, at), valueAt(this.#b, column[k])]);
  }

  /** Draw a matrix of the result and the two that make it: a beside it and b above, so that row and column cross. */
  #draw(leads) {
    const [a, b, result] = [this.#a, this.#b, this.#result];
    const [[rows, inner], [, columns]] = asMatrices(a, b).map((shape) => shape.slice(-2));
    const [hasRows, hasColumns] = [a.length > 1, b.length > 1];
    const dims = { a: [hasRows, true], b: [true, hasColumns], result: [hasRows, hasColumns] };
    const label = (name, title) => {
      const ends = dims[name].filter(Boolean).map(() => ":");
      return leads[name].length ? title + bracketed([...leads[name], ...ends]) : title;
    };
    this.#lead = String(leads.result);
    this.#boxes = { a: {}, b: {} };
    this.#cells = [];
    const table = (name, title, size, attributes, build) =>
      matrix(label(name, title), size, dims[name], attributes, (i, j) =>
        build([...leads[name], ...[i, j].filter((_, dim) => dims[name][dim])]),
      );
    const number = (name, shape) => (index) => {
      this.#boxes[name][index] = make("td", { class: `of-${name}` }, valueAt(shape, index));
      return this.#boxes[name][index];
    };
    const cell = (index) => {
      const n = valueAt(result, index) - 1;
      const box = make("td", { tabindex: -1, "data-cell": n });
      this.#cells.push({ box, n, place: placed(index), sum: dot(this.#products(index)) });
      return box;
    };
    const largest = dot(this.#products(result.map((size) => size - 1)));
    const right = Math.max(columns * width(largest), 0.37 * label("result", "(a @ b)").length);
    const isWide = inner * width(count(a)) + right > NARROW;
    this.#meeting.replaceChildren(
      make(
        "div",
        { class: `meeting crossing ${isWide ? "much" : ""}`, style: `--digits: ${digits(largest)}` },
        table("a", "a", [rows, inner], { class: "numbers beside" }, number("a", a)),
        table("b", "b", [inner, columns], { class: "numbers above" }, number("b", b)),
        table("result", "(a @ b)", [rows, columns], { class: "numbers", role: "grid" }, cell),
      ),
    );
  }

  /** Mark the row and the column that meet, and fill in the elements up to the one where they cross. */
  #mark(index) {
    const { row, column } = meeting(this.#a, this.#b, index);
    for (const box of this.#meeting.querySelectorAll(".met")) box.classList.remove("met");
    for (const at of row) this.#boxes.a[at].classList.add("met");
    for (const at of column) this.#boxes.b[at].classList.add("met");
    for (const { box, n, place, sum } of this.#cells) {
      const isAhead = n > this.#n;
      box.textContent = isAhead ? "·" : sum;
      box.ariaLabel = `${place}: ${isAhead ? "not yet" : sum}`;
      box.classList.toggle("ahead", isAhead);
      box.classList.toggle("on", n === this.#n);
      box.tabIndex = n === this.#n ? 0 : -1; // the Tab key stops here
    }
  }

  /** Write out the row and the column, their products, and the sum. */
  #tell(index, leads) {
    const [row, column] = [
      [...leads.a, index[leads.result.length], ":"],
      [...leads.b, ":", index.at(-1)],
    ];
    const products = this.#products(index);
    const terms = products.map((pair, k) => term(`at ${k}`, factors(pair), k ? "+" : ""));
    announce(this.#told, this.#steps);
    this.#told.replaceChildren(
      make(
        "span",
        {},
        term("element", placed(index)),
        term("row of a", this.#a.length > 1 ? `a${bracketed(row)}` : "a"),
        term("column of b", this.#b.length > 1 ? `b${bracketed(column)}` : "b"),
      ),
      ...(terms.length ? terms : [term("products", "none")]),
      term("sum", dot(products), "="),
    );
  }

  #take({ target }) {
    const cell = target.closest("[data-cell]");
    if (cell) this.#step(Number(cell.dataset.cell));
  }

  #walk(event) {
    const box = event.target.closest("[data-cell]");
    const boxes = this.#cells.map((cell) => cell.box);
    if (box) walk(event, boxes, box, this.#b.length > 1 ? this.#b.at(-1) : 1);
  }
}

/** Put the widget above the worked example, which makes `a` and `b` with `view`, and start where that does. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const shapes = ["a", "b"].map((name) => new RegExp(`^${name} = .*\\.view\\((.*)\\)`, "m").exec(code)[1]);
  element.prepend(new Widget(shapes).form);
}
