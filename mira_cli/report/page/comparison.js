// Two models, or a model and the reference, point by point.

const REFERENCE = "reference";
const POINTS = DATA.points;
const nameOf = (which) => (which === REFERENCE ? "the reference" : NAMES[which]);

// {x, y, ids(i), total, unit, what, note} or {refused}
function pairPoints(quantity, a, b) {
  if (quantity === "forces") {
    const atoms = POINTS.atoms, x = b === REFERENCE ? atoms.reference : atoms.forces[b], y = atoms.forces[a];
    const some = keep(x || [], y);
    return { ...some, unit: "eV/Å", what: "force component", drawn: atoms.atom.length, total: atoms.total, of: "atoms",
      label: (k) => { const i = some.at[k], atom = Math.floor(i / 3); return [atoms.id[atoms.structure[atom]], `${atoms.element[atom]}, atom ${atoms.atom[atom]}, ${"xyz"[i % 3]}`]; } };
  }
  const all = POINTS.structures;
  const label = (some) => (k) => [all.id[some.at[k]], all.formula[some.at[k]] || ""];
  if (quantity === "pressure") {
    const x = b === REFERENCE ? all.reference_pressure : all.pressure[b];
    const some = keep(x || [], all.pressure[a]);
    return { ...some, unit: "GPa", what: "pressure", drawn: all.id.length, total: all.total, of: "structures", label: label(some) };
  }
  const swapped = b !== REFERENCE && a > b;
  const difference = all.aligned[b === REFERENCE ? `${a},${REFERENCE}` : swapped ? `${b},${a}` : `${a},${b}`];
  const row = rowOf(a, b);
  if (!difference) {
    const why = row && row.energy_refusal ? row.energy_refusal : `only the first ${all.paired} models are paired here; pairs.csv has all`;
    return { refused: `Energies of the two are not compared: ${why}.` };
  }
  const x = b === REFERENCE ? all.reference_energy : all.energy[b];
  const some = keep(x, difference.map((d, i) => (d === null || x[i] === null ? null : x[i] + (swapped ? -d : d))));
  return { ...some, unit: "eV/atom", what: "energy", drawn: all.id.length, total: all.total, of: "structures", label: label(some), aligned: true };
}

function keep(x, y) {
  const at = [];
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== null && y[i] !== null) at.push(i);
  return { at, x: at.map((i) => x[i]), y: at.map((i) => y[i]) };
}

function rowOf(a, b) {
  if (b === REFERENCE) return DATA.reference.find((row) => row.model === NAMES[a] && row.subset === "all");
  return pairOf(a, b);
}

function pairNumbers(quantity, a, b) {
  const row = rowOf(a, b);
  if (!row) return [];
  const ends = (name, unit) => (isNumber(row[`${name}_low_${unit}`]) ? ` (${num(row[`${name}_low_${unit}`])} to ${num(row[`${name}_high_${unit}`])})` : "");
  if (quantity === "forces") {
    const slope = b === REFERENCE ? row.softening : row.model_a === NAMES[a] ? row.softening_a_on_b : row.softening_b_on_a;
    return [["Mean absolute difference", num(row.force_mae_ev_per_ang), ` eV/Å${ends("force_mae", "ev_per_ang")}`], ["RMS difference", num(row.force_rmse_ev_per_ang), ` eV/Å${ends("force_rmse", "ev_per_ang")}`],
      ["Relative RMS", num(row.force_relative_rmse)], ["Mean cosine", fixed(row.force_cosine_mean, 3), `, ${whole(row.n_small_force_atoms)} small forces left out`], ["5th percentile of cosine", fixed(row.force_cosine_p05, 3)],
      ["Slope", fixed(slope, 3), isNumber(slope) && slope < 0.98 ? `, ${nameOf(a)} is softer` : ""], ["n", whole(row.n_force_atoms), ` atoms in ${plural(row.n_force_structures, "structure")}`]];
  }
  if (quantity === "pressure") {
    return [["Stress, mean absolute difference", num(row.stress_mae_gpa ?? (isNumber(row.stress_mae_ev_per_ang3) ? row.stress_mae_ev_per_ang3 * 160.21766208 : null)), " GPa"], ["Stress, RMS difference", num(row.stress_rmse_gpa), " GPa"], ["n", plural(row.n_stresses || 0, "structure")]];
  }
  const raw = row.energy_raw_rmse_ev_per_atom;
  return [[`${ALIGNED}, mean absolute difference`, num(row.energy_aligned_mae_ev_per_atom), ` eV/atom${ends("energy_aligned_mae", "ev_per_atom")}`], [`${ALIGNED}, RMS difference`, num(row.energy_aligned_rmse_ev_per_atom), " eV/atom"],
    ["RMS with each structure left out", num(row.energy_aligned_left_out_rmse_ev_per_atom), " eV/atom"], ["Energies as they are, RMS difference", isNumber(raw) ? num(raw) : "not comparable", isNumber(raw) ? " eV/atom" : ""],
    ["Rank correlation", fixed(row.rank_correlation, 3), isNumber(row.n_rank_structures) && row.n_rank_structures ? `, ${plural(row.n_rank_structures, "structure")} in ${plural(row.n_rank_compositions, "composition")}` : ""],
    ["Alignment", row.energy_alignment, `: ${plural(row.energy_alignment_rows, "structure")}, ${plural(row.energy_alignment_rank, "shift")}, ${plural(row.energy_alignment_dof, "degree")} of freedom left`],
    ["n", plural(row.n_energies_aligned || 0, "structure"), `, of ${whole(row.n_energies)} with both energies`]];
}

let chooseTwo = () => {};

function comparison() {
  const withReference = DATA.reference.length > 0;
  if (!ANSWERED || !COMPARED || (NAMES.length < 2 && !withReference)) return null;
  const state = { a: 0, b: NAMES.length > 1 ? 1 : REFERENCE, quantity: "forces" };
  const place = h("div", { class: "two" });
  const pick = h("div", { class: "picks" });
  const sides = (withRef) => [...NAMES.map((name, i) => [i, name]), ...(withRef ? [[REFERENCE, `reference (${DATA.reference_model || "of the input"})`]] : [])];
  const set = (what) => {
    const before = { ...state };
    Object.assign(state, what);
    if (state.a === state.b) state[what.a !== undefined ? "b" : "a"] = what.a !== undefined ? before.a : typeof before.b === "number" ? before.b : 0;
    if (state.a === state.b) state.b = sides(withReference).map(([key]) => key).find((key) => key !== state.a);
    draw();
  };
  const read = (value) => (value === REFERENCE ? REFERENCE : Number(value));
  chooseTwo = (a, b) => { set({ a, b }); document.getElementById("two").scrollIntoView({ behavior: calm() ? "auto" : "smooth" }); };

  function draw() {
    const { a, b, quantity } = state;
    pick.replaceChildren(choice("Model", sides(false), a, (value) => set({ a: read(value) })), choice("against", sides(withReference), b, (value) => set({ b: read(value) })));
    const found = pairPoints(quantity, a, b);
    const said = b === REFERENCE ? [DATA.reference_model ? `The reference is what ${DATA.reference_model} answers.` : "The reference's level of theory is not known here: a difference may be one of theories."] : DATA.cautions[a < b ? `${a},${b}` : `${b},${a}`] || [];
    place.replaceChildren(
      ...(said.length ? [h("p", { class: "caution" }, said.map((text) => text[0].toUpperCase() + text.slice(1)).join("; "))] : []),
      facts(pairNumbers(quantity, a, b)),
      ...(found.refused ? [h("p", { class: "plain" }, found.refused)] : found.x.length ? drawings(found, a, b) : [h("p", { class: "plain" }, "There is nothing that both have.")]));
  }
  draw();
  return section("two", "Two models", "Each point is one force component of an atom, or one structure; point at it to see which.",
    h("div", { class: "controls" }, segments("Compare", [["forces", "Forces"], ["energies", "Energies"], ["pressure", "Pressure"]], state.quantity, (quantity) => set({ quantity })), pick), place);
}

function drawings(found, a, b) {
  const difference = found.y.map((v, i) => v - found.x[i]);
  const label = (k) => [...found.label(k), `${nameOf(a)} ${num(found.y[k], 4)}, ${nameOf(b)} ${num(found.x[k], 4)} ${found.unit}`, `difference ${num(difference[k])}`];
  const order = difference.map((_, i) => i).sort((i, j) => Math.abs(difference[j]) - Math.abs(difference[i]));
  const worst = order.slice(0, 10);
  const summary = `${plural(found.x.length, "point")}; largest difference ${num(Math.abs(difference[order[0]]))} ${found.unit}, at ${found.label(order[0]).join(", ")}`;
  const sampled = found.drawn < found.total ? `${plural(found.x.length, "point")}, of ${whole(found.drawn)} among ${whole(found.total)} ${found.of}, drawn at random; the numbers above are over all.` : "";
  const aligned = found.aligned ? ", aligned" : "";
  return [
    h("div", { class: "charts" },
      scatter({ x: found.x, y: found.y, diagonal: true, name: "Parity", label, summary, xLabel: `${nameOf(b)}, ${found.what} (${found.unit})`, yLabel: `${nameOf(a)}${aligned} (${found.unit})` }),
      scatter({ x: found.x, y: difference, name: "Difference", label, summary, xLabel: `${nameOf(b)}, ${found.what} (${found.unit})`, yLabel: `difference${aligned} (${found.unit})` })),
    sampled && h("p", { class: "note" }, sampled),
    h("details", {}, h("summary", {}, "Largest differences as a table"),
      plainTable("Largest differences among the points shown", [
        { text: "Structure", show: (k) => found.label(k)[0] },
        { text: "Where", show: (k) => found.label(k)[1] },
        { text: nameOf(a), unit: found.unit, number: true, show: (k) => num(found.y[k], 4) },
        { text: nameOf(b), unit: found.unit, number: true, show: (k) => num(found.x[k], 4) },
        { text: "Difference", unit: found.unit, number: true, show: (k) => num(difference[k]) },
      ], worst)),
  ].filter(Boolean);
}
