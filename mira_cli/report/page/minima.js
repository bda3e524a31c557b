// Where the structures came to rest: how each model got there, how far the minima are apart, and some of them drawn.

const COLOURS = ["--first", "--second", "--third", "--fourth"]; // of the models that are drawn
const TURN = (28 * Math.PI) / 180, TILT = (14 * Math.PI) / 180; // of the view, in which c points upwards
const EDGES = [[0, 1], [0, 2], [0, 4], [1, 3], [1, 5], [2, 3], [2, 6], [3, 7], [4, 5], [4, 6], [5, 7], [6, 7]]; // between corners of a cell

function minima() {
  const found = DATA.minima;
  if (!found) return null;
  const percent = (value) => (isNumber(value) ? `${value > 0 ? "+" : ""}${fixed(value, 2)}` : NONE);
  const against = (row) => row.model_b ?? "reference";
  const quantities = [...new Set(found.scalars.map((row) => row.quantity))];
  return section("minima", "Minima", "Each model relaxed the same starts. Numbers are of structures that came to rest; medians are over structures.",
    found.relax.length > 0 && plainTable("Relaxations of each model", [
      { text: "Model", show: (row) => row.model },
      { text: "At rest", number: true, show: (row) => [whole(row.n_ok), h("span", { class: "unit" }, `of ${whole(row.n_input)}`)] },
      { text: "Not converged", number: true, show: (row) => h("span", { class: row.n_not_converged ? "bad" : null }, whole(row.n_not_converged)) },
      { text: "Blown up", number: true, show: (row) => h("span", { class: row.n_blown_up ? "bad" : null }, whole(row.n_blown_up)) },
      { text: "No answer", number: true, show: (row) => whole(row.n_without) },
      { text: "Steps", unit: "median", number: true, show: (row) => median(row.median_steps) },
      { text: "Volume", unit: "median change, %", number: true, show: (row) => percent(row.median_volume_change_percent) },
      { text: "Energy released", unit: "median, eV/atom", number: true, show: (row) => num(row.median_energy_drop_per_atom_ev) },
      { text: "Symmetry", unit: "kept, lost, gained", number: true, show: (row) => ["kept", "lost", "gained"].map((name) => whole(row[`n_symmetry_${name}`])).join(", ") },
      { text: "Lowest of a composition", unit: "another than before", number: true, show: (row) => (row.n_order_compositions ? `${whole(row.n_order_changed)} of ${whole(row.n_order_compositions)}` : NONE) },
    ], found.relax),
    found.pairs.length > 0 && plainTable("Minima of two models, or of a model and the reference", [
      { text: "First", show: (row) => row.model_a },
      { text: "Second", show: against },
      { text: "One minimum", number: true, show: (row) => [`${whole(row.same)} of ${whole(row.n)}`, row.unknown > 0 && h("span", { class: "unit" }, `${whole(row.unknown)} not known`)] },
      { text: "Volume", unit: "median difference, %", number: true, show: (row) => percent(row.volume) },
      { text: "RMS displacement", unit: "median, Å", number: true, show: (row) => num(row.displacement) },
      { text: "RMSD", unit: "median, (V/N)^⅓", number: true, show: (row) => [num(row.rmsd), h("span", { class: "unit" }, plural(row.n_rmsd, "crystal"))] },
    ], found.pairs),
    found.pairs.length > 0 && h("p", { class: "note" }, found.rule, " ", found.measured),
    quantities.length > 0 && h("details", { open: found.pairs.length <= 3 }, h("summary", {}, "Quantities of the minima"),
      plainTable("Differences between models, and against references; energies are aligned", [
        { text: "Quantity", show: (row) => { const [words, unit] = columnWords(row.quantity); return [words, unit && `, ${unit}`, h("span", { class: "under" }, found.meanings[row.quantity])]; } },
        { text: "First", show: (row) => row.model_a },
        { text: "Second", show: against },
        { text: "MAE", number: true, show: (row) => [num(row.mae), isNumber(row.mean_absolute_percent) && h("span", { class: "unit" }, `${num(row.mean_absolute_percent)} %`)] },
        { text: "RMSE", number: true, show: (row) => num(row.rmse) },
        { text: "Mean difference", number: true, show: (row) => (Math.abs(row.mean_difference) < 1e-12 ? "0" : num(row.mean_difference)) },
        { text: "Rank correlation", number: true, show: (row) => fixed(row.rank_correlation, 3) },
        { text: "Structures", number: true, show: (row) => whole(row.n) },
      ], found.scalars), found.scalars_left_out > 0 && h("p", { class: "note" }, `${whole(found.scalars_left_out)} more rows are in scalars.csv.`)),
    found.drawn.length > 0 && [h("p", { class: "under-title" }, h("strong", {}, "Start and minima over one another")),
      h("p", { class: "note" }, `${NAMES.length > 1 ? "Structures whose minima are furthest apart." : "Structures that have changed most: atoms, or lengths of the cell."} Grey discs and dashes: the start. Rings and lines: where each model came to rest, moved as a whole onto the start.`),
      legend(), h("div", { class: "minima" }, found.drawn.map(overlaid))]);
}

const drawnModels = () => NAMES.slice(0, COLOURS.length);

function legend() {
  const more = NAMES.length - COLOURS.length;
  return h("p", { class: "key legend" }, drawnModels().map((name, m) => h("span", {}, h("span", { class: "dot", "aria-hidden": "true", style: `border-color:var(${COLOURS[m]})` }), name)),
    more > 0 && h("span", {}, `and ${whole(more)} more, not drawn`));
}

// a point of space on the page, in Å
const flat = ([x, y, z]) => [x * Math.cos(TURN) - y * Math.sin(TURN), -(z * Math.cos(TILT) + (x * Math.sin(TURN) + y * Math.cos(TURN)) * Math.sin(TILT))];
const triples = (numbers) => Array.from({ length: numbers.length / 3 }, (_, i) => numbers.slice(3 * i, 3 * i + 3));

function corners(cell, pbc) {
  const vectors = triples(cell).map((vector, axis) => (pbc[axis] ? vector : [0, 0, 0]));
  return Array.from({ length: 8 }, (_, k) => [0, 1, 2].map((i) => vectors.reduce((sum, vector, axis) => sum + ((k >> axis) & 1) * vector[i], 0)));
}

function overlaid(one) {
  const W = 300, H = 270, EDGE = 16, periodic = one.pbc.some(Boolean);
  const layers = [one.start, ...drawnModels().map((_, m) => one.minima[m])].map((geometry) => geometry && {
    atoms: triples(geometry.positions).map(flat), frame: periodic ? corners(geometry.cell, one.pbc).map(flat) : [],
  });
  const all = layers.filter(Boolean).flatMap((layer) => [...layer.atoms, ...layer.frame]);
  const [xs, ys] = [0, 1].map((i) => all.map((point) => point[i]));
  const low = [Math.min(...xs), Math.min(...ys)], wide = [Math.max(...xs) - low[0], Math.max(...ys) - low[1]];
  const margin = EDGE + 6, scale = Math.min((W - 2 * margin) / (wide[0] || 1), (H - 2 * margin) / (wide[1] || 1), 60);
  const at = (point) => [0, 1].map((i) => ([W, H][i] - scale * wide[i]) / 2 + scale * (point[i] - low[i]));
  const radius = (i) => Math.max(3, 0.32 * scale * one.radii[i]);
  const frame = (layer, attributes) => layer.frame.length > 0 && svg("path", { ...attributes, d: EDGES.map(([a, b]) => `M${at(layer.frame[a]).map((v) => v.toFixed(1)).join(" ")}L${at(layer.frame[b]).map((v) => v.toFixed(1)).join(" ")}`).join("") });
  const [start, ...ends] = layers;
  const said = `${one.id}: start and minima of ${drawnModels().filter((_, m) => one.minima[m]).join(", ")}`;
  return h("figure", { class: "chart" }, h("figcaption", {}, one.formula || one.id, h("span", { class: "under" }, one.id)),
    svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": said, class: "plot overlay" },
      frame(start, { class: "start" }),
      start.atoms.map((point, i) => svg("circle", { class: "start", cx: at(point)[0].toFixed(1), cy: at(point)[1].toFixed(1), r: radius(i).toFixed(1) }, svg("title", {}, `${one.elements[i]}, atom ${i}`))),
      ends.map((layer, m) => layer && svg("g", { style: `stroke:var(${COLOURS[m]})` }, frame(layer, { class: "end" }),
        layer.atoms.map((point, i) => {
          const [x, y] = at(point), [x0, y0] = at(start.atoms[i]);
          return [svg("line", { x1: x0.toFixed(1), y1: y0.toFixed(1), x2: x.toFixed(1), y2: y.toFixed(1) }), svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: radius(i).toFixed(1) })];
        }))),
      start.atoms.map((point, i) => svg("text", { class: "tick", x: at(point)[0].toFixed(1), y: (at(point)[1] + 4).toFixed(1), "text-anchor": "middle" }, one.elements[i]))));
}
