/** What `<explore-museum>` becomes: the curves of ten recorded runs, clues to ask for, and a loop to point into. */

import { logarithmic, path, SHARES } from "./chart.js";
import { brief, clues, CURVES, describe, GUESS, listing, percent, runsOf } from "./exhibits.js";
import { make, stopAt, walk } from "./parts.js";

const RECORD = await (await fetch(new URL("museum-runs.json", import.meta.url))).json();
const HEALTHY = runsOf(RECORD, "healthy");
const LINES = listing(RECORD.loop);
const EXHIBITS = Object.keys(RECORD.bugs).filter((name) => name !== "healthy");

const [WIDTH, HEIGHT, LEFT, BELOW] = [300, 170, 40, 32];

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A chart with its title: the healthy runs behind, before them those of an exhibit, and what a guess is worth. */
function chart(kind, title, runs) {
  const all = [...HEALTHY, ...runs];
  const numbers = [GUESS[kind], ...all.flatMap((run) => CURVES[kind].flatMap((curve) => run[curve]))];
  const axis = kind === "loss" ? logarithmic(numbers.filter((number) => number > 0)) : SHARES;
  const height = (number) => HEIGHT * (1 - axis.place(number));
  const last = HEALTHY[0].train_loss.length;
  const line = (number, name) => svg("path", { class: name, d: `M0 ${height(number)}H${WIDTH}` });
  const tick = (number) => {
    const text = kind === "loss" ? brief(number) : percent(number);
    return [line(number, "tick"), svg("text", { x: -5, y: height(number) + 4, class: "at" }, text)];
  };
  const curves = (shown, name) =>
    shown.flatMap((run) =>
      CURVES[kind].map((curve, n) =>
        svg("path", { class: `${name} ${["train", "test"][n]}`, d: path(run[curve], axis, WIDTH, HEIGHT) }),
      ),
    );
  const picture = svg(
    "svg",
    {
      viewBox: `${-LEFT} -6 ${LEFT + WIDTH + 8} ${HEIGHT + BELOW + 6}`,
      role: "img",
      "aria-label": `${title}${kind === "loss" ? ", on a logarithmic axis" : ""}. ${describe(runs, HEALTHY, kind)}`,
    },
    ...axis.ticks.flatMap(tick),
    line(GUESS[kind], "guess"),
    ...curves(HEALTHY, "healthy"),
    ...curves(runs, "shown"),
    svg("text", { x: 0, y: HEIGHT + 16 }, "1"),
    svg("text", { x: WIDTH / 2, y: HEIGHT + 16, class: "middle" }, "epoch"),
    svg("text", { x: WIDTH, y: HEIGHT + 16, class: "at" }, String(last)),
  );
  return make("div", {}, make("h3", {}, title), picture);
}

const key = (name, words) =>
  make(
    "span",
    {},
    svg("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, svg("path", { class: name, d: "M0 4H24" })),
    ` ${words}`,
  );

const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

class Widget {
  #numbers = EXHIBITS.map((_, n) => button({ "data-exhibit": n }));
  #curves = make("div", { class: "curves" });
  #asked = make("ol");
  #clue = button({ "data-clue": "" });
  #give = button({ "data-give": "" }, "Show the line");
  #code = make("div", { class: "listing", role: "group", "aria-label": "The loop" });
  #told = make("output");
  #score = make("p", { class: "hint" });
  #n;
  /** What was done at each exhibit: lines that were tried, clues that were asked for, whether it is open. */
  #states = EXHIBITS.map(() => ({ tried: new Set(), clues: 0, open: false, given: false }));

  constructor(n) {
    const { date, machine, versions } = RECORD;
    const where = `${machine.processor} with ${machine.cores} cores, ${machine.instructions}, ${machine.device}`;
    const recorded = `Recorded on ${date}: ${where}; torch ${versions.torch}, Python ${versions.python}, scikit-learn ${versions["scikit-learn"]}; ${HEALTHY.length} seeds each.`;
    this.form = make(
      "form",
      { class: "explorable" },
      make("fieldset", {}, make("legend", {}, "Exhibits"), ...this.#numbers),
      this.#curves,
      make(
        "p",
        { class: "keys hint" },
        key("shown train", "training"),
        key("shown test", "test"),
        key("healthy", "without a bug"),
        key("guess", "a guess"),
      ),
      make("div", {}, make("fieldset", {}, make("legend", {}, "Clues"), this.#clue, this.#give), this.#asked),
      make(
        "div",
        {},
        make("h3", {}, "Which line was changed, dropped or moved?"),
        make("p", { class: "hint" }, "This is the loop without a bug."),
        this.#code,
        this.#told,
      ),
      make("div", {}, this.#score, make("p", { class: "hint" }, recorded)),
    );
    this.#asked.ariaLive = "polite";
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("click", ({ target }) => this.#press(target.closest("button")));
    this.#code.addEventListener("keydown", (event) => this.#walk(event));
    this.#show(n);
  }

  get #bug() {
    return RECORD.bugs[EXHIBITS[this.#n]];
  }

  #press(pressed) {
    if (!pressed) return;
    const { exhibit, line, clue, give, again } = pressed.dataset;
    if (exhibit !== undefined) this.#show(Number(exhibit));
    if (clue !== undefined) this.#ask();
    if (give !== undefined) this.#open(true);
    if (line !== undefined) this.#answer(Number(line), pressed);
    if (again !== undefined) this.#restart();
  }

  /** Hang up an exhibit, as its visitor left it. */
  #show(n) {
    this.#n = n;
    const runs = runsOf(RECORD, EXHIBITS[n]);
    this.#curves.replaceChildren(
      chart("loss", `Loss of exhibit ${n + 1}`, runs),
      chart("right", `Accuracy of exhibit ${n + 1}`, runs),
    );
    this.#asked.replaceChildren();
    this.#told.replaceChildren();
    const { clues: asked, open } = this.#states[n];
    for (let time = 0; time < asked; time++) this.#tellClue(time);
    this.#list();
    if (open) this.#tellAnswer();
    this.#update();
  }

  /** Write the loop. Where the answer is known, it stands as it ran. */
  #list() {
    const { tried, open } = this.#states[this.#n];
    const { changes } = this.#bug;
    const lines = LINES.flatMap(({ text, n }) => {
      const indent = /^ */.exec(text)[0];
      const style = `--indent: ${indent.length}`;
      const bare = text.slice(indent.length);
      if (!open) {
        const label = tried.has(n)
          ? [make("s", {}, bare), make("span", { class: "heard" }, " (not this one)")]
          : [bare];
        return [button({ "data-line": n, style, tabindex: -1 }, ...label)];
      }
      if (!(n in changes)) return [make("span", { style }, bare)];
      const put = changes[n] ? [make("ins", { style }, changes[n])] : [];
      return [make("del", { style }, bare), ...put];
    });
    this.#code.replaceChildren(...lines);
    if (!open) stopAt(lines[0], lines);
  }

  #walk(event) {
    const lines = [...this.#code.querySelectorAll("button")];
    const line = event.target.closest("[data-line]");
    if (line) walk(event, lines, line, 1);
  }

  #ask() {
    const state = this.#states[this.#n];
    this.#tellClue(state.clues++);
    this.#update();
  }

  #tellClue(time) {
    const [name, words] = clues(this.#bug, runsOf(RECORD, EXHIBITS[this.#n]), RECORD.bugs.healthy)[time];
    this.#asked.append(make("li", {}, make("b", {}, `${name}: `), words));
  }

  /** Say at once whether it is this line. */
  #answer(line, pressed) {
    const state = this.#states[this.#n];
    if (line in this.#bug.changes) {
      this.#open(false);
      return;
    }
    state.tried.add(line);
    stopAt(pressed, this.#code.querySelectorAll("button"));
    if (!pressed.querySelector("s")) {
      const bare = pressed.textContent;
      pressed.replaceChildren(make("s", {}, bare), make("span", { class: "heard" }, " (not this one)"));
    }
    const words = this.#bug.alike.includes(line) ? "Broken here, a run could look the same." : "";
    this.#told.replaceChildren(make("p", {}, make("b", {}, "Not this line. "), words));
    this.#update();
  }

  #open(given) {
    const state = this.#states[this.#n];
    Object.assign(state, { open: true, given });
    const hadFocus = this.#code.contains(document.activeElement) || document.activeElement === this.#give;
    this.#list();
    this.#tellAnswer();
    this.#update();
    if (hadFocus) this.#told.querySelector("button")?.focus();
  }

  #tellAnswer() {
    const { given } = this.#states[this.#n];
    const name = EXHIBITS[this.#n];
    const next = this.#states.findIndex(({ open }, n) => !open && n > this.#n);
    const goal = next < 0 ? this.#states.findIndex(({ open }) => !open) : next;
    this.#told.replaceChildren(
      make("p", {}, make("b", {}, `${given ? "It is" : "Right"}: ${name}. `), this.#bug.tells),
      goal < 0
        ? button({ "data-again": "" }, "Start again")
        : button({ "data-exhibit": goal }, `On to exhibit ${goal + 1}`),
    );
  }

  #restart() {
    this.#states = EXHIBITS.map(() => ({ tried: new Set(), clues: 0, open: false, given: false }));
    this.#show(0);
    this.#numbers[0].focus();
  }

  /** Bring the buttons and the score up to date. */
  #update() {
    const { clues: asked, open } = this.#states[this.#n];
    const all = clues(this.#bug, HEALTHY, RECORD.bugs.healthy).length;
    this.#clue.textContent = asked < all ? `Clue ${asked + 1} of ${all}` : "No more clues";
    this.#clue.disabled = asked === all || open;
    this.#give.hidden = open || (asked < all && this.#states[this.#n].tried.size < 3);
    for (const [n, number] of this.#numbers.entries()) {
      const state = this.#states[n];
      const clean = state.open && !state.given && !state.tried.size;
      number.textContent = state.open ? `${n + 1} ${clean ? "✓" : "○"}` : n + 1;
      number.ariaLabel = `Exhibit ${n + 1}${state.open ? (clean ? ", found at once" : ", solved") : ""}`;
      number.ariaPressed = n === this.#n;
    }
    const opened = this.#states.filter((state) => state.open);
    const clean = opened.filter(({ tried, given }) => !given && !tried.size).length;
    const used = this.#states.reduce((sum, state) => sum + state.clues, 0);
    const count = opened.length === EXHIBITS.length ? "All ten" : `${opened.length} of ${EXHIBITS.length}`;
    this.#score.textContent = `${count} solved, ${clean} found at once (✓), ${used} ${used === 1 ? "clue" : "clues"} asked for.`;
  }
}

/** Put the widget above the worked example, and start with the exhibit whose line that has, or else with the first. */
export function build(element) {
  const code = element.querySelector(".language-python code").textContent;
  const lines = (name) => Object.values(RECORD.bugs[name].changes);
  const n = EXHIBITS.findIndex((name) => lines(name).some((line) => line && code.includes(line)));
  element.prepend(new Widget(Math.max(n, 0)).form);
}
