"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const video = document.querySelector("video");
const N = D.t.length;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLORS = ["#8fc7ff", "#a9dfa0", "#ffd27a", "#f3a5a0", "#cdb4f0", "#9fe0d6", "#f5b6d8", "#c9cf8a"];
const LIGHTS = { 1: "#e5342b", 2: "#f0762e", 3: "#e5a31a", 4: "#1fa657", 5: "#e5a31a", 6: "#e5342b" };
let now = 0, follow = false;

const el = (tag, text, name) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (name) e.className = name;
  return e;
};

// ---- head and tables
$("title").textContent = D.title;
$("facts").textContent = D.facts;
$("outcome").textContent = D.outcome[1];
$("outcome").className = D.outcome[0];
$("footer").textContent = D.footer;
for (const [name, value, unit, better] of D.metrics) {
  const row = el("tr");
  row.append(el("td", name), el("td", value, "n"), el("td", unit), el("td", better));
  $("metrics").append(row);
}

// ---- time
const index = (seconds) => Math.max(0, Math.min(N - 1, Math.floor((seconds + 1e-6) / D.dt)));
function go(i, fromVideo) {
  now = Math.max(0, Math.min(N - 1, i));
  if (!fromVideo && video) video.currentTime = now * D.dt + 0.4 * D.dt;
  draw();
}
$("seek").max = N - 1;
$("seek").addEventListener("input", (e) => go(+e.target.value));
$("play").addEventListener("click", () => { if (video) { if (video.paused) video.play(); else video.pause(); } });
if (video) {
  const tick = () => { go(index(video.currentTime), true); if (!video.paused) requestAnimationFrame(tick); };
  video.addEventListener("play", () => { $("play").textContent = "❚❚"; tick(); });
  video.addEventListener("pause", () => { $("play").textContent = "▶"; });
  for (const event of ["timeupdate", "seeked"]) video.addEventListener(event, () => go(index(video.currentTime), true));
} else { $("play").disabled = true; }
document.addEventListener("keydown", (e) => {
  if (e.target.tagName === "INPUT") return;
  if (e.key === "ArrowRight") go(now + 1); else if (e.key === "ArrowLeft") go(now - 1); else return;
  e.preventDefault();
});

// ---- decisions
const segmentAt = (i) => D.said.find((s) => s.from <= i && i < s.to);
function tell(s) {
  const hint = $("hint");
  hint.replaceChildren();
  if (!s) return;
  hint.append(el("b", s.text || "This policy gives no reason."));
  for (const c of s.causes) hint.append(el("span", "  ·  " + c));
}
function track(label, spans, thin) {
  const row = el("div", undefined, "track"), box = el("div", undefined, thin ? "segments thin" : "segments");
  for (const s of spans) {
    const b = el("button", thin ? "" : s.label);
    b.type = "button";
    b.style.left = (100 * s.from) / N + "%";
    b.style.width = (100 * (s.to - s.from)) / N + "%";
    b.style.background = s.color;
    b.title = `${D.t[s.from].toFixed(1)} s: ${s.label}`;
    b.setAttribute("aria-label", b.title);
    b.addEventListener("click", (e) => { e.stopPropagation(); go(s.from); });
    b.addEventListener("mouseenter", () => (s.reasons ? $("hint").replaceChildren(el("b", s.reasons)) : tell(segmentAt(s.from))));
    box.append(b);
  }
  box.addEventListener("click", (e) => {
    const r = box.getBoundingClientRect();
    go(Math.floor((N * (e.clientX - r.left)) / r.width));
  });
  box.append(el("div", undefined, "cursor"));
  row.append(el("span", label), box);
  $("lanes").append(row);
}
for (const [label, spans] of [["Speed", D.longitudinal], ["Steering", D.lateral]]) {
  const kinds = [...new Set(spans.map((s) => s.label))].sort();
  const shift = label === "Speed" ? 0 : 4;
  track(label, spans.map((s) => ({ ...s, color: COLORS[(kinds.indexOf(s.label) + shift) % COLORS.length] })));
}
if (D.verdicts.length) track("Interventions", D.verdicts.map((v) => ({ ...v, color: v.label === "clip" ? "#e5a31a" : "#e5342b" })), true);
for (const s of D.said) {
  const item = el("li"), b = el("button"), words = el("div", s.text || "This policy gives no reason.");
  b.type = "button";
  if (s.causes.length) words.append(el("em", s.causes.join(" · ")));
  b.append(el("span", D.t[s.from].toFixed(1) + " s"), words);
  b.addEventListener("click", () => go(s.from));
  item.append(b);
  $("sentences").append(item);
  s.item = item;
}

// ---- plots
function plot(id, series, unit, symmetric) {
  const canvas = $(id), caption = $("cap-" + id);
  const all = series.flatMap((s) => s.values.filter((v) => v !== null));
  let low = Math.min(0, ...all), high = Math.max(symmetric || 1, ...all);
  if (symmetric) { high = Math.max(high, -low); low = -high; }
  const seek = (e) => { const r = canvas.getBoundingClientRect(); go(Math.round(((N - 1) * (e.clientX - r.left - 44)) / (r.width - 52))); };
  canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); seek(e); });
  canvas.addEventListener("pointermove", (e) => { if (e.buttons) seek(e); });
  return () => {
    const [g, w, h] = surface(canvas);
    const X = (i) => 44 + ((w - 52) * i) / Math.max(1, N - 1), Y = (v) => h - 18 - ((h - 26) * (v - low)) / (high - low);
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = css("--dim");
    g.strokeStyle = css("--line");
    g.textAlign = "right";
    for (const v of ticks(low, high, 4)) {
      g.beginPath(); g.moveTo(44, Y(v)); g.lineTo(w - 8, Y(v)); g.stroke();
      g.fillText(+v.toFixed(3) + "", 38, Y(v) + 4);
    }
    g.textAlign = "center";
    for (const v of ticks(0, D.t[N - 1], 8)) g.fillText(v + (v ? "" : " s"), X(v / D.dt), h - 3);
    for (const s of series) {
      g.strokeStyle = s.color(); g.lineWidth = s.thin ? 1.5 : 2; g.setLineDash(s.thin ? [5, 4] : []);
      g.beginPath();
      let pen = false;
      s.values.forEach((v, i) => { if (v === null) { pen = false; } else { pen ? g.lineTo(X(i), Y(v)) : g.moveTo(X(i), Y(v)); pen = true; } });
      g.stroke();
    }
    g.setLineDash([]); g.lineWidth = 1; g.strokeStyle = css("--ink");
    g.beginPath(); g.moveTo(X(now), 4); g.lineTo(X(now), h - 18); g.stroke();
    caption.replaceChildren();
    for (const s of series) {
      const key = el("i");
      key.style.background = s.color();
      const v = s.values[now];
      caption.append(key, el("span", s.name + " "), el("b", v === null ? "none" : v.toFixed(s.digits ?? 1)), el("span", " " + unit));
    }
  };
}
function ticks(low, high, count) {
  const raw = Math.max(high - low, 1e-6) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) out.push(+v.toFixed(6));
  return out;
}
function surface(canvas) {
  const r = canvas.getBoundingClientRect(), k = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(r.width * k)), h = Math.max(1, Math.round(r.height * k));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext("2d");
  g.setTransform(k, 0, 0, k, 0, 0);
  g.clearRect(0, 0, r.width, r.height);
  return [g, r.width, r.height];
}
const accent = () => css("--accent"), second = () => css("--second"), dim = () => css("--dim");
const plots = [
  plot("speed", [{ name: "speed", values: D.speed, color: accent }, { name: "limit", values: D.limit, color: dim, thin: true, digits: 0 }], D.unit),
  plot("accel", [{ name: "forward", values: D.accel, color: accent, digits: 2 }, { name: "sideways, left positive", values: D.side, color: second, digits: 2 }], "m/s²", 2),
  plot("steer", [{ name: "curvature, left positive", values: D.curvature, color: accent, digits: 4 }], "1/m", 0.02),
];

// ---- map
const map = $("map"), view = { x: 0, y: 0, k: 1 };
function bounds() {
  let [a, b, c, d] = [Infinity, Infinity, -Infinity, -Infinity];
  D.x.forEach((x, i) => { a = Math.min(a, x); c = Math.max(c, x); b = Math.min(b, D.y[i]); d = Math.max(d, D.y[i]); });
  return [a, b, c, d];
}
function fit() {
  const r = map.getBoundingClientRect(), [a, b, c, d] = bounds();
  view.x = (a + c) / 2; view.y = (b + d) / 2;
  view.k = Math.min(8, Math.max(0.2, 0.86 * Math.min(r.width / Math.max(c - a, 30), r.height / Math.max(d - b, 30))));
}
$("fit").addEventListener("click", () => { follow = false; fit(); draw(); });
$("follow").addEventListener("click", () => { follow = true; view.k = 5; draw(); });
map.addEventListener("wheel", (e) => { e.preventDefault(); view.k = Math.min(40, Math.max(0.1, view.k * Math.exp(-0.0015 * e.deltaY))); draw(); }, { passive: false });
map.addEventListener("pointerdown", (e) => map.setPointerCapture(e.pointerId));
map.addEventListener("pointermove", (e) => { if (e.buttons) { follow = false; view.x -= e.movementX / view.k; view.y += e.movementY / view.k; draw(); } });
function path(g, line, X, Y) {
  g.beginPath();
  for (let i = 0; i < line.length; i += 2) i ? g.lineTo(X(line[i]), Y(line[i + 1])) : g.moveTo(X(line[i]), Y(line[i + 1]));
}
function box(g, x, y, yaw, length, width, X, Y) {
  const c = Math.cos(yaw), s = Math.sin(yaw), a = length / 2, b = width / 2;
  path(g, [[a, b], [-a, b], [-a, -b], [a, -b]].flatMap(([u, v]) => [x + c * u - s * v, y + s * u + c * v]), X, Y);
  g.closePath(); g.fill();
}
function drawMap() {
  const [g, w, h] = surface(map);
  if (follow) { view.x = D.x[now]; view.y = D.y[now]; }
  const X = (x) => w / 2 + (x - view.x) * view.k, Y = (y) => h / 2 - (y - view.y) * view.k;
  g.fillStyle = css("--field"); g.fillRect(0, 0, w, h);
  const fills = { d: css("--asphalt"), j: css("--junction"), w: css("--walk") };
  for (const [kind, line] of D.lanes) { g.fillStyle = fills[kind]; path(g, line, X, Y); g.closePath(); g.fill(); }
  g.lineCap = g.lineJoin = "round";
  g.strokeStyle = "rgba(22,103,217,0.4)"; g.lineWidth = Math.max(3, 1.6 * view.k); path(g, D.route, X, Y); g.stroke();
  g.lineWidth = Math.max(2.5, 0.7 * view.k);
  for (let i = 1; i < N; i++) {
    const u = Math.min(1, D.mps[i] / 12);
    g.strokeStyle = `hsl(${Math.round(4 + 138 * u)} 68% 48%)`;
    g.globalAlpha = i <= now ? 1 : 0.35;
    g.beginPath(); g.moveTo(X(D.x[i - 1]), Y(D.y[i - 1])); g.lineTo(X(D.x[i]), Y(D.y[i])); g.stroke();
  }
  g.globalAlpha = 1;
  for (const s of D.signals) {
    let state = 0;
    for (const [from, value] of s.states) if (from <= now) state = value;
    if (!LIGHTS[state]) continue;
    g.strokeStyle = g.fillStyle = LIGHTS[state]; g.lineWidth = Math.max(2, 0.5 * view.k);
    for (const line of s.lines) { path(g, line, X, Y); g.stroke(); }
    g.beginPath(); g.arc(X(s.x), Y(s.y), Math.max(2.5, 0.7 * view.k), 0, 7); g.fill();
  }
  g.fillStyle = css("--ink");
  for (const [x, y, yaw, length, width] of D.agents[now]) box(g, x, y, yaw, Math.max(length, 4 / view.k), Math.max(width, 3 / view.k), X, Y);
  g.fillStyle = css("--accent");
  const c = Math.cos(D.yaw[now]), s = Math.sin(D.yaw[now]), k = D.ego[2];
  box(g, D.x[now] + c * k, D.y[now] + s * k, D.yaw[now], Math.max(D.ego[0], 9 / view.k), Math.max(D.ego[1], 5 / view.k), X, Y);
}

// ---- all of it
function draw() {
  $("seek").value = now;
  $("clock").textContent = D.t[now].toFixed(1) + " s";
  const s = segmentAt(now);
  $("said").textContent = s ? s.text || "This policy gives no reason." : "";
  for (const other of D.said) other.item.classList.toggle("now", other === s);
  for (const cursor of document.querySelectorAll(".cursor")) cursor.style.left = `calc(${(100 * (now + 0.5)) / N}% - 1px)`;
  drawMap();
  for (const p of plots) p();
}
window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
fit();
go(Math.min(N - 1, Math.max(0, Math.round((parseFloat(location.hash.slice(1)) || 0) / D.dt))));
