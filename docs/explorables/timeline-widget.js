/** What `<explore-timeline>` becomes: a `DataLoader` to set, a lane for each of its processes, and what comes out. */

import { load } from "./loader.js";
import { attempt, field, make, say, times } from "./parts.js";
import { Unread } from "./read.js";

/** Name, then n, batch size, dataset, workers, and what is ticked. */
const EXAMPLES = [
  ["two workers", 12, 4, "map", 2],
  ["every item twice", 16, 4, "whole", 2],
  ["every item once", 16, 4, "strided", 2],
  ["the last batch dropped", 14, 4, "map", 2, "dropLast"],
  ["a last batch for each worker", 14, 4, "strided", 3],
  ["and each is dropped", 14, 4, "strided", 3, "dropLast"],
  ["nothing comes out", 20, 8, "chunked", 4, "dropLast"],
  ["a worker without work", 9, 2, "chunked", 4],
  ["shuffled", 12, 4, "map", 2, "shuffle"],
  ["no batches", 6, "None", "map", 2],
];
const DATASETS = {
  map: "map-style",
  whole: "iterable, not sharded",
  strided: "iterable, every Wth",
  chunked: "iterable, in parts",
};
const EPOCHS = 2;

/** How strong each worker is tinted, in percent. */
const tinted = (worker) => `--tint: ${6 + 13 * worker}%`;
const counted = (n, thing, things = `${thing}s`) => `${n} ${n === 1 ? thing : things}`;

function choice(label, options) {
  const list = Object.entries(options).map(([value, text]) => make("option", { value }, text));
  return make("label", { class: "field" }, make("span", {}, label), make("select", {}, ...list));
}

function tick(label) {
  const control = make("input", { type: "checkbox" });
  return Object.assign(make("label", {}, control, label), { box: control });
}

/** The whole number in a field. Throws `Unread` for one that is not drawn. */
function read({ control }, things, low, high, why = "") {
  const text = control.value.trim();
  if (!/^-?\d{1,15}$/.test(text)) throw new Unread(text, `A whole number stands here, such as ${high}.`);
  const number = Number(text);
  if (number >= low && number <= high) return number;
  const range = low === -Infinity ? `up to ${high}` : `from ${low} to ${high}`;
  throw new Unread(text, `${things} here go ${range}${why}.`, "Not drawn");
}

/** The loader as a program. */
function program({ dataset, n, batchSize, shuffle, seed, workers, dropLast }) {
  const isMap = dataset === "map";
  const settings = [
    "Items()",
    `batch_size=${batchSize ?? "None"}`,
    ...(shuffle ? ["shuffle=True", "generator=generator"] : []),
    ...(workers ? [`num_workers=${workers}`] : []),
    ...(dropLast ? ["drop_last=True"] : []),
  ];
  const share = {
    map: ["    def __getitem__(self, i):", "        return told(i)"],
    whole: [`        return map(told, range(${n}))`],
    strided: [`        return map(told, range(worker, ${n}, workers))`],
    chunked: [
      `        size = math.ceil(${n} / workers)`,
      `        return map(told, range(${n})[worker * size : (worker + 1) * size])`,
    ],
  }[dataset];
  const worker = [
    "        info = get_worker_info()",
    "        worker, workers = (info.id, info.num_workers) if info else (0, 1)",
  ];
  const iter = ["    def __iter__(self):", ...(dataset === "whole" ? [] : worker), ...share];
  return [
    ...(dataset === "chunked" ? ["import math", ""] : []),
    ...(shuffle ? ["import torch"] : []),
    `from torch.utils.data import DataLoader, ${isMap ? "Dataset" : "IterableDataset"}, get_worker_info`,
    "",
    "",
    "def told(item):",
    "    info = get_worker_info()",
    '    return f"{item} by worker {info.id}" if info else f"{item} by main"',
    "",
    "",
    `class Items(${isMap ? "Dataset" : "IterableDataset"}):`,
    "    def __len__(self):",
    `        return ${n}`,
    "",
    ...(isMap ? share : iter),
    "",
    "",
    'if __name__ == "__main__":',
    ...(shuffle ? [`    generator = torch.Generator().manual_seed(${seed})`] : []),
    `    loader = DataLoader(${settings.join(", ")})`,
    "    print(len(loader))",
    ...(shuffle ? [`    for epoch in range(${EPOCHS}):`] : []),
    ...["    for batch in loader:", "        print(batch)"].map((line) => (shuffle ? `    ${line}` : line)),
  ].join("\n");
}

/** Items in boxes below the number of their batch. Those that came before are marked. */
function batchBox(name, { items, worker }, seen) {
  const boxes = items.map((item) => {
    const isAgain = seen?.has(item);
    seen?.add(item);
    return make("span", isAgain ? { class: "again" } : {}, item);
  });
  const label = `${Number.isInteger(name) ? `batch ${name}` : name}: ${items.join(", ")}`;
  const style = `${worker === undefined ? "" : tinted(worker)}; --across: ${Math.min(items.length, 8)}`;
  const box = make("div", { role: "img", "aria-label": label, style }, make("small", {}, name), ...boxes);
  return make("li", worker === undefined ? { class: "dropped" } : {}, box);
}

/** The name of a process, and its batches. */
function lane(name, boxes) {
  const batches = boxes.length ? make("ol", {}, ...boxes) : make("small", {}, "nothing");
  return [make("dt", {}, name), make("dd", {}, batches)];
}

/** What comes out of an epoch, in words. */
function account({ dataset, n, batchSize, workers }, { batches }, length, lost) {
  const out = batches.reduce((sum, { items }) => sum + items.length, 0);
  const again = out - (n - lost.length);
  const told = [];
  if (!again && !lost.length) told.push(`${counted(n, "item")}, and each comes out once.`);
  else {
    const parts = [...(again ? [counted(again, "duplicate")] : []), ...(lost.length ? [`${lost.length} lost`] : [])];
    told.push(`${counted(n, "item")}, and ${out || "none"} ${out > 1 ? "come" : "comes"} out: ${parts.join(", ")}.`);
  }
  if (again) told.push("Each worker goes through the whole dataset.");
  if (lost.length && dataset === "map") told.push("What is lost is not loaded at all.");
  if (lost.length && dataset !== "map") {
    const who = workers > 1 ? "each worker drops a last batch of its own" : "the last batch is not full";
    told.push(`What is lost was loaded and thrown away: ${who}.`);
  }
  const come = batchSize === null ? counted(batches.length, "item") : counted(batches.length, "batch", "batches");
  const is = batches.length === 1 ? "comes" : "come";
  told.push(`len(loader) is ${length}, ${batches.length === length ? "and" : "but"} ${come} ${is}.`);
  if (batches.length > n) told.push("That is more than there are items, so torch warns.");
  else if (batches.length !== length) told.push("torch does not warn.");
  return told.join(" ");
}

class Widget {
  #n = field("Items", "");
  #batchSize = field("Batch size", "");
  #dataset = choice("Dataset", DATASETS);
  #workers = choice("Workers", Object.fromEntries(times(5, (n) => [n, n])));
  #shuffle = tick("shuffle=True");
  #dropLast = tick("drop_last=True");
  #seed = field("Seed", "");
  #epoch = choice("Epoch", Object.fromEntries(times(EPOCHS, (n) => [n, n + 1])));
  #said = make("p", { role: "status" });
  #lanes = make("dl", { class: "lanes" });
  #program = make("code", { class: "paste" });

  constructor(example) {
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const loader = make(
      "div",
      { class: "fields loader" },
      this.#n,
      this.#batchSize,
      this.#dataset,
      this.#workers,
      make("div", { class: "ticks" }, this.#dropLast, this.#shuffle),
      this.#seed,
      this.#epoch,
    );
    this.form = make(
      "form",
      { class: "explorable" },
      loader,
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      make(
        "div",
        {},
        make(
          "div",
          {},
          this.#said,
          this.#lanes,
          make(
            "p",
            { class: "hint" },
            "Above a batch is its number in the order in which they come out. A tint stands for a worker.",
          ),
        ),
        make("p", {}, make("small", {}, "To check it in Python"), this.#program),
      ),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#run());
    this.form.addEventListener("click", ({ target }) => this.#take(EXAMPLES[target.dataset.example]));
    this.#take(example);
  }

  #take(example) {
    if (!example) return;
    const [, n, batchSize, dataset, workers, ticked] = example;
    this.#n.control.value = n;
    this.#batchSize.control.value = batchSize;
    this.#dataset.control.value = dataset;
    this.#workers.control.value = workers;
    this.#shuffle.box.checked = ticked === "shuffle";
    this.#dropLast.box.checked = ticked === "dropLast";
    this.#seed.control.value = this.#epoch.control.value = 0;
    this.#run();
  }

  /** Load as the fields say. Where that is wrong the last picture stays. */
  #run() {
    const shuffle = this.#shuffle.box.checked;
    const isNone = this.#batchSize.control.value.trim() === "None";
    const bits = ": a generator on the CPU keeps 32 bits";
    const numbers = [
      [this.#n, () => read(this.#n, "Items", 1, 40)],
      [this.#batchSize, () => (isNone ? null : read(this.#batchSize, "Batch sizes", -Infinity, 16))],
      [this.#seed, () => (shuffle ? read(this.#seed, "Seeds", 0, 2 ** 32 - 1, bits) : 0)],
    ].map(([{ control }, number]) => {
      const found = attempt(number);
      control.ariaInvalid = found instanceof Error;
      return found;
    });
    this.#seed.control.disabled = this.#epoch.control.disabled = !shuffle;
    const [n, batchSize, seed] = numbers;
    const [dataset, workers] = [this.#dataset.control.value, Number(this.#workers.control.value)];
    const settings = { dataset, n, batchSize, shuffle, seed, workers, dropLast: this.#dropLast.box.checked };
    const loaded = numbers.find((number) => number instanceof Error) ?? attempt(() => load(settings, EPOCHS));
    this.#said.className = loaded instanceof Error ? "failed" : "";
    if (loaded instanceof Error) this.#said.textContent = say(loaded);
    else this.#show(settings, loaded);
  }

  #show(settings, { epochs, length }) {
    const { n, workers } = settings;
    const epoch = epochs[settings.shuffle ? this.#epoch.control.value : 0];
    const out = new Set(epoch.batches.flatMap(({ items }) => items));
    const lost = times(n, (item) => item).filter((item) => !out.has(item));
    const dropped = (worker) =>
      epoch.dropped[worker]?.length ? [batchBox("dropped", { items: epoch.dropped[worker] })] : [];
    const seen = new Set();
    const main = epoch.batches.map((batch, order) => batchBox(order, batch, seen));
    const lanes = times(workers, (worker) => {
      const own = epoch.batches.map((batch, order) => batch.worker === worker && batchBox(order, batch));
      return lane(`worker ${worker}`, [...own.filter(Boolean), ...dropped(worker)]);
    });
    this.#lanes.replaceChildren(
      ...lanes.flat(),
      ...lane("main", workers ? main : [...main, ...dropped(0)]),
      ...(lost.length ? lane("lost", [batchBox("", { items: lost })]) : []),
    );
    this.#said.textContent = account(settings, epoch, length, lost);
    this.#program.textContent = program(settings);
  }
}

/** Put the widget above the worked example, whose last loader is where it starts. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const [n, batchSize, workers] = [/range\((\d+)\)/, /batch_size=(\d+)/, /(\d+)\):/].map((part) => part.exec(code)[1]);
  element.prepend(new Widget(["", n, batchSize, "map", workers]).form);
}
