/** What `<explore-traffic>` becomes: a chain to build, a machine to describe, bytes of each call, and a roofline. */

import { attempt, field, make, say } from "./parts.js";
import { CHANNELS, DTYPES, predict, readChain, readElements, sizes, traffic } from "./passes.js";
import { pieces, readFloat, Unread } from "./read.js";
import { roofline } from "./roofline.js";

/** Cephes' expf and its like are made of about 20 sums and products. */
const HARD = 20;
const MACHINE = [10, 50, 5, 5, HARD];
const F1 = "relu, + 3";
const F2 = "relu, batch_norm, + r";
/** Name, chain, elements, dtype, then the machine: GB/s, Gop/s, µs twice, and what an exp counts as. */
const EXAMPLES = [
  ["relu and + 3", F1, "2**20", "float32", ...MACHINE],
  ["relu, batch norm, residual", F2, "2**20", "float32", ...MACHINE],
  ["half as many bytes", F2, "2**20", "bfloat16", ...MACHINE],
  ["small, so it stays in the cache", F1, "2**14", "float32", 100, 50, 5, 20, HARD],
  ["nothing to fuse", "relu", "2**20", "float32", ...MACHINE],
  ["x read twice", "tanh, * x", "2**20", "float32", ...MACHINE],
  ["much arithmetic", "tanh, exp, sigmoid, tanh, exp", "2**20", "float32", ...MACHINE],
  // NVIDIA's data sheet of the H100 SXM: 3.35 TB/s, and 67 TFLOP/s in float32.
  ["an H100, as specified", F1, "2**20", "float32", 3350, 67000, 5, 5, HARD],
];
const ADDED = ["relu", "tanh", "exp", "+ 3", "* 2", "+ r", "* x", "batch_norm"];
/** What describes the machine: label, name of the number, lowest, highest, and its unit. */
const MEASURES = [
  ["Bandwidth, GB/s", "Bandwidths", 0.1, 100000, 1e9],
  ["Arithmetic, Gop/s", "Rates", 0.1, 10000000, 1e9],
  ["Overhead eager, µs", "Overheads", 0, 10000, 1e-6],
  ["Overhead fused, µs", "Overheads", 0, 10000, 1e-6],
  ["Operations per exp", "Operations", 1, 1000, 1],
];
const HINT =
  "The line is the most that this machine reaches: left of its bend memory limits a call, right of it arithmetic. Overhead, which each call takes once, puts a point below the line. For each element a batch norm takes two operations, exp, tanh and sigmoid what you say, and the others one.";
const COLUMNS = ["Call", "Reads, bytes", "Writes, bytes", "Takes, µs", "Bound by"];

const whole = (number) => number.toLocaleString("en");
const short = (number) => number.toLocaleString("en", { maximumSignificantDigits: 4 });
const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

function choice(label, options) {
  const control = make("select", {}, ...options.map((option) => make("option", {}, option)));
  return make("label", { class: "field" }, make("span", {}, label), control);
}

/** The number in a field. Throws `Unread` for one that is not drawn. */
function read({ control }, [, things, low, high, unit]) {
  const number = readFloat(control.value);
  if (number >= low && number <= high) return number * unit;
  throw new Unread(control.value, `${things} here go from ${low} to ${high}.`, "Not drawn");
}

/** The chain as a program that prints what each operation reads and writes. */
function program(steps, { elements, dtype }) {
  const code = {
    batch_norm: "norm(y)",
    ...Object.fromEntries(["relu", "exp", "tanh", "sigmoid"].map((name) => [name, `torch.${name}(y)`])),
  };
  const shape = `(1, ${CHANNELS}, ${elements / CHANNELS})`;
  const uses = (name) => steps.some(({ reads }) => reads.includes(name));
  const tensor = (name) => `${name} = torch.randn(${shape}, dtype=torch.${dtype})`;
  return [
    "import torch",
    "from torch.utils._python_dispatch import TorchDispatchMode",
    "from torch.utils._pytree import tree_leaves",
    "",
    "",
    "def size(tree):",
    "    tensors = filter(torch.is_tensor, tree_leaves(tree))",
    "    return sum(tensor.nbytes for tensor in set(tensors))",
    "",
    "",
    "class Traffic(TorchDispatchMode):",
    "    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):",
    "        result = operation(*args, **(kwargs or {}))",
    "        print(operation, size(args), size(result))",
    "        return result",
    "",
    "",
    tensor("x"),
    ...(uses("r") ? [tensor("r")] : []),
    ...(uses("norm") ? [`norm = torch.nn.BatchNorm1d(${CHANNELS}, dtype=torch.${dtype}).eval()`] : []),
    "with torch.no_grad(), Traffic():",
    "    y = x",
    ...steps.map(({ text }) => `    y = ${code[text] ?? `y ${text}`}`),
  ].join("\n");
}

function row(name, call) {
  const cells = [whole(call.reads), whole(call.writes), short(1e6 * call.time), call.bound];
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, name),
    ...cells.map((text, n) => make("td", { "data-name": COLUMNS[n + 1] }, text)),
  );
}

/** What comes of fusing, in words. */
function account(eager, fused) {
  const [bytes, times] = ["bytes", "time"].map((key) => short(eager[key] / fused[key]));
  const bound =
    eager.bound === fused.bound
      ? `Both are bound by ${fused.bound}.`
      : `Eager is bound by ${eager.bound}, fused by ${fused.bound}.`;
  const moved = `Eager moves ${whole(eager.bytes)} bytes, fused ${whole(fused.bytes)}: ${bytes} to 1.`;
  return `${moved} The predicted times are ${times} to 1. ${bound}`;
}

/** What the chart shows, in words. */
function describe({ bandwidth, rate }, points) {
  const told = points.map(
    ({ name, bytes, work, time }) => `${name}: ${short(work / time / 1e9)} at ${short(work / bytes)}`,
  );
  const roof = `The roof rises to ${short(rate / 1e9)} Gop/s at ${short(rate / bandwidth)} operations per byte.`;
  return `Roofline: Gop/s above operations per byte. ${roof} ${told.join(". ")}.`;
}

class Widget {
  #chain = field("Chain, from x on", "");
  #elements = field("Elements", "");
  #slider = make("input", { type: "range", step: 1, "aria-label": "Elements, slider" });
  #dtype = choice("Dtype", Object.keys(DTYPES));
  #machine = MEASURES.map(([label]) => field(label, ""));
  #said = make("p", { role: "status" });
  #calls = make("tbody");
  #sums = make("tfoot");
  #chart = make("div", { class: "roofline" });
  #program = make("code", { class: "paste" });

  constructor(example) {
    const examples = EXAMPLES.map(([name], n) => button({ "data-example": n }, name));
    const adds = ADDED.map((step) => button({ "data-add": step }, step));
    const heads = make("thead", {}, make("tr", {}, ...COLUMNS.map((name) => make("th", { scope: "col" }, name))));
    const table = make("table", { class: "steps", "aria-label": "calls" }, heads, this.#calls, this.#sums);
    this.form = make(
      "form",
      { class: "explorable" },
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      make(
        "div",
        {},
        this.#chain,
        make("fieldset", {}, make("legend", {}, "Add a step"), ...adds, button({ "data-drop": "" }, "Remove the last")),
      ),
      make(
        "div",
        { class: "machine" },
        make("div", { class: "stepper" }, this.#elements, this.#slider),
        this.#dtype,
        ...this.#machine,
      ),
      make("div", {}, this.#said, make("div", { class: "wide" }, table)),
      make("div", {}, this.#chart, make("p", { class: "hint" }, HINT)),
      make("div", {}, make("p", {}, make("small", {}, "To check it in Python"), this.#program)),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.#slider.addEventListener("input", () => (this.#elements.control.value = `2**${this.#slider.value}`));
    this.form.addEventListener("input", () => this.#run());
    this.form.addEventListener("click", ({ target }) => this.#press(target.dataset));
    this.#take(example);
  }

  #press({ example, add, drop }) {
    const { control } = this.#chain;
    const steps = pieces(control.value).filter(Boolean);
    if (example) this.#take(EXAMPLES[example]);
    if (add) control.value = [...steps, add].join(", ");
    if (drop !== undefined) control.value = steps.slice(0, -1).join(", ");
    if (add || drop !== undefined) this.#run();
  }

  #take([, chain, elements, dtype, ...machine]) {
    this.#chain.control.value = chain;
    this.#elements.control.value = elements;
    this.#dtype.control.value = dtype;
    for (const [n, { control }] of this.#machine.entries()) control.value = machine[n];
    this.#run();
  }

  /** Count and predict as the fields say. Where they are wrong, the last answer stays. */
  #run() {
    const dtype = this.#dtype.control.value;
    const found = [
      [this.#chain, () => readChain(this.#chain.control.value)],
      [this.#elements, () => readElements(this.#elements.control.value, dtype)],
      ...this.#machine.map((each, n) => [each, () => read(each, MEASURES[n])]),
    ].map(([{ control }, number]) => {
      const result = attempt(number);
      control.ariaInvalid = result instanceof Error;
      return result;
    });
    const wrong = found.find((result) => result instanceof Error);
    this.#said.className = wrong ? "failed" : "";
    if (wrong) this.#said.textContent = say(wrong);
    else this.#show(dtype, ...found);
  }

  #show(dtype, steps, elements, bandwidth, rate, overhead, overheadFused, hard) {
    const machine = { bandwidth, rate, overhead };
    const { eager: calls, fused: kernel } = traffic(steps, { elements, dtype, hard });
    const eager = predict(calls, machine);
    const fused = predict([kernel], { ...machine, overhead: overheadFused });
    const points = [
      { name: "eager", ...eager },
      { name: "fused", ...fused },
    ];
    [this.#slider.min, this.#slider.max] = sizes(dtype).map(Math.log2);
    this.#slider.value = Math.log2(elements);
    this.#slider.ariaValueText = whole(elements);
    this.#calls.replaceChildren(...calls.map((call) => row(make("code", {}, call.text), predict([call], machine))));
    this.#sums.replaceChildren(
      row(`eager, ${calls.length} ${calls.length === 1 ? "call" : "calls"}`, eager),
      row("fused, 1 call", fused),
    );
    this.#said.textContent = account(eager, fused);
    this.#chart.replaceChildren(roofline(machine, points, describe(machine, points)));
    this.#program.textContent = program(steps, { elements, dtype });
  }
}

/** Put the widget above the worked example, which is the first chain on a tensor of `2**20` elements. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const [elements] = /2\*\*\d+/.exec(code) ?? [EXAMPLES[0][2]];
  element.prepend(new Widget(EXAMPLES[0].with(2, elements)).form);
}
