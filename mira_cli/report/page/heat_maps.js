// All pairs of models in one square; the stronger the colour, the further apart. Few models are a table, many are a picture.

const MAPS = [
  { column: "force_mae_ev_per_ang", title: "Forces, mean absolute difference", unit: "eV/Å", n: "n_force_atoms", of: "atoms", same: 0 },
  { column: "force_cosine_mean", title: "Forces, mean cosine", unit: "", n: "n_force_atoms", of: "atoms", same: 1 },
  { column: "energy_aligned_rmse_ev_per_atom", title: `${ALIGNED}, RMS difference`, unit: "meV/atom", size: 1000, n: "n_energies_aligned", of: "structures", same: 0 },
];
const MOST_CELLS_WIDE = 16;

function pairOf(a, b) {
  return PAIRS.get(a < b ? `${a},${b}` : `${b},${a}`);
}
const PLACE = new Map(NAMES.map((name, i) => [name, i]));
const PAIRS = new Map(DATA.pairs.map((row) => {
  const [a, b] = [PLACE.get(row.model_a), PLACE.get(row.model_b)];
  return [a < b ? `${a},${b}` : `${b},${a}`, row];
}));

function heatMaps(choose) {
  if (!ANSWERED || NAMES.length < 2 || !COMPARED) return null;
  const small = NAMES.length <= MOST_CELLS_WIDE;
  const apart = DATA.pairs.some((row) => row.theory !== "same");
  return section("pairs", "Pairwise comparison",
    "The stronger the colour, the further apart. Each number is over the structures that both models answered." + (small ? " Choose a cell to see the two models below." : ""),
    apart && h("p", { class: "key" }, h("span", { class: "apart swatch", "aria-hidden": "true" }), "the two are not known to share a level of theory"),
    h("div", { class: "maps", style: `--map:${small ? 11 + 3 * NAMES.length : 30}rem` }, MAPS.map((map) => (small ? asTable(map, choose) : asPicture(map)))),
    h("p", { class: "note" }, DATA.alignment.note));
}

function shown(map, row) {
  return row[map.column] * (map.size || 1);
}

function distances(map) {
  const found = new Map();
  let most = 0;
  for (const [key, row] of PAIRS) {
    if (!isNumber(row[map.column])) continue;
    const distance = Math.abs(shown(map, row) - map.same);
    found.set(key, distance);
    most = Math.max(most, distance);
  }
  return { found, most: most || 1 };
}

function asTable(map, choose) {
  const { found, most } = distances(map);
  const cell = (a, b) => {
    if (a === b) return h("td", { class: "self" }, map.same);
    const row = pairOf(a, b), distance = found.get(a < b ? `${a},${b}` : `${b},${a}`);
    if (distance === undefined) return h("td", { title: row && row.energy_refusal }, NONE);
    const share = Math.round((100 * distance) / most);
    const words = `${NAMES[a]} and ${NAMES[b]}: ${num(shown(map, row))} ${map.unit}, ${whole(row[map.n])} ${map.of}`;
    return h("td", { class: row.theory === "same" ? null : "apart", style: `--share:${share}%` },
      h("button", { title: words, "aria-label": words, onclick: () => choose(a, b) }, num(shown(map, row), NAMES.length > 10 ? 2 : 3)));
  };
  const box = scrolling(map.title, h("table", { class: "heat" },
    h("caption", {}, map.title, map.unit && h("span", { class: "unit" }, map.unit)),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "model")), NAMES.map((name, i) => h("th", { scope: "col", title: name }, h("span", { "aria-hidden": "true" }, i + 1), h("span", { class: "hidden" }, name))))),
    h("tbody", {}, NAMES.map((name, a) => h("tr", {}, h("th", { scope: "row" }, h("span", { class: "place", "aria-hidden": "true" }, a + 1), name), NAMES.map((_, b) => cell(a, b)))))));
  const tell = h("p", { class: "note" }, "Too narrow for numbers: choose a cell for those of its two models.");
  const around = h("div", { class: "map" }, box, tell);
  new ResizeObserver(() => {
    around.classList.remove("narrow");
    around.classList.toggle("narrow", box.scrollWidth > box.clientWidth + 1);
  }).observe(around);
  return around;
}

function asPicture(map) {
  const { found, most } = distances(map), size = NAMES.length, SHADES = 12;
  const paths = Array.from({ length: SHADES + 1 }, () => []);
  for (const [key, distance] of found) {
    const [a, b] = key.split(",");
    paths[Math.round((SHADES * distance) / most)].push(`M${a} ${b}h1v1h-1zM${b} ${a}h1v1h-1z`);
  }
  const values = [...found.values()].sort((a, b) => a - b);
  const middle = values.length ? map.same ? 1 - values[values.length >> 1] : values[values.length >> 1] : null;
  const summary = `${plural(size, "model")}, median ${num(middle)} ${map.unit}`;
  const tip = h("p", { class: "note", role: "status" }, `${summary}. Point at a cell to see which models it is.`);
  const picture = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "picture", role: "img", "aria-label": `${map.title}. ${summary}`, "shape-rendering": "crispEdges" },
    paths.map((path, i) => path.length && svg("path", { d: path.join(""), style: `fill:color-mix(in oklab, var(--heat) ${(100 * i) / SHADES}%, var(--surface))` })));
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const [a, b] = [event.clientX - box.left, event.clientY - box.top].map((v) => Math.min(size - 1, Math.max(0, Math.floor((v / box.width) * size))));
    const row = pairOf(a, b);
    tip.textContent = row ? `${NAMES[a]} and ${NAMES[b]}: ${num(shown(map, row))} ${map.unit}, ${whole(row[map.n])} ${map.of}` : `${NAMES[a]}`;
  });
  return h("figure", { class: "map" }, h("figcaption", {}, map.title), picture, tip);
}
