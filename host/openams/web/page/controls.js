// What is done to the meter from here.

import { byId, el, setText } from "./dom.js";

const fragment = location.hash.slice(1);
const given = document.querySelector("meta[name=openams-token]").content;
// From the page itself where only this machine reaches it, else from the address that was printed.
export const token = given || fragment;

export async function order(what) {
  const answer = byId("answer");
  try {
    const response = await fetch("api/do", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-OpenAMS-Token": token },
      body: JSON.stringify(what),
    });
    const text = await response.text();
    let said = { error: text.trim() };
    try { said = JSON.parse(text); } catch { /* words of the gate */ }
    setText(answer, said.error ? `Not done: ${said.error}` : "");
    return !said.error;
  } catch {
    setText(answer, "Not done: the meter is not there");
    return false;
  }
}

// While an order is under way its button waits.
async function once(button, what) {
  button.disabled = true;
  const text = button.textContent;
  button.textContent = `${text} …`;
  await order(what);
  button.textContent = text;
  button.disabled = false;
}

export function startControls() {
  holdable(byId("press"));
  byId("disconnect").addEventListener("click", (e) => once(e.currentTarget, { do: "breaker", move: "disconnect" }));
  byId("reconnect").addEventListener("click", (e) => once(e.currentTarget, { do: "breaker", move: "reconnect" }));
  byId("mode").replaceChildren(...[0, 1, 2, 3, 4, 5, 6].map((mode) => el("option", { value: mode }, String(mode))));
  byId("mode").addEventListener("change", (e) => order({ do: "breaker", mode: Number(e.currentTarget.value) }));
  byId("han-switch").addEventListener("click", (e) => {
    once(e.currentTarget, { do: "han", open: e.currentTarget.dataset.open !== "true" });
  });
  byId("quirk").addEventListener("change", (e) => order({ do: "quirk", name: e.currentTarget.value || null }));
}

// A button that is held: by pointer, or by the space bar and Enter.
function holdable(button) {
  let down = false;
  let last = Promise.resolve(); // one after the other, however fast the finger is
  const set = (pressed) => {
    if (pressed === down) return;
    down = pressed;
    button.classList.toggle("down", down);
    button.setAttribute("aria-pressed", String(down));
    last = last.then(() => order({ do: "button", pressed }));
  };
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("pointerdown", (e) => { if (e.button === 0) { button.setPointerCapture(e.pointerId); set(true); } });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, () => set(false));
  button.addEventListener("keydown", (e) => { if (e.key === " " || e.key === "Enter") { e.preventDefault(); set(true); } });
  button.addEventListener("keyup", (e) => { if (e.key === " " || e.key === "Enter") set(false); });
  button.addEventListener("contextmenu", (e) => e.preventDefault());
  addEventListener("pagehide", () => set(false));
}

export function offer(hello) {
  const quirk = byId("quirk");
  quirk.replaceChildren(el("option", { value: "" }, "none"),
    ...Object.keys(hello.quirks).map((name) => el("option", { value: name }, name)));
  quirk.value = hello.quirk ?? "";
  setText(byId("quirk-help"), hello.quirks[hello.quirk] ?? "");
  byId("operator").hidden = !hello.operator;
  buttons(byId("case-inputs"), hello.inputs, (name) => ({ do: "input", name }));
  buttons(byId("relay"), hello.relay, (fault) => ({ do: "relay", fault }));
}

function buttons(field, names, what) {
  field.hidden = names.length === 0;
  const made = names.map((name) => {
    const button = el("button", { type: "button" }, name.replaceAll("-", " "));
    button.addEventListener("click", () => once(button, what(name)));
    return button;
  });
  field.replaceChildren(field.querySelector("legend"), ...made);
}

export function showMode(mode) {
  const select = byId("mode");
  if (document.activeElement !== select) select.value = mode;
}

export function showHan(han, operator) {
  const state = byId("han-state");
  const sent = han.sent.reduce((a, b) => a + b, 0);
  setText(state, `${han.open ? "open" : "closed"}, ${sent} frames sent`);
  state.className = han.open ? "tag on" : "tag off";
  const button = byId("han-switch");
  button.hidden = !operator;
  if (!button.disabled) {
    setText(button, han.open ? "Close it" : "Open it");
    button.dataset.open = String(han.open);
  }
}
