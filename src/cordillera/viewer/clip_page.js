
// ------------------------------------------------------------------ a clip's labels
// What the page shows beside the drive: keyframes, how each cause stood its tests, and other decisions with their paths.

const OUTCOMES = { safe: ["--good", "safe"], collision: ["--bad", "collision"], "off-road": ["--warn", "off the road"] };
const VERDICT_WORDS = { kept: "counts", unseen: "not seen", late: "too late", "not necessary": "changes nothing", "cannot be removed": "cannot be removed" };
const labelAt = (time) => data.labels.findLast((label) => label.t <= time + 1e-3);
const momentAt = (time) => data.moments.findLast((moment) => moment.t <= time + 1e-3 && time < moment.t + 6.4);

function mark(track, time, text, color, detail) {
  const button = track.appendChild(element("button", undefined, "flagmark"));
  button.type = "button";
  button.style.left = `${(100 * time) / end}%`;
  button.style.setProperty("--hue", color);
  button.setAttribute("aria-label", `${text} at ${seconds(time)}`);
  button.title = `${seconds(time)}: ${detail ?? text}`;
  button.addEventListener("click", () => player.seek(time));
  return button;
}

function addMarks() {
  const row = element("div", undefined, "row"), track = element("div", undefined, "track marks");
  row.append(element("span", "Keyframes"), track);
  $("rows").insertBefore(row, $("rows").lastChild);
  for (const { t, event, text } of data.keyframes) mark(track, t, event, "var(--flag)", `${event}. ${text}`);
  heads.push(track.appendChild(element("i", undefined, "head")));
  let right = -1;
  for (const { t, event } of data.keyframes) {
    const name = track.appendChild(element("span", event, "flagname"));
    const left = (t / end) * track.clientWidth + 10;
    if (left < right + 8 || left + name.offsetWidth > track.clientWidth) name.remove();
    else {
      name.style.left = `${(100 * t) / end}%`;
      right = left + name.offsetWidth;
    }
  }
}

let toldLabel, toldMoment;
function showLabels(time) {
  const label = labelAt(time), moment = momentAt(time);
  if (label !== toldLabel) {
    toldLabel = label;
    $("tested").replaceChildren(...(label?.tested ?? []).map((cause) => {
      const row = element("tr");
      row.append(element("td", `${cause.kind}: ${cause.relation}`), element("td", cause.target.replace(":", " "), "soft"));
      row.append(element("td", VERDICT_WORDS[cause.verdict] ?? cause.verdict, cause.verdict === "kept" ? "kept" : "soft"));
      row.append(element("td", cause.effect === null ? "" : `${cause.effect.toFixed(1)} m/s`, "right"));
      row.append(element("td", cause.pixels === null ? "" : `${Math.round(cause.pixels)} px`, "right"));
      return row;
    }));
    $("notested").hidden = Boolean(label?.tested.length);
  }
  if (moment === toldMoment) return;
  toldMoment = moment;
  $("othershead").textContent = moment ? `Other decisions at ${seconds(moment.t)}` : "Other decisions";
  $("noothers").hidden = Boolean(moment);
  $("others").replaceChildren(...(moment?.others ?? []).map((other) => {
    const item = element("li"), [color, word] = OUTCOMES[other.outcome] ?? ["--soft", other.outcome];
    const said = [other.longitudinal, [other.lateral, other.side].filter(Boolean).join(" ")].filter(Boolean).join(", ");
    const badge = element("b", other.outcome === "safe" ? word : `${word} after ${seconds(other.ended)}`);
    badge.style.color = `var(${color})`;
    item.append(element("span", said), badge);
    return item;
  }));
}

const pathsOnly = DriveMap.prototype.drawPaths;
DriveMap.prototype.drawPaths = function drawPathsAndOthers() {
  pathsOnly.call(this);
  const moment = momentAt(player.time);
  if (!moment || player.time > moment.t + 2) return;
  this.context.setLineDash([3 * this.px, 4 * this.px]);
  for (const other of moment.others) this.stroke(path2d(other.xy), hue((OUTCOMES[other.outcome] ?? ["--ink"])[0].slice(2)), 0.3, 2);
  this.context.setLineDash([]);
};
const showMap = map.show.bind(map);
map.show = (frame, named) => {
  showLabels(player.time);
  showMap(frame, named);
};
addMarks();
player.seek(player.time);
