// The frame of the pages: which one is shown, and when the cluster is asked.
//
// A page is made by a function of the rest of its address and its query; it gives { title, element, update }.
// `update` is called with each new state of the cluster, and may ask for more; it is not called again before it has
// what it asked for. Nothing is asked while nobody looks.

import { Cluster } from "./cluster.js";
import { fill, h } from "./dom.js";
import { duration } from "./format.js";
import { getState } from "./requests.js";
import { agent, agents } from "./views/agents.js";
import { directory, file } from "./views/files.js";
import { framework, frameworks } from "./views/frameworks.js";
import { maintenance } from "./views/maintenance.js";
import { offers } from "./views/offers.js";
import { overview } from "./views/overview.js";
import { roles } from "./views/roles.js";

/** How often the cluster is asked, in milliseconds; a master that takes long is asked less often. */
const PERIOD = 5_000;
const PATIENCE = 10;

/** By the first part of the address, with a slash if more follows. */
const PAGES = new Map(Object.entries({
  "": overview,
  frameworks, "frameworks/": framework,
  agents, "agents/": agent,
  roles, offers, maintenance, directory, file,
}));

const view = document.getElementById("view");
const notice = document.getElementById("notice");
const freshness = document.getElementById("freshness");

let page;
let cluster;
let period = PERIOD;
let answered;
let timer;
let isAsking = false;
/** The reader has marked something to copy it: what is shown stays as it is. */
let isHeld = false;
/** What is wrong with the cluster, and with the page. */
const troubles = { cluster: null, page: null };

function show() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/").map(decoded);
  const make = PAGES.get(rest.length > 0 ? `${first}/` : first) ?? nothing;
  page = make(rest.join("/"), new URLSearchParams(query));
  for (const link of document.querySelectorAll("nav a")) {
    const isCurrent = link.getAttribute("href") === `#/${first}`;
    if (isCurrent) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  fill(view, page.element);
  scrollTo(0, 0);
  tell("page", null);
  update();
}

function nothing() {
  const element = h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "Overview"));
  return { title: "Nothing here", element, update() {} };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function update() {
  const shown = page;
  if (!cluster || shown.isBusy) return;
  shown.isBusy = true;
  try {
    const done = shown.update(cluster);
    const name = cluster.state.cluster ?? "Mesos";
    document.getElementById("cluster").textContent = name;
    document.title = shown.title ? `${shown.title} – ${name}` : name;
    await done;
    if (shown === page) tell("page", null);
  } catch (error) {
    console.error(error);
    if (shown === page) tell("page", `This page could not be brought up to date: ${error.message}`);
  } finally {
    shown.isBusy = false;
  }
}

async function refresh() {
  if (document.hidden || isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  const began = performance.now();
  try {
    const { state, leader } = await getState();
    cluster = new Cluster(state);
    answered = Date.now();
    tell("cluster", leader
      && ["This is not the leading master. Shown is the state of ", h("a", { href: leader }, leader), "."]);
    isHeld = isMarked();
    if (!isHeld) update();
  } catch (error) {
    tell("cluster", `The state of the cluster could not be read: ${error.message}`);
  }
  isAsking = false;
  period = Math.max(PERIOD, PATIENCE * (performance.now() - began));
  timer = setTimeout(refresh, period);
  age();
}

/** Says what is wrong; it is read out where that is wanted, and so only written when it changes. */
function tell(about, message) {
  const before = told().textContent;
  troubles[about] = message;
  const said = told();
  notice.hidden = said.textContent.trim() === "";
  if (said.textContent !== before) fill(notice, [...said.childNodes]);
}

/** All that is wrong. Copies of it: an element that is shown already would leave its place. */
function told() {
  const copies = (message) => [message].flat().map((part) => (part instanceof Node ? part.cloneNode(true) : part));
  return h("div", {}, copies(troubles.cluster), " ", copies(troubles.page));
}

function isMarked() {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(view, true);
}

function age() {
  const seconds = answered && (Date.now() - answered) / 1000;
  const isLive = seconds < period / 1000 + 5;
  const text = !answered ? "" : isHeld ? "paused while text is marked" : isLive ? "live" : `${duration(seconds)} old`;
  if (freshness.textContent !== text) freshness.textContent = text;
  freshness.className = text === "live" ? "live" : "";
}

addEventListener("hashchange", show);
document.addEventListener("visibilitychange", refresh);
document.addEventListener("selectionchange", () => {
  if (!isHeld || isMarked()) return;
  isHeld = false;
  update();
});
setInterval(age, 1_000);
show();
refresh();
