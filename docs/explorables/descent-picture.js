/** Draws a descent: its points on the landscape, an arrow against the gradient, and the curve of its losses. */

import { ASPECT, sides } from "./landscapes.js";
import { make } from "./parts.js";
import { brief, vector } from "./python-float.js";
import { paint } from "./relief.js";

/** The sides of both drawings, how long the arrow is, and how far out a point may lie before it is drawn nearer. */
const [WIDTH, HEIGHT, CURVE, ARROW, FAR] = [500, 500 * ASPECT, 110, 44, 1e5];

/** An SVG of constant text, and its parts by their class. */
function drawing(height, text) {
  const place = make("template");
  place.innerHTML = `<svg viewBox="0 0 ${WIDTH} ${height}" aria-hidden="true">${text}</svg>`;
  const svg = place.content.firstChild;
  return [svg, Object.fromEntries([...svg.children].map((part) => [part.getAttribute("class"), part]))];
}

const near = (place) => Math.max(-FAR, Math.min(FAR, place)).toFixed(1);
const path = (points) => points.map((point, n) => (n ? "L" : "M") + point).join("");
const label = (text, x, y) => `<text x="${x}" y="${y}">${text}</text>`;
const whole = (low, high) =>
  [...Array(Math.max(0, Math.floor(high) - Math.ceil(low) + 1)).keys()].map((n) => n + Math.ceil(low));

/** An arrow against a slope, as long as that is steep beside the `first` one, or nothing where it has no direction. */
function arrow([x, y], slope, first) {
  const size = Math.hypot(...slope);
  if (!(size > 0 && size < Infinity)) return "";
  const length = Math.max(16, ARROW * Math.min(1, size / Math.hypot(...first)));
  const [i, j] = [-slope[0] / size, slope[1] / size]; // downwards is where y grows
  const tip = [x + length * i, y + length * j];
  const barb = (side) => [tip[0] - 9 * i + side * 5 * j, tip[1] - 9 * j - side * 5 * i];
  return path([[x, y], tip, barb(1)]) + path([tip, barb(-1)]);
}

const isFinite = (point) => point.every(Number.isFinite);

/** Put a circle somewhere, or nowhere. */
function set(circle, place) {
  circle.style.display = place ? "" : "none";
  if (place) for (const [n, name] of ["cx", "cy"].entries()) circle.setAttribute(name, place[n]);
}

export class Picture {
  /** What there is to see, each with a hint. */
  map;
  curve;
  #canvas = make("canvas", { width: 1.5 * WIDTH, height: 1.5 * HEIGHT });
  #map;
  #curve;
  #marks;
  #sides;
  #level;
  #lossAt;
  /** The lowest and the highest level in the picture, and where the descent starts. */
  #levels;
  #start;

  constructor() {
    const circles = '<circle class="from" r="6"/><circle class="here" r="6"/>';
    const paths = ["trail", "spots", "move", "arrow"].map((name) => `<path class="${name}"/>`).join("");
    const [map, ofMap] = drawing(HEIGHT, `<g class="ticks"></g>${paths}${circles}`);
    const [curve, ofCurve] = drawing(CURVE, '<g class="grid"></g><path class="losses"/><circle class="now" r="5"/>');
    this.#marks = { ...ofMap, ...ofCurve };
    this.#map = make("div", { class: "relief", role: "application", tabindex: 0 }, this.#canvas, map);
    this.#curve = make("div", { class: "relief", role: "img" }, curve);
    const hints = [
      "Press where to start, or move the start with the arrow keys. The arrow points against the gradient.",
      "The loss of each step. The lines are the contours of the landscape.",
    ].map((hint) => make("p", { class: "hint" }, hint));
    this.map = make("div", {}, this.#map, hints[0]);
    this.curve = make("div", {}, this.#curve, hints[1]);
  }

  /** Call `start` with the point where a reader wants to start: the one pressed, or one beside the last. */
  onStart(start) {
    const press = ({ clientX, clientY }) => {
      const box = this.#map.getBoundingClientRect();
      const { left, right, bottom, top } = this.#sides;
      const [x, y] = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
      start([left + x * (right - left), top - y * (top - bottom)]);
    };
    this.#map.addEventListener("click", press);
    this.#map.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && event.buttons === 1) press(event);
    });
    this.#map.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const step = (this.#sides.right - this.#sides.left) / (event.shiftKey ? 500 : 50);
      start(this.#start.map((place, i) => place + step * way[i]));
    });
  }

  /** Show another landscape. */
  paint(landscape, k) {
    this.#levels = paint(this.#canvas, landscape, k);
    this.#sides = sides(landscape);
    [this.#level, this.#lossAt] = [landscape.level, landscape.lossAt];
    const { left, right, bottom, top } = this.#sides;
    const every = landscape.width < 8 ? 1 : 2;
    const marks = (low, high) => whole(low / every, high / every).map((n) => n * every);
    this.#marks.ticks.innerHTML = [
      ...marks(left + 0.08 * landscape.width, right - 0.02).map((n) => label(n, this.#at([n, 0])[0], HEIGHT - 7)),
      ...marks(bottom + 0.08 * landscape.width, top - 0.02).map((n) => label(n, 16, Number(this.#at([0, n])[1]) + 5)),
    ].join("");
  }

  /** Where a point of the landscape lies in the picture. */
  #at([x, y]) {
    const { left, right, top } = this.#sides;
    return [x - left, top - y].map((way) => near((way / (right - left)) * WIDTH));
  }

  /** Show a descent up to its nth step. */
  draw(taken, n) {
    this.#start = taken[0].w;
    const { w, slope, next } = taken[n - 1];
    const { trail, spots, move, arrow: pointer, from, here } = this.#marks;
    const seen = taken.slice(0, n).flatMap((step) => (isFinite(step.w) ? [this.#at(step.w)] : []));
    trail.setAttribute("d", path(seen));
    spots.setAttribute("d", seen.map((point) => `M${point}h0`).join(""));
    move.setAttribute("d", isFinite(w) && isFinite(next) ? path([this.#at(w), this.#at(next)]) : "");
    pointer.setAttribute("d", isFinite(w) ? arrow(this.#at(w).map(Number), slope, taken[0].slope) : "");
    set(from, this.#at(taken[0].w));
    set(here, isFinite(next) ? this.#at(next) : undefined);
    const { left, right, bottom, top } = this.#sides;
    this.#map.ariaLabel =
      `Landscape, x from ${left} to ${right}, y from ${bottom} to ${top}. Start ${vector(this.#start)}, ` +
      `after step ${n} at ${vector(next)}. Arrow keys move the start.`;
    this.#drawLosses(
      taken.map(({ loss }) => loss),
      n,
    );
  }

  /** The curve of the losses on the levels of the contours, as far as those of the picture go. */
  #drawLosses(losses, n) {
    const levels = losses.map(this.#level);
    const finite = levels.filter(Number.isFinite);
    const low = Math.max(this.#levels[0], Math.min(...finite)) - 0.2;
    const high = Math.max(low + 1, Math.min(this.#levels[1], Math.max(...finite)) + 0.5);
    const [x, y] = [
      (i) => 60 + (i / Math.max(1, losses.length - 1)) * (WIDTH - 70),
      (level) => near(CURVE - 6 - ((level - low) / (high - low)) * (CURVE - 12)),
    ];
    const contours = whole(low - 0.5, high - 0.5).map((level) => level + 0.5);
    const every = Math.ceil(contours.length / 4);
    const rules = contours.map((level, i) => {
      const text = i % every ? "" : label(brief(Number(this.#lossAt(level).toPrecision(2))), 52, Number(y(level)) + 4);
      return `<path d="M60 ${y(level)}H${WIDTH}"/>${text}`;
    });
    const { grid, losses: curve, now } = this.#marks;
    grid.innerHTML = rules.join("");
    const points = levels
      .slice(0, n)
      .flatMap((level, i) => (Number.isFinite(level) ? [[x(i).toFixed(1), y(level)]] : []));
    curve.setAttribute("d", path(points));
    set(now, Number.isFinite(levels[n - 1]) ? points.at(-1) : undefined);
    this.#curve.ariaLabel = `Curve of the loss: ${brief(losses[0])} in step 1, ${brief(losses[n - 1])} in step ${n}.`;
  }
}
