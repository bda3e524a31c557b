// Curves of several models over one another. A model has a colour and a sign, and where these are used up, dashes.

const DASHES = [null, "8 3", "2 3", "9 3 2 3", "5 2"];
const SIGNS = ["M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z", "M-3-3h6v6h-6z", "M0-4l3.8 6.6h-7.6z", "M0-4.2l4.2 4.2l-4.2 4.2l-4.2-4.2z"];
const colourOf = (m) => `var(${COLOURS[m % COLOURS.length]})`;
const dashesOf = (m) => DASHES[Math.floor(m / COLOURS.length) % DASHES.length];

function curveKey(models) {
  return h("p", { class: "key legend" }, models.map(({ name, m, note }) => h("span", {},
    svg("svg", { class: "sign", viewBox: "-15 -6 30 12", "aria-hidden": "true", style: `stroke:${colourOf(m)};fill:${colourOf(m)}` },
      svg("line", { x1: -15, x2: 15, y1: 0, y2: 0, "stroke-dasharray": dashesOf(m) }), svg("path", { d: SIGNS[m % SIGNS.length] })),
    name, note && h("span", { class: "bad" }, ` ${note}`))));
}

// a path through points; few of them are joined by a smooth line, with the slopes of parabolas through three points
function joined(xs, ys, smooth) {
  const at = (i) => `${xs[i].toFixed(1)} ${ys[i].toFixed(1)}`;
  if (!smooth || xs.length < 3) return xs.map((_, i) => `${i ? "L" : "M"}${at(i)}`).join("");
  const last = xs.length - 1, step = xs.slice(1).map((x, i) => x - xs[i]), rise = step.map((d, i) => (ys[i + 1] - ys[i]) / d);
  const inner = xs.map((_, i) => (i && i < last ? (rise[i - 1] * step[i] + rise[i] * step[i - 1]) / (step[i - 1] + step[i]) : 0));
  const slope = inner.map((v, i) => (i === 0 ? 2 * rise[0] - inner[1] : i === last ? 2 * rise[last - 1] - inner[last - 1] : v));
  return `M${at(0)}` + step.map((d, i) => `C${(xs[i] + d / 3).toFixed(1)} ${(ys[i] + (slope[i] * d) / 3).toFixed(1)} ${(xs[i + 1] - d / 3).toFixed(1)} ${(ys[i + 1] - (slope[i + 1] * d) / 3).toFixed(1)} ${at(i + 1)}`).join("");
}

// series: [{ name, m, x, y: [line, …], marks }], m the place of the model
function curves(about, series, id) {
  const lines = series.flatMap((one) => one.y.map((y) => ({ ...one, y })));
  const marks = series.find((one) => one.marks)?.marks || [];
  const place = frame({ H: 340, x: marks.length ? [marks[0][1], marks[marks.length - 1][1]] : range(lines.flatMap((one) => one.x)), y: range(lines.flatMap((one) => one.y)) });
  const { W, H, L, R, T, B, px, py } = place, points = [];
  for (const one of lines) one.x.forEach((x, i) => isNumber(x) && isNumber(one.y[i]) && points.push({ x, y: one.y[i], m: one.m, name: one.name }));
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", class: "plot", "aria-label": `${about.meaning} of ${id}: ${series.map((one) => one.name).join(", ")}` },
    axes(place, about.x_words, about.y_words, marks.length > 0),
    marks.map(([text, x]) => [svg("line", { class: "grid", x1: px(x), x2: px(x), y1: T, y2: H - B }), svg("text", { class: "tick strong", x: px(x), y: H - B + 17, "text-anchor": "middle" }, text)]),
    place.yTicks.at.includes(0) && svg("line", { class: "guide", x1: L, x2: W - R, y1: py(0), y2: py(0) }),
    lines.map((one) => svg("path", { class: `curve${one.ok ? "" : " doubtful"}`, style: `stroke:${colourOf(one.m)}`, "stroke-dasharray": dashesOf(one.m), d: joined(one.x.map(px), one.y.map(py), about.has_points) })),
    about.has_points && points.map((one) => svg("path", { style: `fill:${colourOf(one.m)}`, transform: `translate(${px(one.x).toFixed(1)} ${py(one.y).toFixed(1)})`, d: SIGNS[one.m % SIGNS.length] })));
  return pointed({ name: about.meaning, drawing, xs: points.map((one) => px(one.x)), ys: points.map((one) => py(one.y)), W, H,
    label: (i) => [points[i].name, `${about.x_words}: ${num(points[i].x, 4)}`, `${about.y_words}: ${num(points[i].y, 4)}`] });
}

// a square of numbers; the stronger the colour, the larger
function matrix(about, numbers, name) {
  const size = about.labels.length, most = Math.max(...numbers.map((v) => Math.abs(v ?? 0))) || 1;
  return h("div", { class: "map" }, scrolling(`${about.meaning}, ${name}`, h("table", { class: "heat" },
    h("caption", {}, name, h("span", { class: "unit" }, `${about.meaning}, ${about.unit}`)),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "component")), about.labels.map((label) => h("th", { scope: "col" }, label)))),
    h("tbody", {}, about.labels.map((label, i) => h("tr", {}, h("th", { scope: "row" }, label), about.labels.map((_, j) => {
      const value = numbers[i * size + j], text = fixed(value, about.decimals), zero = fixed(0, about.decimals);
      return h("td", { style: `--share:${Math.round((100 * Math.abs(value ?? 0)) / most)}%` }, text === `−${zero}` ? zero : text);
    })))))));
}
