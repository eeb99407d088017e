/** What `<explore-promotion>` becomes: two kinds of operands to choose, and a table with the dtype that comes of each pair. */

import { make, stopAt, term, walk } from "./parts.js";
import { dtypes, earlier, FORMS, kind, promote, rule } from "./promote.js";

/** How strong each kind is tinted, in percent. */
const TINTS = { bool: 0, integer: 9, float: 18, complex: 27 };

/** A name that fits into a small box: `u8`, `f32`, `bf16`, `c64`. */
const short = (dtype) => dtype.replace(/(uint|int|bfloat|float|complex|bcomplex)(?=\d)/, (name) => SHORT[name]);
const SHORT = { uint: "u", int: "i", float: "f", bfloat: "bf", complex: "c", bcomplex: "bc" };

const tinted = (dtype) => `--tint: ${TINTS[kind(dtype)]}%`;

class Widget {
  #forms = ["a", "b"].map((name) => {
    const options = Object.entries(FORMS).map(([form, words]) => make("option", { value: form }, `a ${words}`));
    const control = make("select", {}, ...options);
    return make("label", { class: "field" }, make("span", {}, `${name} is`), control);
  });
  #table = make("div", { class: "wide" });
  #told = make("output");
  /** The operands of each cell, and which two are looked at. */
  #pairs;
  #chosen;

  constructor(...chosen) {
    this.#chosen = chosen;
    for (const [n, { control }] of this.#forms.entries()) control.value = chosen[n].form;
    this.form = make(
      "form",
      { class: "explorable" },
      make("div", { class: "fields same broad" }, ...this.#forms),
      this.#told,
      this.#table,
      make(
        "p",
        { class: "hint" },
        "u, i, f, bf and c are short for uint, int, float, bfloat and complex. The stronger the tint, the later the kind. Point at a dtype, or walk with the arrow keys.",
      ),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#draw());
    this.#table.addEventListener("keydown", (event) => this.#walk(event));
    this.#table.addEventListener("pointerover", (event) => this.#point(this.#cellAt(event)));
    this.#table.addEventListener("focusin", (event) => this.#point(this.#cellAt(event)));
    this.#draw();
  }

  /** Draw what comes of all dtypes, and stay at the two that were looked at, or at the first of their kinds. */
  #draw() {
    const forms = this.#forms.map(({ control }) => control.value);
    const [rows, columns] = forms.map(dtypes);
    this.#pairs = rows.flatMap((a) => columns.map((b) => [a, b].map((dtype, n) => ({ form: forms[n], dtype }))));
    const cells = this.#pairs.map(([a, b], n) => {
      const dtype = promote(a, b);
      const label = `${a.dtype} and ${b.dtype} make ${dtype}`;
      return make("td", { tabindex: -1, "data-cell": n, style: tinted(dtype), "aria-label": label }, short(dtype));
    });
    const head = (scope) => (dtype) => make("th", { scope, "aria-label": dtype }, short(dtype));
    const lines = rows.map((dtype, i) =>
      make("tr", {}, head("row")(dtype), ...cells.slice(i * columns.length, (i + 1) * columns.length)),
    );
    this.#table.replaceChildren(
      make(
        "table",
        { role: "grid", class: "numbers pairs", "aria-label": "a + b" },
        make("thead", {}, make("tr", {}, make("td", {}, "a\\b"), ...columns.map(head("col")))),
        make("tbody", {}, ...lines),
      ),
    );
    const near = this.#chosen.map(({ dtype }, n) => {
      const all = [rows, columns][n];
      return all.includes(dtype) ? dtype : all.findLast((other) => kind(other) === kind(dtype));
    });
    this.#point(cells[this.#pairs.findIndex((pair) => pair.every(({ dtype }, n) => dtype === near[n]))]);
  }

  #cellAt({ target }) {
    return target.closest("[data-cell]");
  }

  /** Mark a cell, and say what comes of its operands and why. */
  #point(box) {
    if (!box) return;
    const boxes = [...this.#table.querySelectorAll("[data-cell]")];
    for (const other of boxes) other.classList.toggle("on", other === box);
    stopAt(box, boxes);
    const [a, b] = this.#pairs[box.dataset.cell];
    this.#chosen = [a, b];
    const sum = make(
      "p",
      { class: "sum" },
      term("a", a.dtype),
      term("b", b.dtype, "+"),
      term("a + b", promote(a, b), "="),
    );
    this.#told.replaceChildren(sum, make("p", {}, `${rule(a, b)} ${earlier(a, b)}`.trim()));
  }

  #walk(event) {
    const box = this.#cellAt(event);
    const boxes = [...this.#table.querySelectorAll("[data-cell]")];
    if (box) walk(event, boxes, box, boxes.length / this.#table.querySelectorAll("tbody tr").length);
  }
}

/** Put the widget above the worked example, `for a, b in [(torch.uint8, torch.int8), …`, and start where that does. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const [, ...names] = /\(torch\.(\w+), torch\.(\w+)\)/.exec(code);
  element.prepend(new Widget(...names.map((dtype) => ({ form: "dims", dtype }))).form);
}
