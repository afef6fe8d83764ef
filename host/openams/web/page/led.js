// The test LED: what was counted is shown, each pulse when as much of its step had passed.

import { setText } from "./dom.js";

const ON_MS = 30;
// No more than so often: what does not fit is left out of the light, not of the count.
const EACH_MS = 80;

export class Led {
  constructor(light, count) {
    this.light = light;
    this.count = count;
    this.seen = null;
    this.came = 0;
    this.lastLit = 0;
    this.flashes = 0;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
  }

  show(pulses) {
    const now = performance.now();
    const fresh = this.seen === null ? 0 : pulses - this.seen;
    const lengthMs = Math.min(now - this.came, 1000);
    this.seen = pulses;
    this.came = now;
    setText(this.count, `${pulses} pulses`);
    if (fresh <= 0 || this.still.matches || document.hidden) return;
    const shown = Math.min(fresh, Math.max(1, Math.floor(lengthMs / EACH_MS)));
    for (let n = 0; n < shown; n += 1) setTimeout(() => this.flash(), (n * lengthMs) / shown);
  }

  flash() {
    const now = performance.now();
    if (now - this.lastLit < EACH_MS) return;
    this.lastLit = now;
    this.flashes += 1;
    this.light.dataset.flashes = this.flashes;
    this.light.classList.add("lit");
    setTimeout(() => this.light.classList.remove("lit"), ON_MS);
  }
}
