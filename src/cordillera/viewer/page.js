const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const last = data.t.length - 1, end = Math.max(data.t[last], 0.1);
const HUES = {
  "set-speed tracking": "d0", "lead-obstacle following": "d1", "speed adaptation": "d2", "gap searching": "d3",
  "acceleration for passing": "d4", yield: "d5", "stop for static constraint": "d6",
  "lane keeping": "d0", "merge or split": "d2", "out-of-lane nudge": "d5", "in-lane nudge": "d4", "lane change": "d1",
  "pull-over": "d7", turn: "d3", "lateral manoeuvre abort": "d6", pass: "d4", clip: "d5", fallback: "d6",
};
const VERDICTS = { pass: "passed as planned", clip: "held to the limits", fallback: "fallback drove" };
const hueOf = (word) => `var(--${HUES[word] ?? "d0"})`;
const seconds = (time) => `${time.toFixed(1)} s`;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A time -> the frame, with a fraction where it lies between two.
function frameAt(time) {
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (data.t[middle] <= time) low = middle;
    else high = middle;
  }
  const span = data.t[high] - data.t[low];
  return span > 0 ? low + clamp((time - data.t[low]) / span, 0, 1) : 0;
}

const runAt = (runs, frame) => runs.find((run) => run.from <= frame + 1e-6 && frame + 1e-6 < run.to);

// ------------------------------------------------------------------- playback

// The clock of the page: the video's where there is one, else its own.
class Player {
  constructor(video, second, moved) {
    Object.assign(this, { video, second, moved, live: false, time: 0, playing: false, rate: 1, beat: null });
    this.load(video, "video-source", () => { this.live = true; this.seek(this.time); }, () => { this.live = false; $("novideo").hidden = false; video.parentElement.hidden = true; });
    this.load(second, "cameras-source", () => { $("second").hidden = false; }, () => { $("second").hidden = true; });
    video.addEventListener("seeked", () => this.moved());
    video.addEventListener("click", () => this.toggle());
  }

  load(video, id, ready, missing) {
    const source = $(id);
    video.addEventListener("loadedmetadata", ready, { once: true });
    video.addEventListener("error", missing, { once: true });
    if (!source) {
      missing();
      return;
    }
    if (source.dataset.file) video.src = source.dataset.file;
    else {
      const bytes = Uint8Array.from(atob(source.textContent), (letter) => letter.charCodeAt(0));
      video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
    }
  }

  seek(time) {
    this.time = clamp(time, 0, end);
    // A little into the frame, so that rounding does not show the one before.
    if (this.live) this.video.currentTime = Math.min(this.time + 0.002, Math.max(this.video.duration - 0.01, 0));
    this.follow();
    this.moved();
  }

  follow() {
    const { second } = this;
    if (!second.duration) return;
    if (Math.abs(second.currentTime - this.time) > (this.playing ? 0.15 : 0.01)) second.currentTime = Math.min(this.time + 0.002, second.duration);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.time > end - 0.11) this.seek(0);
    this.playing = true;
    this.beat = null;
    for (const video of [this.video, this.second]) {
      video.playbackRate = this.rate;
      if (video.duration) video.play().catch(() => this.pause());
    }
    requestAnimationFrame((now) => this.tick(now));
    this.moved();
  }

  pause() {
    this.playing = false;
    this.video.pause();
    this.second.pause();
    this.moved();
  }

  tick(now) {
    if (!this.playing) return;
    const passed = this.beat === null ? 0 : ((now - this.beat) / 1000) * this.rate;
    this.beat = now;
    const stopped = this.live && this.video.ended;
    this.time = clamp(this.live && !stopped ? this.video.currentTime : this.time + passed, 0, end);
    this.follow();
    if (stopped || this.time >= end) {
      this.time = end;
      this.pause();
      return;
    }
    this.moved();
    requestAnimationFrame((next) => this.tick(next));
  }
}

// ------------------------------------------------------------------ decisions

function causeText(cause) {
  const away = cause.distance === null ? "" : `, ${cause.distance.toFixed(cause.distance < 10 ? 1 : 0)} m`;
  return { what: `${cause.kind}: ${cause.relation}`, more: `${cause.target.replace(":", " ")}${away}${cause.evident === null ? "" : `, evident since ${seconds(cause.evident)}`}` };
}

function tip(event, run, name, time) {
  const box = $("tip"), said = runAt(data.said, frameAt(time));
  box.replaceChildren(element("b", `${name}: ${run.label}`), element("p", `${seconds(data.t[run.from])} to ${seconds(data.t[run.to])}`, "soft"));
  for (const reason of run.reasons ?? []) box.append(element("p", reason));
  if (said && !run.reasons) {
    box.append(element("p", said.text));
    for (const cause of said.causes) {
      const { what, more } = causeText(cause);
      const row = box.appendChild(element("p", `• ${what} `));
      row.append(element("span", `(${more})`, "soft"));
    }
  }
  box.hidden = false;
  const wide = box.offsetWidth, tall = box.offsetHeight;
  box.style.left = `${clamp(event.clientX - wide / 2, 12, Math.max(12, innerWidth - wide - 12))}px`;
  box.style.top = `${event.clientY - tall - 18 > 8 ? event.clientY - tall - 18 : event.clientY + 22}px`;
}

const segments = [], heads = [];

function addRow(name, runs, thin) {
  const row = $("rows").appendChild(element("div", undefined, "row"));
  row.append(element("span", name));
  const track = row.appendChild(element("div", undefined, thin ? "track thin" : "track"));
  const timeAt = (event) => {
    const box = track.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1) * end;
  };
  for (const run of runs) {
    if (run.label === null) continue;
    const button = track.appendChild(element("button", thin ? undefined : run.label, "seg"));
    button.type = "button";
    button.setAttribute("aria-label", `${name} ${run.label}, from ${seconds(data.t[run.from])} to ${seconds(data.t[run.to])}${run.reasons?.length ? `: ${run.reasons.join("; ")}` : ""}`);
    button.style.setProperty("--hue", hueOf(run.value));
    button.style.left = `${(100 * data.t[run.from]) / end}%`;
    button.style.width = `calc(${(100 * (data.t[run.to] - data.t[run.from])) / end}% - 1px)`;
    button.style.minWidth = "2px";
    button.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") tip(event, run, name, timeAt(event)); });
    button.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    button.addEventListener("click", (event) => {
      player.seek(event.detail ? timeAt(event) : data.t[run.from]);
      if (event.detail) tip(event, run, name, timeAt(event));
      setTimeout(() => { $("tip").hidden = true; }, 2500);
    });
    segments.push({ button, run, thin });
  }
  heads.push(track.appendChild(element("i", undefined, "head")));
}

function buildTimeline() {
  const words = (runs) => runs.map((run) => ({ ...run, label: run.value }));
  addRow("Longitudinal", words(data.longitudinal), false);
  addRow("Lateral", words(data.lateral), false);
  addRow("Verdict", data.verdicts.map(({ from, to, value: [action, reasons] }) => ({ from, to, value: action, reasons, label: VERDICTS[action] ?? action })), true);
  const row = $("rows").appendChild(element("div", undefined, "row"));
  row.append(element("span", ""));
  const axis = row.appendChild(element("div", undefined, "axis"));
  for (const value of ticks(0, end, innerWidth < 860 ? 4 : 10)) {
    if (value > end * 0.985) continue;
    const mark = axis.appendChild(element("span", value === 0 ? "0 s" : String(value)));
    mark.style.left = `${(100 * value) / end}%`;
    if (value === 0) mark.style.transform = "none";
  }
  axis.addEventListener("click", (event) => player.seek(((event.clientX - axis.getBoundingClientRect().left) / axis.clientWidth) * end));
}

function fitLabels() {
  for (const { button, thin } of segments) button.classList.toggle("small", thin || button.offsetWidth < 44);
}

const entries = data.said.map((said) => {
  const button = element("button");
  button.type = "button";
  button.style.setProperty("--hue", hueOf(said.longitudinal ?? said.lateral));
  button.append(element("time", seconds(data.t[said.from])), element("span", said.text));
  button.addEventListener("click", () => player.seek(data.t[said.from]));
  const item = $("list").appendChild(element("li"));
  item.append(button);
  return { said, button };
});
if (!entries.length) $("list").append(element("li", "This driver gave no reasons.", "notice"));

function chip(word, detail) {
  const made = element("span", detail ?? word, "chip");
  made.style.setProperty("--hue", hueOf(word));
  return made;
}

let shown;
function showNow(frame) {
  const said = runAt(data.said, frame), verdict = runAt(data.verdicts, frame)?.value;
  const mark = JSON.stringify([said?.from, verdict]);
  if (mark === shown) return said;
  shown = mark;
  $("sentence").textContent = said ? said.text : frame >= last ? "The drive is over." : "No reason given.";
  const chips = [said?.longitudinal, said?.lateral].filter(Boolean).map((word) => chip(word));
  if (verdict && verdict[0] !== "pass") chips.push(chip(verdict[0], `${VERDICTS[verdict[0]] ?? verdict[0]}${verdict[1].length ? `: ${verdict[1].join("; ")}` : ""}`));
  $("chips").replaceChildren(...chips);
  $("causes").replaceChildren(...(said?.causes ?? []).map((cause) => {
    const { what, more } = causeText(cause), item = element("li"), words = element("span", `${what} `);
    words.append(element("span", more, "soft"));
    item.append(words);
    return item;
  }));
  for (const entry of entries) {
    const current = entry.said === said;
    entry.button.setAttribute("aria-current", String(current));
    if (!current) continue;
    const list = $("list"), top = entry.button.offsetTop - list.offsetTop;
    if (top < list.scrollTop || top + entry.button.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 60;
  }
  return said;
}

// -------------------------------------------------------------------- metrics

const plain = (value) => {
  const size = Math.abs(value);
  return (Number.isInteger(value) ? String(value) : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)).replace("-", "−");
};
const units = (unit) => unit.replace("m/s2", "m/s²").replace("m/s3", "m/s³");

for (const { name, value, unit, better } of data.metrics) {
  const row = $("metrics").appendChild(element("tr"));
  row.append(element("td", name));
  const cell = row.appendChild(element("td", value === null ? "n/a" : `${plain(value)} `, "right"));
  if (value === null) cell.classList.add("soft");
  else cell.append(element("small", units(unit)));
  row.append(element("td", { higher: "↑ higher", lower: "↓ lower" }[better] ?? ""));
}
if (!data.metrics.length) $("figures").hidden = true;

// ---------------------------------------------------------------- all together

const map = new DriveMap($("map"), data, pressed);
const player = new Player($("video"), $("cameras"), update);
let hovered = null;
const seek = (time) => player.seek(time);
const hover = (time) => {
  hovered = time === null ? null : frameAt(time);
  update();
};
const scaled = (values) => values.map((value) => (value === null ? null : value * data.speedFactor));
const { ego } = data;
const limits = ego.limit.some((value) => value !== null) ? [{ name: "limit ", values: scaled(ego.limit), color: "d6", dashed: true }] : [];
const plots = [
  { title: "Speed", unit: data.speedUnit, digits: 1, least: 10, lines: [{ name: "", values: scaled(ego.speed), color: "d1" }, ...limits] },
  { title: "Longitudinal acceleration", unit: "m/s²", digits: 2, symmetric: true, least: 1, lines: [{ name: "", values: ego.along, color: "d2" }] },
  { title: "Lateral acceleration", unit: "m/s², left positive", digits: 2, symmetric: true, least: 1, lines: [{ name: "", values: ego.side, color: "d3" }] },
  { title: "Steering curvature", unit: "1/m, left positive", digits: 3, symmetric: true, least: 0.01, lines: [{ name: "", values: ego.curvature, color: "d7" }] },
].map((what) => new Plot($("plots"), data, what, seek, hover));

function pressed() {
  $("whole").setAttribute("aria-pressed", String(!map.following && !map.touched));
  $("follow").setAttribute("aria-pressed", String(map.following));
}

function update() {
  const frame = frameAt(player.time);
  // Decisions hold from one frame to the next; the pictures of the map move between them.
  const said = showNow(Math.floor(frame + 1e-3));
  map.show(frame, new Set((said?.causes ?? []).map((cause) => cause.target)));
  for (const plot of plots) plot.show(frame, hovered);
  for (const head of heads) head.style.left = `${(100 * player.time) / end}%`;
  for (const { button, run } of segments) button.classList.toggle("on", run.from <= frame + 1e-3 && frame + 1e-3 < run.to);
  $("seek").value = player.time;
  $("seek").setAttribute("aria-valuetext", seconds(player.time));
  $("clock").textContent = `${player.time.toFixed(1)} / ${seconds(end)}`;
  $("glyph").setAttribute("d", player.playing ? "M6.5 5h4v14h-4zM13.5 5h4v14h-4z" : "M7 4.5v15l12-7.5z");
  $("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
}

function layout() {
  map.resize();
  for (const plot of plots) plot.resize();
  fitLabels();
}

buildTimeline();
$("key").append("0", element("i"), `${Math.round(map.top * data.speedFactor)} ${data.speedUnit}`);
$("seek").max = end;
$("seek").addEventListener("input", () => player.seek(Number($("seek").value)));
$("play").addEventListener("click", () => player.toggle());
$("rate").addEventListener("change", () => {
  player.rate = player.video.playbackRate = player.second.playbackRate = Number($("rate").value);
});
for (const [id, act] of [["whole", () => map.fit()], ["follow", () => map.follow()], ["closer", () => map.zoom(1.5)], ["wider", () => map.zoom(1 / 1.5)]]) {
  $(id).addEventListener("click", () => { act(); pressed(); });
}
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, button") || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { ArrowLeft: -0.1, ArrowRight: 0.1 };
  if (event.key === " ") player.toggle();
  else if (event.key in steps) player.seek(Math.round((player.time + steps[event.key]) * 10) / 10);
  else return;
  event.preventDefault();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  map.colors = null;
  layout();
});
new ResizeObserver(layout).observe(document.body);
const wanted = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
player.seek(wanted ? Number(wanted[1]) : 0);
layout();
