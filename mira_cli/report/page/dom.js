// Making elements. All text from the data goes through text nodes, so that no name can become markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NAMES = DATA.models.map((model) => model.name);
// what `columns_of` wrote, as rows
function unpacked({ columns, texts }) {
  const names = Object.keys(columns), values = names.map((name) => columns[name].texts?.map((k) => (k === null ? null : texts[k])) || columns[name]);
  return values[0].map((_, i) => Object.fromEntries(names.map((name, k) => [name, values[k][i]])));
}
DATA.pairs = unpacked(DATA.pairs);
// how energies of two models were made comparable, in words
const ALIGNED = DATA.alignment.scheme === "none" ? "Energies as they are" : "Aligned energies";
// whether the task says something of the structures as they are
const COMPARED = DATA.compared !== false;
const ANSWERED = DATA.models.some((model) => model.statuses.ok);

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// ---- words

const NONE = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const rounded = (value) => (isNumber(value) ? whole(Math.round(value)) : NONE);
const whole = (value) => (isNumber(value) ? value.toLocaleString("en") : NONE);

// a median of whole numbers
const median = (value) => (isNumber(value) && !Number.isInteger(value) ? fixed(value, 1) : whole(value));

function num(value, digits = 3) {
  if (!isNumber(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const [digitsOf, power] = value.toExponential(digits - 1).split("e");
    return `${digitsOf} × 10${[...String(Number(power))].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] || "⁻").join("")}`.replace("-", "−");
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toLocaleString("en", { minimumFractionDigits: Math.min(decimals, 6), maximumFractionDigits: Math.min(decimals, 6) }).replace("-", "−");
}

// what a column is called, and its unit, which is the end of its name
const UNITS = [["_mev_per_atom", "meV/atom"], ["_ev_per_ang", "eV/Å"], ["_ang3", "Å³"], ["_ang", "Å"], ["_gpa", "GPa"], ["_percent", "%"], ["_deg", "°"], ["_ev", "eV"]];
function columnWords(name) {
  const [end, unit] = UNITS.find(([suffix]) => name.endsWith(suffix)) || ["", ""];
  const words = DATA.titles?.[name] || name.slice(0, name.length - end.length).replace(/^n_/, "").replaceAll("_", " ");
  return [words[0].toUpperCase() + words.slice(1), unit];
}

const fixed = (value, decimals) => (isNumber(value) ? value.toFixed(decimals).replace("-", "−") : NONE);
const plural = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;

function seconds(value) {
  if (!isNumber(value)) return NONE;
  if (value < 120) return `${num(value)} s`;
  if (value < 7200) return `${num(value / 60)} min`;
  return `${num(value / 3600)} h`;
}

// ---- parts of a page

function section(id, title, lead, ...children) {
  const head = `${id}-title`;
  return h("section", { id, "aria-labelledby": head }, h("h2", { id: head }, title), lead && h("p", { class: "lead" }, lead), children);
}

let serial = 0;
const fresh = (prefix) => `${prefix}-${++serial}`;

function choice(label, options, value, onchange) {
  const id = fresh("choice");
  const select = h("select", { id, onchange: () => onchange(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
  return h("div", { class: "choice" }, h("label", { for: id }, label), select);
}

function segments(legend, options, value, onchange) {
  const name = fresh("segments");
  return h("fieldset", { class: "segments" }, h("legend", {}, legend),
    options.map(([key, text]) => h("label", {},
      h("input", { type: "radio", name, value: key, checked: key === value, onchange: () => onchange(key) }), h("span", {}, text))));
}

// columns: {text, unit, show(row), number, wide}
function plainTable(caption, columns, rows, attributes = {}) {
  return scrolling(caption, h("table", attributes, h("caption", {}, caption),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : column.wide && "wide" },
      column.text, column.unit && h("span", { class: "unit" }, column.unit))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column, i) =>
      h(i ? "td" : "th", { scope: i ? null : "row", class: column.number ? "number" : column.wide && "wide" }, column.show(row))))))));
}

const scrolling = (label, ...children) => h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, children);

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== NONE).map(([name, value, note]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value, note && h("span", { class: "unit" }, note)))));
}
