// Small plots in SVG: their colours follow the page, they print as lines, and a caption says what they show.

function ticks(low, high, wanted = 5) {
  const step = 10 ** Math.floor(Math.log10((high - low) / wanted));
  const wide = [1, 2, 5, 10].map((k) => k * step).find((s) => (high - low) / s <= wanted) || step;
  const found = [];
  for (let k = Math.ceil(low / wide); k * wide <= high + wide * 1e-9; k++) found.push(k * wide);
  return { at: found, decimals: Math.max(0, -Math.floor(Math.log10(wide) + 1e-9)) };
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) return [0, 1];
  const margin = high > low ? 0.05 * (high - low) : 0.5 * Math.abs(high) || 0.5;
  return [low - margin, high + margin];
}

// a place for a plot: a W × H square with margins, and functions from numbers to it
function frame({ W = 440, H = 380, L = 62, R = 12, T = 10, B = 46, x: [xLow, xHigh], y: [yLow, yHigh] }) {
  return { W, H, L, R, T, B, xTicks: ticks(xLow, xHigh), yTicks: ticks(yLow, yHigh),
    px: (v) => L + ((v - xLow) / (xHigh - xLow)) * (W - L - R), py: (v) => H - B - ((v - yLow) / (yHigh - yLow)) * (H - T - B) };
}

function axes({ W, H, L, R, T, B, xTicks, yTicks, px, py }, xLabel, yLabel, withoutX = false) {
  return [
    withoutX ? [] : xTicks.at.map((v) => [svg("line", { class: "grid", x1: px(v), x2: px(v), y1: T, y2: H - B }),
      svg("text", { class: "tick", x: px(v), y: H - B + 17, "text-anchor": "middle" }, fixed(v, xTicks.decimals))]),
    yTicks.at.map((v) => [svg("line", { class: "grid", x1: L, x2: W - R, y1: py(v), y2: py(v) }),
      svg("text", { class: "tick", x: L - 7, y: py(v) + 4, "text-anchor": "end" }, fixed(v, yTicks.decimals))]),
    svg("text", { class: "axis", x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, xLabel),
    svg("text", { class: "axis", transform: `translate(14 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
  ];
}

// a drawing with words on the point that is nearest to the pointer; xs, ys are in its own coordinates
function pointed({ name, drawing, xs, ys, W, H, label }) {
  const ring = svg("circle", { class: "ring", r: 6, visibility: "hidden" }), tip = h("div", { class: "tip", hidden: true });
  drawing.append(ring);
  const figure = h("figure", { class: "chart", "data-points": xs.length }, h("figcaption", {}, name), drawing, tip);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect(), zoom = box.width / W;
    const mx = (event.clientX - box.left) / zoom, my = (event.clientY - box.top) / zoom;
    let best = -1, least = 14 * 14;
    for (let i = 0; i < xs.length; i++) {
      const d = (xs[i] - mx) ** 2 + (ys[i] - my) ** 2;
      if (d < least) [best, least] = [i, d];
    }
    tip.hidden = best < 0;
    ring.setAttribute("visibility", best < 0 ? "hidden" : "visible");
    if (best < 0) return;
    ring.setAttribute("cx", xs[best]);
    ring.setAttribute("cy", ys[best]);
    tip.replaceChildren(...label(best).map((line) => h("div", {}, line)));
    const left = drawing.offsetLeft + xs[best] * zoom;
    tip.style.left = `${Math.max(0, Math.min(left - tip.offsetWidth / 2, figure.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${drawing.offsetTop + ys[best] * zoom + (ys[best] > H / 2 ? -tip.offsetHeight - 12 : 14)}px`;
  });
  drawing.addEventListener("pointerleave", () => { tip.hidden = true; ring.setAttribute("visibility", "hidden"); });
  return figure;
}

// points: x[i], y[i]; label(i) for the pointer; `diagonal` for a parity plot, else a line at y = 0
function scatter({ x, y, name, xLabel, yLabel, label, diagonal, summary }) {
  let [xLow, xHigh] = range(x), [yLow, yHigh] = range(y);
  if (diagonal) [xLow, xHigh] = [yLow, yHigh] = [Math.min(xLow, yLow), Math.max(xHigh, yHigh)];
  else [yLow, yHigh] = [-Math.max(-yLow, yHigh), Math.max(-yLow, yHigh)];
  const place = frame({ x: [xLow, xHigh], y: [yLow, yHigh] }), { W, H, L, R, px, py } = place;
  const xs = x.map(px), ys = y.map(py);
  const path = xs.map((v, i) => `M${v.toFixed(1)} ${ys[i].toFixed(1)}h0`).join("");
  const guide = diagonal ? [px(xLow), py(yLow), px(xHigh), py(yHigh)] : [L, py(0), W - R, py(0)];
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${name}. ${summary}`, class: "plot" },
    axes(place, xLabel, yLabel),
    svg("line", { class: "guide", x1: guide[0], y1: guide[1], x2: guide[2], y2: guide[3] }),
    svg("path", { class: "points", d: path, style: `opacity:${x.length > 1500 ? 0.55 : 0.8};stroke-width:${x.length > 1500 ? 3.5 : 5}` }));
  return pointed({ name, drawing, xs, ys, W, H, label });
}

// counts between edges on a logarithmic axis
function histogram({ name, edges, counts, xLabel, summary, marks = [] }) {
  const W = 520, H = 250, L = 46, R = 12, T = 34, B = 46;
  const low = Math.log10(edges[0]), high = Math.log10(edges[edges.length - 1]), most = Math.max(...counts);
  const px = (v) => L + ((Math.log10(v) - low) / (high - low)) * (W - L - R);
  const py = (n) => H - B - (n / most) * (H - T - B);
  const yTicks = ticks(0, most, 4).at.filter(Number.isInteger);
  const decades = [];
  for (let k = Math.ceil(low - 1e-9); k <= high + 1e-9; k++) decades.push(10 ** k);
  const shown = decades.length > 1 ? decades : [edges[0], edges[edges.length - 1]];
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${name}. ${summary}`, class: "plot" },
    yTicks.map((n) => [svg("line", { class: "grid", x1: L, x2: W - R, y1: py(n), y2: py(n) }),
      svg("text", { class: "tick", x: L - 7, y: py(n) + 4, "text-anchor": "end" }, whole(n))]),
    counts.map((n, i) => n > 0 && svg("rect", { class: "bar", x: px(edges[i]) + 0.5, y: py(n), width: Math.max(1, px(edges[i + 1]) - px(edges[i]) - 1), height: H - B - py(n) },
      svg("title", {}, `${num(edges[i], 2)} to ${num(edges[i + 1], 2)}: ${plural(n, "structure")}`))),
    marks.filter(([v]) => v > edges[0] && v < edges[edges.length - 1]).map(([v, text], i) => [svg("line", { class: "mark", x1: px(v), x2: px(v), y1: 16 * i + 2, y2: H - B }),
      svg("text", { class: "tick strong", x: px(v) + (px(v) > W - 90 ? -5 : 5), y: 12 + 16 * i, "text-anchor": px(v) > W - 90 ? "end" : "start" }, text)]),
    svg("line", { class: "base", x1: L, x2: W - R, y1: H - B, y2: H - B }),
    shown.map((v) => [svg("line", { class: "base", x1: px(v), x2: px(v), y1: H - B, y2: H - B + 4 }),
      svg("text", { class: "tick", x: px(v), y: H - B + 17, "text-anchor": "middle" }, num(v, 1))]),
    svg("text", { class: "axis", x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, xLabel));
  return h("figure", { class: "chart", "data-points": counts.reduce((sum, n) => sum + n, 0) },
    h("figcaption", {}, name), drawing, h("p", { class: "note" }, summary));
}

// a row for each item with a bar: [text, value, words]
function bars(caption, items) {
  const most = Math.max(...items.map(([, value]) => value || 0)) || 1;
  const table = h("table", { class: "bars" }, h("caption", {}, caption), h("tbody", {}, items.map(([text, value, words]) =>
    h("tr", {}, h("th", { scope: "row" }, text),
      h("td", {}, h("span", { class: "track" }, h("span", { class: "length", style: `width:${(100 * (value || 0)) / most}%` }))),
      h("td", { class: "number" }, words)))));
  return items.length > 30 ? scrolling(caption, table) : table;
}
