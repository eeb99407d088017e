/** What `<explore-dtype>` becomes: a number to write and a dtype to pick, what is stored, its neighbours and its bits. */

import { cast, earlier, made } from "./casts.js";
import { anatomy, difference, explain, line } from "./explain.js";
import { bits, FORMATS, fraction, real } from "./floats.js";
import { divide, size } from "./fraction.js";
import { brief, decimal, readNumber, repr } from "./number.js";
import { attempt, field, make, say, term } from "./parts.js";

const EXAMPLES = [
  ["a tenth", "0.1", "float32"],
  ["a count that stops", "2**24 + 1", "float32"],
  ["too bright", "300", "uint8"],
  ["halfway to inf", "65520", "float16"],
  ["cut off", "-1.7", "int32"],
  ["undefined", "300.0", "uint8"],
  ["a small step", "1e-7", "float16"],
  ["rounded twice", "1 + 2**-11 + 2**-40", "float16"],
];
/** The most digits that a number is written out with. */
const LONGEST = 60;

const write = (stored) => repr(real(stored), !stored.format.isFloat);

/** A way to store the number: the code that runs, and what came of it. */
function way(code, outcome, words) {
  const said = make("td");
  if (outcome instanceof Error) said.append(make("b", {}, `${outcome.name}:`), ` ${outcome.message}`);
  else if (outcome) said.append(make("b", {}, write(outcome)));
  else said.append("C does not define this cast. The result depends on the machine.");
  if (words) said.append(make("small", {}, words));
  return make("tr", {}, make("th", { scope: "row" }, make("code", {}, code)), said);
}

/** Something at a place of the number line. It grows to both sides as there is room. */
const at = (percent, name, ...children) => make("span", { class: name, style: `--at: ${percent}` }, ...children);

class Widget {
  #number;
  #dtype = make("select", {}, ...Object.keys(FORMATS).map((name) => make("option", {}, name)));
  #said = make("p", { role: "status" });
  #ways = make("tbody");
  #table;
  #line = make("div", { class: "line", role: "img" });
  #steps = [make("button", { type: "button" }), make("button", { type: "button" })];
  #ends = make("div", { class: "ends" }, ...this.#steps);
  #thick = make("p", { class: "hint" }, "All numbers on the thick part of the line are stored as the same one.");
  #detail;
  #told = make("p", { class: "sum" });
  #bits = make("p", { class: "sum bits" });
  #hint = make("p", { class: "hint" });

  constructor(number, dtype) {
    this.#number = field("Number", number);
    this.#dtype.value = dtype;
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const heads = ["What runs", "What is stored"].map((name) => make("th", { scope: "col" }, name));
    this.#table = make(
      "div",
      { class: "wide" },
      make("table", { class: "steps ways" }, make("thead", {}, make("tr", {}, ...heads)), this.#ways),
    );
    this.#detail = make(
      "div",
      {},
      make("h3", {}, "On the number line"),
      this.#line,
      this.#ends,
      this.#thick,
      this.#told,
      make("h3", {}, "In bits"),
      this.#bits,
      this.#hint,
    );
    this.form = make(
      "form",
      { class: "explorable" },
      make(
        "div",
        { class: "fields same" },
        this.#number,
        make("label", { class: "field" }, make("span", {}, "Dtype"), this.#dtype),
      ),
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      this.#said,
      this.#table,
      this.#detail,
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#run());
    this.form.addEventListener("click", ({ target }) => this.#take(target.closest("button")));
    this.#run();
  }

  /** Take the number of a button, and of an example its dtype. */
  #take(button) {
    if (!button) return;
    const { example, number } = button.dataset;
    [, this.#number.control.value, this.#dtype.value] = EXAMPLES[example] ?? [, number, this.#dtype.value];
    this.#run();
  }

  /** Store what the field says. Where no number can be read nothing is left to look at. */
  #run() {
    const number = attempt(() => readNumber(this.#number.control.value));
    const unread = number instanceof Error;
    this.#number.control.ariaInvalid = unread;
    this.#table.hidden = this.#detail.hidden = unread;
    this.#said.className = unread ? "failed" : "heard";
    if (unread) this.#said.textContent = say(number);
    else this.#show(number, FORMATS[this.#dtype.value]);
  }

  #show(number, format) {
    const [first, second] = [made, cast].map((store) => attempt(() => store(number, format)));
    const words = [first, second].map((outcome, isCast) => {
      const said = outcome?.format ? explain(number, Boolean(isCast), outcome) : "";
      return `${said} ${earlier(number, Boolean(isCast), format)}`.trim();
    });
    const { text, code, isInt } = number;
    const same = first.format && first.code === second?.code && words[0] === words[1];
    this.#ways.replaceChildren(
      way(`torch.tensor(${code}, dtype=torch.${format.name})`, first, words[0]),
      way(
        `torch.tensor(${code}, dtype=torch.${isInt ? "int64" : "float64"}).to(torch.${format.name})`,
        second,
        same ? "The same." : words[1],
      ),
    );
    const stored = [first, second].find((outcome) => outcome?.format);
    this.#detail.hidden = !stored;
    const value = stored ? `${write(stored)}. ${words[first === stored ? 0 : 1]}` : say(first);
    this.#said.textContent = `${text} in ${format.name}: ${value}`;
    if (stored) this.#draw(number, stored);
  }

  #draw(number, stored) {
    const { text, exact, isInt, python } = number;
    const value = real(stored);
    const isNan = value.size === "nan";
    for (const part of [this.#line, this.#ends, this.#thick]) part.hidden = isNan;
    if (!isNan) this.#drawLine(text, write(stored), line(number, stored));

    const [inPython, written] = [repr(python, isInt), write(stored)];
    const all = stored.format.isFloat && !isNan && value.size !== "inf" ? decimal(value) : written;
    const error = difference(number, stored);
    const terms = [
      term("typed", text),
      ...(inPython === text ? [] : [term("in Python", inPython)]),
      term("stored", written),
      ...(all !== written && all.length <= LONGEST ? [term("to its last digit", all)] : []),
      ...(error ? [term("error", brief(error))] : []),
      ...(error && exact.size.n ? [term("relative error", brief(divide(size(error), exact.size)))] : []),
    ];
    this.#told.replaceChildren(...terms);

    const { parts, formula, hint } = anatomy(stored);
    let rest = bits(stored);
    const groups = parts.map(([name, length]) => {
      const group = term(name, rest.slice(0, length));
      rest = rest.slice(length);
      return group;
    });
    this.#bits.replaceChildren(...groups, ...(formula ? [term("which is", formula, "=")] : []));
    this.#hint.textContent = hint;
  }

  #drawLine(typed, written, { isWrapped, low, high, left, right, stored, pointer, zone }) {
    const ends = [low, high].map((end) => end && write(end));
    const [from, to] = zone;
    this.#thick.hidden = !zone.length;
    this.#line.replaceChildren(
      ...(zone.length ? [make("span", { class: "zone", style: `--at: ${from}; --to: ${to}` })] : []),
      ...(low ? [at(left, "tick")] : []),
      ...(high ? [at(right, "tick")] : []),
      at(stored, "tick on"),
      at(pointer, "pointer"),
      at(pointer, "above", make("small", {}, "typed "), typed),
      at(stored, "below", make("small", {}, "stored "), written),
    );
    const names = isWrapped ? ["the smallest", "the largest"] : ["the next below", "the next above"];
    this.#line.ariaLabel = `${typed} is stored as ${written}. ${names.map((name, n) => `${name}: ${ends[n] ?? "none"}`).join(", ")}.`;
    for (const [n, button] of this.#steps.entries()) {
      button.disabled = ends[n] === undefined;
      button.dataset.number = ends[n];
      button.replaceChildren(make("small", {}, names[n]), " ", ends[n] ?? "none");
    }
  }
}

/** Put the widget above the worked example, `torch.tensor(0.1, dtype=torch.bfloat16)`, and start where that does. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const [, number, dtype] = /torch\.tensor\((.*), dtype=torch\.(\w+)\)/.exec(code);
  element.prepend(new Widget(number, dtype).form);
}
