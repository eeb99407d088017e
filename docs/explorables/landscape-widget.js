/** What `<explore-landscape>` becomes: a landscape to start on, an optimizer to set, and the steps that it takes. */

import { descend, largestRate, restsFrom } from "./descent.js";
import { Picture } from "./descent-picture.js";
import { LANDSCAPES, sides } from "./landscapes.js";
import { announce, attempt, bracketed, field, make, say, term } from "./parts.js";
import { brief, repr, vector } from "./python-float.js";
import { readFloat, Unread } from "./read.js";

/** Name, landscape, optimizer and whether `zero_grad()` is left out, then the fields in their order. */
const EXAMPLES = [
  ["just above 2 / k", "valley", "SGD", false, 0.105, 0, 20, 4, 0.05, 50],
  ["zero_grad() left out", "valley", "SGD", true, 0.01, 0, 6, 4, 3, 200],
  ["momentum 1", "valley", "SGD", false, 0.01, 1, 6, 4, 3, 200],
  ["momentum 0.9", "valley", "SGD", false, 0.01, 0.9, 6, 4, 3, 200],
  ["on the ridge of a saddle", "saddle", "SGD", false, 0.1, 0, 1, 2, 0, 100],
  ["beside it", "saddle", "SGD", false, 0.1, 0, 1, 2, 1e-6, 100],
  ["a curved valley", "rosenbrock", "SGD", false, 0.001, 0.9, 1, -1.5, 2, 200],
  ["the same with Adam", "rosenbrock", "Adam", false, 0.1, 0.9, 1, -1.5, 2, 200],
  ["four minima", "himmelblau", "SGD", false, 0.01, 0, 1, 0, 0, 50],
  ["a kink", "kink", "SGD", false, 0.3, 0, 1, 2, 1.1, 50],
];
const OPTIMIZERS = {
  SGD: { optimizer: "SGD", nesterov: false },
  "SGD with Nesterov": { optimizer: "SGD", nesterov: true },
  Adam: { optimizer: "Adam", nesterov: false },
};
/** What is below it counts as no slope and no move. */
const SMALL = 1e-6;
/** Between two steps of a run, in milliseconds. */
const PACE = 40;

/** A field with a list to choose from, `{value: text}`. */
function choice(label, options) {
  const list = Object.entries(options).map(([value, text]) => make("option", { value }, text));
  return make("label", { class: "field" }, make("span", {}, label), make("select", {}, ...list));
}

/** A field for a number with a slider below it. `place` and `value` lead from one to the other. */
function dial(label, range, place = Number, value = Number) {
  const dial = field(label, "");
  const slider = make("input", { type: "range", "aria-label": `${label}, slider`, ...range });
  const follow = (number) => {
    slider.value = place(number);
    slider.ariaValueText = brief(number);
  };
  slider.addEventListener("input", () => (dial.control.value = repr(value(slider.valueAsNumber))));
  return Object.assign(make("div", { class: "dial" }, dial, slider), { control: dial.control, slider, follow });
}

/** The number in a field. Throws `Unread` for one that is not drawn. */
function read({ control }, low, high, isWhole) {
  const number = readFloat(control.value);
  if (number >= low && number <= high && (!isWhole || Number.isInteger(number))) return number;
  const kind = isWhole ? "Whole numbers" : "Numbers";
  const range = low === -Infinity ? `up to ${repr(high)}` : `from ${repr(low)} to ${repr(high)}`;
  throw new Unread(control.value, `${kind} here go ${range}.`, "Not drawn");
}

/** The descent as a program. */
function program({ landscape, k, start, steps, clears, optimizer, nesterov, lr, momentum }) {
  const settings = [`[w], lr=${repr(lr)}`];
  if (optimizer === "SGD" && momentum) settings.push(`momentum=${repr(momentum)}`);
  if (nesterov) settings.push("nesterov=True");
  return [
    `w = torch.tensor(${bracketed(start.map(repr))}, dtype=torch.float64, requires_grad=True)`,
    `optimizer = torch.optim.${optimizer}(${settings.join(", ")})`,
    `for _ in range(${steps}):`,
    ...(clears ? ["    optimizer.zero_grad()"] : []),
    "    x, y = w",
    `    loss = ${landscape.code(k)}`,
    "    loss.backward()",
    "    optimizer.step()",
    "    print(loss.item(), w.tolist())",
  ].join("\n");
}

/** Where a descent leads, in words. */
function outcome(landscape, taken) {
  const { next, loss } = taken.at(-1);
  const spoiled = taken.find((step) => !Number.isFinite(step.loss));
  if (spoiled) {
    const lost = taken.find((step) => step.next.some(Number.isNaN));
    const after = lost ? `, and step ${taken.indexOf(lost) + 1} makes w ${vector(lost.next)}` : "";
    return `Diverges. In step ${taken.indexOf(spoiled) + 1} the loss is ${brief(spoiled.loss)}${after}.`;
  }
  const rest = restsFrom(taken, SMALL);
  if (rest >= 0) {
    const doubt = landscape === LANDSCAPES.saddle ? " This is no minimum: the slope is 0 on a saddle as well." : "";
    return `At rest from step ${rest + 1} on, at ${vector(next)}, with the loss ${brief(loss)}.${doubt}`;
  }
  const { left, right, bottom, top } = sides(landscape);
  const isInside = next[0] >= left && next[0] <= right && next[1] >= bottom && next[1] <= top;
  const place = `${isInside ? "Still moving" : "Outside the picture"} after step ${taken.length}, at ${vector(next)}.`;
  return `${place} The last loss is ${brief(loss)}.`;
}

/** Whether a descent without `zero_grad()` is one with momentum 1, to the last bit. */
function isMomentumOne(run, taken) {
  if (run.clears || run.optimizer === "Adam" || run.momentum || run.nesterov) return false;
  const other = descend({ ...run, clears: true, momentum: 1 });
  return taken.every(({ next }, n) => next.every((place, i) => Object.is(place, other[n].next[i])));
}

/** Up to which rate SGD converges in the valley. */
function limit(run) {
  const rate = `${brief(largestRate(run))}.`;
  if (run.nesterov) return `2 (1 + momentum) / (1 + 2 momentum) / k = ${rate}`;
  if (run.momentum)
    return `2 (1 + momentum) / k = ${rate}${run.momentum === 1 ? " Below it, momentum 1 swings for ever." : ""}`;
  return `2 / k = ${rate} Each step multiplies y by 1 - lr · k, and that has to stay between -1 and 1.`;
}

class Widget {
  #landscape = choice(
    "Landscape",
    Object.fromEntries(Object.entries(LANDSCAPES).map(([key, { name }]) => [key, name])),
  );
  #optimizer = choice("Optimizer", Object.fromEntries(Object.keys(OPTIMIZERS).map((name) => [name, name])));
  #forgets = make("input", { type: "checkbox" });
  #rate = dial("Learning rate", { min: -4, max: 1, step: 0.05 }, Math.log10, (n) => Number((10 ** n).toPrecision(2)));
  #momentum = dial("Momentum", { min: 0, max: 1, step: 0.01 });
  #k = dial("k, how narrow", { min: 1, max: 30, step: 1 });
  #x = field("Start, x", "");
  #y = field("Start, y", "");
  #length = field("Steps", "");
  #fields = [this.#rate, this.#momentum, this.#k, this.#x, this.#y, this.#length];
  #picture = new Picture();
  #said = make("p", { role: "status" });
  #slider = make("input", { type: "range", min: 1 });
  #position = make("span", { "aria-hidden": "true" });
  #back = make("button", { type: "button" }, "Back");
  #next = make("button", { type: "button" }, "Next");
  #play = make("button", { type: "button" }, "Run");
  #stepper;
  #told = make("output", { class: "sum" });
  #limit = make("p");
  #guess;
  #code = make("code", { class: "paste" });
  /** The steps that are taken, the number of the one that is shown, what is painted, and the timer of a run. */
  #taken;
  #n;
  #painted;
  #timer;

  constructor(example) {
    const label = make("label", {}, make("span", { class: "heard" }, "Step"), this.#slider);
    this.#stepper = make("div", { class: "stepper" }, this.#back, this.#next, this.#play, label, this.#position);
    const source = make("a", { href: "https://distill.pub/2017/momentum/" }, "Goh, Why Momentum Really Works (2017)");
    this.#guess = make(
      "details",
      { class: "question" },
      make("summary", {}, "Up to which learning rate does this valley converge?"),
      this.#limit,
      make("p", {}, "Source: ", source),
    );
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const buttons = make("fieldset", {}, make("legend", {}, "Examples"), ...examples);
    const settings = make(
      "div",
      { class: "settings" },
      this.#rate,
      this.#momentum,
      this.#k,
      this.#x,
      this.#y,
      this.#length,
      make("label", { class: "check" }, this.#forgets, "zero_grad() left out"),
    );
    this.form = make(
      "form",
      { class: "explorable" },
      make("div", { class: "fields same broad" }, this.#landscape, this.#optimizer),
      buttons,
      make(
        "div",
        { class: "descent" },
        make("div", {}, this.#picture.map, this.#stepper, this.#picture.curve),
        settings,
      ),
      make("div", {}, make("div", {}, this.#said, this.#told, this.#guess)),
      make("div", {}, make("p", {}, make("small", {}, "To check it in Python"), this.#code)),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", ({ target }) => this.#change(target));
    this.#back.addEventListener("click", () => this.#stop(this.#n - 1));
    this.#next.addEventListener("click", () => this.#stop(this.#n + 1));
    this.#play.addEventListener("click", () => this.#toggle());
    buttons.addEventListener("click", ({ target }) => this.#take(EXAMPLES[target.dataset.example]));
    this.#picture.onStart((point) => this.#startAt(point));
    this.#take(example);
  }

  #take(example) {
    if (!example) return;
    const [, landscape, optimizer, forgets, ...values] = example;
    [this.#landscape.control.value, this.#optimizer.control.value, this.#forgets.checked] = [
      landscape,
      optimizer,
      forgets,
    ];
    for (const [n, { control }] of this.#fields.entries()) control.value = values[n];
    this.#descend();
  }

  #change(target) {
    if (target === this.#slider) return this.#stop(target.valueAsNumber);
    if (target === this.#landscape.control) {
      // The point and the rate of another landscape may lie outside of this one.
      const { start, lr } = LANDSCAPES[target.value];
      for (const [n, { control }] of [this.#rate, this.#x, this.#y].entries()) control.value = [lr, ...start][n];
    }
    this.#descend();
  }

  /** Start at the point of two decimals in the picture that is nearest to one. */
  #startAt(point) {
    const { left, right, bottom, top } = sides(LANDSCAPES[this.#landscape.control.value]);
    const [x, y] = point.map((place) => Number(place.toFixed(2)));
    this.#x.control.value = Math.max(left, Math.min(right, x));
    this.#y.control.value = Math.max(bottom, Math.min(top, y));
    this.#descend();
  }

  /** Descend as the fields say. Where that is wrong the last picture stays. */
  #descend() {
    const landscape = LANDSCAPES[this.#landscape.control.value];
    const { left, right, bottom, top } = sides(landscape);
    const ranges = [
      [-Infinity, Infinity],
      [-Infinity, 1],
      [1, 30],
      [left, right],
      [bottom, top],
      [1, 200, true],
    ];
    const numbers = this.#fields.map((each, n) => attempt(() => read(each, ...ranges[n])));
    for (const [n, { control }] of this.#fields.entries()) control.ariaInvalid = numbers[n] instanceof Error;
    const [lr, momentum, k, x, y, steps] = numbers;
    const chosen = OPTIMIZERS[this.#optimizer.control.value];
    const run = { landscape, k, start: [x, y], steps, clears: !this.#forgets.checked, lr, momentum, ...chosen };
    const taken = numbers.find((number) => number instanceof Error) ?? attempt(() => descend(run));
    this.#said.className = taken instanceof Error ? "failed" : "";
    if (taken instanceof Error) this.#said.textContent = say(taken);
    else this.#show(run, taken);
  }

  #show(run, taken) {
    const { landscape, k, lr, momentum, optimizer } = run;
    this.#taken = taken;
    const isAdam = optimizer === "Adam";
    this.#momentum.control.disabled = this.#momentum.slider.disabled = isAdam;
    this.#k.hidden = landscape !== LANDSCAPES.valley;
    for (const [dial, number] of [
      [this.#rate, lr],
      [this.#momentum, momentum],
      [this.#k, k],
    ])
      dial.follow(number);
    const code = landscape.code(k);
    if (code !== this.#painted) this.#picture.paint(landscape, k);
    this.#painted = code;
    const same = isMomentumOne(run, taken)
      ? " Momentum 1 with zero_grad() makes the same numbers, to the last bit."
      : "";
    this.#said.textContent = outcome(landscape, taken) + same;
    this.#guess.hidden = this.#k.hidden || isAdam || !run.clears;
    this.#limit.textContent = limit(run);
    this.#code.textContent = program(run);
    this.#slider.max = taken.length;
    this.#stop(taken.length);
  }

  /** Stop a run, and show the nth step. */
  #stop(n) {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#play.textContent = "Run";
    this.#step(n);
  }

  /** Run on, or from the start where this is the end. Who wants no motion is led to the end. */
  #toggle() {
    const steps = this.#taken.length;
    if (this.#timer) return this.#stop(this.#n);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.#stop(steps);
    this.#play.textContent = "Pause";
    this.#timer = setInterval(() => {
      const n = Math.min(this.#n + 1, steps);
      if (n < steps && this.form.isConnected) this.#step(n);
      else this.#stop(n);
    }, PACE);
    if (this.#n === steps) this.#step(1);
  }

  #step(n) {
    const all = this.#taken.length;
    if (n < 1 || n > all) return;
    this.#n = n;
    this.#slider.value = n;
    this.#slider.ariaValueText = this.#position.textContent = `${n} of ${all}`;
    this.#back.ariaDisabled = n === 1;
    this.#next.ariaDisabled = n === all;
    this.#picture.draw(this.#taken, n);
    const { w, loss, grad, state, next } = this.#taken[n - 1];
    announce(this.#told, this.#stepper);
    if (this.#timer) this.#told.ariaLive = "off"; // a run is looked at, and its end is read out
    this.#told.replaceChildren(
      term("loss", brief(loss)),
      term("w", vector(w)),
      term("w.grad", vector(grad)),
      ...Object.entries(state).map(([name, value]) => term(name, vector(value))),
      term("new w", vector(next), "→"),
    );
  }
}

/** Put the widget above the worked example, whose first descent is where it starts. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const found = (pattern) => Number(pattern.exec(code)[1]);
  const [, x, y] = /torch\.tensor\(\[(.*), (.*)\]/.exec(code);
  const [lr, k, steps] = [/for lr in \((.*?),/, /([\d.]+) \* w\[1\]/, /range\((\d+)\)/].map(found);
  element.prepend(new Widget(["", "valley", "SGD", false, lr, 0, k, Number(x), Number(y), steps]).form);
}
