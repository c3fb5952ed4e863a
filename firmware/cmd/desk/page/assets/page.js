// The desk's page. It shows what /events and /frame deliver and posts to /act; it decides nothing.

const $ = (id) => document.getElementById(id);

// el makes an element; text never becomes markup.
function el(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// once calls draw only when the part it draws has changed, so that focus and screen readers are left in peace.
const drawn = new Map();
function once(key, part, draw) {
  const now = JSON.stringify(part);
  if (drawn.get(key) === now) return;
  drawn.set(key, now);
  draw(part);
}

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// ---- actions

let complaint;
async function act(name, arg = "") {
  let problem = "";
  try {
    const answer = await fetch("/act", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name, arg }),
    });
    if (!answer.ok) problem = (await answer.json()).error;
  } catch {
    problem = "the desk does not answer";
  }
  const error = $("error");
  error.hidden = !problem;
  error.textContent = problem && `Not done: ${problem}.`;
  clearTimeout(complaint);
  if (problem) complaint = setTimeout(() => { error.hidden = true; }, 8000);
}

for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-checked");
    act(button.dataset.act, on === null ? "" : on === "true" ? "off" : "on");
  });
}

// askAbout offers what can become of a person as they stand. What cannot be taken back is to be pressed twice.
function askAbout({ name, standing }) {
  const dialog = $("person");
  $("p-name").textContent = name;
  $("p-standing").textContent = standing;
  for (const row of dialog.querySelectorAll("[data-fits]")) row.hidden = !row.dataset.fits.split(" ").includes(standing);
  disarm();
  dialog.returnValue = "";
  dialog.onclose = () => { if (dialog.returnValue) act(dialog.returnValue, name); };
  dialog.showModal();
}

function disarm() {
  for (const button of document.querySelectorAll("dialog .danger")) {
    delete button.dataset.armed;
    button.textContent = button.value[0].toUpperCase() + button.value.slice(1);
  }
}

for (const button of document.querySelectorAll("dialog .danger")) {
  button.addEventListener("click", (event) => {
    if (button.dataset.armed) return;
    event.preventDefault();
    disarm();
    button.dataset.armed = true;
    button.textContent = `Yes, ${button.value}`;
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input:not([type=checkbox]), textarea, select");
  if (typing || event.repeat || event.ctrlKey || event.altKey || event.metaKey || $("person").open || !$("keys").checked) return;
  if (!/^[1-9]$/.test(event.key)) return;
  document.querySelectorAll("#scene-list button")[event.key - 1]?.click();
});

// ---- what the desk reports

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function showDoor(door) {
  say("text", door.text);
  $("text").dataset.led = door.led;
  Object.assign($("drawing").dataset, {
    ajar: door.ajar, released: door.released, lamp: door.lamp, led: door.led, pattern: door.pattern,
    buzzer: door.buzzer, fire: door.fire, tamper: door.tamper, lockdown: door.lockdown,
  });
  say("f-state", door.state);
  say("f-walkup", door.walkup);
  say("f-contact", door.ajar ? "open" : "closed");
  say("f-relay", door.released ? "released" : "locked");
  say("f-led", door.pattern === "dark" ? "dark" : `${door.led}, ${door.pattern}`);
  say("f-buzzer", door.buzzer);
  for (const name of ["fire", "tamper", "lockdown"]) {
    document.querySelector(`[data-act=${name}]`).setAttribute("aria-checked", door[name]);
  }
}

function showSighting({ box: [x0, y0, x1, y1], faces, hint }) {
  $("mark").setAttribute("visibility", faces ? "visible" : "hidden");
  const seen = faces === 0 ? "nobody in view" : faces === 1 ? "one face in view" : `${faces} faces in view`;
  const caption = faces && hint ? `${seen}: ${hint}` : seen;
  say("sighting", caption);
  if (!faces) return;
  const arm = Math.min(x1 - x0, y1 - y0) / 4;
  $("corners").setAttribute("d",
    `M${x0} ${y0 + arm}V${y0}H${x0 + arm}M${x1 - arm} ${y0}H${x1}V${y0 + arm}M${x1} ${y1 - arm}V${y1}H${x1 - arm}M${x0 + arm} ${y1}H${x0}V${y1 - arm}`);
  $("mark").dataset.good = !hint;
  $("hint").textContent = hint;
  const wide = hint ? $("hint").getComputedTextLength() + 20 : 0;
  const left = Math.max(4, Math.min(x0, 636 - wide));
  const top = y1 + 40 < 480 ? y1 + 8 : Math.max(4, y0 - 38);
  $("tag").setAttribute("x", left);
  $("tag").setAttribute("y", top);
  $("tag").setAttribute("width", wide);
  $("hint").setAttribute("x", left + 10);
  $("hint").setAttribute("y", top + 21);
}

let newest = -1; // number of the newest decision that was shown; -1 before the first state
function showDecisions(list) {
  const rows = list.map((d) => {
    const row = el("tr", { "data-verdict": d.verdict },
      el("td", {}, time.format(d.at)),
      el("td", {}, el("span", { class: "verdict" }, d.verdict)),
      el("td", {}, d.person || "–"),
      el("td", {}, d.reason),
      el("td", { class: "number" }, d.latency ? String(d.latency) : "–"));
    if (newest >= 0 && d.number > newest) row.classList.add("new");
    return row;
  });
  $("decisions").replaceChildren(...rows);
  $("no-decision").hidden = rows.length > 0;
  if (newest >= 0 && list.length && list[0].number > newest) {
    const d = list[0];
    say("said", [d.verdict, d.person, d.reason, d.latency ? `${d.latency} milliseconds` : ""].filter(Boolean).join(", "));
  }
  newest = list.length ? list[0].number : 0;
}

function showScenes({ scenes, scene }) {
  once("scenes", scenes, () => {
    $("scene-list").replaceChildren(...scenes.map((s, i) => {
      const button = el("button", { type: "button", "data-scene": s.name });
      if (i < 9) {
        button.append(el("kbd", { "aria-hidden": "true" }, String(i + 1)));
        button.setAttribute("aria-keyshortcuts", String(i + 1));
      }
      button.append(el("span", {}, s.title));
      button.addEventListener("click", () => act("scene", s.name));
      return el("li", {}, button);
    }));
  });
  for (const button of document.querySelectorAll("[data-scene]")) {
    if (button.dataset.scene === scene) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function age(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

function showPrograms(programs) {
  once("program names", programs.map((p) => p.name), (names) => {
    $("programs").replaceChildren(...names.map((name) => {
      const kill = el("button", { type: "button", class: "danger", "aria-label": `Kill ${name}` }, "Kill");
      kill.addEventListener("click", () => act("kill", name));
      return el("li", { "data-program": name },
        el("strong", {}, name), el("span", { class: "phase" }), kill, el("p", { class: "detail" }), el("p", { class: "exit" }));
    }));
  });
  for (const p of programs) {
    const item = document.querySelector(`[data-program="${CSS.escape(p.name)}"]`);
    const put = (selector, text) => {
      const e = item.querySelector(selector);
      if (e.textContent !== text) e.textContent = text;
    };
    item.dataset.phase = p.phase;
    put(".phase", p.phase);
    const restarts = p.restarts === 1 ? "1 restart" : `${p.restarts} restarts`;
    put(".detail", [p.pid ? `pid ${p.pid}` : "no process", `for ${age(p.since)}`, restarts].join(" · "));
    put(".exit", p.lastExit ? `last end: ${p.lastExit}` : "");
    item.querySelector("button").setAttribute("aria-disabled", p.pid === 0);
  }
}

function showPeople(people) {
  const held = document.activeElement?.dataset.person;
  $("people").replaceChildren(...people.map((person) => {
    const button = el("button", { type: "button", "aria-haspopup": "dialog", "data-person": person.name, "data-standing": person.standing },
      el("span", {}, person.name), el("small", {}, person.standing));
    button.addEventListener("click", () => askAbout(person));
    return el("li", {}, button);
  }));
  // Whoever works by keyboard stays where they were.
  if (held) (document.querySelector(`[data-person="${CSS.escape(held)}"]`) ?? document.querySelector("[data-act=rekey]")).focus();
  if (!people.length) $("people").append(el("li", { class: "empty" }, "nobody is enrolled"));
}

function showWaiting(names) {
  $("waiting").hidden = !names.length;
  $("alike").replaceChildren(...names.map((name) => {
    const button = el("button", { type: "button", "data-alike": name }, name);
    button.addEventListener("click", () => act("confirm", name));
    return button;
  }));
  if (names.length) say("said", `Two people look alike. Who stands at the door: ${names.join(" or ")}?`);
}

function showNotices({ notices, reviews }) {
  const list = notices.map((n) => el("li", { class: "notice", "data-kind": n.kind }, n.text));
  list.push(...reviews.map((r) => {
    const button = el("button", { type: "button" }, "I looked: no attack");
    button.addEventListener("click", () => act("review", r.id));
    return el("li", { class: "notice", "data-kind": "degraded" }, `${r.text} `, button);
  }));
  if (!list.length) list.push(el("li", { class: "notice", "data-kind": "well" }, "All programs run and nothing is degraded."));
  $("notices").replaceChildren(...list);
}

function showAfar({ afar, records, backlog, lockdown }) {
  $("afar").hidden = !afar.known;
  if (!afar.known) return;
  $("afar").dataset.phase = afar.connected ? "running" : "restarting";
  say("a-commands", `${afar.applied} of ${afar.newest}`);
  say("a-records", `${(records - backlog).toLocaleString("en-GB")} of ${records.toLocaleString("en-GB")}`);
  say("a-rules", afar.governed ? "in force" : "none");
  const press = (name) => document.querySelector(`[data-act=${name}]`);
  press("network").setAttribute("aria-checked", afar.network);
  press("afar-lockdown").setAttribute("aria-checked", lockdown);
  press("afar-enrol").hidden = !afar.visitor || afar.enrolled;
  press("afar-delete").hidden = !afar.visitor || !afar.enrolled;
  $("a-alarms").replaceChildren(...afar.alarms.map((text) => el("li", { class: "notice", "data-kind": "degraded" }, text)));
  showAge(afar);
}

// showAge draws what changes by itself.
function showAge({ known, connected, network, since, timed, clock }) {
  if (!known) return;
  const how = connected ? "connected" : network ? "not connected" : "network cut";
  say("a-state", since ? `${how} for ${age(since)}` : how);
  say("a-clock", timed ? time.format(Date.now() + clock) : "none");
}

let programs = [], afar = {};
function show(state) {
  once("door", state.door, showDoor);
  once("sighting", state.sighting, showSighting);
  once("decisions", state.decisions, showDecisions);
  once("scene", { scenes: state.scenes, scene: state.scene }, showScenes);
  once("people", state.people, showPeople);
  once("waiting", state.waiting, showWaiting);
  once("notices", { notices: state.notices, reviews: state.reviews }, showNotices);
  showPrograms(programs = state.programs);
  afar = state.afar;
  once("afar", { afar, records: state.records, backlog: state.backlog, lockdown: state.door.lockdown }, showAfar);
  for (const id of ["enrolled", "records", "backlog"]) say(id, state[id].toLocaleString("en-GB"));
}

// ---- the stream of states

const silence = 12_000; // ms; the server beats every 5 s
let stream, heard = 0;

function connected(yes) {
  say("connection", yes ? "live" : "the desk does not answer");
  document.body.dataset.live = yes;
}

function listen() {
  stream?.close();
  heard = Date.now();
  const s = stream = new EventSource("/events");
  s.addEventListener("state", (event) => { heard = Date.now(); connected(true); show(JSON.parse(event.data)); });
  s.addEventListener("beat", () => { heard = Date.now(); connected(true); });
  s.addEventListener("error", () => {
    connected(false);
    if (s.readyState === EventSource.CLOSED && s === stream) setTimeout(() => { if (s === stream) listen(); }, 2000);
  });
}

setInterval(() => {
  if (document.hidden) return;
  if (Date.now() - heard > silence) { connected(false); listen(); }
  showAge(afar);
  showPrograms(programs);
}, 1000);

// A hidden page holds no connection: browsers allow six to one address, and a forgotten tab must not use them up.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return listen();
  stream?.close();
  stream = undefined;
});
if (!document.hidden) listen();

// ---- the picture

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const pen = $("picture").getContext("2d", { alpha: false });
let frame = "", failed = 0;

for (;;) {
  const began = performance.now();
  if (!document.hidden) {
    try {
      const answer = await fetch(frame ? `/frame?after=${frame}` : "/frame");
      if (answer.status === 200) {
        frame = answer.headers.get("Lintel-Frame");
        const bitmap = await createImageBitmap(await answer.blob());
        pen.drawImage(bitmap, 0, 0, 640, 480);
        bitmap.close();
        $("dark").hidden = true;
      }
      failed = 0;
    } catch {
      failed = Math.min(failed + 1, 5);
    }
  }
  // 14 a second; slower while nobody looks or nothing answers.
  await wait(document.hidden ? 500 : failed ? failed * 400 : Math.max(15, 70 - (performance.now() - began)));
}
