/** Draws a roofline: how much a machine computes at most for each byte that it moves, and where some calls are. */

import { logarithmic } from "./chart.js";

const [WIDTH, HEIGHT, LEFT, BELOW] = [300, 170, 44, 36];

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A number on an axis: 0.01, 200, 1e5. */
const brief = (n) => (n < 1e4 && n >= 1e-3 ? String(n) : n.toExponential().replace("+", ""));
const text = (x, y, name, words) => draw("text", { x, y, class: name }, words);

/**
 * The roof of a machine, with a bandwidth and a rate per second, and points at `work / bytes` and `work / time`. Their
 * names stand beside them, that of the first above it and that of the other below, clear of the roof.
 */
export function roofline({ bandwidth, rate }, points, label) {
  const reached = points.map(({ name, bytes, work, time }) => ({ name, at: work / bytes, speed: work / time }));
  const ridge = rate / bandwidth;
  const places = reached.map(({ at }) => at);
  const [low, high] = [Math.min(...places, ridge) / 8, Math.max(...places, ridge) * 4];
  const across = logarithmic([low, high]);
  const up = logarithmic([low * bandwidth, rate, ...reached.map(({ speed }) => speed)].map((number) => number / 1e9));
  const x = (number) => WIDTH * across.place(number);
  const y = (speed) => HEIGHT * (1 - up.place(speed / 1e9));
  const roof = `M${x(low)} ${y(low * bandwidth)}L${x(ridge)} ${y(rate)}L${x(high)} ${y(rate)}`;
  const ticks = [
    ...across.ticks.flatMap((n) => [
      draw("path", { class: "tick across", d: `M${x(n)} 0V${HEIGHT}` }),
      text(x(n), HEIGHT + 14, "middle", brief(n)),
    ]),
    ...up.ticks.flatMap((n) => [
      draw("path", { class: "tick up", d: `M0 ${y(n * 1e9)}H${WIDTH}` }),
      text(-5, y(n * 1e9) + 4, "end", brief(n)),
    ]),
  ];
  const dots = reached.flatMap(({ name, at, speed }, n) => [
    draw("circle", { class: name, cx: x(at), cy: y(speed), r: 4.5 }),
    text(x(at) + (n ? 9 : -9), n ? Math.min(y(speed) + 14, HEIGHT - 3) : y(speed) - 7, n ? "name" : "name end", name),
  ]);
  const place = { viewBox: `${-LEFT} -6 ${LEFT + WIDTH + 8} ${HEIGHT + BELOW + 6}`, role: "img", "aria-label": label };
  return draw(
    "svg",
    place,
    ...ticks,
    draw("path", { class: "roof", d: roof }),
    ...dots,
    text(WIDTH / 2, HEIGHT + 30, "middle", "operations per byte"),
    text(4, 8, "", "Gop/s"),
  );
}
