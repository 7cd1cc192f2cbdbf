// One plot over time: lines {name, values, color, dashed, step}, a cursor shared with all others.
class Plot {
  constructor(parent, data, { title, unit, digits, lines, floor, symmetric, least }, seek, hover) {
    Object.assign(this, { data, unit, digits, lines, frame: 0, hovered: null });
    const card = document.createElement("section");
    card.className = "card plot";
    const heading = document.createElement("h3");
    heading.append(title);
    this.output = heading.appendChild(document.createElement("output"));
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${title} over time`);
    card.append(heading, this.canvas);
    parent.append(card);
    const values = lines.flatMap((line) => line.values).filter((value) => value !== null);
    let low = Math.min(...values, 0), high = Math.max(...values, 0);
    if (symmetric) [low, high] = [-Math.max(-low, high, least), Math.max(-low, high, least)];
    else high = Math.max(high, least);
    if (floor !== undefined) low = Math.min(low, floor);
    const room = symmetric ? 0.08 * (high - low) : 0.1 * (high - low);
    this.range = [low < 0 ? low - room : low, high + room];
    const time = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return clamp((event.clientX - box.left - Plot.LEFT) / (box.width - Plot.LEFT - Plot.RIGHT), 0, 1) * this.end();
    };
    this.canvas.addEventListener("pointermove", (event) => {
      hover(time(event));
      if (event.buttons) seek(time(event));
    });
    this.canvas.addEventListener("pointerdown", (event) => seek(time(event)));
    this.canvas.addEventListener("pointerleave", () => hover(null));
    this.canvas.addEventListener("pointercancel", () => hover(null));
  }

  end() {
    return Math.max(this.data.t.at(-1), 0.1);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    this.base = null;
    this.draw();
  }

  show(frame, hovered) {
    this.frame = frame;
    this.hovered = hovered;
    this.draw();
  }

  x(time) {
    return Plot.LEFT + (time / this.end()) * (this.canvas.clientWidth - Plot.LEFT - Plot.RIGHT);
  }

  y(value) {
    const [low, high] = this.range;
    return Plot.TOP + ((high - value) / (high - low)) * (this.canvas.clientHeight - Plot.TOP - Plot.BOTTOM);
  }

  // What does not change with time is drawn once.
  paint(context) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ink = hue("soft"), grid = hue("line");
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const value of ticks(...this.range, 4)) {
      context.strokeStyle = grid;
      context.fillStyle = ink;
      line(context, Plot.LEFT, this.y(value), width - Plot.RIGHT, this.y(value));
      context.fillText(String(value).replace("-", "−"), Plot.LEFT - 7, this.y(value));
    }
    context.textBaseline = "alphabetic";
    const stops = ticks(0, this.end(), Math.max(2, Math.floor(width / 90)));
    stops.forEach((value, k) => {
      context.textAlign = k === 0 ? "left" : this.x(value) > width - 30 ? "right" : "center";
      context.fillText(k === 0 ? "0 s" : String(value), this.x(value), height - 3);
    });
    for (const { values, color, dashed } of this.lines) {
      context.strokeStyle = hue(color);
      context.lineWidth = dashed ? 1.5 : 2;
      context.lineJoin = "round";
      context.setLineDash(dashed ? [5, 4] : []);
      context.beginPath();
      let pen = false;
      values.forEach((value, k) => {
        if (value !== null) context[pen ? "lineTo" : "moveTo"](this.x(this.data.t[k]), this.y(value));
        pen = value !== null;
      });
      context.stroke();
      context.setLineDash([]);
    }
  }

  draw() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    if (!canvas.width) return;
    if (!this.base) {
      this.base = document.createElement("canvas");
      this.base.width = canvas.width;
      this.base.height = canvas.height;
      const under = this.base.getContext("2d");
      under.scale(ratio, ratio);
      this.paint(under);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.base, 0, 0);
    context.scale(ratio, ratio);
    const frame = this.hovered ?? this.frame, bottom = canvas.clientHeight - Plot.BOTTOM;
    if (this.hovered !== null) {
      context.strokeStyle = hue("soft");
      context.lineWidth = 1;
      line(context, this.x(at(this.data.t, this.frame)), Plot.TOP, this.x(at(this.data.t, this.frame)), bottom);
    }
    const time = at(this.data.t, frame);
    context.strokeStyle = hue("ink");
    context.lineWidth = 1.5;
    line(context, this.x(time), Plot.TOP, this.x(time), bottom);
    const parts = [];
    for (const { name, values, color, dashed } of this.lines) {
      const value = at(values, frame);
      if (!dashed && value !== null) {
        context.beginPath();
        context.arc(this.x(time), this.y(value), 4, 0, 2 * Math.PI);
        context.fillStyle = hue(color);
        context.fill();
      }
      if (value !== null) parts.push(`${name}${value.toFixed(dashed ? 0 : this.digits).replace("-", "−")}`);
    }
    const when = this.hovered === null ? "" : ` at ${time.toFixed(1)} s`;
    this.output.textContent = parts.length ? `${parts.join(", ")} ${this.unit}${when}` : "unknown";
  }
}
Object.assign(Plot, { LEFT: 44, RIGHT: 8, TOP: 8, BOTTOM: 20 });

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

// Round values from low to high, about `count` of them.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((value) => value >= raw * 0.999);
  const out = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9; k += 1) out.push(Number((k * step).toPrecision(8)));
  return out;
}
