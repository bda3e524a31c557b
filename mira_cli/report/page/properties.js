// Properties of structures: how far they are from references and from one another, curves and matrices of a chosen one.

function properties() {
  const found = DATA.properties;
  if (!found) return null;
  const [against, between] = ["reference", "model"].map((what) => found.scalars.filter((row) => row.against === what && row.n > 0));
  return section("properties", "Properties", "Numbers are of answers that pass the task's own checks; what does not is under Failures, with its reason.",
    against.length > 0 && scalarsTable("Errors of each model against the references of the input; energies are aligned", against, found, false),
    found.parity.length > 0 && parity(found),
    found.structures.length > 0 && chosenStructure(found),
    between.length > 0 && h("details", { open: !against.length && NAMES.length <= 3 }, h("summary", {}, "Differences between models"),
      scalarsTable("Differences between models; energies are aligned", between, found, true)),
    found.scalars_left_out > 0 && h("p", { class: "note" }, `${whole(found.scalars_left_out)} more rows are in scalars.csv.`));
}

function scalarsTable(caption, rows, found, ofPairs) {
  return plainTable(caption, [
    { text: "Quantity", show: (row) => { const [words, unit] = columnWords(row.quantity); return [words, unit && `, ${unit}`, h("span", { class: "under" }, found.meanings[row.quantity])]; } },
    { text: ofPairs ? "First" : "Model", show: (row) => row.model_a },
    ofPairs && { text: "Second", show: (row) => row.model_b },
    { text: "MAE", number: true, show: (row) => [num(row.mae), isNumber(row.mean_absolute_percent) && h("span", { class: "unit" }, `${num(row.mean_absolute_percent)} %`)] },
    { text: "RMSE", number: true, show: (row) => num(row.rmse) },
    { text: "Mean difference", number: true, show: (row) => (Math.abs(row.mean_difference) < 1e-12 ? "0" : num(row.mean_difference)) },
    { text: "Largest", number: true, show: (row) => num(row.largest_difference) },
    { text: "Rank correlation", number: true, show: (row) => fixed(row.rank_correlation, 3) },
    { text: "Structures", number: true, show: (row) => whole(row.n) },
  ].filter(Boolean), rows);
}

function parity(found) {
  const place = h("div", { class: "charts" });
  const draw = (k) => {
    const one = found.parity[k], [words, unit] = columnWords(one.quantity), axis = unit ? `, ${unit}` : "";
    place.replaceChildren(...one.models.map(({ x, y, ids }, m) => x.length > 0 && scatter({
      x, y, diagonal: true, name: NAMES[m], xLabel: `reference${axis}`, yLabel: `${words}${axis}`, summary: `${words} against the reference, ${plural(x.length, "structure")}`,
      label: (i) => [ids[i], `reference: ${num(x[i], 4)} ${unit}`, `${NAMES[m]}: ${num(y[i], 4)} ${unit}`],
    })).filter(Boolean));
  };
  draw(0);
  return [h("p", { class: "under-title" }, h("strong", {}, "Models against references")),
    found.parity.length > 1 && h("div", { class: "controls" }, choice("Quantity", found.parity.map((one, k) => [k, columnWords(one.quantity)[0]]), 0, (k) => draw(Number(k)))), place];
}

function chosenStructure(found) {
  const place = h("div", {});
  const draw = (k) => {
    const one = found.structures[k], models = one.models.map((model, m) => model && { name: NAMES[m], m, note: model.ok ? null : "not valid", ...model }).filter(Boolean);
    place.replaceChildren(...[
      found.curves.length > 0 && models.some((model) => model.curves.some(Boolean)) && curveKey(models),
      h("div", { class: "charts" }, found.curves.map((about, c) => {
        const series = models.filter((model) => model.curves[c]).map(({ name, m, ok, curves: own }) => ({ name, m, ok, ...own[c] }));
        return series.length > 0 && curves(about, series, one.id);
      })),
      found.matrices.map((about, c) => {
        const those = models.filter((model) => model.matrices[c]);
        return those.length > 0 && h("div", { class: "maps", style: "--map:24rem" }, those.map((model) => matrix(about, model.matrices[c], model.name)));
      }),
    ].flat().filter(Boolean));
  };
  draw(0);
  return [h("p", { class: "under-title" }, h("strong", {}, "One structure, all models")),
    found.structures.length > 1 && h("div", { class: "controls" }, choice("Structure", found.structures.map((one, k) => [k, one.formula && !one.id.includes(one.formula) ? `${one.formula} (${one.id})` : one.id]), 0, (k) => draw(Number(k)))),
    place, found.curves.some((about) => about.has_points) && h("p", { class: "note" }, "Lines between points guide the eye. curves.csv has all numbers."),
    found.left_out > 0 && h("p", { class: "note" }, `${plural(found.left_out, "more structure")} are not drawn; curves.csv and the records have them.`)];
}
