/** What `<explore-pipeline>` becomes: steps to add, move and remove, and a card with what each returns. */

import { follow, stateOf } from "./orders.js";
import { announce, make } from "./parts.js";

const RECORD = await (await fetch(new URL("pipeline-states.json", import.meta.url))).json();
const NAMES = RECORD.steps.map(([name]) => name);
const CODE = RECORD.steps.map(([, code]) => code);

const PIPELINES = [
  ["in the right order", "crop, to_image, to_float, normalize"],
  ["normalized too early", "crop, to_image, normalize, to_float"],
  ["without scale=True", "to_image, to_unscaled, normalize"],
  ["scaled twice", "to_image, to_float, divide, normalize"],
  ["grey, three means", "grayscale, to_image, to_float, normalize"],
];

/** How many pixels a row of the picture has, channels first or last. */
const width = ({ shape }) => Math.max(...shape.match(/\d+/g));
const PHOTO = stateOf(RECORD, 0);

const read = (names) => names.split(", ").map((name) => NAMES.indexOf(name));

const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

/** Text that may be broken behind a bracket or a point. */
const broken = (text) => text.split(/(?<=[(.])/).flatMap((part) => [part, make("wbr")]);
const code = (text) => make("code", {}, ...broken(text));

const summary = ({ dtype, shape, low, high, mean }) => `${dtype} ${shape}, ${low} to ${high}, mean ${mean}. `;

/** What a step returned: its picture, enlarged by as much as all others, and what there is to say of it. */
function facts(state, unchanged) {
  const marks = [unchanged && "unchanged", state.outside && `${state.outside}% clamped`].filter(Boolean);
  const picture = `data:image/webp;base64,${state.picture}`;
  return make(
    "div",
    { class: "facts" },
    make("img", { src: picture, alt: "", style: `width: ${(100 * width(state)) / width(PHOTO)}%` }),
    make("small", {}, ...broken(state.type)),
    make("b", {}, state.shape),
    make("b", {}, state.dtype),
    make("span", {}, `${state.low} to ${state.high}`),
    make("small", {}, `mean ${state.mean}`),
    ...marks.map((words) => make("mark", {}, words)),
  );
}

class Widget {
  /** The steps, each as its number in the record. */
  #order;
  #pipelines = PIPELINES.map(([name], n) => button({ "data-pipeline": n }, name));
  #adds = CODE.map((text, step) => button({ "data-add": step }, code(text)));
  #cards = make("ol", { class: "states", "aria-label": "The pipeline" });
  #told = make("output");

  constructor(order) {
    this.#order = order;
    this.form = make(
      "form",
      { class: "explorable" },
      make("fieldset", {}, make("legend", {}, "Pipelines"), ...this.#pipelines),
      make("fieldset", {}, make("legend", {}, "Add a step"), ...this.#adds),
      this.#cards,
      this.#told,
      make(
        "p",
        { class: "hint" },
        "Pictures show floats from 0 (black) to 1 (white), as Matplotlib does: what is outside is clamped. Photo: coffee of scikit-image, 24 pixels high. The means and deviations are those of ResNet18.",
      ),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("click", ({ target }) => this.#press(target.closest("button")));
    this.#draw();
  }

  #press(pressed) {
    if (!pressed || pressed.ariaDisabled === "true") return;
    const { pipeline, add, move, remove } = pressed.dataset;
    if (pipeline !== undefined) this.#order = read(PIPELINES[pipeline][1]);
    if (add !== undefined) this.#order.push(Number(add));
    const at = this.#order.indexOf(Number(pressed.dataset.step));
    if (move !== undefined) this.#order.splice(at + Number(move), 0, ...this.#order.splice(at, 1));
    if (remove !== undefined) this.#order.splice(at, 1);
    this.#draw();
    if (move !== undefined)
      this.#cards.querySelector(`[data-step="${pressed.dataset.step}"][data-move="${move}"]`).focus();
    if (remove !== undefined) this.#afterRemoval(at).focus();
  }

  /** Where to go on when a step was removed: at the one that took its place, at the last, or where one is added. */
  #afterRemoval(at) {
    const removes = this.#cards.querySelectorAll("[data-remove]");
    return removes[Math.min(at, removes.length - 1)] ?? this.#adds[0];
  }

  #draw() {
    const done = follow(RECORD, this.#order);
    const cards = this.#order.map((step, n) => this.#card(step, n, done[n]));
    const photo = make("li", {}, make("h3", {}, "The photo"), facts(PHOTO));
    this.#cards.replaceChildren(photo, ...cards);
    for (const [n, pipeline] of this.#pipelines.entries())
      pipeline.ariaPressed = String(read(PIPELINES[n][1])) === String(this.#order);
    for (const [step, add] of this.#adds.entries()) add.ariaDisabled = this.#order.includes(step);
    announce(this.#told, this.form);
    this.#told.replaceChildren(make("p", {}, ...this.#verdict(done)));
  }

  #card(step, n, { at, unchanged, error }) {
    const control = (data, words, sign, off = false) =>
      button({ ...data, "data-step": step, "aria-label": `${words} ${CODE[step]}`, "aria-disabled": off }, sign);
    return make(
      "li",
      { class: error ? "failed" : at === undefined && "idle" },
      make("h3", {}, `${n + 1} `, code(CODE[step])),
      at === undefined ? make("p", {}, error ?? "does not run") : facts(stateOf(RECORD, at), unchanged),
      make(
        "div",
        { class: "moves" },
        control({ "data-move": -1 }, "Move left:", "←", n === 0),
        control({ "data-move": 1 }, "Move right:", "→", n === this.#order.length - 1),
        control({ "data-remove": "" }, "Remove:", "×"),
      ),
    );
  }

  /** What came of the pipeline, in a sentence. */
  #verdict(done) {
    const failed = done.findIndex(({ error }) => error);
    if (failed >= 0) return [make("b", {}, `Step ${failed + 1} raises. `), done[failed].error];
    const end = done.at(-1)?.at ?? 0;
    const made = stateOf(RECORD, end);
    if (RECORD.right.includes(end)) return [make("b", {}, "Right for ResNet18: "), summary(made)];
    const goal = RECORD.right.map((n) => stateOf(RECORD, n)).find((state) => width(state) === width(made));
    return [make("b", {}, "Nothing is raised: "), summary(made), `ResNet18 expects ${summary(goal)}`];
  }
}

/** Put the widget above the worked example, `for steps in ([to_float, to_image], …`, and start with its first list. */
export function build(element) {
  const [, names] = /\[(\w+(?:, \w+)*)\]/.exec(element.querySelector(".language-python code").textContent);
  element.prepend(new Widget(read(names)).form);
}
