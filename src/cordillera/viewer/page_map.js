"use strict";

// The value of a colour of the style sheet, for canvases.
const hue = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// A list sampled once a frame, at a frame that may lie between two; null where a value is unknown.
function at(list, frame) {
  const k = clamp(Math.floor(frame), 0, list.length - 1);
  const next = list[Math.min(k + 1, list.length - 1)];
  if (list[k] === null || next === null) return list[k];
  return list[k] + (next - list[k]) * clamp(frame - k, 0, 1);
}

// The latest of the entries [frame, ...] that has begun.
function latest(entries, frame) {
  let found = entries[0];
  for (const entry of entries) if (entry[0] <= frame + 1e-6) found = entry;
  return found;
}

const LIGHTS = { red: "#e5352b", red_amber: "#f0701f", amber: "#f2a900", green: "#1fae54", flashing_amber: "#f2a900", flashing_red: "#e5352b" };
const SURFACES = { driving: "road", bus: "road", parking: "road", shoulder: "road", rail: "road", restricted: "road", sidewalk: "walk", biking: "bike" };
const PAINTING = ["median", "border", "kerb", "other", "shoulder", "sidewalk", "parking", "biking", "rail", "restricted", "bus", "driving"];

// From red (standing) over amber to green (the fastest of the drive).
function speedColor(share) {
  const stops = [[214, 69, 65], [233, 162, 59], [47, 158, 99]];
  const place = clamp(share, 0, 1) * 2, k = Math.min(Math.floor(place), 1);
  return `rgb(${stops[k].map((v, i) => Math.round(v + (stops[k + 1][i] - v) * (place - k))).join(",")})`;
}

function path2d(flat, closed) {
  const path = new Path2D();
  for (let i = 0; i + 1 < flat.length; i += 2) path[i ? "lineTo" : "moveTo"](flat[i], flat[i + 1]);
  if (closed) path.closePath();
  return path;
}

// The map of the drive on a canvas. `view` is the middle in metres and the pixels a metre.
class DriveMap {
  constructor(canvas, data, changed) {
    Object.assign(this, { canvas, data, changed, frame: 0, following: false, touched: false, view: { x: 0, y: 0, k: 1 }, named: new Set() });
    this.top = Math.max(...data.ego.speed.map(Math.abs), 3);
    this.lanes = data.map.lanes.map(([kind, junction, flat]) => ({ kind, junction, path: path2d(flat, true) }));
    this.lanes.sort((a, b) => PAINTING.indexOf(a.kind) - PAINTING.indexOf(b.kind));
    this.marks = data.map.marks.map(([kind, color, flat]) => ({ kind, color, path: path2d(flat) }));
    this.areas = data.map.areas.map(([, flat]) => path2d(flat, true));
    this.crossings = data.map.crossings.map((flat) => path2d(flat, true));
    this.stops = data.map.stops.map((flat) => path2d(flat));
    this.route = path2d(data.route);
    for (const signal of data.signals) signal.paths = signal.lines.map((flat) => path2d(flat));
    this.listen();
  }

  // Shows the whole drive with a margin.
  fit() {
    const { x, y } = this.data.ego;
    const low = [Math.min(...x), Math.min(...y)], high = [Math.max(...x), Math.max(...y)];
    const width = this.canvas.clientWidth || 1, height = this.canvas.clientHeight || 1;
    const k = Math.min((width - 70) / (high[0] - low[0] + 24), (height - 110) / (high[1] - low[1] + 24), 9);
    this.view = { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, k: Math.max(k, 0.02) };
    this.touched = this.following = false;
    this.draw();
  }

  follow() {
    this.following = true;
    this.view.k = Math.max(this.view.k, 6);
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (this.touched || this.following) this.draw();
    else this.fit();
  }

  // Zooms by a factor about a point of the canvas in CSS pixels.
  zoom(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const { view, canvas } = this, k = clamp(view.k * factor, 0.05, 80);
    if (!this.following) {
      const dx = px - canvas.clientWidth / 2, dy = py - canvas.clientHeight / 2;
      view.x += dx / view.k - dx / k;
      view.y -= dy / view.k - dy / k;
    }
    view.k = k;
    this.touched = true;
    this.draw();
  }

  listen() {
    const { canvas } = this, fingers = new Map();
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const turn = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
      this.zoom(Math.exp(clamp(-turn, -240, 240) * 0.0022), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const box = canvas.getBoundingClientRect(), gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) + 1;
        this.zoom(gap(now) / gap(before), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
      }
      const part = other ? 0.5 : 1;
      this.view.x -= (part * (now[0] - before[0])) / this.view.k;
      this.view.y += (part * (now[1] - before[1])) / this.view.k;
      if (now[0] !== before[0] || now[1] !== before[1]) {
        this.touched = true;
        this.following = false;
        this.changed();
      }
      fingers.set(event.pointerId, now);
      this.draw();
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("dblclick", () => this.zoom(2));
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
    });
  }

  show(frame, named) {
    this.frame = frame;
    this.named = named;
    this.draw();
  }

  draw() {
    const { canvas, data, frame } = this, ratio = window.devicePixelRatio || 1;
    if (!canvas.width) return;
    if (this.following) {
      this.view.x = at(data.ego.x, frame);
      this.view.y = at(data.ego.y, frame);
    }
    const context = canvas.getContext("2d"), k = this.view.k * ratio;
    this.context = context;
    this.colors ??= Object.fromEntries(["grass", "road", "junction", "walk", "verge", "bike", "mark", "mark-yellow", "building", "route", "car", "car-edge", "ego", "flag", "label", "card"].map((name) => [name, hue(name)]));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.colors.grass;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(k, 0, 0, -k, canvas.width / 2 - this.view.x * k, canvas.height / 2 + this.view.y * k);
    context.lineJoin = context.lineCap = "round";
    this.px = ratio / k; // one CSS pixel in metres
    this.drawRoads();
    this.drawPaths();
    for (const signal of data.signals) this.drawSignal(signal);
    for (const track of data.agents) this.drawAgent(track);
    this.drawEgo();
  }

  stroke(path, color, width, least = 0) {
    this.context.strokeStyle = color;
    this.context.lineWidth = Math.max(width, least * this.px);
    this.context.stroke(path);
  }

  drawRoads() {
    const { context, colors } = this;
    context.fillStyle = colors.building;
    for (const area of this.areas) context.fill(area);
    for (const { kind, junction, path } of this.lanes) {
      const color = colors[junction && kind === "driving" ? "junction" : SURFACES[kind] ?? "verge"];
      context.fillStyle = color;
      context.fill(path);
      this.stroke(path, color, 0.06); // neighbours may leave a hairline between their borders
    }
    if (this.view.k > 1.1) {
      context.globalAlpha = 0.55;
      context.setLineDash([0.5, 0.5]);
      for (const path of this.crossings) this.stroke(path, colors.mark, 0.3);
      context.setLineDash([]);
      context.globalAlpha = clamp((this.view.k - 1.1) / 1.5, 0, 0.9);
      context.lineCap = "butt";
      for (const { kind, color, path } of this.marks) {
        context.setLineDash(/broken|dashed|dots/.test(kind) ? [3, 4.5] : []);
        this.stroke(path, color === "yellow" ? colors["mark-yellow"] : colors.mark, 0.15);
      }
      context.setLineDash([]);
      for (const path of this.stops) this.stroke(path, colors.mark, 0.4);
      context.lineCap = "round";
      context.globalAlpha = 1;
    }
  }

  drawPaths() {
    const { context, data, colors } = this, { x, y, speed } = data.ego;
    context.globalAlpha = 0.32;
    this.stroke(this.route, colors.route, 1.6, 5);
    context.globalAlpha = 1;
    for (let i = 0; i + 1 < x.length; i += 1) {
      context.beginPath();
      context.moveTo(x[i], y[i]);
      context.lineTo(x[i + 1], y[i + 1]);
      context.strokeStyle = speedColor(Math.abs(speed[i]) / this.top);
      context.lineWidth = Math.max(0.5, 2.6 * this.px);
      context.stroke();
    }
  }

  drawSignal(signal) {
    const { context, colors, px } = this, state = latest(signal.changes, this.frame)[1];
    const size = clamp(0.9, 4.5 * px, 9 * px), named = this.named.has(`signal:${signal.index}`);
    if (named) this.ring(signal.x, signal.y, size + 5 * px);
    if (signal.kind === "traffic_light") {
      const color = LIGHTS[state] ?? colors.car;
      if (LIGHTS[state]) for (const path of signal.paths) this.stroke(path, color, 0.5, 2);
      this.disc(signal.x, signal.y, size + 1.5 * px, "#14181d");
      this.disc(signal.x, signal.y, size, color);
      return;
    }
    if (this.view.k < 0.9 && !named) return;
    const sides = { stop: 8, give_way: 3, speed_limit: 24 }[signal.kind], turn = { stop: Math.PI / 8, give_way: -Math.PI / 2 }[signal.kind] ?? 0;
    context.beginPath();
    for (let i = 0; i < sides; i += 1) {
      const angle = turn + (2 * Math.PI * i) / sides;
      context.lineTo(signal.x + 1.3 * size * Math.cos(angle), signal.y + 1.3 * size * Math.sin(angle));
    }
    context.closePath();
    context.fillStyle = signal.kind === "stop" ? "#c8231c" : "#ffffff";
    context.fill();
    context.strokeStyle = signal.kind === "stop" ? "#ffffff" : "#c8231c";
    context.lineWidth = 0.28 * size;
    context.stroke();
    if (signal.kind === "speed_limit" && signal.value !== null && size > 6 * px) {
      this.words(String(Math.round(signal.value * this.data.speedFactor)), signal.x, signal.y, 1.05 * size, "#14181d");
    }
  }

  disc(x, y, radius, color) {
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fillStyle = color;
    this.context.fill();
  }

  ring(x, y, radius) {
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.strokeStyle = this.colors.flag;
    this.context.lineWidth = 2.5 * this.px;
    this.context.stroke();
  }

  words(text, x, y, size, color) {
    const { context } = this;
    context.save();
    context.translate(x, y);
    context.scale(1, -1);
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = color;
    context.fillText(text, 0, 0);
    context.restore();
  }

  drawAgent(track) {
    const { context, colors, px, data } = this, k = this.frame - track.from;
    if (k < 0 || k > track.count - 0.5) return;
    const x = at(track.x, k), y = at(track.y, k);
    const [length, width] = track.size.map((side) => Math.max(side, 3.5 * px));
    if (this.named.has(`agent:${track.id}`)) this.ring(x, y, Math.max(0.62 * Math.hypot(length, width), 9 * px));
    if (["pedestrian", "wheelchair", "animal", "cone"].includes(track.kind)) {
      this.disc(x, y, Math.max(0.4, 2.6 * px), colors["car-edge"]);
      this.disc(x, y, Math.max(0.32, 2 * px), track.kind === "cone" ? "#f06e24" : colors.flag);
    } else {
      this.box(x, y, at(track.yaw, k), length, width, colors.car, track.kind !== "barrier" && length > 7 * px);
    }
    if (this.view.k > 14) this.words(`${Math.round(at(track.speed, k) * data.speedFactor)}`, x, y, 12 * px, colors["car-edge"]);
    context.globalAlpha = 1;
  }

  drawEgo() {
    const { data, colors, px, frame } = this, [length, width, forward] = data.ego.size;
    const x = at(data.ego.x, frame), y = at(data.ego.y, frame), yaw = at(data.ego.yaw, frame), grown = Math.max(1, (14 * px) / length);
    this.context.globalAlpha = 0.2;
    this.disc(x + forward * Math.cos(yaw), y + forward * Math.sin(yaw), Math.max(4.2, 13 * px), colors.ego);
    this.context.globalAlpha = 1;
    this.box(x + forward * Math.cos(yaw), y + forward * Math.sin(yaw), yaw, length * grown, width * grown, colors.ego, true);
  }

  // A vehicle's box by its centre, with a bright edge and a windscreen that tells front from rear.
  box(x, y, yaw, length, width, color, glass) {
    const { context, colors, px } = this;
    context.save();
    context.translate(x, y);
    context.rotate(yaw);
    context.beginPath();
    context.roundRect(-length / 2, -width / 2, length, width, Math.min(0.55, width / 3));
    context.fillStyle = color;
    context.fill();
    context.strokeStyle = colors["car-edge"];
    context.lineWidth = Math.min(1.2 * px, 0.3);
    context.stroke();
    if (glass) {
      context.fillStyle = "rgb(15 20 28 / 62%)";
      context.fillRect(0.14 * length, -0.38 * width, 0.17 * length, 0.76 * width);
    }
    context.restore();
  }
}
