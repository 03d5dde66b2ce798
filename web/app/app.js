// The frame of the pages: which one is shown, and when the cluster is asked.
//
// A page is made by a function of the rest of its address and its query; it gives { title, element, update }. `update` is called
// with each new state of the cluster, and may ask for more. Nothing is asked while nobody looks.

import { Cluster } from "./cluster.js";
import { fill, h } from "./dom.js";
import { duration } from "./format.js";
import { get } from "./requests.js";
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

/** By the first part of the address, and whether more follows. */
const PAGES = {
  "": overview,
  frameworks, "frameworks/": framework,
  agents, "agents/": agent,
  roles, offers, maintenance, directory, file,
};

const view = document.getElementById("view");
const notice = document.getElementById("notice");
const freshness = document.getElementById("freshness");

let page;
let cluster;
let answered;
let timer;
let isAsking = false;

function show() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/").map(decodeURIComponent);
  const make = PAGES[rest.length > 0 ? `${first}/` : first];
  page = make?.(rest.join("/"), new URLSearchParams(query)) ?? {
    title: "Nothing here",
    element: h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "Overview")),
    update() {},
  };
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.getAttribute("href") === `#/${first}`;
    if (current) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  fill(view, page.element);
  scrollTo(0, 0);
  update();
}

function update() {
  if (!cluster) return;
  const name = cluster.state.cluster ?? "Mesos";
  document.getElementById("cluster").textContent = name;
  document.title = page.title ? `${page.title} – ${name}` : name;
  page.update(cluster);
}

async function refresh() {
  if (document.hidden || isAsking) return;
  isAsking = true;
  clearTimeout(timer);
  const began = performance.now();
  try {
    const { value, url } = await get("state");
    cluster = new Cluster(value);
    answered = Date.now();
    const leader = new URL(url).origin;
    tell(leader !== location.origin
      && ["This master follows. What is shown is the leader's, ", h("a", { href: `${leader}/` }, leader), "."]);
    // Who has marked something to copy it would lose it.
    if (document.getSelection().isCollapsed) update();
  } catch (error) {
    tell(`The state of the cluster is not to be had: ${error.message}`);
  }
  age();
  isAsking = false;
  timer = setTimeout(refresh, Math.max(PERIOD, PATIENCE * (performance.now() - began)));
}

function tell(message) {
  notice.hidden = !message;
  fill(notice, message);
}

function age() {
  const seconds = answered && (Date.now() - answered) / 1000;
  freshness.textContent = !answered ? "" : seconds < 2 * PERIOD / 1000 ? "live" : `${duration(seconds)} old`;
  freshness.className = freshness.textContent === "live" ? "live" : "";
}

addEventListener("hashchange", show);
document.addEventListener("visibilitychange", refresh);
setInterval(age, 1_000);
show();
refresh();
