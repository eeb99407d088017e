/** What `<explore-folder>` becomes: a tree to edit, the number of each class in train and in test, and the samples. */

import { readTree, ROOTS } from "./folder-tree.js";
import { imageFolder } from "./image-folder.js";
import { attempt, make, say, times } from "./parts.js";
import { surprise } from "./text-order.js";

/** A name, the paths, and whether empty classes are allowed. */
const EXAMPLES = [
  ["a class is missing in test", "train/cat/1.jpg train/dog/1.jpg train/rat/1.jpg test/dog/2.jpg test/rat/2.jpg"],
  ["10 before 2", "train/1/a.jpg train/2/a.jpg train/10/a.jpg test/1/b.jpg test/2/b.jpg"],
  ["a capital", "train/ant/1.jpg train/bee/1.jpg train/Wasp/1.jpg test/ant/2.jpg test/bee/2.jpg test/wasp/2.jpg"],
  ["a hidden folder", "train/.ipynb_checkpoints/1.jpg train/cat/1.jpg train/dog/1.jpg test/cat/2.jpg test/dog/2.jpg"],
  ["an empty class", "train/cat/1.jpg train/dog/1.jpg test/cat/2.jpg test/dog/"],
  ["an empty class, allowed", "train/cat/1.jpg train/dog/1.jpg test/cat/ test/dog/2.jpg", true],
  ["a file beside the folders", "train/3.jpg train/cat/1.jpg train/dog/1.jpg test/cat/2.jpg test/dog/2.jpg"],
  [
    "nested folders",
    "train/cat/b/1.jpg train/cat/2.jpg train/cat/a/b/3.jpg train/dog/1.jpg test/pets/cat/4.jpg test/pets/dog/2.jpg",
  ],
  ["extensions", "train/cat/1.JPG train/cat/2.gif train/cat/3.jpg.txt train/dog/4.webp test/cat/5.heic test/dog/6.png"],
  ["no class folder", "train/1.jpg train/2.jpg test/3.jpg"],
];

const cell = (...children) => make("td", {}, ...children);
const heads = (...names) =>
  make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
const remark = (words) => [" ", make("small", {}, words)];

/** Whether an index names one class in the first dataset and another in the second. */
const differs = (index, [train, test]) =>
  [train, test].every(({ classes }) => classes && index < classes.length) &&
  train.classes[index] !== test.classes[index];

/** What both datasets, or the errors in their places, have to do with each other. */
function verdict(found) {
  const failed = ROOTS.filter((_, n) => found[n] instanceof Error);
  if (failed.length) return `ImageFolder raises an error for ${failed.join(" and ")}.`;
  const [train, test] = found.map(({ classes }) => classes.length);
  const different = times(Math.min(train, test), Number).filter((index) => differs(index, found)).length;
  if (different) return `${different === 1 ? "1 index means" : `${different} indices mean`} another class in test.`;
  if (train === test) return "Each index means the same class in train and in test.";
  const [more, less] = train > test ? ROOTS : [...ROOTS].reverse();
  return `Each index of ${less} means the same class in ${more}, which has more of them.`;
}

/** The class of each index, in train and in test. */
function numbering(found) {
  const named = ({ classes = [], samples }, index, isOther) => {
    if (index >= classes.length) return make("td", { class: "none" }, "none");
    const remarks = [
      classes[index].startsWith(".") && "hidden",
      !samples.some(([, label]) => label === index) && "no samples",
    ];
    return make(
      "td",
      {},
      make("code", {}, classes[index]),
      ...(isOther ? [" ", make("mark", {}, "another class")] : []),
      ...remarks.filter(Boolean).flatMap(remark),
    );
  };
  const most = Math.max(...found.map(({ classes = [] }) => classes.length));
  const rows = times(most, (index) => {
    const isOther = differs(index, found);
    const cells = found.map((dataset, n) => named(dataset, index, isOther && n === 1));
    return make("tr", isOther ? { class: "other" } : {}, make("th", { scope: "row" }, index), ...cells);
  });
  return make(
    "table",
    { class: "labels" },
    heads("index", ...ROOTS.map((root) => `${root}.classes`)),
    make("tbody", {}, ...rows),
  );
}

/** The samples of a dataset, and what it passes over; or its error. */
function listed(n, found) {
  const title = make("h3", {}, `${ROOTS[n]}.samples`);
  const dataset = found[n];
  if (dataset instanceof Error) return [title, make("p", { class: "failed" }, say(dataset))];
  const rows = dataset.samples.map(([path, label]) => {
    const meant = n && differs(label, found) ? remark(`${found[0].classes[label]} in train`) : [];
    return make("tr", {}, cell(make("code", {}, path)), cell(make("b", {}, label), ...meant));
  });
  const out = dataset.leftOut.map(([path, why]) => make("li", {}, make("code", {}, path), ` (${why})`));
  return [
    title,
    make("table", { class: "labels" }, heads("path", "label"), make("tbody", {}, ...rows)),
    ...(out.length ? [make("p", { class: "hint" }, "Left out without a word:"), make("ul", {}, ...out)] : []),
  ];
}

class Widget {
  #lines = make("textarea", { rows: 7, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  #allowEmpty = make("input", { type: "checkbox" });
  #said = make("p", { role: "status" });
  #numbering = make("div");
  #why = make("p", { class: "hint" });
  #samples = ROOTS.map(() => make("div"));

  constructor(lines) {
    this.#lines.value = lines;
    const examples = EXAMPLES.map(([name], n) => make("button", { type: "button", "data-example": n }, name));
    const hint = make("p", { class: "hint", id: "folder-hint" }, "A folder without files ends in a slash: train/dog/");
    this.#lines.setAttribute("aria-describedby", hint.id);
    this.form = make(
      "form",
      { class: "explorable" },
      make("fieldset", {}, make("legend", {}, "Examples"), ...examples),
      make(
        "div",
        { class: "tree" },
        make(
          "div",
          {},
          make("label", { class: "field" }, make("span", {}, "Files, one path on each line"), this.#lines),
          hint,
          make("label", { class: "choice" }, this.#allowEmpty, make("code", {}, "allow_empty=True")),
        ),
        make("div", {}, make("h3", {}, "class_to_idx"), this.#said, this.#numbering, this.#why),
      ),
      make("div", { class: "tree" }, ...this.#samples),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#run());
    examples[0].parentNode.addEventListener("click", ({ target }) => this.#take(target.closest("[data-example]")));
    this.#run();
  }

  #take(button) {
    if (!button) return;
    const [, paths, allowEmpty = false] = EXAMPLES[button.dataset.example];
    this.#lines.value = paths.replaceAll(" ", "\n");
    this.#allowEmpty.checked = allowEmpty;
    this.#run();
  }

  /** Read the tree. A line that cannot be read is named, and the last picture stays. */
  #run() {
    const tree = attempt(() => readTree(this.#lines.value));
    const isUnread = tree instanceof Error;
    this.#lines.ariaInvalid = isUnread;
    this.#said.className = isUnread ? "failed" : "";
    if (isUnread) this.#said.textContent = say(tree);
    else
      this.#show(
        ROOTS.map((root) => attempt(() => imageFolder(root, tree.get(root)?.folder, this.#allowEmpty.checked))),
      );
  }

  #show(found) {
    this.#said.textContent = verdict(found);
    this.#numbering.replaceChildren(...(found.some(({ classes }) => classes) ? [numbering(found)] : []));
    const surprises = new Set(found.map(({ classes = [] }) => surprise(classes)).filter(Boolean));
    this.#why.textContent = [...surprises].join(" ");
    for (const [n, box] of this.#samples.entries()) box.replaceChildren(...listed(n, found));
  }
}

/** Put the widget above the worked example, and start with the paths that it makes. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  element.prepend(new Widget([...code.matchAll(/"(\w+\/[^"]*)"/g)].map(([, path]) => path).join("\n")).form);
}
