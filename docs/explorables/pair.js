/** A form for two shapes a and b: fields and examples, what is wrong with them, and what comes of both. */

import { attempt, field, make, say } from "./parts.js";
import { Unread } from "./read.js";

/** What an error says, and below it what is to be known about it. */
const inWords = (error) => [say(error), ...(error.note ? [make("small", {}, error.note)] : [])];

/**
 * The parts that an explorable brings along. `read` makes a shape of what the reader wrote, `combine` the result of
 * both; each throws `Unread` for what it cannot show, and `combine` what torch raises. `lined` draws how the shapes line
 * up, `show` fills `detail`, which is in sight where there is a result. An example is `[name, shape of a, shape of b]`.
 */
export class Pair {
  #fields;
  #parts;
  #lined = make("div", { class: "wide" });
  #said = make("div", { role: "status" });

  constructor(shapes, parts) {
    this.#parts = parts;
    this.#fields = ["a", "b"].map((name, n) => field(`Shape of ${name}`, shapes[n]));
    const buttons = parts.examples.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const fields = make("div", { class: "fields same" }, ...this.#fields);
    const examples = make("fieldset", {}, make("legend", {}, "Examples"), ...buttons);
    this.form = make("form", { class: "explorable" }, fields, examples, this.#lined, this.#said, parts.detail);
    this.form.addEventListener("submit", (event) => event.preventDefault());
    fields.addEventListener("input", () => this.run());
    examples.addEventListener("click", ({ target }) => this.#take(target.closest("[data-example]")));
  }

  #take(button) {
    if (!button) return;
    const [, ...shapes] = this.#parts.examples[button.dataset.example];
    for (const [n, { control }] of this.#fields.entries()) control.value = shapes[n];
    this.run();
  }

  /** Combine what the fields say. Where a shape cannot be read nothing is left to look at. */
  run() {
    const { read, combine, lined, show, detail } = this.#parts;
    const shapes = this.#fields.map(({ control }) => attempt(() => read(control.value)));
    const unread = shapes.filter((shape) => shape instanceof Error);
    for (const [n, { control }] of this.#fields.entries()) control.ariaInvalid = shapes[n] instanceof Error;
    const result = unread.length ? unread[0] : attempt(() => combine(...shapes));
    if (result instanceof Unread && !unread.length) unread.push(result);
    this.#lined.hidden = unread.length > 0;
    detail.hidden = result instanceof Error;
    if (!unread.length) this.#lined.replaceChildren(...lined(...shapes));
    if (!(result instanceof Error)) show(...shapes, result);
    else this.#say((unread.length ? unread : [result]).map(inWords));
  }

  /** Have the outcome read out, and say what is doubtful about it, a paragraph each. */
  tell(outcome, doubts = []) {
    this.#say(doubts);
    this.#said.prepend(make("p", { class: "heard" }, outcome));
  }

  #say(all) {
    this.#said.replaceChildren(...all.map((children) => make("p", { class: "failed" }, ...children)));
  }
}
