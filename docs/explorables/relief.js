/** Draws a landscape on a canvas: the higher the loss the stronger the tint, and contours where a level is crossed. */

import { sides } from "./landscapes.js";

const COLOUR = [84, 112, 214];

/** Paint the landscape in shades that lie over light and dark grounds alike. Returns its lowest and highest level. */
export function paint(canvas, landscape, k) {
  const { width, height } = canvas;
  const { left, right, bottom, top } = sides(landscape);
  const levels = new Float64Array(width * height);
  for (let row = 0; row < height; row++) {
    const y = top - ((row + 0.5) / height) * (top - bottom);
    for (let column = 0; column < width; column++) {
      const x = left + ((column + 0.5) / width) * (right - left);
      levels[row * width + column] = landscape.level(landscape.loss(x, y, k));
    }
  }
  let [low, high] = [Infinity, -Infinity];
  for (const level of levels) {
    low = Math.min(low, level);
    high = Math.max(high, level);
  }
  const image = new ImageData(width, height);
  for (let place = 0; place < levels.length; place++) {
    const level = levels[place];
    const across = levels[place + (place + 1 < levels.length ? 1 : -1)] - level;
    const down = levels[place + (place + width < levels.length ? width : -width)] - level;
    // How many pixels away the next contour is, if the slope goes on as here.
    const away = Math.abs(level - Math.floor(level) - 0.5) / Math.sqrt(across * across + down * down);
    const line = Math.max(0, Math.min(1, 1.5 - away));
    const tint = (Math.floor(level + 0.5) - low) / (high - low);
    COLOUR.forEach((value, i) => (image.data[4 * place + i] = value));
    image.data[4 * place + 3] = 255 * (0.05 + 0.4 * tint + 0.3 * line);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return [low, high];
}
