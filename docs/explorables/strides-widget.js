/** What `<explore-strides>` becomes: a chain of operations to write, and the storage of every tensor on its way. */

import { run } from "./chain.js";
import { announce, attempt, bracketed, field, make, say, stopAt, term, times, tint, walk } from "./parts.js";
import { readShape, Unread } from "./read.js";
import { arange, count, indexOf, isContiguous, places, reshape, tuple, view } from "./views.js";

const EXAMPLES = [
  ["a transpose", "3, 4", "x.T"],
  ["every second column", "3, 4", "x[:, ::2]"],
  ["a slice in the middle", "4, 6", "x[1:3, 2:5]"],
  ["colours to the front", "2, 4, 3", "x.permute(2, 0, 1)"],
  ["a reshape that copies", "3, 4", "x.T.reshape(-1)"],
  ["a view that is refused", "3, 4", "x.T.view(12)"],
  ["an expanded row", "3", "x.expand(4, 3)"],
];
const COLUMNS = ["Step", "Shape", "Strides", "Offset", "Contiguous", "Memory"];
const LETTERS = "ijklmn";

/** The tensor x of the shape that the reader wrote. Throws `Unread` where there is none to draw. */
function start(text) {
  const shape = readShape(text);
  if (count(shape) <= 64 && shape.length <= 4 && shape.every((size) => size >= 0)) return arange(shape);
  throw new Unread(text, "x has at most 64 elements in 4 dimensions, and no size below zero.", "Not drawn");
}

const some = (all, most) => (all.length > most ? [...all.slice(0, most - 1), "…"] : all).join(" ");

function stepRow({ text, tensor, memory, deprecated }, n) {
  const { shape, stride, offset } = tensor;
  const choice = make("label", {}, make("input", { type: "radio", name: "step", value: n }), make("code", {}, text));
  const values = [tuple(shape), tuple(stride), offset, isContiguous(tensor) ? "yes" : "no", memory];
  const cells = values.map((value, i) => make("td", { "data-name": COLUMNS[i + 1] }, value));
  if (deprecated) cells.at(-1).append(make("small", {}, "torch warns: deprecated"));
  return make("tr", {}, make("th", { scope: "row" }, choice), ...cells);
}

function failedRow({ text, error }) {
  const message = make("td", { colspan: COLUMNS.length - 1 }, make("b", {}, `${error.name}:`), ` ${error.message}`);
  return make("tr", { class: "failed" }, make("th", { scope: "row" }, make("code", {}, text)), message);
}

/** A place of the storage: where it is, the number it holds, when the tensor visits it. */
function placeBox(place, value, visits, all) {
  const button = make(
    "button",
    {
      type: "button",
      tabindex: -1,
      "data-place": place,
      "aria-label": `place ${place} holds ${value}, ${visits.length ? `visit ${visits.join(", ")}` : "not visited"}`,
      ...(visits.length ? { style: tint(visits[0], all) } : { class: "unvisited" }),
    },
    make("small", {}, place),
    make("span", {}, value),
    make("small", {}, some(visits, 4)),
  );
  return make("li", {}, button);
}

/** The elements as tables of the last two dimensions, one for every index of the dimensions before. */
function elementTables({ shape, storage }, at, prefix = [], first = 0) {
  const rank = shape.length;
  const dim = prefix.length;
  if (dim < rank - 2) {
    const size = count(shape.slice(dim + 1));
    const tables = times(shape[dim], (i) => elementTables({ shape, storage }, at, [...prefix, i], first + i * size));
    return make("div", { class: "batch" }, ...tables);
  }
  const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const cell = (n) =>
    make("td", { tabindex: -1, "data-element": n, style: tint(n, at.length) }, storage.values[at[n]]);
  const line = (head, cells) => make("tr", {}, ...(rank > 1 ? [head] : []), ...cells);
  const name = bracketed([...prefix, ":", ":"].slice(0, rank));
  return make(
    "table",
    { role: "grid", class: "numbers", "aria-label": `elements ${name}` },
    make("caption", {}, dim ? name : ""),
    make(
      "thead",
      {},
      line(
        make("td", {}, `${LETTERS[rank - 2]} \\ ${LETTERS[rank - 1]}`),
        times(rank && columns, (j) => make("th", { scope: "col" }, j)),
      ),
    ),
    make(
      "tbody",
      {},
      ...times(rows, (i) =>
        line(
          make("th", { scope: "row" }, i),
          times(columns, (j) => cell(first + i * columns + j)),
        ),
      ),
    ),
  );
}

/** Where an element lies: `offset + i · stride 0 + … = place`. */
function sum({ shape, stride, offset }, n, place, value) {
  const index = indexOf(n, shape);
  const steps = index.map((i, dim) => term(`${LETTERS[dim]} · stride ${dim}`, `${i} · ${stride[dim]}`, "+"));
  return [
    term("element", bracketed(index)),
    term("offset", offset),
    ...steps,
    term("place", place, "="),
    term("holds", value),
  ];
}

/** Which elements lie at a place. */
function residents({ shape }, elements, place, value) {
  const named = elements.map((n) => bracketed(indexOf(n, shape)));
  const name = named.length === 1 ? "element" : "elements";
  return [term("place", place), term("holds", value), term(name, some(named, 8) || "none")];
}

/** Whether `view` takes the tensor to these sizes, and what `reshape` does then. */
function legality(tensor, sizes) {
  if (sizes instanceof Error) return say(sizes);
  const viewed = attempt(() => view(tensor, sizes));
  if (!(viewed instanceof Error)) return `Yes, with shape ${tuple(viewed.shape)} and strides ${tuple(viewed.stride)}.`;
  const refused = attempt(() => reshape(tensor, sizes)) instanceof Error;
  return `No. ${say(viewed)}\nreshape ${refused ? "raises the same" : "copies the elements into a new storage"}.`;
}

const boxAt = ({ target }) => target.closest("[data-place], [data-element]");
const kindOf = (box) => ("place" in box.dataset ? "place" : "element");

class Widget {
  #shape;
  #chain;
  #target = field("Is a view of this shape legal?", "-1");
  #said = make("p", { role: "status" });
  #steps = make("tbody");
  #failure = make("tfoot");
  #detail = make("div");
  #sum = make("output", { class: "sum" });
  #answer = make("output");
  #results = make("div");
  /** The steps that ran; the tensor of the selected one, the place of each element, the elements of each place. */
  #ran;
  #tensor;
  #at;
  #visits;

  constructor(shape, chain) {
    this.#shape = field("Shape of x", shape);
    this.#chain = field("Operations", chain);
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const heads = make("thead", {}, make("tr", {}, ...COLUMNS.map((name) => make("th", { scope: "col" }, name))));
    const steps = make("table", { class: "steps", "aria-label": "steps" }, heads, this.#steps, this.#failure);
    this.#results.append(
      make("div", { class: "wide" }, steps),
      this.#detail,
      make("div", { class: "asked" }, this.#target, this.#answer),
    );
    this.form = make(
      "form",
      { class: "explorable" },
      make("div", { class: "fields" }, this.#shape, this.#chain),
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      this.#said,
      this.#results,
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", ({ target }) => this.#changed(target));
    this.form.addEventListener("click", ({ target }) => this.#take(target.closest("[data-example]")));
    this.#detail.addEventListener("keydown", (event) => this.#walk(event, boxAt(event)));
    this.#detail.addEventListener("pointerover", (event) => this.#point(boxAt(event)));
    this.#detail.addEventListener("focusin", (event) => {
      this.#point(boxAt(event));
      this.#stop(boxAt(event));
    });
    this.#run();
  }

  #changed(input) {
    if (input.name === "step") this.#select(Number(input.value));
    else if (input === this.#target.control) this.#judge();
    else this.#run();
  }

  #take(button) {
    if (!button) return;
    [, this.#shape.control.value, this.#chain.control.value] = EXAMPLES[button.dataset.example];
    this.#run();
  }

  /** Run what the fields say. A shape that cannot be read leaves no result to look at. */
  #run() {
    const x = attempt(() => start(this.#shape.control.value));
    const unread = x instanceof Error;
    this.#shape.control.ariaInvalid = unread;
    this.#results.hidden = unread;
    this.#said.className = unread ? "failed" : "heard";
    if (unread) this.#said.textContent = say(x);
    else this.#show(run(x, this.#chain.control.value));
  }

  #show({ steps, failed }) {
    const { text, tensor, memory } = steps.at(-1);
    this.#ran = steps;
    this.#chain.control.ariaInvalid = Boolean(failed);
    this.#steps.replaceChildren(...steps.map(stepRow));
    this.#failure.replaceChildren(...(failed ? [failedRow(failed)] : []));
    this.#said.textContent = failed
      ? `Stopped at ${failed.text}. ${failed.error.name}: ${failed.error.message}`
      : `${text}: shape ${tuple(tensor.shape)}, strides ${tuple(tensor.stride)}, ${memory}`;
    this.#steps.lastChild.querySelector("input").checked = true;
    this.#select(steps.length - 1);
  }

  /** Show the storage and the elements of one step. */
  #select(n) {
    const { tensor } = this.#ran[n];
    const { values, name } = tensor.storage;
    const at = places(tensor);
    const visits = values.map(() => []);
    for (const [element, place] of at.entries()) visits[place].push(element);
    [this.#tensor, this.#at, this.#visits] = [tensor, at, visits];
    const chain = this.#ran.slice(0, n + 1).map(({ text }) => text);
    this.#detail.replaceChildren(
      make("h3", {}, `Storage of ${name}`, ...(name === "x" ? [] : [make("mark", {}, "new storage")])),
      make("ol", { class: "strip" }, ...values.map((value, place) => placeBox(place, value, visits[place], at.length))),
      make("p", { class: "hint" }, "Above each number its place, below it the order of the visits. Point at a number, or walk with the arrow keys."),
      this.#sum,
      make("h3", {}, "Elements of ", make("code", {}, chain.join(""))),
      make("div", { class: "wide" }, at.length ? elementTables(tensor, at) : "None: a size is 0."),
    );
    // The Tab key stops once in each of the two, at the last element, whose sum has every term, and at its place.
    const last = this.#box("element", at.length - 1);
    this.#stop(this.#box("place", at.at(-1) ?? 0));
    this.#stop(last);
    this.#sum.replaceChildren();
    this.#point(last);
    this.#judge();
  }

  #judge() {
    const sizes = attempt(() => readShape(this.#target.control.value));
    this.#target.control.ariaInvalid = sizes instanceof Error;
    announce(this.#answer, this.#target);
    this.#answer.textContent = legality(this.#tensor, sizes);
  }

  #boxes(kind) {
    return [...this.#detail.querySelectorAll(`[data-${kind}]`)];
  }

  #box(kind, n) {
    return this.#detail.querySelector(`[data-${kind}="${n}"]`);
  }

  /** Make a box the one of its kind at which the Tab key stops. */
  #stop(box) {
    if (box) stopAt(box, this.#boxes(kindOf(box)));
  }

  /** Mark an element and its place, or a place and its elements, and say how they belong together. */
  #point(box) {
    if (!box) return;
    const isPlace = kindOf(box) === "place";
    const n = Number(box.dataset[kindOf(box)]);
    const place = isPlace ? n : this.#at[n];
    const elements = isPlace ? this.#visits[n] : [n];
    const value = this.#tensor.storage.values[place];
    for (const marked of this.#detail.querySelectorAll(".on")) marked.classList.remove("on");
    for (const marked of [this.#box("place", place), ...elements.map((element) => this.#box("element", element))]) {
      marked.classList.add("on");
    }
    announce(this.#sum, this.#detail);
    const told = isPlace ? residents(this.#tensor, elements, place, value) : sum(this.#tensor, n, place, value);
    this.#sum.replaceChildren(...told);
  }

  /** Arrow keys lead to the next box, or to the one below. Below the last row of a table is the next table. */
  #walk(event, box) {
    if (!box) return;
    const boxes = this.#boxes(kindOf(box));
    const inLine = boxes.filter((other) => other.offsetTop === boxes[0].offsetTop).length;
    walk(event, boxes, box, kindOf(box) === "place" ? inLine : this.#tensor.shape.at(-1));
  }
}

/** Put the widget above the worked example, `x = ….reshape(3, 4)` and `y = x…`, and start where that does. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const [shape, chain] = [/^x = .*\.reshape\((.*)\)/m, /^y = (.*)/m].map((line) => line.exec(code)[1]);
  element.prepend(new Widget(shape, chain).form);
}
