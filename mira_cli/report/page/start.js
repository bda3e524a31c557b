// Put the page together.

const THEME = "mira-report-theme";
const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function remembered(value) {
  try {
    if (value) localStorage.setItem(THEME, value);
    return localStorage.getItem(THEME);
  } catch { return null; } // a browser may keep nothing for files
}

function themeButton() {
  const say = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`); };
  const button = h("button", { class: "theme", onclick: () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remembered(document.documentElement.dataset.theme);
    say();
    document.dispatchEvent(new Event("themechange"));
  } });
  say();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { say(); document.dispatchEvent(new Event("themechange")); });
  return button;
}

const before = remembered();
if (before === "light" || before === "dark") document.documentElement.dataset.theme = before;

const parts = [summary(), minima(), properties(), heatMaps((a, b) => chooseTwo(a, b)), comparison(), references(), disagreement(), looking(), structuresTable(), failed(), timing(), methods(), citing(), provenance()].filter(Boolean);
const titles = { minima: "Minima", properties: "Properties", structures: "Structures", spread: "Disagreement", look: "3-D", pairs: "Pairs", two: "Two models", reference: "Reference", failures: "Failures", timing: "Time", methods: "Methods", citations: "Citations", provenance: "Provenance" };

document.getElementById("page").replaceChildren(
  h("header", { class: "top" }, h("div", {}, h("p", { class: "label" }, "MIRA report"), h("h1", {}, DATA.title),
    h("p", { class: "when" }, DATA.collected ? `Results of ${DATA.collected.replace("T", " ").slice(0, 16)} UTC` : "")), themeButton()),
  h("nav", { "aria-label": "Sections" }, h("ul", {}, parts.filter((part) => titles[part.id]).map((part) => h("li", {}, h("a", { href: `#${part.id}` }, titles[part.id]))))),
  h("main", { id: "main" }, parts),
  h("footer", {}, h("p", {}, `Written by MIRA ${DATA.mira}. The tables beside this file hold every number; docs/reference/comparison.md has their formulas. Structures are drawn with 3Dmol.js (BSD-3-Clause).`)));

// on paper everything is open, and in light colours
let closed = [];
addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")]; closed.forEach((one) => { one.open = true; }); });
addEventListener("afterprint", () => { closed.forEach((one) => { one.open = false; }); });
document.documentElement.dataset.ready = "true";
