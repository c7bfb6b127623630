// The page of `dgl review`: a queue of images, the keys, and what a person decides, saved at once.

import { Boxes, colorOf } from "./review_boxes.js";
import { ClassPicker } from "./review_classes.js";

const AHEAD = 4; // images fetched before they are asked for
const BEHIND = 2;
const RETRY = 700; // milliseconds until a server that does not answer is asked again
const WORDS = {
  "to-review": "to review", all: "all images", reviewed: "reviewed",
  accepted: "accepted", changed: "changed", rejected: "rejected",
};

const at = (id) => document.getElementById(id);
const pause = (time) => new Promise((done) => setTimeout(done, time));

let start; // {store, classes, filters}
let queue = []; // numbers of images
let place = 0;
let current = null; // the image shown, as the server knows it, with `edited` and `work`
let chosen = -1;
let shows = 0; // counts calls of show(), of which the last one counts
const photos = new Map(); // number -> image element
const undone = JSON.parse(sessionStorage.getItem("undo") || "[]"); // [store, number, revision before]

const boxes = new Boxes(at("stage"), {
  choose: (found) => choose(found),
  change(found, box) {
    Object.assign(current.objects[found], { box, confidence: null, polygons: null, score: null });
    edited();
  },
  draw(box) {
    const like = current.objects[chosen] || current.objects[0];
    const index = like ? like.class_index : current.label ?? picker.recent[0] ?? 0;
    current.objects.push({ from: null, box, class_index: index, class_name: start.classes[index] });
    chosen = current.objects.length - 1;
    edited();
    if (!like && current.label === null && start.classes.length > 1) pick();
  },
});

const picker = new ClassPicker({
  take: takeClass,
  close: () => at("stage").focus({ preventScroll: true }),
});

// What the server says

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ store: start.store, ...body }),
  };
  for (let waits = 0; ; waits++) {
    try {
      const response = await fetch(path, options);
      const values = await response.json();
      if (waits) notice("The server answers again.");
      return { ok: response.ok, code: response.status, values };
    } catch {
      notice("The server does not answer; waiting for it. Start it again with the same port.", true);
      await pause(RETRY);
    }
  }
}

function notice(text, warn = false) {
  at("notice").textContent = text;
  at("notice").classList.toggle("warn", warn);
}

function showProgress(progress) {
  for (const status of ["accepted", "changed", "rejected"]) {
    at(status).style.width = `${(100 * progress[status]) / Math.max(1, progress.all)}%`;
  }
  at("progress").setAttribute("aria-valuenow", progress.reviewed);
  at("progress").setAttribute("aria-valuemax", progress.all);
  at("progress").title = `${progress.accepted} accepted, ${progress.changed} changed, ${progress.rejected} rejected`;
  at("count").textContent = `${progress.reviewed.toLocaleString("en")} of ${progress.all.toLocaleString("en")} reviewed`;
}

// Saving. Every change is sent at once, one after the other; `work` is done when the server has the last one.

function edited() {
  save(current, "keep");
  render();
}

function save(image, action) {
  image.action = action;
  image.edited = (image.edited || 0) + 1;
  image.work = image.work || send(image).finally(() => (image.work = null));
  return image.work;
}

async function send(image) {
  while (image.edited) {
    image.edited = 0;
    const sent = image.objects.slice();
    const objects = sent.map(({ from, box, class_index }) => ({ from: from ?? null, box, class_index }));
    const before = image.revision;
    const answer = await ask(`/api/images/${image.number}`, { revision: before, action: image.action, objects });
    if (!answer.ok) return refused(image, answer);
    sent.forEach((object, index) => (object.from = index));
    remember(image.number, before);
    image.revision = answer.values.image.revision;
    image.status = answer.values.image.status;
    showProgress(answer.values.progress);
  }
  if (image === current) render();
  return true;
}

async function refused(image, answer) {
  image.edited = 0;
  if (answer.values.image) {
    if (image === current) take(answer.values.image);
    notice(`${image.image} was changed in another tab or window; it is shown as it is now.`, true);
  } else {
    notice(`Not saved: ${answer.values.error}`, true);
    if (answer.code === 400) await show(image.number);
  }
  return false;
}

function remember(number, revision) {
  undone.push([start.store, number, revision]);
  sessionStorage.setItem("undo", JSON.stringify(undone.slice(-500)));
}

async function undo() {
  if (current && current.work) await current.work;
  const last = undone.pop();
  sessionStorage.setItem("undo", JSON.stringify(undone));
  if (!last || last[0] !== start.store) return notice("Nothing to undo.");
  const [, number, earlier] = last;
  if (!current || current.number !== number) await show(number);
  const answer = await ask(`/api/images/${number}`, { revision: current.revision, restore: earlier });
  if (!answer.ok) return refused(current, answer);
  take(answer.values.image);
  showProgress(answer.values.progress);
  notice("Undone.");
}

// Images

function photo(number) {
  let found = photos.get(number);
  if (!found) {
    found = new Image();
    Object.assign(found, { alt: "", draggable: false });
    found.src = `/images/${number}.jpg?${start.store}`;
    found.ready = found.decode().then(() => true, () => false);
    photos.set(number, found);
  }
  return found;
}

function fetchAhead() {
  const wanted = new Set(queue.slice(Math.max(0, place - BEHIND), place + AHEAD + 1));
  for (const number of photos.keys()) if (!wanted.has(number)) photos.delete(number);
  for (const number of wanted) photo(number);
}

/** Show an image, with what the server knows of it now; `asked` is that answer, if it is on its way. */
async function show(number, asked = ask(`/api/images/${number}`)) {
  const call = ++shows;
  picker.close();
  const found = queue.indexOf(number);
  if (found >= 0) place = found;
  else queue.splice(place, 0, number); // not of this filter, but asked for
  const image = photo(number);
  const [answer, ready] = await Promise.all([asked, image.ready]);
  if (call !== shows) return;
  // The element itself, which is decoded already.
  at("photo").replaceWith(image);
  image.id = "photo";
  image.hidden = !ready;
  message(ready ? "" : "This image cannot be read. Reject it, or accept it unseen.");
  take(answer.values);
  history.replaceState(null, "", `#${number}`);
  fetchAhead();
}

function take(image) {
  image.objects.forEach((object, index) => (object.from = index));
  current = image;
  const worst = image.objects.map((object) => object.confidence ?? object.score ?? 2);
  chosen = worst.indexOf(Math.min(...worst));
  boxes.cancel();
  render();
}

/** Go on by some images, when `saved` is done: the server is asked for the next one meanwhile. */
async function go(step, saved = current && current.work) {
  const next = place + step;
  const asked = next >= 0 && next < queue.length ? ask(`/api/images/${queue[next]}`) : null;
  if (saved && !(await saved)) return;
  if (asked) return show(queue[next], asked);
  if (step < 0) return notice("This is the first image.");
  if (at("show").value !== "to-review") return notice("This is the last image.");
  await filterImages(); // those passed over
}

async function keep() {
  if (!current) return;
  const isDecided = current.status === "accepted" || current.status === "changed";
  notice("");
  await go(1, current.work || (isDecided ? null : save(current, "keep")));
}

async function reject() {
  if (!current) return;
  notice("");
  await go(1, save(current, "reject"));
}

async function filterImages(andShow = true) {
  const query = new URLSearchParams({ show: at("show").value, class: at("class").value, text: at("text").value });
  const answer = await ask(`/api/queue?${query}`);
  queue = answer.values.numbers || [];
  place = 0;
  showProgress(answer.values.progress);
  if (queue.length) {
    if (andShow) await show(queue[0]);
    return;
  }
  shows++;
  current = null;
  boxes.image = null;
  at("photo").hidden = true;
  boxes.svg.replaceChildren();
  boxes.tags.replaceChildren();
  const { reviewed, all } = answer.values.progress;
  notice("");
  message(reviewed === all ? "Every image is reviewed. Write the labels:" : "No such image.");
  if (reviewed !== all) return render();
  const command = document.createElement("code");
  command.textContent = `dgl label --out ${start.folder} --export coco`;
  at("message").append(command);
  render();
}

function message(text) {
  at("message").textContent = text;
  at("message").hidden = !text;
}

// Objects and their classes

function choose(found) {
  chosen = found;
  picker.close();
  render();
}

function nextObject(step) {
  if (!current || !current.objects.length) return;
  choose((chosen + step + current.objects.length) % current.objects.length);
}

function remove() {
  if (!current || !current.objects[chosen]) return;
  current.objects.splice(chosen, 1);
  chosen = Math.min(chosen, current.objects.length - 1);
  edited();
}

function pick() {
  if (!current || !current.objects[chosen]) return notice("Choose an object first.");
  picker.open();
}

function takeClass(index) {
  const object = current && current.objects[chosen];
  if (!object || object.class_index === index) return;
  Object.assign(object, { class_index: index, class_name: start.classes[index], confidence: null });
  edited();
}

function render() {
  document.body.classList.toggle("nothing", !current);
  document.body.classList.toggle("rejected-image", Boolean(current) && current.status === "rejected");
  for (const id of ["accept", "reject", "previous", "next", "draw"]) at(id).disabled = !current;
  for (const id of ["pick", "remove"]) at(id).disabled = !current || !current.objects[chosen];
  at("place").textContent = current ? `${(place + 1).toLocaleString("en")} of ${queue.length.toLocaleString("en")} ${WORDS[at("show").value] || ""}` : "";
  const path = current ? current.image.split("/") : [""];
  at("name").textContent = path.pop();
  at("folder").textContent = path.length ? `${path.join("/")}/` : "";
  at("objects").replaceChildren();
  at("facts").replaceChildren();
  at("none").hidden = !current || current.objects.length > 0;
  if (!current) return;
  const fact = (text, name = "") => {
    const span = document.createElement("span");
    span.textContent = text;
    span.className = name;
    at("facts").append(span);
  };
  fact(`${current.width} × ${current.height}`);
  if (current.label !== null) fact(`label: ${start.classes[current.label]}`);
  fact(current.status || "to review", `status ${current.status || ""}`);
  current.objects.forEach((object, index) => at("objects").append(rowOf(object, index)));
  const row = at("objects").children[chosen];
  if (row) row.scrollIntoView({ block: "nearest" });
  boxes.show(current, chosen);
}

function rowOf(object, index) {
  const item = document.createElement("li");
  item.classList.toggle("chosen", index === chosen);
  const color = document.createElement("i");
  color.style.background = colorOf(object.class_index);
  const name = document.createElement("b");
  name.textContent = object.class_name;
  const certainty = document.createElement("span");
  certainty.textContent = object.confidence != null ? `${Math.round(100 * object.confidence)} %` : object.score != null ? `score ${object.score.toFixed(2)}` : "by hand";
  certainty.title = "estimated probability that the box is right, or the mean score inside it";
  item.append(color, name, certainty);
  item.addEventListener("click", () => choose(index));
  item.addEventListener("dblclick", () => pick());
  return item;
}

// Keys

const KEYS = {
  a: keep, Enter: keep, r: reject, ArrowRight: () => go(1), ArrowLeft: () => go(-1),
  o: () => nextObject(1), c: pick, d: remove, Delete: remove, Backspace: remove, z: undo, u: undo,
  n: () => (boxes.drawing = true), Escape: () => boxes.cancel() || choose(-1),
  0: () => { boxes.zoom = 1; boxes.fit(); },
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isFree = target === document.body || target === at("stage");
  if (event.key === "Tab" && isFree && current && current.objects.length > 1) {
    nextObject(event.shiftKey ? -1 : 1);
    return event.preventDefault();
  }
  if (target.matches("input, select") || event.altKey) return;
  if (target.matches("button") && (event.key === "Enter" || event.key === " ")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && key !== "z") return;
  const act = KEYS[key];
  if (!act || event.repeat && !key.startsWith("Arrow")) return;
  event.preventDefault();
  act();
});

const BUTTONS = {
  accept: keep, reject, previous: () => go(-1), next: () => go(1), pick, remove, draw: () => (boxes.drawing = true), undo,
};
for (const [id, act] of Object.entries(BUTTONS)) {
  at(id).addEventListener("click", () => {
    at("stage").focus({ preventScroll: true });
    act();
  });
}
at("filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["show", "class"]) at(id).addEventListener("change", () => { at(id).blur(); filterImages(); });
let typing;
at("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filterImages, 250);
});

async function begin() {
  start = (await ask("/api/start")).values;
  for (const filter of start.filters) at("show").append(new Option(WORDS[filter], filter));
  picker.begin(start.classes, start.store);
  start.classes.forEach((name, index) => at("class").append(new Option(name, index)));
  if (start.classes.length < 2) at("class").hidden = true;
  showProgress(start.progress);
  const wanted = Number(location.hash.slice(1));
  const known = location.hash.length > 1 && Number.isInteger(wanted) && wanted >= 0 && wanted < start.progress.all;
  await filterImages(!known);
  if (known) {
    await show(wanted);
  }
  at("stage").focus({ preventScroll: true });
}

begin();
