"use strict";
// What the server says ten times a second is drawn; orders go back over the same socket.

const $ = (id) => document.getElementById(id);
const COLOURS = { tracking: "#3fd684", coasting: "#ffbe52", lost: "#ff5c5c" };
const STALE_MS = 1000;
const SMALLEST = 0.01; // of a side: a slip of the hand is no target

let state = null;
let heardAt = 0; // of the last state
let socket = null;
let drag = null; // {from: [x, y], to: [x, y]} as fractions of the picture
let said = { text: "", until: 0 };
let newest = -1; // number of the last message shown
const trails = { vehicle: [], target: [] };

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/socket`);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.state) {
      state = message.state;
      heardAt = performance.now();
      show();
    } else if (message.answer) {
      answered(message.answer);
    }
  };
  socket.onclose = () => setTimeout(connect, 1000);
}

function order(name, rectangle) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return say("the console is not connected");
  socket.send(JSON.stringify(rectangle ? { order: name, rectangle } : { order: name }));
}

function answered(answer) {
  const names = { track: "target", stop: "stop", engage: "engage", disengage: "disengage" };
  const name = names[answer.order] || answer.order;
  say(answer.accepted ? `${name}: accepted` : `${name}: ${answer.text}`, answer.accepted ? 1200 : 5000);
}

function say(text, milliseconds = 4000) {
  said = { text, until: performance.now() + milliseconds };
}

// --- the panel ------------------------------------------------------------------------------------------

function show() {
  const { link, vehicle, camera, track, target, numbers, control } = state;
  $("lamp-link").classList.toggle("on", link.up);
  $("link").textContent = link.silent_ms === null ? `no drone heard on ${state.endpoint}`
    : link.up ? "drone" : `drone silent for ${Math.round(link.silent_ms / 1000)} s`;
  $("vehicle").textContent = vehicle ? `vehicle ${vehicle.system}: ${vehicle.mode}, ${vehicle.armed ? "armed" : "disarmed"}`
    + (vehicle.height_m === undefined ? "" : `, ${vehicle.height_m.toFixed(0)} m up`) : "";
  $("camera").textContent = camera ? `${camera.model || "camera"} ${camera.firmware || ""}: ${camera.state}` : "";

  const status = track && track.age_ms < 5 * STALE_MS ? track.status : "idle";
  $("status").textContent = { tracking: "tracking", coasting: "hidden, predicted", lost: "lost", idle: "no target" }[status];
  $("status").className = $("confidence").className = status;
  const confidence = status === "tracking" || status === "coasting" ? numbers.trk_conf : undefined;
  $("confidence").style.width = `${100 * (confidence || 0)}%`;
  $("confidence-text").textContent = confidence === undefined ? "–" : confidence.toFixed(2);
  $("rate").textContent = numbers.trk_fps === undefined ? "–"
    : `${numbers.trk_fps.toFixed(0)} Hz, ${(numbers.trk_lat || 0).toFixed(0)} ms old`;
  const known = target && target.age_ms < 5 * STALE_MS;
  $("position").textContent = known ? `${target.latitude_deg.toFixed(6)}, ${target.longitude_deg.toFixed(6)} ± ${(target.sigma_m || 0).toFixed(1)} m` : "–";
  $("range").textContent = known && target.range_m !== null ? `${target.range_m.toFixed(0)} m` : "–";
  $("speed").textContent = known && target.speed_mps !== null
    ? `${target.speed_mps.toFixed(1)} m/s` + (target.course_deg === null ? "" : `, ${target.course_deg.toFixed(0)}°`) : "–";
  $("stop").disabled = !camera || status === "idle";

  $("control-state").textContent = control || "not offered by the drone";
  $("control-state").className = control || "off";
  $("engage").disabled = !link.up || !(control === "disengaged" || control === "armed") || status !== "tracking";
  $("disengage").disabled = !(control === "engaged" || control === "holding");
  showTexts(state.texts);
  showVideos(state.videos);
  remember("vehicle", vehicle);
  remember("target", known ? target : null);
  drawMap(vehicle, known ? target : null);
}

function showTexts(texts) {
  for (const { number, severity, text } of texts) {
    if (number <= newest) continue;
    newest = number;
    const item = document.createElement("li");
    item.textContent = text;
    item.className = severity <= 3 ? "alarm" : severity === 4 ? "warn" : "";
    $("texts").prepend(item);
    while ($("texts").children.length > 40) $("texts").lastChild.remove();
  }
}

function showVideos(videos) {
  for (const name of ["rgb", "thermal"]) {
    const picture = $(name), video = videos[name];
    if (video && picture.dataset.uri !== video.uri) {
      picture.dataset.uri = video.uri;
      picture.src = `/video/${name}?${Date.now()}`;
    }
  }
}

for (const name of ["rgb", "thermal"]) {
  $(name).onerror = () => setTimeout(() => { if ($(name).dataset.uri) $(name).src = `/video/${name}?${Date.now()}`; }, 1000);
}

// --- the picture ----------------------------------------------------------------------------------------

function fitStage() {
  const { naturalWidth: width, naturalHeight: height } = $("rgb");
  if (width && height) $("stage").style.aspectRatio = `${width} / ${height}`;
}

function canvasOf(id) {
  const canvas = $(id), scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return [context, canvas.clientWidth, canvas.clientHeight];
}

function drawMarks() {
  fitStage();
  const [pen, width, height] = canvasOf("marks");
  const track = state && state.track;
  if (track && track.box && track.age_ms + performance.now() - heardAt < STALE_MS) {
    const [x, y, w, h] = track.box;
    pen.lineWidth = 2;
    pen.strokeStyle = COLOURS[track.status] || "#fff";
    pen.setLineDash(track.status === "coasting" ? [6, 5] : []);
    pen.strokeRect(x * width, y * height, w * width, h * height);
  }
  if (drag) {
    const [x1, y1, x2, y2] = rectangle(drag);
    pen.setLineDash([4, 4]);
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#6fb1ff";
    pen.strokeRect(x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height);
  }
  $("lamp-page").classList.toggle("on", performance.now() - heardAt < STALE_MS && heardAt > 0);
  $("notice").textContent = notice();
  requestAnimationFrame(drawMarks);
}

function notice() {
  const now = performance.now();
  if (!heardAt) return "connecting to the console …";
  if (now - heardAt > 2 * STALE_MS) return "the console does not answer; is edge-rgbt gcs still running?";
  if (now < said.until) return said.text;
  const video = state.videos.rgb;
  if (!video) return state.link.silent_ms === null ? `waiting for a drone on ${state.endpoint}` : "the drone offers no video";
  if (video.age_ms === null) return `video: ${video.problem || "connecting"}`;
  if (video.age_ms > STALE_MS) return `picture is ${(video.age_ms / 1000).toFixed(0)} s old`;
  return "";
}

function rectangle({ from, to }) {
  return [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
}

function placeOf(event) {
  const bounds = $("marks").getBoundingClientRect();
  const inside = (value) => Math.min(Math.max(value, 0), 1);
  return [inside((event.clientX - bounds.left) / bounds.width), inside((event.clientY - bounds.top) / bounds.height)];
}

$("marks").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  $("marks").setPointerCapture(event.pointerId);
  drag = { from: placeOf(event), to: placeOf(event) };
});
$("marks").addEventListener("pointermove", (event) => { if (drag) drag.to = placeOf(event); });
$("marks").addEventListener("pointercancel", () => { drag = null; });
$("marks").addEventListener("pointerup", () => {
  if (!drag) return;
  const box = rectangle(drag);
  drag = null;
  if (box[2] - box[0] < SMALLEST || box[3] - box[1] < SMALLEST) return say("drag a box round the whole target", 2000);
  order("track", box);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") drag = null; });
$("blend").addEventListener("input", () => { $("thermal").style.opacity = $("blend").value / 100; });

// --- orders ---------------------------------------------------------------------------------------------

$("stop").addEventListener("click", () => order("stop"));
$("disengage").addEventListener("click", () => order("disengage"));
$("engage").addEventListener("click", () => {
  $("sure").checked = false;
  $("really").disabled = true;
  $("confirm").returnValue = "";
  $("confirm").showModal();
});
$("sure").addEventListener("change", () => { $("really").disabled = !$("sure").checked; });
$("confirm").addEventListener("close", () => { if ($("confirm").returnValue === "yes" && $("sure").checked) order("engage"); });

// --- the map --------------------------------------------------------------------------------------------

const METRES_PER_DEG = 111320;
let origin = null;

function placed(thing) {
  if (!thing || thing.latitude_deg === undefined) return null;
  if (!origin) origin = [thing.latitude_deg, thing.longitude_deg];
  const east = (thing.longitude_deg - origin[1]) * METRES_PER_DEG * Math.cos(origin[0] * Math.PI / 180);
  return [east, (thing.latitude_deg - origin[0]) * METRES_PER_DEG];
}

function remember(name, thing) {
  const place = placed(thing), trail = trails[name], last = trail[trail.length - 1];
  if (!place || (last && Math.hypot(place[0] - last[0], place[1] - last[1]) < 0.5)) return;
  trail.push(place);
  if (trail.length > 600) trail.shift();
}

function drawMap(vehicle, target) {
  const [pen, width, height] = canvasOf("map");
  const here = placed(vehicle), there = placed(target);
  if (!here) return write(pen, "no position yet", width / 2, height / 2, "#8b93a1", "center");
  const shown = [...trails.vehicle.slice(-200), ...trails.target.slice(-200), here, ...(there ? [there] : [])];
  const middle = [0, 1].map((k) => (Math.min(...shown.map((p) => p[k])) + Math.max(...shown.map((p) => p[k]))) / 2);
  const reach = Math.max(15, ...shown.map((p) => Math.max(Math.abs(p[0] - middle[0]), Math.abs(p[1] - middle[1]))));
  const scale = 0.42 * Math.min(width, height) / reach;
  const at = ([east, north]) => [width / 2 + (east - middle[0]) * scale, height / 2 - (north - middle[1]) * scale];
  for (const [name, colour] of [["vehicle", "#6fb1ff"], ["target", "#3fd684"]]) {
    pen.strokeStyle = colour + "66";
    pen.lineWidth = 1.5;
    pen.beginPath();
    trails[name].forEach((place) => pen.lineTo(...at(place)));
    pen.stroke();
  }
  if (there) {
    pen.fillStyle = "#3fd684";
    pen.beginPath();
    pen.arc(...at(there), 5, 0, 2 * Math.PI);
    pen.fill();
    pen.strokeStyle = "#3fd68488"; // 95 per cent lie within 2.45 sigma
    pen.beginPath();
    pen.arc(...at(there), Math.max(2.45 * (target.sigma_m || 0) * scale, 7), 0, 2 * Math.PI);
    pen.stroke();
  }
  arrow(pen, at(here), (vehicle.heading_deg || 0) * Math.PI / 180);
  write(pen, "N ↑", width - 12, 20, "#8b93a1", "right");
  const bar = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find((m) => m * scale > 40) || 5000;
  pen.strokeStyle = "#8b93a1";
  pen.beginPath();
  pen.moveTo(12, height - 14);
  pen.lineTo(12 + bar * scale, height - 14);
  pen.stroke();
  write(pen, `${bar} m`, 12, height - 20, "#8b93a1", "left");
}

function arrow(pen, [x, y], heading) {
  pen.save();
  pen.translate(x, y);
  pen.rotate(heading);
  pen.fillStyle = "#6fb1ff";
  pen.beginPath();
  [[0, -9], [6, 7], [0, 3], [-6, 7]].forEach((corner) => pen.lineTo(...corner));
  pen.fill();
  pen.restore();
}

function write(pen, text, x, y, colour, align) {
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.font = "12px system-ui, sans-serif";
  pen.fillText(text, x, y);
}

connect();
requestAnimationFrame(drawMarks);
