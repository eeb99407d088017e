/** What `<explore-tape>` becomes: lines to write, the tape that they leave, and a walk backward along it. */

import { run } from "./engine.js";
import { FUNCTIONS } from "./operations.js";
import { announce, attempt, field, make, say, term } from "./parts.js";
import { readLeaves, readLines, Recorder } from "./recorder.js";
import { brief, Picture } from "./tape-picture.js";

/** Name, leaves, lines, and what is switched: frozen leaves, modes of lines, a second pass, and whether it may. */
const EXAMPLES = [
  ["a product and a sum", "a = 2, b = 3, c = 4", "y = a * b\nz = y + c"],
  ["two ways to a leaf", "a = 2, b = 3", "y = a * b\nz = y * a"],
  ["cut by detach", "a = 2, b = 3", "y = a * b\nz = y * a", { modes: { y: "detach()" } }],
  ["half a second pass", "a = 2, b = 3, c = 4", "y = a * b\nz = y + c", { isTwice: true }],
  ["a second pass", "a = 2, b = 3, c = 4", "y = a * b\nz = y + c", { isTwice: true, isRetained: true }],
  ["sums keep nothing", "a = 2, b = 3", "z = a + b + a", { isTwice: true }],
  ["one line, two nodes", "a = 2", "z = 1 / a"],
  ["a neuron", "w = 0.5, b = -1, x = 2, t = 1", "y = sigmoid(w * x + b)\nloss = (y - t) ** 2", { frozen: ["x", "t"] }],
  ["no tape", "a = 2, b = 3", "y = a * b\nz = y ** 2", { modes: { z: "no_grad()" } }],
];
const MODES = ["recorded", "detach()", "no_grad()"];

const number = (n) => (n === undefined ? "None" : make("data", { value: n }, brief(n)));
/** Text and numbers after each other, `3 + 3 = 6`, where several were added up. */
const summed = (parts, sum) =>
  parts.length < 2
    ? [number(sum)]
    : [...parts.flatMap((n, i) => (i ? [" + ", number(n)] : [number(n)])), " = ", number(sum)];

const values = (...parts) => make("span", {}, ...parts);
/** The line that made a node. */
const origin = ({ leaf, result }) =>
  leaf?.text ?? (result.formula ? `${result.text} = ${result.formula}` : result.text);

/** What a step did, as quantities below their names. */
function terms({ node, came, sum, out, slopes, before, after, error }) {
  if (!node) return [];
  const first = [
    term("node", node.name),
    term(node.leaf ? "of" : "made by", origin(node)),
    term("comes in", values(...summed(came, sum))),
  ];
  if (error) return first;
  if (node.leaf)
    return [
      ...first,
      term(`${node.leaf.text}.grad`, values(...summed(before === undefined ? [] : [before, sum], after))),
    ];
  const edges = node.ends.map(
    (end, n) =>
      end && term(`to ${node.inputs[n].text}`, values(number(sum), " · ", number(slopes[n]), " = ", number(out[n]))),
  );
  return [...first, ...edges.filter(Boolean)];
}

/** The same in a sentence. */
function sentence({ node, sum, out, slopes, after, error }) {
  if (!node) return say(error);
  const came = `${node.name} of ${origin(node)}: ${brief(sum)} comes in`;
  if (error) return `${came}. ${say(error)}`;
  if (node.leaf) return `${came}, and ${node.leaf.text}.grad becomes ${brief(after)}.`;
  const edges = node.ends.map(
    (end, n) => end && `to ${node.inputs[n].text} goes ${brief(sum)} times ${brief(slopes[n])}, ${brief(out[n])}`,
  );
  return `${came}, ${edges.filter(Boolean).join(", and ")}.`;
}

/** The lines as a program. */
function program(leaves, lines, { frozen, modes, isTwice, isRetained }) {
  const used = Object.keys(FUNCTIONS).filter((name) =>
    lines.some((line) => RegExp(`(?<![.\\w])${name}\\s*\\(`).test(line.expression)),
  );
  const computed = lines.map(({ name, expression }) => {
    if (modes[name] === "detach()") return `${name} = (${expression}).detach()`;
    return modes[name] === "no_grad()"
      ? `with torch.no_grad():\n    ${name} = ${expression}`
      : `${name} = ${expression}`;
  });
  const last = lines.at(-1).name;
  return [
    "import torch",
    ...(used.length ? [`from torch import ${used.join(", ")}`] : []),
    "",
    ...leaves.map(({ name, expression }) => {
      const requires = frozen.includes(name) ? "" : ", requires_grad=True";
      return `${name} = torch.tensor(${expression}, dtype=torch.float64${requires})`;
    }),
    ...computed,
    `${last}.backward(${isRetained ? "retain_graph=True" : ""})`,
    ...(isTwice ? [`${last}.backward()`] : []),
    `print(${leaves.map(({ name }) => `${name}.grad`).join(", ")})`,
  ].join("\n");
}

const check = (label, attributes) => make("label", {}, make("input", { type: "checkbox", ...attributes }), label);

class Widget {
  #leaves = field("Leaves", "");
  #lines = make("textarea", { rows: 3, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  #requires = make("fieldset", {}, make("legend", {}, "requires_grad"));
  #modes = make("fieldset", {}, make("legend", {}, "Each line"));
  #twice = check("a second pass", { name: "pass" });
  #retained = check("retain_graph=True", { name: "pass" });
  #said = make("p", { role: "status" });
  #picture = make("div", { class: "wide tape", role: "img", tabindex: 0 });
  #buttons = ["Back", "Step", "All", "Restart"].map((name) => make("button", { type: "button" }, name));
  #position = make("span");
  #told = make("output", { class: "heard" });
  #stepper = make("div", { class: "stepper" }, ...this.#buttons, this.#position);
  #terms = make("p", { class: "sum", "aria-hidden": "true" });
  #failure = make("p", { class: "failed" });
  #grads = make("p", { class: "sum" });
  #program = make("code", { class: "paste program" });
  /** The leaves; the steps of backward, the picture of its tape, and how many steps are done. */
  #made;
  #steps;
  #drawn;
  #n = 0;
  /** What is switched: `{frozen, modes}`; the names for which there are switches. */
  #switched;
  #offered;

  constructor() {
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const lines = make("label", { class: "field" }, make("span", {}, "Lines"), this.#lines);
    const fields = make("div", { class: "fields" }, this.#leaves, lines);
    const backward = make("fieldset", {}, make("legend", {}, "Backward"), this.#twice, this.#retained);
    this.form = make(
      "form",
      { class: "explorable" },
      fields,
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      make("div", { class: "switches" }, this.#requires, this.#modes, backward),
      this.#said,
      make(
        "div",
        {},
        make("div", {}, this.#stepper, this.#told, this.#terms, this.#failure, this.#picture, this.#grads),
        make("p", {}, make("small", {}, "To check it in Python"), this.#program),
      ),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", ({ target }) => this.#changed(target));
    this.form.addEventListener("click", ({ target }) => this.#take(target.closest("button")));
    this.#start(EXAMPLES[0]);
  }

  /** Take an example into the fields and the switches. */
  #start([, leaves, lines, { frozen = [], modes = {}, isTwice = false, isRetained = false } = {}]) {
    this.#leaves.control.value = leaves;
    this.#lines.value = lines;
    this.#switched = { frozen, modes };
    this.#twice.control.checked = isTwice;
    this.#retained.control.checked = isRetained;
    this.#run(0);
  }

  #changed(input) {
    const checks = [...this.#requires.querySelectorAll("input")];
    const selects = [...this.#modes.querySelectorAll("select")];
    this.#switched = {
      frozen: checks.filter(({ checked }) => !checked).map(({ value }) => value),
      modes: Object.fromEntries(selects.map(({ ariaLabel, value }) => [ariaLabel, value])),
    };
    this.#run(input.name === "pass" ? this.#n : 0); // a second pass goes on where the first one is
  }

  #take(button) {
    if (!button) return;
    if (button.dataset.example) this.#start(EXAMPLES[button.dataset.example]);
    const last = this.#steps.length;
    const goals = { Back: this.#n - 1, Step: this.#n + 1, All: last, Restart: 0 };
    if (button.textContent in goals) this.#go(goals[button.textContent]);
  }

  /** Record what the fields say. What cannot be read is named, and the last picture stays. */
  #run(n) {
    const recorder = new Recorder();
    const { frozen, modes } = this.#switched;
    const leaves = attempt(() => {
      const read = readLeaves(this.#leaves.control.value);
      return read.map((leaf) => ({ ...leaf, ...recorder.leaf(leaf, !frozen.includes(leaf.name)) }));
    });
    const lines = attempt(() => {
      if (leaves instanceof Error) return [];
      const read = readLines(
        this.#lines.value,
        leaves.map(({ name }) => name),
      );
      return read.map((line) => ({ ...line, made: recorder.line(line, modes[line.name]) }));
    });
    const failed = [leaves, lines].find((outcome) => outcome instanceof Error);
    this.#leaves.control.ariaInvalid = leaves instanceof Error;
    this.#lines.ariaInvalid = lines instanceof Error;
    this.#said.className = failed ? "failed" : "heard";
    if (failed) this.#said.textContent = say(failed);
    else this.#show(leaves, lines, n);
  }

  #show(leaves, lines, n) {
    const [isTwice, isRetained] = [this.#twice, this.#retained].map(({ control }) => control.checked);
    const result = lines.at(-1).made;
    this.#made = leaves;
    this.#drawn = new Picture(result);
    this.#steps = run(result.node, isTwice ? [isRetained, false] : [isRetained]);
    this.#program.textContent = program(leaves, lines, { ...this.#switched, isTwice, isRetained });
    this.#offer(leaves, lines);
    const nodes = this.#drawn.nodes.length;
    this.#said.textContent = `${lines.at(-1).name} is ${brief(result.value)}. Nodes on its tape: ${nodes}.`;
    this.#go(n);
  }

  /** Make switches for leaves and lines, unless they are there. */
  #offer(leaves, lines) {
    const { frozen, modes } = this.#switched;
    const names = JSON.stringify([leaves.map(({ name }) => name), lines.map(({ name }) => name)]);
    if (this.#offered !== names) {
      this.#requires.replaceChildren(
        this.#requires.firstChild,
        ...leaves.map(({ name }) => check(name, { name: "requires", value: name })),
      );
      this.#modes.replaceChildren(
        this.#modes.firstChild,
        ...lines.map(({ name }) => {
          const options = MODES.map((mode) => make("option", {}, mode));
          return make("label", {}, name, " ", make("select", { name: "mode", "aria-label": name }, ...options));
        }),
      );
      this.#offered = names;
    }
    for (const input of this.#requires.querySelectorAll("input")) input.checked = !frozen.includes(input.value);
    for (const select of this.#modes.querySelectorAll("select")) select.value = modes[select.ariaLabel] ?? MODES[0];
  }

  /** Show the tape after n steps. */
  #go(n) {
    const steps = this.#steps;
    this.#n = Math.min(Math.max(n, 0), steps.length);
    const done = steps.slice(0, this.#n);
    const last = done.at(-1);
    const grads = new Map(
      done.filter(({ node, error }) => node?.leaf && !error).map(({ node, after }) => [node, after]),
    );
    const [back, step, all, restart] = this.#buttons;
    back.ariaDisabled = restart.ariaDisabled = this.#n === 0;
    step.ariaDisabled = all.ariaDisabled = this.#n === steps.length;
    const pass = this.#twice.control.checked && last ? `, pass ${last.pass + 1}` : "";
    this.#position.textContent = `${this.#n} of ${steps.length}${pass}`;
    announce(this.#told, this.#stepper);
    this.#told.textContent = last ? `${this.#position.textContent}. ${sentence(last)}` : "Not yet gone backward.";
    this.#terms.replaceChildren(...(last ? terms(last) : [term("first comes in", "1")]));
    this.#failure.hidden = !last?.error;
    this.#failure.textContent = last?.error ? say(last.error) : "";
    this.#grads.replaceChildren(...this.#made.map((leaf) => term(`${leaf.name}.grad`, number(grads.get(leaf.node)))));
    this.#picture.ariaLabel = this.#description();
    this.#picture.replaceChildren(
      this.#drawn.draw({
        steps: done.filter(({ pass, error }) => pass === last.pass && !error),
        grads,
        freed: new Set(done.filter(({ frees }) => frees).map(({ node }) => node)),
        failed: last?.error && last.node,
      }),
    );
  }

  /** The tape in words. */
  #description() {
    const { nodes } = this.#drawn;
    if (!nodes.length) return "No tape.";
    const told = nodes.map((node) => {
      const ends = node.inputs.map(({ text }, n) =>
        node.ends[n] ? `${node.ends[n].name} of ${text}` : `None for ${text}`,
      );
      return `${node.name} of ${origin(node)}${ends.length ? ` leads to ${ends.join(" and ")}` : ""}.`;
    });
    return `Tape. ${told.join(" ")}`;
  }
}

/** Put the widget above the worked example, and start with its tape. */
export function build(element) {
  element.prepend(new Widget().form);
}
